"""Outputs of a flow when its execution ends."""

from __future__ import annotations

from runner.engine.flow_outputs import Rendered, render_outputs
from runner.expr import Scope
from runner.loading.flow import load
from runner.model.flow import Flow, Output

VARIABLES: dict[str, object] = {
    "outputs": {"t": {"value": "5", "uri": "kestra:///n/f/x.txt"}},
    "vars": {"o": {"a": 1}},
}


async def rendered(outputs: str) -> Rendered:
    flow = load(
        f"""
id: f
namespace: n
outputs:
{outputs}
tasks: [{{id: t, type: io.kestra.plugin.core.log.Log, message: x}}]
"""
    )
    return await render_outputs(flow, Scope(VARIABLES))


async def test_outputs_have_the_types_that_the_flow_declares() -> None:
    found = await rendered(
        """
  - {id: s, type: STRING, value: "{{ outputs.t.value }}"}
  - {id: i, type: INT, value: "{{ outputs.t.value }}"}
  - {id: n, type: INT, value: 3}
  - {id: f, type: FLOAT, value: "{{ outputs.t.value }}"}
  - {id: b, type: BOOL, value: "{{ outputs.t.value == '5' }}"}
  - {id: j, type: JSON, value: "{{ vars.o }}"}
  - {id: d, type: DATE, value: "2024-01-02"}
  - {id: dt, type: DATETIME, value: "2024-01-02T03:04:05Z"}
  - {id: du, type: DURATION, value: PT90S}
  - {id: u, type: URI, value: "https://example.com/a"}
  - {id: file, type: FILE, value: "{{ outputs.t.uri }}"}
  - {id: a, type: ARRAY, value: "{{ [1, 'x'] }}"}
  - {id: sel, type: SELECT, value: "{{ outputs.t.value }}"}
"""
    )

    assert found == Rendered(
        outputs={
            "s": "5",
            "i": 5,
            "n": 3,
            "f": 5.0,
            "b": True,
            "j": {"a": 1},
            "d": "2024-01-02",
            "dt": "2024-01-02T03:04:05Z",
            "du": 90.0,
            "u": "https://example.com/a",
            "file": "kestra:///n/f/x.txt",
            "a": [1, "x"],
            "sel": "5",
        },
        warnings=[],
    )


async def test_a_map_is_rendered_inside_and_printed_as_java_prints_it() -> None:
    value = {"k": "{{ outputs.t.value }}", "l": [1]}
    outputs = (Output(id="s", type="STRING", value=value), Output(id="j", type="JSON", value=value))
    flow = Flow(id="f", namespace="n", tasks=(), outputs=outputs)

    found = await render_outputs(flow, Scope(VARIABLES))

    assert found.outputs == {"s": "{k=5, l=[1]}", "j": {"k": "5", "l": [1]}}


async def test_an_output_that_cannot_be_rendered_leaves_none_at_all() -> None:
    found = await rendered(
        """
  - {id: ok, type: STRING, value: "{{ outputs.t.value }}"}
  - {id: n, type: STRING, value: "{{ outputs.nope.value }}"}
"""
    )

    assert found.outputs is None
    assert found.error is not None
    assert found.error.startswith(
        "Unable to find `nope` used in the expression `{{ outputs.nope.value }}` at line 1"
    )
    assert "outputs.n.value" in found.error


async def test_an_optional_output_that_cannot_be_rendered_is_left_out() -> None:
    found = await rendered(
        """
  - {id: ok, type: STRING, value: "{{ outputs.t.value }}"}
  - {id: n, type: STRING, required: false, value: "{{ outputs.nope.value }}"}
"""
    )

    assert found.outputs == {"ok": "5"}
    assert found.warnings == ["Failed to render optional flow output 'n'. Output is ignored."]


async def test_a_wrong_type_fails_even_if_the_output_is_optional() -> None:
    found = await rendered('  - {id: n, type: INT, required: false, value: "x"}')

    assert found.outputs is None
    assert found.error == ('Invalid value for output `n`. Cause: For input string: "x"')


async def test_a_value_is_parsed_by_its_type_but_not_checked_as_an_input_is() -> None:
    assert (await rendered("  - {id: m, type: EMAIL, value: nope}")).outputs == {"m": "nope"}


async def test_null_counts_as_empty_text() -> None:
    assert (await rendered('  - {id: n, type: STRING, value: "{{ null }}"}')).outputs == {"n": ""}
    assert (await rendered('  - {id: n, type: INT, value: "{{ null }}"}')).error is not None

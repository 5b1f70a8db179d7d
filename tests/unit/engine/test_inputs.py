"""Inputs of an execution: given, defaulted, disabled, refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner.engine.input_tree import ENCRYPTED, secrets_in, shown_inputs
from runner.engine.inputs import (
    Resolved,
    Upload,
    inputs_for_rendering,
    resolve_inputs,
    resume_inputs,
)
from runner.errors import InputInvalid
from runner.expr import Scope
from runner.loading.flow import load
from runner.model.execution import Execution
from runner.model.flow import Flow
from runner.model.state import History, State
from runner.storage.files import Storage

TASKS = "tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x}]"


def flow_of(inputs: str, more: str = "") -> Flow:
    return load(f"id: f\nnamespace: n\ninputs:\n{inputs}\n{more}\n{TASKS}\n")


def execution_of(flow: Flow) -> Execution:
    history = History.begin(State.CREATED, datetime(2026, 1, 1, tzinfo=UTC))
    return Execution(
        id="E1", namespace=flow.namespace, flow_id=flow.id, flow_revision=1, history=history
    )


def scope_of(flow: Flow) -> Scope:
    variables: dict[str, object] = {"flow": {"id": flow.id, "namespace": flow.namespace}}
    if flow.variables is not None:
        variables["vars"] = flow.variables
    return Scope(variables)


class Resolver:
    """Resolves inputs for flows, with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        self.storage = Storage(folder)

    async def __call__(self, flow: Flow, **given: Any) -> Resolved:
        return await self.given(flow, given)

    async def given(self, flow: Flow, given: dict[str, Any]) -> Resolved:
        return await resolve_inputs(
            flow, given, scope_of(flow), storage=self.storage, execution=execution_of(flow)
        )


@pytest.fixture
def resolve(tmp_path: Path) -> Resolver:
    return Resolver(tmp_path)


async def test_given_values_have_their_types_and_nest_by_their_dots(resolve: Resolver) -> None:
    flow = flow_of(
        """
        - {id: db.host, type: STRING}
        - {id: db.port, type: INT}
        - {id: a.b.c, type: STRING, defaults: deep}
        """
    )

    found = await resolve.given(flow, {"db.host": "h", "db.port": "5432"})

    assert found.values == {"db": {"host": "h", "port": 5432}, "a": {"b": {"c": "deep"}}}
    assert found.warnings == []


async def test_of_an_id_and_one_below_it_the_map_wins(resolve: Resolver) -> None:
    flow = flow_of("  - {id: a.b, type: STRING}\n  - {id: a, type: STRING}")

    found = await resolve.given(flow, {"a": "lost", "a.b": "kept"})

    assert found.values == {"a": {"b": "kept"}}


async def test_an_absent_optional_input_is_null_and_a_required_one_is_an_error(
    resolve: Resolver,
) -> None:
    optional = flow_of("  - {id: s, type: INT, required: false}")
    required = flow_of("  - {id: need, type: STRING}")

    assert (await resolve(optional)).values == {"s": None}
    with pytest.raises(InputInvalid, match=r"^Missing required input:need$"):
        await resolve(required)
    assert (await resolve(required, need="")).values == {"need": ""}


async def test_a_flow_without_inputs_has_none(resolve: Resolver) -> None:
    found = await resolve(load(f"id: f\nnamespace: n\n{TASKS}"), extra="x")

    assert found.values is None
    assert found.warnings == [
        "Input extra was provided for workflow n.f but isn't declared in the workflow inputs"
    ]


async def test_inputs_that_are_not_declared_are_told_of_when_more_are_given_than_there_are(
    resolve: Resolver,
) -> None:
    flow = flow_of("  - {id: a, type: STRING}\n  - {id: b, type: STRING, defaults: x}")

    assert (await resolve(flow, a="1", other="2")).warnings == []
    found = await resolve(flow, a="1", other="2", more="3")
    assert [text.split()[1] for text in found.warnings] == ["other", "more"]


async def test_defaults_are_rendered_and_held_to_the_type(resolve: Resolver) -> None:
    flow = flow_of(
        """
        - {id: s, type: STRING, defaults: 1.10}
        - {id: y, type: STRING, defaults: yes}
        - {id: l, type: ARRAY, itemType: STRING, defaults: ["a", "{{ flow.id }}"]}
        - {id: j, type: JSON, defaults: {k: [1, "{{ vars.v }}"]}}
        - {id: t, type: JSON, defaults: '{"a": [1, 2]}'}
        - {id: m, type: MULTISELECT, values: [A, B, C], defaults: [A, C]}
        - {id: d, type: DATE, defaults: 2024-02-03}
        """,
        "variables: {v: w}",
    )

    assert (await resolve(flow)).values == {
        "s": "1.10",
        "y": "yes",
        "l": ["a", "f"],
        "j": {"k": [1, "w"]},
        "t": {"a": [1, 2]},
        "m": ["A", "C"],
        "d": "2024-02-03",
    }


async def test_a_default_sees_only_the_inputs_that_it_depends_on(resolve: Resolver) -> None:
    inputs = "  - {id: first, type: STRING}\n  - {id: second, type: STRING, defaults: "
    blind = flow_of(inputs + '"{{ inputs.first }}-two"}')
    seeing = flow_of(inputs + '"{{ inputs.first }}-two", dependsOn: {inputs: [first]}}')

    with pytest.raises(InputInvalid, match=r"Unable to find `first`(.|\n)*inputs\.second"):
        await resolve(blind, first="one")
    assert (await resolve(seeing, first="one")).values == {"first": "one", "second": "one-two"}


async def test_a_wrong_default_names_its_input(resolve: Resolver) -> None:
    with pytest.raises(InputInvalid, match=r"input `n`.*Unrecognized token 'twelve'.*defaults"):
        await resolve(flow_of("  - {id: n, type: INT, defaults: twelve}"))


@pytest.mark.parametrize(
    ("condition", "deploy", "is_there"),
    [
        ("{{ inputs.deploy }}", "true", True),
        ("{{ inputs.deploy }}", "false", False),
        ("{{ inputs.deploy == true }}", "true", True),
        ("x{{ inputs.deploy }}", "true", False),
        ("{{ 'true' }}", "true", False),
        ("{{ inputs.other == 1 }}", "true", False),
    ],
)
async def test_an_input_is_there_only_if_its_condition_gives_the_value_true(
    resolve: Resolver, condition: str, deploy: str, is_there: bool
) -> None:
    flow = flow_of(
        f"""
        - {{id: deploy, type: BOOL}}
        - {{id: target, type: STRING, dependsOn: {{inputs: [deploy], condition: "{condition}"}}}}
        - {{id: after, type: STRING, required: false, dependsOn: {{inputs: [target]}}}}
        """
    )

    found = await resolve(flow, deploy=deploy, target="prod")

    assert ("target" in (found.values or {})) is is_there
    # What depends on a disabled input is disabled too.
    assert ("after" in (found.values or {})) is is_there
    assert len(found.warnings) == (0 if is_there else 1)


async def test_a_choice_may_come_from_an_expression(resolve: Resolver) -> None:
    flow = flow_of(
        """
        - {id: letter, type: STRING}
        - id: s
          type: SELECT
          expression: "{{ [inputs.letter ~ 1, inputs.letter ~ 2] }}"
          dependsOn: {inputs: [letter]}
        """
    )

    assert (await resolve(flow, letter="a", s="a2")).values == {"letter": "a", "s": "a2"}
    with pytest.raises(InputInvalid, match=r"it must match the values `\[b1, b2\]`"):
        await resolve(flow, letter="b", s="a2")


async def test_a_choice_expression_must_give_a_list(resolve: Resolver) -> None:
    flow = flow_of('  - {id: s, type: SELECT, expression: "{{ 5 }}"}')

    with pytest.raises(InputInvalid, match="s: Invalid expression result"):
        await resolve(flow, s="5")


async def test_the_first_choice_can_be_the_default(resolve: Resolver) -> None:
    flow = flow_of(
        """
        - {id: s, type: SELECT, values: [red, green], autoSelectFirst: true}
        - {id: m, type: MULTISELECT, values: [red, green], autoSelectFirst: true}
        """
    )

    assert (await resolve(flow)).values == {"s": "red", "m": ["red"]}


async def test_an_optional_or_custom_choice_is_not_checked(resolve: Resolver) -> None:
    flow = flow_of(
        """
        - {id: s, type: SELECT, values: [A], required: false}
        - {id: c, type: SELECT, values: [A], allowCustomValue: true}
        - {id: m, type: MULTISELECT, values: [A], allowCustomValue: true}
        """
    )

    found = await resolve(flow, s="Z", c="Z", m='["Z"]')

    assert found.values == {"s": "Z", "c": "Z", "m": ["Z"]}


async def test_a_text_must_match_its_pattern_as_a_whole_and_by_javas_rules(
    resolve: Resolver,
) -> None:
    flow = flow_of(r"""  - {id: s, type: STRING, validator: "\\p{Lu}\\d+"}""")

    assert (await resolve(flow, s="Ä12")).values == {"s": "Ä12"}
    for wrong in ("ä12", "Ä12x", "xÄ12", "Ä12\n"):
        with pytest.raises(InputInvalid, match="it must match the pattern"):
            await resolve(flow, s=wrong)


async def test_only_the_first_wrong_input_is_reported(resolve: Resolver) -> None:
    flow = flow_of("  - {id: n, type: INT}\n  - {id: d, type: DATE}")

    with pytest.raises(InputInvalid) as caught:
        await resolve(flow, n="x", d="nope")

    assert str(caught.value) == 'Invalid value for input `n`. Cause: For input string: "x"'


async def test_a_value_is_data_and_never_a_template(resolve: Resolver) -> None:
    flow = flow_of("  - {id: s, type: STRING}")

    assert (await resolve(flow, s="{{ flow.id }}")).values == {"s": "{{ flow.id }}"}


async def test_yaml_text_is_read_by_kestras_dialect(resolve: Resolver) -> None:
    flow = flow_of("  - {id: y, type: YAML}")

    found = await resolve(flow, y="{a: 010, b: 12:30, c: [yes]}")

    assert found.values == {"y": {"a": 8, "b": "12:30", "c": [True]}}
    with pytest.raises(InputInvalid, match="input `y`"):
        await resolve(flow, y="{a: [")


async def test_an_uploaded_file_is_stored_with_the_execution(resolve: Resolver) -> None:
    flow = flow_of("  - {id: f, type: FILE}")

    found = await resolve(flow, f=Upload("data.csv", b"1,2"))

    uri = (found.values or {})["f"]
    assert uri == "kestra:///n/f/executions/E1/inputs/f/data.csv"
    assert resolve.storage.open_for(execution_of(flow), uri).read_bytes() == b"1,2"


async def test_a_file_of_this_machine_is_copied_and_an_unnamed_kind_is_upl(
    resolve: Resolver, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_bytes(b"x")

    found = await resolve(flow_of("  - {id: f, type: FILE}"), f=tmp_path / "plain")

    assert (found.values or {})["f"].endswith("/plain.upl")
    assert (tmp_path / "plain").exists()


async def test_a_uri_for_a_file_is_kept(resolve: Resolver) -> None:
    flow = flow_of('  - {id: f, type: FILE, defaults: "nsfile:///p"}')

    assert (await resolve(flow)).values == {"f": "nsfile:///p"}
    assert (await resolve(flow, f="kestra:///a/b")).values == {"f": "kestra:///a/b"}


@pytest.mark.parametrize("value", ["/etc/passwd", "file:///etc/passwd", "x.txt", 5])
async def test_text_never_names_a_file_of_the_server(resolve: Resolver, value: Any) -> None:
    with pytest.raises(InputInvalid, match="input `f`"):
        await resolve(flow_of("  - {id: f, type: FILE}"), f=value)


async def test_a_file_of_the_wrong_kind_is_refused(resolve: Resolver) -> None:
    flow = flow_of("  - {id: f, type: FILE, allowedFileExtensions: [.csv]}")

    assert (await resolve(flow, f=Upload("A.CSV", b""))).values
    with pytest.raises(InputInvalid, match=r"extensions `\[\.csv\]`"):
        await resolve(flow, f=Upload("a.txt", b""))


async def test_files_of_an_execution_that_is_not_created_are_deleted(resolve: Resolver) -> None:
    flow = flow_of("  - {id: f, type: FILE}\n  - {id: n, type: INT}")

    with pytest.raises(InputInvalid):
        await resolve(flow, f=Upload("a.txt", b"x"), n="x")

    assert resolve.storage.execution_files(execution_of(flow)) == []


async def test_secrets_are_reported_and_hidden_where_inputs_are_shown(resolve: Resolver) -> None:
    flow = flow_of(
        """
        - {id: db.password, type: SECRET}
        - {id: user, type: STRING}
        - {id: keys, type: ARRAY, itemType: SECRET}
        """
    )

    found = await resolve.given(
        flow, {"db.password": "open-sesame", "user": "ali", "keys": '["one", "two"]'}
    )

    assert found.values == {
        "db": {"password": "open-sesame"},
        "user": "ali",
        "keys": ["one", "two"],
    }
    assert found.secrets == ["open-sesame", "one", "two"]
    assert secrets_in(flow.inputs, found.values) == found.secrets
    assert shown_inputs(flow.inputs, found.values) == {
        "db": {"password": ENCRYPTED},
        "user": "ali",
        "keys": ENCRYPTED,
    }
    assert shown_inputs(flow.inputs, None) is None


async def test_defaults_that_an_execution_lacks_are_there_when_rendering(
    resolve: Resolver,
) -> None:
    flow = flow_of(
        """
        - {id: deploy, type: BOOL}
        - id: target
          type: STRING
          defaults: prod
          dependsOn: {inputs: [deploy], condition: "{{ inputs.deploy }}"}
        - {id: a.b, type: INT, defaults: 5}
        """
    )
    found = await resolve(flow, deploy="false")

    assert found.values == {"deploy": False, "a": {"b": 5}}
    assert inputs_for_rendering(flow, found.values) == {
        "deploy": False,
        "a": {"b": 5},
        "target": "prod",
        "a.b": 5,
    }
    assert inputs_for_rendering(flow, None) == {"target": "prod", "a.b": 5}


async def test_inputs_are_printed_in_the_order_that_kestra_has_them_in(
    resolve: Resolver,
) -> None:
    names = ["s", "i", "f", "b", "dt", "d", "t", "du", "j", "y", "u", "sel", "ms", "arr", "em", "x"]
    lines = (f"  - {{id: {name}, type: STRING, required: false}}" for name in names)
    flow = flow_of("\n".join(lines))

    found = inputs_for_rendering(flow, (await resolve(flow)).values) or {}

    # As in a recorded case with so many inputs.
    order = ["arr", "b", "d", "f", "ms", "em", "i", "j", "dt", "du", "s", "t", "u", "y", "sel"]
    assert [name for name in found if name != "x"] == order


def test_a_flow_without_inputs_has_no_variable_of_that_name() -> None:
    assert inputs_for_rendering(load(f"id: f\nnamespace: n\n{TASKS}"), None) is None


async def test_a_pause_is_resumed_with_inputs_of_its_own(resolve: Resolver) -> None:
    flow = load(
        """
id: f
namespace: n
tasks:
  - id: p
    type: io.kestra.plugin.core.flow.Pause
    onResume: [{id: who, type: STRING}, {id: n, type: INT}, {id: d, type: STRING, defaults: dd}]
"""
    )

    async def resume(given: dict[str, Any]) -> Any:
        return await resume_inputs(
            flow,
            flow.tasks[0],
            given,
            scope_of(flow),
            storage=resolve.storage,
            execution=execution_of(flow),
        )

    assert await resume({"who": "ann", "n": "4"}) == {"who": "ann", "n": 4, "d": "dd"}
    with pytest.raises(InputInvalid, match="Missing required input:n"):
        await resume({"who": "ann"})

"""Tasks that log, return, assert, fail and wait; each as Kestra was seen to do it."""

from __future__ import annotations

from pathlib import Path

import pytest
from core_flows import Flows

from runner.model.state import State
from runner.tasks.modules import MODULES, load
from runner.tasks.registry import Kind


@pytest.fixture
def flows(tmp_path: Path) -> Flows:
    return Flows(tmp_path)


async def test_log_writes_a_line_per_message(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: one, type: core.log.Log, level: "{{ 'WARN' }}", message: "flow {{ flow.id }}"}
  - {id: many, type: core.log.Log, message: ["a\\nb", "{{ flow.id }}", "5"]}
  - {id: json, type: core.log.Log, message: "{{ ['one', 'two'] }}"}
  - {id: empty, type: core.log.Log, message: ""}
  - {id: none, type: core.log.Log, message: []}
"""
    )

    assert ended.state is State.SUCCESS
    assert ended.messages() == [
        ("WARN", "flow f"),
        ("INFO", "a\nb"),
        ("INFO", "f"),
        ("INFO", "5"),
        ("INFO", '["one","two"]'),
        ("INFO", ""),
    ]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("5", "Invalid message type 'class java.lang.Integer'"),
        ("true", "Invalid message type 'class java.lang.Boolean'"),
        ("{a: 1}", "Invalid message type 'class java.util.LinkedHashMap'"),
        ("[1, x]", "class java.lang.Integer cannot be cast to class java.lang.String"),
    ],
)
async def test_log_takes_texts_only(flows: Flows, message: str, error: str) -> None:
    ended = await flows.run(f"  - {{id: l, type: core.log.Log, message: {message}}}")

    assert ended.state is State.FAILED
    assert ended.error("l").startswith(error)


async def test_a_level_that_does_not_exist_fails_the_task(flows: Flows) -> None:
    ended = await flows.run(
        """  - {id: l, type: core.log.Log, level: "{{ 'LOUD' }}", message: x}"""
    )

    assert ended.state is State.FAILED
    assert "'LOUD'" in ended.error("l")


async def test_echo_writes_its_format(flows: Flows) -> None:
    ended = await flows.run(
        '  - {id: e, type: core.debug.Echo, format: "echo {{ flow.id }}", level: WARN}'
    )

    assert ended.messages() == [("WARN", "echo f")]


async def test_return_gives_text_and_measures_it(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: r, type: core.debug.Return, format: 1.10}
  - {id: none, type: core.debug.Return}
"""
    )

    assert ended.outputs["r"] == {"value": "1.1"}
    assert not ended.outputs["none"]
    assert ended.measured("r") == {"length": 3}
    assert ended.measured("none") == {"length": 0}


async def test_output_values_keep_literals_and_render_texts(flows: Flows) -> None:
    ended = await flows.run(
        """
  - id: o
    type: core.output.OutputValues
    values: {i: 1, n: null, m: {k: "{{ flow.id }}", l: [null, "{{ [1] }}"]}}
  - {id: t, type: core.output.OutputValues, values: "{{ outputs.o.values.m }}"}
"""
    )

    expected = {"k": "f", "l": [None, "[1]"]}
    assert ended.outputs["o"] == {"values": {"i": 1, "m": expected}}
    assert ended.outputs["t"] == {"values": expected}


async def test_fail_fails_always_or_on_a_condition(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: not_now, type: core.execution.Fail, condition: "{{ false }}"}
  - {id: soft, type: core.execution.Fail, allowFailure: true}
  - id: hard
    type: core.execution.Fail
    condition: "{{ true }}"
    errorMessage: "stop {{ flow.id }}"
"""
    )

    assert ended.states == {
        "not_now": State.SUCCESS,
        "soft": State.WARNING,
        "hard": State.FAILED,
    }
    assert ended.messages("soft") == [("ERROR", "Task failure")]
    assert ended.messages("hard") == [("ERROR", "stop f"), ("ERROR", "Fail on a condition")]


async def test_assert_names_each_condition_that_does_not_hold(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: ok, type: core.execution.Assert, conditions: ["{{ 1 == 1 }}", true]}
  - id: bad
    type: core.execution.Assert
    conditions: ["{{ outputs.no.x }}", "{{ 'x' == 'y' }}", "yes"]
    errorMessage: "checked {{ flow.id }}"
"""
    )

    assert ended.states == {"ok": State.SUCCESS, "bad": State.FAILED}
    assert ended.messages("bad") == [
        (
            "ERROR",
            (
                "Assertion `{{ outputs.no.x }}` failed, failed to render `Unable to find `no` "
                "used in the expression `{{ outputs.no.x }}` at line 1`"
            ),
        ),
        ("ERROR", "Assertion `{{ 'x' == 'y' }}` failed!"),
        ("ERROR", "2 assertions failed!\nchecked f"),
    ]
    assert ended.measured("bad") == {"failed": 2, "success": 1}
    assert ended.measured("ok") == {"failed": 0, "success": 2}


async def test_sleep_says_how_long(flows: Flows) -> None:
    ended = await flows.run("  - {id: s, type: core.flow.Sleep, duration: PT0.01S}")

    assert ended.messages() == [("INFO", "Waiting for PT0.01S")]


async def test_metrics_are_published_with_their_tags(flows: Flows) -> None:
    ended = await flows.run(
        """
  - id: m
    type: core.metric.Publish
    metrics:
      - {type: counter, name: rows, value: "{{ 40 + 2 }}", tags: {kind: "{{ flow.id }}"}}
      - {type: timer, name: took, value: PT1.5S}
      - {type: gauge, name: level, value: 0.5}
"""
    )

    found = {
        metric.name: (metric.type, metric.value, metric.tags or {}) for metric in ended.metrics
    }
    assert found == {
        "rows": ("counter", 42.0, {"kind": "f"}),
        "took": ("timer", 1500.0, {}),
        "level": ("gauge", 0.5, {}),
    }


@pytest.mark.parametrize("type_", sorted(MODULES))
def test_every_type_of_the_table_is_registered_by_its_module(type_: str) -> None:
    registered = load(type_)

    assert registered is not None
    assert isinstance(registered.kind, Kind)


def test_a_type_that_is_not_in_the_table_is_nobodys() -> None:
    assert load("io.kestra.plugin.core.log.Nope") is None


async def test_an_empty_error_message_is_one(flows: Flows) -> None:
    ended = await flows.run(
        '  - {id: f, type: core.execution.Fail, condition: x, errorMessage: ""}'
    )

    assert ended.messages("f") == [("ERROR", ""), ("ERROR", "Fail on a condition")]


async def test_a_label_without_a_value_fails_the_execution(flows: Flows) -> None:
    ended = await flows.run(
        '  - {id: l, type: core.execution.Labels, labels: {j: ""}, allowFailure: true}'
    )

    assert ended.state is State.FAILED
    assert ended.error("l") == "Label values cannot be empty, offending label: j"


async def test_variables_may_be_the_text_of_a_json_map(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: s, type: core.execution.SetVariables, variables: "{{ {'q': 1, 'l': [2]} | toJson }}"}
  - {id: r, type: core.debug.Return, format: "{{ vars.q + vars.l[0] + vars.z }}"}
""",
        "variables: {z: 3}",
    )

    assert ended.outputs["r"] == {"value": "6"}


@pytest.mark.parametrize(
    ("given", "error"),
    [("[1]", "variables: a map, or the JSON text of one, is needed"), ("x", "Invalid JSON in ")],
)
async def test_variables_of_another_text_are_refused(flows: Flows, given: str, error: str) -> None:
    ended = await flows.run(
        f"""  - {{id: s, type: core.execution.SetVariables, variables: "{given}"}}"""
    )

    assert ended.error("s").startswith(error)


async def test_a_templated_task_needs_no_id(flows: Flows) -> None:
    ended = await flows.run(
        """
  - id: t
    type: core.templating.TemplatedTask
    spec: |
      type: io.kestra.plugin.core.debug.Return
      format: from {{ flow.id }}
  - id: own
    type: core.templating.TemplatedTask
    spec: |
      type: io.kestra.plugin.core.debug.Return
      id: own
      format: own
"""
    )

    assert ended.outputs["t"] == {"value": "from f"}
    assert ended.outputs["own"] == {"value": "own"}

from __future__ import annotations

from typing import Any

import pytest

from runner.loading.flow import load

RETURN = "io.kestra.plugin.core.debug.Return"
VALUES = "io.kestra.plugin.core.output.OutputValues"


def properties(defaults: str, task: str, outer: list[dict[str, Any]] | None = None) -> Any:
    flow = load(
        f"id: x\nnamespace: a\npluginDefaults: {defaults}\ntasks: [{{id: t, {task}}}]\n",
        plugin_values=outer or (),
    )
    return flow.tasks[0].properties


def test_a_task_wins_over_defaults_unless_they_are_forced() -> None:
    plain = f"[{{type: {RETURN}, values: {{format: default}}}}]"
    forced = plain.replace("values", "forced: true, values")

    assert properties(plain, f"type: {RETURN}") == {"format": "default"}
    assert properties(plain, f"type: {RETURN}, format: own") == {"format": "own"}
    assert properties(forced, f"type: {RETURN}, format: own") == {"format": "default"}


def test_maps_are_merged_and_lists_joined_with_the_default_first() -> None:
    defaults = f"[{{type: {VALUES}, values: {{values: {{l: [1], m: {{a: 1, b: 2}}, s: d}}}}}}]"

    found = properties(defaults, f"type: {VALUES}, values: {{l: [3], m: {{b: 9}}, own: x}}")

    assert found == {"values": {"l": [1, 3], "m": {"a": 1, "b": 9}, "s": "d", "own": "x"}}


def test_the_earlier_entry_and_the_shorter_prefix_win() -> None:
    twice = (
        f"[{{type: {RETURN}, values: {{format: a}}}}, {{type: {RETURN}, values: {{format: b}}}}]"
    )
    prefix = (
        f"[{{type: {RETURN}, values: {{format: long}}}}, "
        "{type: io.kestra.plugin.core.debug, values: {format: short}}]"
    )

    assert properties(twice, f"type: {RETURN}") == {"format": "a"}
    assert properties(prefix, f"type: {RETURN}") == {"format": "short"}


def test_old_and_current_names_meet() -> None:
    old = "io.kestra.core.tasks.debugs.Return"

    for default, task in ((old, RETURN), (RETURN, old)):
        defaults = f"[{{type: {default}, values: {{format: met}}}}]"
        assert properties(defaults, f"type: {task}") == {"format": "met"}


def test_a_default_for_a_package_gives_a_type_what_it_has() -> None:
    defaults = "[{type: io.kestra.plugin.core, values: {format: f, level: WARN}}]"

    assert properties(defaults, f"type: {RETURN}") == {"format": "f"}


@pytest.mark.parametrize(
    ("flow_forced", "outer_forced", "winner"),
    [(False, False, "own"), (False, True, "outer"), (True, False, "flow"), (True, True, "flow")],
)
def test_who_wins_between_task_flow_and_outside(
    flow_forced: bool, outer_forced: bool, winner: str
) -> None:
    defaults = f"[{{type: {RETURN}, forced: {flow_forced}, values: {{format: flow}}}}]"
    outer = [{"type": RETURN, "forced": outer_forced, "values": {"format": "outer"}}]

    assert properties(defaults, f"type: {RETURN}, format: own", outer) == {"format": winner}


def test_a_flows_default_wins_over_one_from_outside() -> None:
    defaults = f"[{{type: {RETURN}, values: {{format: flow}}}}]"
    outer = [{"type": RETURN, "values": {"format": "outer"}}]

    assert properties(defaults, f"type: {RETURN}", outer) == {"format": "flow"}
    assert properties("[]", f"type: {RETURN}", outer) == {"format": "outer"}


def test_an_injected_task_runner_gets_no_defaults_of_its_own() -> None:
    docker = "io.kestra.plugin.scripts.runner.docker.Docker"
    defaults = (
        f"[{{type: io.kestra.plugin.scripts.shell, values: {{taskRunner: {{type: {docker}}}}}}}, "
        f"{{type: {docker}, values: {{user: root}}}}]"
    )
    task = "type: io.kestra.plugin.scripts.shell.Commands, commands: [ls]"

    assert properties(defaults, task)["taskRunner"] == {"type": docker}
    written = properties(defaults, f"{task}, taskRunner: {{type: {docker}}}")
    assert written["taskRunner"] == {"type": docker, "user": "root"}


def test_nested_tasks_and_retries_get_their_defaults() -> None:
    flow = load(
        "id: x\nnamespace: a\npluginDefaults:\n"
        "  - {type: io.kestra.plugin.core.log.Log, values: {level: WARN}}\n"
        "  - {type: constant, values: {maxAttempts: 7}}\n"
        "tasks:\n  - id: s\n    type: io.kestra.plugin.core.flow.Sequential\n"
        "    retry: {type: constant, interval: PT1S}\n"
        "    tasks: [{id: l, type: io.kestra.plugin.core.log.Log, message: x}]\n"
    )

    sequential, log = flow.walk()
    assert log.properties["level"] == "WARN"
    assert sequential.retry is not None
    assert sequential.retry.max_attempts == 7
    assert flow.plugin_defaults[0]["values"] == {"level": "WARN"}


def test_conditions_of_a_flow_trigger_stay_as_they_are_stored() -> None:
    expression = "io.kestra.plugin.core.condition.Expression"
    flow = load(
        f"id: x\nnamespace: a\npluginDefaults: [{{type: {expression}, forced: true, "
        "values: {expression: 'no'}}]\n"
        "tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x}]\n"
        "triggers:\n"
        f"  - {{id: f, type: io.kestra.plugin.core.trigger.Flow, conditions: &c "
        f"[{{type: {expression}, expression: own}}]}}\n"
        f"  - {{id: w, type: io.kestra.plugin.core.trigger.Webhook, key: k, conditions: "
        f"[{{type: {expression}, expression: own}}]}}\n"
    )

    assert [trigger.conditions[0]["expression"] for trigger in flow.triggers] == ["own", "no"]

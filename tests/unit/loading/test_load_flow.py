from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import FlowInvalid
from runner.loading.flow import load, load_file, problems
from runner.loading.source import plain, read
from runner.model.execution import Label, Level
from runner.model.flow import Flow, Input, Place, Task
from runner.settings import Settings

HEAD = "id: x\nnamespace: a.b\n"
TASKS = "tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x}]\n"


def flow_of(*tasks: str, more: str = "") -> Flow:
    body = "".join(f"  - {task}\n" for task in tasks)
    return load(f"{HEAD}tasks:\n{body}{more}")


def only_task(task: str) -> Task:
    (found,) = flow_of(task).tasks
    return found


def test_a_flow_has_what_its_text_says() -> None:
    flow = load(
        HEAD
        + TASKS
        + "description: d\ndisabled: 'true'\nvariables: {a: [1, yes]}\n"
        + "labels: {team: data, n: 1.50}\nconcurrency: {limit: '2', behavior: FAIL}\n"
        + "errors: [{id: e, type: io.kestra.plugin.core.log.Log, message: x}]\n"
        + "finally: [{id: f, type: io.kestra.plugin.core.log.Log, message: x}]\n"
        + "afterExecution: [{id: g, type: io.kestra.plugin.core.log.Log, message: x}]\n"
        + "outputs: [{id: o, type: INT, value: '{{ 1 }}', required: false}]\n"
        + "sla: [{id: s, type: MAX_DURATION, behavior: FAIL, duration: PT1S, labels: {a: b}}]\n"
        + "checks: [{when: '{{ true }}', message: m}]\n",
        file="f.yaml",
        revision=3,
    )

    assert (flow.id, flow.namespace, flow.revision, flow.file) == ("x", "a.b", 3, "f.yaml")
    assert flow.disabled is True
    assert flow.variables == {"a": [1, True]}
    assert flow.labels == (Label("team", "data"), Label("n", "1.5"))
    assert flow.concurrency is not None
    assert (flow.concurrency.limit, flow.concurrency.behavior) == (2, "FAIL")
    assert [task.id for task in flow.walk()] == ["t", "e", "f", "g"]
    assert (flow.outputs[0].value, flow.outputs[0].required) == ("{{ 1 }}", False)
    assert flow.sla[0].duration == timedelta(seconds=1)
    assert flow.sla[0].labels == (Label("a", "b"),)
    assert flow.checks[0].condition == "{{ true }}"
    assert flow.checks[0].behavior == "BLOCK_EXECUTION"
    assert flow.source.startswith(HEAD)


def test_common_properties_of_a_task_leave_its_own_ones() -> None:
    task = only_task(
        "{id: 007, type: io.kestra.core.tasks.debugs.Return, format: 1.10, disabled: False, "
        "when: '{{ a }}', allowFailure: 'TRUE', logLevel: WARN, timeout: PT5S, version: 1.0, "
        "retry: {type: exponential, interval: 1, maxInterval: PT9S, maxAttempt: 2, "
        "maxAttempts: 3, delayFactor: 3}, taskCache: {enabled: true, ttl: PT1H}}"
    )

    assert task.id == "7"
    assert task.type == "io.kestra.plugin.core.debug.Return"
    assert task.properties == {"format": "1.1"}
    assert (task.disabled, task.run_if, task.allow_failure) == (False, "{{ a }}", True)
    assert (task.log_level, task.timeout) == (Level.WARN, "PT5S")
    assert task.retry is not None
    assert (task.retry.interval, task.retry.max_attempts) == (timedelta(seconds=1), 3)
    assert task.retry.delay_factor == 3
    assert task.task_cache == {"enabled": True, "ttl": timedelta(hours=1)}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1.10", "1.1"),
        ("yes", "true"),
        ("010", "8"),
        ("1e10", "1.0E10"),
        ("[1, a]", '[1,"a"]'),
        ("{a: ~}", '{"a":null}'),
        ("2024-01-01", "2024-01-01"),
        ("", ""),
    ],
)
def test_a_value_in_a_text_property_becomes_text(written: str, kept: str) -> None:
    flow = load(
        f"{HEAD}tasks:\n- id: r\n  type: io.kestra.plugin.core.debug.Return\n  format: {written}\n"
    )

    assert flow.tasks[0].properties == {"format": kept}


def test_what_is_rendered_later_is_kept_as_written() -> None:
    task = only_task(
        "{id: s, type: io.kestra.plugin.scripts.shell.Commands, commands: [ls, 5, ~], env: [a], "
        "targetOS: MAC, outputFiles: text, taskRunner: process, failFast: '{{ x }}'}"
    )

    assert task.properties == {
        "commands": ["ls", 5, None],
        "env": ["a"],
        "targetOS": "MAC",
        "outputFiles": "text",
        "taskRunner": "process",
        "failFast": "{{ x }}",
    }


def test_a_message_keeps_its_kind() -> None:
    assert only_task("{id: l, type: io.kestra.plugin.core.log.Log, message: 5}").properties == {
        "message": 5
    }


def test_tasks_stand_where_they_were_written() -> None:
    log = "type: io.kestra.plugin.core.log.Log, message: x"
    flow = flow_of(
        f"{{id: s, type: io.kestra.plugin.core.flow.Switch, value: x, "
        f"cases: {{1: [{{id: c1, {log}}}]}}, defaults: [{{id: c2, {log}}}]}}",
        f"{{id: d, type: io.kestra.plugin.core.flow.Dag, tasks: [{{task: {{id: c3, {log}}}}}, "
        f"{{task: {{id: c4, {log}}}, dependsOn: [c3]}}]}}",
        f"{{id: p, type: io.kestra.plugin.core.flow.Pause, delay: PT1S, "
        f"onPause: {{id: c5, {log}}}, "
        "onResume: [{id: i, type: INT, defaults: 5}]}",
    )
    switch, dag, pause = flow.tasks

    assert [task.id for task in flow.walk()] == ["s", "c1", "c2", "d", "c3", "c4", "p", "c5"]
    assert switch.properties["cases"]["1"][0].id == "c1"
    assert switch.children("defaults")[0].id == "c2"
    assert dag.properties["tasks"][1]["dependsOn"] == ["c3"]
    assert pause.properties["pauseDuration"] == "PT1S"
    (asked,) = pause.properties["onResume"]
    assert isinstance(asked, Input)
    assert asked.defaults == "5"


def test_a_property_is_found_by_its_path_in_the_file() -> None:
    flow = load(
        HEAD
        + "tasks:\n  - id: s\n    type: io.kestra.plugin.scripts.shell.Commands\n"
        + "    commands:\n      - ls\n    env:\n      A: b\n"
    )
    places = flow.tasks[0].places

    assert places["commands[0]"] == Place(7, 9)
    assert places["env.A"] == Place(9, 10)
    assert "nope" not in places
    assert len(places) == 6


def test_a_task_runner_is_checked_and_named_canonically() -> None:
    task = only_task(
        "{id: s, type: io.kestra.plugin.scripts.shell.Commands, commands: [ls], taskRunner: "
        "{type: io.kestra.plugin.scripts.runner.docker.Docker, image: x, killGracePeriod: PT5S, "
        "cpu: {cpus: '{{ 1 }}'}, entryPoint: [1], delete: 'x'}}"
    )

    assert task.properties["taskRunner"] == {
        "type": "io.kestra.plugin.scripts.runner.docker.Docker",
        "image": "x",
        "killGracePeriod": timedelta(seconds=5),
        "cpu": {"cpus": "{{ 1 }}"},
        "entryPoint": ["1"],
        "delete": "x",
    }


def test_inputs_keep_the_text_of_their_defaults() -> None:
    flow = load(
        HEAD
        + TASKS
        + "inputs:\n  - {name: a, type: STRING, defaults: 1.10}\n"
        + "  - {id: b, type: BOOL, defaults: yes, displayName: B}\n"
        + "  - {id: c, type: ARRAY, itemType: INT, defaults: [1, 2], dependsOn: {inputs: [a, ~], "
        + "condition: '{{ inputs.a }}'}}\n"
        + "  - {id: d, type: SELECT, values: [1, yes, {label: l, value: v}], required: no}\n"
        + "  - {id: e, type: INT, min: '1', max: 5.7, defaults: ~, prefill: 07}\n"
    )
    a, b, c, d, e = flow.inputs

    assert (a.id, a.defaults) == ("a", "1.10")
    assert (b.defaults, b.display_name) == ("yes", "B")
    assert (c.defaults, c.depends_on, c.condition) == ([1, 2], ("a",), "{{ inputs.a }}")
    assert c.properties == {"itemType": "INT"}
    assert d.properties == {"values": ["1", "true", {"label": "l", "value": "v"}]}
    assert d.required is False
    assert (e.defaults, e.prefill, e.properties) == (None, "07", {"min": 1, "max": 5})


def test_a_trigger_has_its_common_properties_apart() -> None:
    flow = load(
        HEAD
        + TASKS
        + "triggers:\n  - id: s\n    type: io.kestra.core.models.triggers.types.Schedule\n"
        + "    cron: '0 9 * * 1-5'\n    minLogLevel: WARN\n    lateMaximumDelay: PT1H\n"
        + "    inputs: {a: '{{ trigger.date }}'}\n    labels: {by: s}\n    stopAfter: [FAILED]\n"
        + "    conditions: [{type: io.kestra.plugin.core.condition.WeekendCondition}]\n"
        + "    scheduleConditions: [{type: io.kestra.plugin.core.condition.Not, conditions: "
        + "[{type: io.kestra.plugin.core.condition.DayWeek, dayOfWeek: MONDAY}]}]\n"
    )
    (trigger,) = flow.triggers

    assert trigger.type == "io.kestra.plugin.core.trigger.Schedule"
    assert trigger.properties == {"cron": "0 9 * * 1-5", "lateMaximumDelay": timedelta(hours=1)}
    assert trigger.inputs == {"a": "{{ trigger.date }}"}
    assert trigger.labels == (Label("by", "s"),)
    assert trigger.stop_after == ("FAILED",)
    assert trigger.log_level is Level.WARN
    assert [condition["type"].rpartition(".")[2] for condition in trigger.conditions] == [
        *("Weekend", "Not")
    ]
    inner: Any = trigger.conditions[1]["conditions"][0]
    assert inner["type"] == "io.kestra.plugin.core.condition.DayWeek"


def test_metadata_of_published_examples_is_dropped() -> None:
    assert load(HEAD + TASKS + "extend: {title: T}\n").problems == ()


def test_what_later_versions_added_is_accepted() -> None:
    flow = load(
        HEAD
        + "draft: false\npolicyRefs: []\n"
        + "tasks:\n  - id: l\n    type: io.kestra.plugin.core.flow.Loop\n    values: {a: 1}\n"
        + "    when: 'true'\n"
        + "    tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x}]\n"
        + "triggers:\n"
        + "  - {id: w, type: io.kestra.plugin.core.trigger.Webhook, key: k, when: '{{ x }}'}\n"
    )

    assert flow.tasks[0].properties["values"] == {"a": 1}
    assert flow.triggers[0].properties["when"] == "{{ x }}"


def test_a_task_of_another_plugin_loads_and_says_what_would_run() -> None:
    flow = flow_of(
        "{id: a, type: io.kestra.plugin.core.log.Log, message: x}",
        "{id: g, type: io.kestra.plugin.git.Clone, url: u, timeout: PT1S}",
        "{id: k, type: io.kestra.plugin.scripts.shell.Commands, commands: [ls], taskRunner: "
        "{type: io.kestra.plugin.ee.kubernetes.runner.Kubernetes, namespace: n}}",
        "{id: z, type: io.kestra.plugin.core.flow.Sequential, tasks: "
        "[{id: y, type: io.kestra.plugin.aws.some.Thing}]}",
    )

    assert [(problem.kind, problem.line) for problem in flow.problems] == [
        *(("unsupported", 5), ("unsupported", 6), ("unsupported", 7))
    ]
    assert flow.problems[0].message == (
        "io.kestra.plugin.git.Clone is known to Kestra, not supported here"
    )
    assert {problem.hint for problem in flow.problems} == {"these tasks would run: a"}
    assert flow.tasks[1].properties == {"url": "u"}
    assert flow.tasks[1].timeout == "PT1S"


def test_a_disabled_task_of_another_plugin_is_only_a_warning() -> None:
    flow = flow_of(
        "{id: g, type: io.kestra.plugin.git.Clone, disabled: true}",
        "{id: s, type: io.kestra.plugin.core.flow.Sequential, disabled: true, tasks: "
        "[{id: h, type: io.kestra.plugin.git.Clone}]}",
        "{id: a, type: io.kestra.plugin.core.log.Log, message: x}",
    )

    assert [problem.kind for problem in flow.problems] == ["warning", "warning"]


def test_a_trigger_of_another_plugin_is_a_warning_and_stays() -> None:
    flow = load(
        HEAD
        + TASKS
        + "triggers: [{id: s3, type: io.kestra.plugin.aws.s3.Trigger, disabled: true, bucket: b}]\n"
    )
    (trigger,) = flow.triggers

    assert [problem.kind for problem in flow.problems] == ["warning"]
    assert (trigger.id, trigger.disabled, trigger.properties) == ("s3", True, {"bucket": "b"})


def test_old_names_and_lost_defaults_are_warnings() -> None:
    flow = load(
        HEAD
        + "tasks: [{id: t, type: io.kestra.core.tasks.log.Log, message: x}]\n"
        + "taskDefaults: [{type: io.kestra.plugin.core.log.Log, values: {level: WARN}}]\n"
    )

    assert [(problem.kind, problem.line) for problem in flow.problems] == [
        *(("warning", 3), ("warning", 4))
    ]
    assert "level" not in flow.tasks[0].properties


def test_unknown_properties_can_be_warnings() -> None:
    text = HEAD + TASKS.replace("message", "nope: 1, message") + "other: 1\n"

    flow = load(text, settings=Settings(unknown_properties="warn"))

    assert [problem.kind for problem in flow.problems] == ["warning", "warning"]
    assert flow.tasks[0].properties == {"message": "x"}
    with pytest.raises(FlowInvalid):
        load(text)


def test_problems_come_in_the_order_of_the_file_with_their_lines() -> None:
    found = problems(f"{HEAD}tasks: [{{id: t, type: Nope}}]\nbad: 1\nworse: 2\n", file="f.yaml")

    assert [problem.line for problem in found] == [3, 4, 5]
    assert [problem.source_line for problem in found][1:] == ["bad: 1", "worse: 2"]
    assert {problem.file for problem in found} == {"f.yaml"}


def test_a_file_is_loaded_under_its_path(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(HEAD + TASKS, encoding="utf-8")

    assert load_file(file).file == str(file)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "nul"])
def test_a_file_that_cannot_be_read_is_a_problem_and_no_wait(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)

    with pytest.raises(FlowInvalid) as invalid:
        load_file("\0" if kind == "nul" else path)

    assert len(invalid.value.problems) == 1


EVERYTHING = """
id: x
namespace: a
variables: {a: 1}
labels: {a: b}
retry: {type: constant, interval: PT1S}
concurrency: {limit: 1}
pluginDefaults: [{type: io.kestra.plugin.core.log.Log, forced: true, values: {level: INFO}}]
sla: [{id: s, type: MAX_DURATION, behavior: FAIL, duration: PT1S}]
checks: [{condition: "true", message: m}]
listeners: [{tasks: [{id: l, type: io.kestra.plugin.core.log.Log, message: x}]}]
inputs:
  - {id: i, type: SELECT, values: [a], dependsOn: {inputs: [j]}}
  - {id: j, type: STRING, validator: a, defaults: b}
outputs: [{id: o, type: STRING, value: v}]
triggers:
  - {id: s, type: io.kestra.plugin.core.trigger.Schedule, cron: "@daily", timezone: UTC}
  - id: f
    type: io.kestra.plugin.core.trigger.Flow
    preconditions:
      {id: p, flows: [{namespace: n}], timeWindow: {type: SLIDING_WINDOW, window: PT1H}}
    conditions: [{type: io.kestra.plugin.core.condition.Weekend}]
tasks:
  - {id: g, type: io.kestra.plugin.git.Clone}
  - id: w
    type: io.kestra.plugin.core.flow.WorkingDirectory
    tasks: [{id: t, type: io.kestra.plugin.scripts.shell.Commands, commands: [ls], taskRunner: {}}]
  - id: d
    type: io.kestra.plugin.core.flow.Dag
    tasks: [{task: {id: e, type: io.kestra.plugin.core.log.Log, message: x}, dependsOn: [e]}]
  - id: c
    type: io.kestra.plugin.core.flow.Switch
    value: x
    cases: {a: [{id: k, type: io.kestra.plugin.core.flow.Subflow, namespace: a, flowId: x}]}
"""


def nodes_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in the data, as what holds it and its key there."""
    if not isinstance(value, dict | list):
        return
    held = cast("Any", value)
    for key in list(held) if hasattr(held, "keys") else range(len(held)):
        yield held, key
        yield from nodes_of(held[key])


VALUES = (
    *("null", '""', "5", "-1", "1.5", "true", '"x"', '"{{ x }}"', "[]", "{}", "[null]", "1e400"),
    *('{"a": null}', '{"type": "x"}', '"io.kestra.plugin.core.log.Log"', "9" * 40),
    '{"id": 5, "type": "io.kestra.plugin.core.log.Log"}',
)
"""What is put in place of others, as JSON."""


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.sampled_from(VALUES)), min_size=1, max_size=3))
def test_no_value_at_any_place_makes_loading_fail(changes: list[tuple[int, str]]) -> None:
    data = plain(read(EVERYTHING))
    for number, value in changes:
        places = list(nodes_of(data))
        if places:
            holder, key = places[number % len(places)]
            holder[key] = json.loads(value)

    for problem in problems(json.dumps(data)):
        assert problem.message
        assert problem.line

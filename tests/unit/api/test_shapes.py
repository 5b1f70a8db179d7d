"""The documents of the API, held against those of the specification's samples."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runner.api.shapes import execution_json, log_json, metric_json, plain
from runner.loading.flow import load
from runner.model.execution import (
    Attempt,
    Execution,
    Label,
    Level,
    LogLine,
    Metric,
    TaskRun,
    TriggerCause,
)
from runner.model.state import Change, History, State

T0 = datetime(2026, 1, 20, 9, 15, 2, tzinfo=UTC)


def history(*states: State) -> History:
    """A history with half a second between the states."""
    return History(
        tuple(
            Change(state, T0 + timedelta(seconds=0.5 * step)) for step, state in enumerate(states)
        )
    )


def execution(*states: State) -> Execution:
    return Execution(
        id="6bWzTn0pYcA1Rk8Q4vLxS2",
        namespace="company.team",
        flow_id="daily",
        flow_revision=3,
        history=history(*states),
        inputs={"n": 5, "when": None},
        labels=(Label("team", "data"),),
    )


def test_a_created_execution_has_no_task_runs_no_duration_and_no_end() -> None:
    document = execution_json(execution(State.CREATED), [])

    assert document == {
        "tenantId": "main",
        "id": "6bWzTn0pYcA1Rk8Q4vLxS2",
        "namespace": "company.team",
        "flowId": "daily",
        "flowRevision": 3,
        "inputs": {"n": 5, "when": None},
        "labels": [{"key": "team", "value": "data"}],
        "state": {
            "current": "CREATED",
            "histories": [{"state": "CREATED", "date": "2026-01-20T09:15:02.000000Z"}],
            "startDate": "2026-01-20T09:15:02.000000Z",
        },
        "originalId": "6bWzTn0pYcA1Rk8Q4vLxS2",
        "deleted": False,
        "metadata": {"attemptNumber": 1, "originalCreatedDate": "2026-01-20T09:15:02.000000Z"},
        "kind": "NORMAL",
    }


def test_an_ended_task_run_tells_its_attempts_and_always_its_outputs() -> None:
    run = TaskRun(
        id="r1",
        execution_id="6bWzTn0pYcA1Rk8Q4vLxS2",
        namespace="company.team",
        flow_id="daily",
        task_id="say",
        history=history(State.CREATED, State.RUNNING, State.SUCCESS),
        parent_id="r0",
        value="a",
        iteration=0,
        attempts=(Attempt(history=history(State.CREATED, State.SUCCESS)),),
    )
    ended = execution(State.CREATED, State.RUNNING, State.SUCCESS)

    document = execution_json(ended, [run])

    (shown,) = document["taskRunList"]
    assert shown["outputs"] == {}
    assert (shown["parentTaskRunId"], shown["value"], shown["iteration"]) == ("r0", "a", 0)
    assert shown["attempts"][0]["state"]["duration"] == "PT0.5S"
    assert document["state"]["endDate"] == "2026-01-20T09:15:03.000000Z"
    assert document["state"]["duration"] == "PT1S"


def test_a_cause_is_shown_with_its_variables() -> None:
    cause = TriggerCause(id="every", type="io.kestra.Schedule", variables={"date": T0})
    document = execution_json(
        Execution(
            id="x",
            namespace="n",
            flow_id="f",
            flow_revision=1,
            history=history(State.CREATED),
            trigger=cause,
        ),
        [],
    )

    assert document["trigger"] == {
        "id": "every",
        "type": "io.kestra.Schedule",
        "variables": {"date": "2026-01-20T09:15:02.000000Z"},
    }


def test_a_line_of_the_execution_itself_has_no_task() -> None:
    line = LogLine(
        number=1,
        execution_id="x",
        namespace="n",
        flow_id="f",
        level=Level.WARN,
        message="m",
        date=T0,
    )

    assert log_json(line) == {
        "tenantId": "main",
        "namespace": "n",
        "flowId": "f",
        "executionId": "x",
        "timestamp": "2026-01-20T09:15:02.000000Z",
        "level": "WARN",
        "thread": "main",
        "message": "m",
        "deleted": False,
    }


def test_a_metric_has_a_decimal_value_and_its_tags() -> None:
    metric = Metric(
        execution_id="x",
        namespace="n",
        flow_id="f",
        task_id="t",
        task_run_id="r",
        name="rows",
        type="counter",
        value=2,
        date=T0,
        tags={"table": "t"},
    )

    document = metric_json(metric)

    assert (document["value"], document["tags"]) == (2.0, {"table": "t"})


def test_values_without_a_json_form_are_normalised() -> None:
    assert plain({1: float("nan"), False: "a\ud800b", "d": timedelta(minutes=1)}) == {
        "1": None,
        "false": "a\ufffd\ufffd\ufffdb",
        "d": 60.0,
    }


def test_secret_outputs_of_a_flow_are_hidden() -> None:
    flow = load(
        """
id: daily
namespace: company.team
tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x}]
outputs: [{id: s, type: SECRET, value: x}, {id: o, type: STRING, value: x}]
"""
    )
    ended = replace(execution(State.CREATED, State.SUCCESS), outputs={"s": "hush", "o": "open"})

    assert execution_json(ended, [], flow)["outputs"] == {
        "s": {"type": "io.kestra.datatype:aes_encrypted", "value": "******"},
        "o": "open",
    }

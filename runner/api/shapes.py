"""The JSON documents of the API: executions, task runs, log lines, metrics (http-api 4).

`eyas run --output json` prints the same documents, so nothing here needs the HTTP library.
Members that are null are left out, but for values that a flow or a caller gave.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from runner.engine.input_tree import shown_inputs, shown_outputs
from runner.model.execution import Attempt, Execution, Label, LogLine, Metric, TaskRun, TriggerCause
from runner.model.flow import Flow
from runner.model.state import History
from runner.model.times import duration_text

Json = dict[str, Any]
"""A JSON object."""

TENANT = "main"
"""The only tenant there is."""


def instant(when: datetime) -> str:
    """A moment as Kestra writes it: UTC, microseconds, `Z`. `when` must be in UTC."""
    return when.isoformat(timespec="microseconds")[:26] + "Z"


def plain(value: Any) -> Any:
    """A value of a flow as JSON can hold it.

    Moments, dates and times become text and durations seconds, as Kestra's mapper writes them;
    what JSON has no form for (NaN, lone surrogates) becomes null or U+FFFD; anything else its text.
    """
    match value:
        case None | bool() | int():
            return value
        case str():
            return _clean(value)
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return instant(value) if value.utcoffset() == timedelta() else value.isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            items = cast("Mapping[Any, Any]", value)
            return {_key(key): plain(item) for key, item in items.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in cast("Sequence[Any]", value)]
        case _:
            return _clean(str(value))


def _given(outputs: Any) -> Any:
    """Outputs without the keys whose value is null: Kestra does not show them (golden p02)."""
    if isinstance(outputs, dict):
        entries = cast("dict[str, Any]", outputs)
        return {key: _given(value) for key, value in entries.items() if value is not None}
    return outputs


def without_nulls(value: Any) -> Any:
    """The value without the members of maps that are null, as Kestra shows variables."""
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {key: without_nulls(item) for key, item in items.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in cast("list[Any]", value)]
    return value


def execution_json(execution: Execution, runs: Sequence[TaskRun], flow: Flow | None = None) -> Json:
    """An execution with its task runs.

    `flow` gives the variables that no task replaced, and says which inputs and outputs are secret.
    """
    variables = execution.variables
    if variables is None and flow is not None:
        variables = flow.variables
    return _without_none(
        {
            "tenantId": TENANT,
            "id": execution.id,
            "namespace": execution.namespace,
            "flowId": execution.flow_id,
            "flowRevision": execution.flow_revision,
            "taskRunList": [task_run_json(run) for run in runs] or None,
            "inputs": plain(shown_inputs(flow.inputs if flow else (), execution.inputs)),
            "outputs": _given(plain(shown_outputs(flow, execution.outputs))),
            "labels": labels_json(execution.labels),
            "variables": plain(without_nulls(variables)),
            "state": state_json(execution.history),
            "parentId": execution.parent_id,
            "originalId": execution.original_id or execution.id,
            "trigger": execution.trigger and trigger_cause_json(execution.trigger),
            "deleted": False,
            "metadata": {
                "attemptNumber": execution.attempt_number,
                "originalCreatedDate": instant(
                    execution.original_created or execution.history.start
                ),
            },
            "scheduleDate": execution.schedule_date and instant(execution.schedule_date),
            "kind": execution.kind,
            "breakpoints": [
                _without_none({"id": each.task_id, "value": each.value})
                for each in execution.breakpoints
            ]
            or None,
        }
    )


def task_run_json(run: TaskRun) -> Json:
    """One task run with its attempts; `outputs` is always there."""
    return _without_none(
        {
            "tenantId": TENANT,
            "id": run.id,
            "executionId": run.execution_id,
            "namespace": run.namespace,
            "flowId": run.flow_id,
            "taskId": run.task_id,
            "parentTaskRunId": run.parent_id,
            "value": run.value,
            "attempts": [attempt_json(attempt) for attempt in run.attempts] or None,
            "outputs": _given(plain(run.outputs or {})),
            "state": state_json(run.history),
            "iteration": run.iteration,
            "dynamic": run.dynamic or None,
        }
    )


def attempt_json(attempt: Attempt) -> Json:
    """One try of a task run."""
    return {"state": state_json(attempt.history)}


def state_json(history: History) -> Json:
    """A state with the way there; duration and end only once it has ended or is paused."""
    end = history.end
    document: Json = {
        "current": history.current.value,
        "histories": [
            {"state": change.state.value, "date": instant(change.date)}
            for change in history.changes
        ],
    }
    if end is not None:
        document["duration"] = duration_text(end - history.start)
    document["startDate"] = instant(history.start)
    if end is not None:
        document["endDate"] = instant(end)
    return document


def labels_json(labels: Sequence[Label]) -> list[Json]:
    """Labels as a list of pairs."""
    return [{"key": label.key, "value": label.value} for label in labels]


def trigger_cause_json(cause: TriggerCause) -> Json:
    """What started an execution."""
    document: Json = {"id": cause.id, "type": cause.type}
    if cause.variables:
        document["variables"] = plain(without_nulls(cause.variables))
    return document


def log_json(line: LogLine) -> Json:
    """One line of a log."""
    return _without_none(
        {
            "tenantId": TENANT,
            "namespace": line.namespace,
            "flowId": line.flow_id,
            "taskId": line.task_id,
            "executionId": line.execution_id,
            "taskRunId": line.task_run_id,
            "attemptNumber": line.attempt,
            "triggerId": line.trigger_id,
            "timestamp": instant(line.date),
            "level": line.level.value,
            "thread": "main",
            "message": _clean(line.message),
            "deleted": False,
        }
    )


def metric_json(metric: Metric) -> Json:
    """One value that a task measured; a timer's `value` is in milliseconds."""
    document: Json = {
        "tenantId": TENANT,
        "namespace": metric.namespace,
        "flowId": metric.flow_id,
        "taskId": metric.task_id,
        "executionId": metric.execution_id,
        "taskRunId": metric.task_run_id,
        "type": metric.type,
        "name": metric.name,
        "value": plain(float(metric.value)),
        "timestamp": instant(metric.date),
        "tags": None if metric.tags is None else plain(metric.tags),
        "deleted": False,
    }
    return _without_none(document)


def page(results: Sequence[Any], total: int) -> Json:
    """One page of a list, and how many there are on all pages."""
    return {"results": list(results), "total": total}


def _without_none(document: Json) -> Json:
    return {key: value for key, value in document.items() if value is not None}


def _key(key: object) -> str:
    """A map's key as Jackson writes it."""
    match key:
        case str():
            return _clean(key)
        case bool():
            return "true" if key else "false"
        case None:
            return "null"
        case _:
            return str(key)


def _clean(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot hold."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")

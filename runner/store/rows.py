"""Executions and what belongs to them as the rows of the database, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast

from runner.model.execution import (
    Attempt,
    Breakpoint,
    Execution,
    Label,
    Level,
    LogBatch,
    LogLine,
    Metric,
    TaskRun,
    TriggerCause,
)
from runner.model.state import Change, History, State

LEVELS = tuple(Level)
"""Levels by their number in the database."""

_TAG = "\x00type"


def stamp(when: datetime) -> str:
    """A moment as text of one width, in UTC, so that text sorts as time does."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def dumps(value: Any) -> str:
    """JSON that keeps dates, times, durations and decimals as what they are."""
    text = json.dumps(value, default=_tagged, ensure_ascii=False, separators=(",", ":"))
    return storable(text)


def loads(text: str) -> Any:
    """The value that `dumps` was given; tuples come back as lists."""
    return json.loads(text, object_hook=_untagged if "\\u0000type" in text else None)


def storable(text: str) -> str:
    """The text as UTF-8 can hold it: U+FFFD in place of lone surrogates."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def execution_row(execution: Execution) -> dict[str, Any]:
    """Columns of an execution by name."""
    cause = execution.trigger
    end = execution.history.end
    return {
        "id": execution.id,
        "namespace": execution.namespace,
        "flow_id": execution.flow_id,
        "flow_revision": execution.flow_revision,
        "state": execution.state.value,
        "ended": int(execution.is_done),
        "start_date": stamp(execution.history.start),
        "end_date": end and stamp(end),
        "trigger_id": cause and storable(cause.id),
        "trigger_execution_id": _text(cause.variables.get("executionId")) if cause else None,
        "labels": dumps([f"{label.key}:{label.value}" for label in execution.labels]),
        "kind": None if execution.kind == "NORMAL" else execution.kind,
        "body": dumps(_execution_body(execution)),
    }


def _execution_body(execution: Execution) -> dict[str, Any]:
    cause = execution.trigger
    return {
        "history": _history(execution.history),
        "inputs": execution.inputs,
        "outputs": execution.outputs,
        "labels": [[label.key, label.value] for label in execution.labels],
        "variables": execution.variables,
        "trigger": cause and [cause.id, cause.type, cause.variables],
        "parent": execution.parent_id,
        "original": execution.original_id,
        "attempt": execution.attempt_number,
        "created": execution.original_created,
        "schedule": execution.schedule_date,
        **({"closing": True} if execution.closing else {}),
        **({"kind": execution.kind} if execution.kind != "NORMAL" else {}),
        **({"breakpoints": execution.breakpoints} if execution.breakpoints else {}),
    }


def execution_from(
    execution_id: str, namespace: str, flow_id: str, flow_revision: int, body: str
) -> Execution:
    """The execution of a row."""
    fields: dict[str, Any] = loads(body)
    cause = fields["trigger"]
    return Execution(
        id=execution_id,
        namespace=namespace,
        flow_id=flow_id,
        flow_revision=flow_revision,
        history=_history_from(fields["history"]),
        inputs=fields["inputs"],
        outputs=fields["outputs"],
        labels=tuple(Label(key, value) for key, value in fields["labels"]),
        variables=fields["variables"],
        trigger=cause and TriggerCause(id=cause[0], type=cause[1], variables=cause[2]),
        parent_id=fields["parent"],
        original_id=fields["original"],
        attempt_number=fields["attempt"],
        original_created=fields["created"],
        schedule_date=fields["schedule"],
        closing=fields.get("closing", False),
        kind=fields.get("kind", "NORMAL"),
        breakpoints=tuple(Breakpoint(*each) for each in fields.get("breakpoints", ())),
    )


def task_run_row(run: TaskRun) -> dict[str, Any]:
    """Columns of a task run by name."""
    body: dict[str, Any] = {
        "namespace": run.namespace,
        "flow": run.flow_id,
        "task": run.task_id,
        "history": _history(run.history),
        "parent": run.parent_id,
        "value": run.value,
        "iteration": run.iteration,
        "attempts": [_history(attempt.history) for attempt in run.attempts],
        "outputs": run.outputs,
        "dynamic": run.dynamic,
    }
    if run.fingerprint is not None:
        body["fingerprint"] = run.fingerprint
    return {"id": run.id, "execution_id": run.execution_id, "body": dumps(body)}


def task_run_from(run_id: str, execution_id: str, body: str) -> TaskRun:
    """The task run of a row."""
    fields: dict[str, Any] = loads(body)
    attempts = cast("list[Any]", fields["attempts"])
    return TaskRun(
        id=run_id,
        execution_id=execution_id,
        namespace=fields["namespace"],
        flow_id=fields["flow"],
        task_id=fields["task"],
        history=_history_from(fields["history"]),
        parent_id=fields["parent"],
        value=fields["value"],
        iteration=fields["iteration"],
        attempts=tuple(Attempt(history=_history_from(each)) for each in attempts),
        outputs=fields["outputs"],
        dynamic=fields["dynamic"],
        fingerprint=fields.get("fingerprint"),
    )


def batch_row(number: int, batch: LogBatch) -> tuple[Any, ...]:
    """A batch of lines, the first of which gets `number`, in the order of the table's columns."""
    return (
        number,
        len(batch.messages),
        batch.execution_id,
        batch.namespace,
        batch.flow_id,
        batch.level.rank,
        stamp(batch.date),
        batch.task_id,
        batch.task_run_id,
        batch.attempt,
        batch.trigger_id,
        dumps(list(batch.messages)),
    )


def lines_from(row: Sequence[Any]) -> list[LogLine]:
    """The lines of a row of `batches`."""
    number, _, execution_id, namespace, flow_id, level, when, task, run, attempt, trigger, texts = (
        row
    )
    moment = datetime.fromisoformat(when)
    return [
        LogLine(
            number=number + offset,
            execution_id=execution_id,
            namespace=namespace,
            flow_id=flow_id,
            level=LEVELS[int(level)],
            message=message,
            date=moment,
            task_id=task,
            task_run_id=run,
            attempt=attempt,
            trigger_id=trigger,
        )
        for offset, message in enumerate(json.loads(texts))
    ]


def metric_row(metric: Metric) -> tuple[Any, ...]:
    """A metric in the order of the table's columns, without the number."""
    return (
        metric.execution_id,
        metric.namespace,
        metric.flow_id,
        metric.task_id,
        metric.task_run_id,
        _text(metric.name),
        metric.type,
        float(metric.value),
        stamp(metric.date),
        None if metric.tags is None else dumps(dict(metric.tags)),
    )


def metric_from(row: Sequence[Any]) -> Metric:
    """The metric of a row of `metrics`."""
    _, execution_id, namespace, flow_id, task_id, run_id, name, kind, value, when, tags = row
    return Metric(
        execution_id=execution_id,
        namespace=namespace,
        flow_id=flow_id,
        task_id=task_id,
        task_run_id=run_id,
        name=name,
        type=kind,
        value=value,
        date=datetime.fromisoformat(when),
        tags=None if tags is None else json.loads(tags),
    )


def _history(history: History) -> list[list[str]]:
    return [[change.state.value, stamp(change.date)] for change in history.changes]


def _history_from(changes: list[list[str]]) -> History:
    return History(
        tuple(Change(State(state), datetime.fromisoformat(when)) for state, when in changes)
    )


def _text(value: object) -> str | None:
    return None if value is None else storable(str(value))


def _tagged(value: object) -> Any:
    """What stands in JSON for a value that JSON has no form for."""
    match value:
        case datetime():
            return {_TAG: "datetime", "of": value.isoformat()}
        case date():
            return {_TAG: "date", "of": value.isoformat()}
        case time():
            return {_TAG: "time", "of": value.isoformat()}
        case timedelta():
            return {_TAG: "duration", "of": value // timedelta(microseconds=1)}
        case Decimal():
            return {_TAG: "decimal", "of": str(value)}
        case Mapping():
            return dict(cast("Mapping[Any, Any]", value))
        case _:
            return str(value)


def _untagged(document: dict[str, Any]) -> Any:
    value = document.get("of")
    match document.get(_TAG):
        case "datetime":
            return datetime.fromisoformat(str(value))
        case "date":
            return date.fromisoformat(str(value))
        case "time":
            return time.fromisoformat(str(value))
        case "duration":
            return timedelta(microseconds=int(cast("int", value)))
        case "decimal":
            return Decimal(str(value))
        case _:
            return document

"""Executions as they are when they come into being."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from runner.model.execution import Execution, Label, TriggerCause, id_from, new_id
from runner.model.flow import Flow
from runner.model.state import History, State

CORRELATION = "system.correlationId"
"""Label that ties executions together that were caused by each other."""


def id_for(text: str) -> str:
    """The id that always belongs to `text`: what is made under it is never made twice."""
    import hashlib  # 3 ms that most runs do not need

    return id_from(hashlib.sha256(text.encode()).digest()[:16])


def created(
    flow: Flow,
    labels: Sequence[Label],
    trigger: TriggerCause | None,
    schedule_date: datetime | None,
    execution_id: str | None,
    now: datetime,
) -> Execution:
    """A new execution of `flow`, without inputs; `labels` win over those of the flow."""
    execution_id = execution_id or new_id()
    merged = {label.key: label for label in (*flow.labels, *labels)}
    merged.setdefault(CORRELATION, Label(CORRELATION, execution_id))
    return Execution(
        id=execution_id,
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        history=History.begin(State.CREATED, now),
        labels=tuple(merged.values()),
        trigger=trigger,
        schedule_date=schedule_date,
        original_id=execution_id,
        original_created=now,
    )


def repeated(old: Execution, date: datetime) -> Execution:
    """The execution that repeats a failed one from `date` on (`CREATE_NEW_EXECUTION`)."""
    return Execution(
        id=id_for(f"retry of {old.id}"),
        namespace=old.namespace,
        flow_id=old.flow_id,
        flow_revision=old.flow_revision,
        history=History.begin(State.CREATED, date),
        inputs=old.inputs,
        labels=old.labels,
        trigger=old.trigger,
        parent_id=old.id,
        original_id=old.original_id,
        attempt_number=old.attempt_number + 1,
        original_created=old.original_created,
        schedule_date=old.schedule_date,
    )


def secrets_of(flow: Flow, execution: Execution) -> list[str]:
    """The values of SECRET inputs, which an execution that goes on must still mask."""
    found: list[str] = []
    for declared in flow.inputs:
        value: Any = execution.inputs if declared.type == "SECRET" else None
        for part in declared.id.split("."):
            inside = isinstance(value, Mapping)
            value = cast("Mapping[str, Any]", value).get(part) if inside else None
        if isinstance(value, str):
            found.append(value)
    return found


def stand_in(execution: Execution) -> Flow:
    """What stands for the flow of an execution when there is no such flow any more."""
    return Flow(
        id=execution.flow_id,
        namespace=execution.namespace,
        tasks=(),
        revision=execution.flow_revision,
    )

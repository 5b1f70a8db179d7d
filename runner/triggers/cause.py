"""What a trigger's expressions see, and the conditions that must hold before it starts a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner.engine.context import scope_of_flow
from runner.engine.engine import Engine
from runner.engine.journal import Journal, utc_now
from runner.errors import RenderFailed
from runner.expr import Scope, render
from runner.model.execution import Execution, Label, TriggerCause, new_id
from runner.model.flow import Flow, Trigger
from runner.model.state import History, State


def scope_of_cause(engine: Engine, flow: Flow, cause: TriggerCause) -> Scope:
    """What an expression of a trigger sees: the flow, and `trigger` with the cause's variables."""
    execution = Execution(
        id=new_id(),
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        history=History.begin(State.CREATED, utc_now()),
        labels=flow.labels,
        trigger=cause,
    )
    return scope_of_flow(engine, Journal(flow, execution, engine.store), ended=False)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Labels of a trigger, rendered, and a warning for each that could not be."""

    labels: tuple[Label, ...]
    warnings: tuple[str, ...]


def rendered_labels(trigger: Trigger, scope: Scope) -> Rendered:
    """The trigger's labels; one that cannot be rendered is left out (flow-model 7.4)."""
    labels: list[Label] = []
    warnings: list[str] = []
    for label in trigger.labels:
        try:
            labels.append(Label(label.key, render(label.value, scope)))
        except RenderFailed:
            warnings.append(f"Failed to render label '{label.key}', it will be omitted")
    return Rendered(tuple(labels), tuple(warnings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What conditions are held against.

    `scope` renders; `date` is the moment that a schedule is about; `upstream` the execution whose
    change is looked at, with the attempts' states of its task runs, if there is one.
    """

    scope: Scope
    flow: Flow
    date: datetime
    upstream: Execution | None = None
    attempts: Sequence[Sequence[State]] = ()
    outputs: Mapping[str, Any] | None = None

"""What is kept of triggers between two runs of the daemon. All frozen facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, NamedTuple

from runner.model.execution import Execution, Label
from runner.records import record


class TriggerName(NamedTuple):
    """Which trigger: its flow's namespace and id, and its own id."""

    namespace: str
    flow_id: str
    trigger_id: str


@record(kw_only=True)
class Backfill:
    """A range of past dates for which a schedule makes executions, one after the other.

    `current` is the date that comes next. `inputs` and `labels` come on top of the trigger's own.
    """

    start: datetime
    end: datetime
    current: datetime
    created: datetime
    paused: bool = False
    inputs: Mapping[str, Any] | None = None
    labels: tuple[Label, ...] = ()


@record(kw_only=True)
class TriggerState:
    """Where a trigger stands.

    `next_date` is the next date to be evaluated, None until one was computed; `plan` tells what
    it was computed from, so that an edit is noticed. `last_date` is the last date that was
    evaluated. `execution_id` is the execution for whose end the trigger waits. `disabled` is what
    a person or `stopAfter` decided, beside what the flow's text says. `met`: whether the condition
    of a script trigger was met when it was last looked at.
    """

    name: TriggerName
    plan: str = ""
    next_date: datetime | None = None
    last_date: datetime | None = None
    updated: datetime | None = None
    execution_id: str | None = None
    disabled: bool = False
    backfill: Backfill | None = None
    met: bool = False


@record(kw_only=True)
class Window:
    """Which conditions of a Flow trigger were met between `start` and `end`, and by what.

    `name` holds the id of the preconditions instead of the trigger's. `met` maps a condition to
    the last execution that met it, in the order in which this happened.
    """

    name: TriggerName
    start: datetime
    end: datetime
    met: Mapping[str, str] = field(default_factory=dict[str, str])


@record(kw_only=True)
class Consequences:
    """What follows from an execution's change of state. It is stored together with the change.

    `executions` come into being, `states` and `windows` have become other ones, and the windows
    named by `over` are used up.
    """

    executions: Sequence[Execution] = ()
    states: Sequence[TriggerState] = ()
    windows: Sequence[Window] = ()
    over: Sequence[TriggerName] = ()

    def and_(self, other: Consequences) -> Consequences:
        """What follows from two changes that are stored together."""
        return Consequences(
            executions=[*self.executions, *other.executions],
            states=[*self.states, *other.states],
            windows=[*self.windows, *other.windows],
            over=[*self.over, *other.over],
        )

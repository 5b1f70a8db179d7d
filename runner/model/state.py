"""States of executions and task runs, with Kestra's own words, and their histories."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from runner.records import record


class State(StrEnum):
    """Where an execution, a task run or an attempt stands (flow-model 3.1)."""

    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RESTARTED = "RESTARTED"
    KILLING = "KILLING"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    KILLED = "KILLED"
    CANCELLED = "CANCELLED"
    QUEUED = "QUEUED"
    RETRYING = "RETRYING"
    RETRIED = "RETRIED"
    SKIPPED = "SKIPPED"
    BREAKPOINT = "BREAKPOINT"
    RESUBMITTED = "RESUBMITTED"

    @property
    def is_terminal(self) -> bool:
        """Nothing more happens to what is in this state, unless a person restarts it."""
        return self in _TERMINAL

    @property
    def is_failed(self) -> bool:
        """The state switches the level it stands in to its `errors` branch."""
        return self is State.FAILED


_TERMINAL = frozenset(
    {
        State.SUCCESS,
        State.WARNING,
        State.FAILED,
        State.KILLED,
        State.CANCELLED,
        State.RETRIED,
        State.SKIPPED,
    }
)


@record
class Change:
    """The moment at which a state was entered."""

    state: State
    date: datetime


@record
class History:
    """The states a thing went through, oldest first; never empty."""

    changes: tuple[Change, ...]

    @classmethod
    def begin(cls, state: State, now: datetime) -> History:
        """A history that starts with `state`."""
        return cls((Change(state, now),))

    @property
    def current(self) -> State:
        """The state it is in."""
        return self.changes[-1].state

    @property
    def start(self) -> datetime:
        """When the first state was entered."""
        return self.changes[0].date

    @property
    def end(self) -> datetime | None:
        """When it ended or was paused; None while it goes on."""
        last = self.changes[-1]
        return last.date if last.state.is_terminal or last.state is State.PAUSED else None

    def duration(self, now: datetime) -> timedelta:
        """The time from the first state to the last, or to `now` while it goes on."""
        return (self.end or now) - self.start

    def moved(self, state: State, now: datetime) -> History:
        """The history with `state` added; the same history if it is in `state` already."""
        if self.current is state:
            return self
        return History((*self.changes, Change(state, max(now, self.changes[-1].date))))

"""What happened: executions, task runs, attempts, log lines and metrics. All frozen facts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from runner.model.state import History, State
from runner.records import record

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _BASE62 for second in _BASE62]

Outputs = Mapping[str, Any]
"""What a task or flow gives to later tasks: JSON-like values by name."""


def new_id() -> str:
    """A random id of 22 base-62 characters, as Kestra's."""
    return id_from(os.urandom(16))


def id_from(data: bytes) -> str:
    """The id that 16 bytes stand for."""
    number = int.from_bytes(data)
    pairs: list[str] = []
    for _ in range(11):
        number, pair = divmod(number, 62 * 62)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))


class Level(StrEnum):
    """Levels of log lines, least first in `ORDER`."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"

    @property
    def rank(self) -> int:
        """0 for TRACE up to 4 for ERROR."""
        return _RANK[self]


_RANK = {level: rank for rank, level in enumerate(Level)}


@record
class Label:
    """A key and its value on a flow or an execution."""

    key: str
    value: str


@record(kw_only=True)
class Attempt:
    """One try of a task run."""

    history: History


@record(kw_only=True)
class TaskRun:
    """One task in one execution, and for a task inside a loop one value of it.

    `value` is the loop value's text and `iteration` the round, on direct children of a loop only.
    `outputs` is None until the task gives any. `dynamic` are runs whose task is not in the flow.
    `fingerprint` stands for all that its result follows from; None where nobody asked for it.
    """

    id: str
    execution_id: str
    namespace: str
    flow_id: str
    task_id: str
    history: History
    parent_id: str | None = None
    value: str | None = None
    iteration: int | None = None
    attempts: tuple[Attempt, ...] = ()
    outputs: Outputs | None = None
    dynamic: bool = False
    fingerprint: str | None = None

    @property
    def state(self) -> State:
        """The state it is in."""
        return self.history.current

    def moved(self, state: State, now: datetime) -> TaskRun:
        """The run in `state` from `now` on, its attempts untouched."""
        return replace(self, history=self.history.moved(state, now))


@record(kw_only=True)
class TriggerCause:
    """What started an execution: the trigger's (or parent task's) id, type and variables."""

    id: str
    type: str
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])


ExecutionKind = Literal["NORMAL", "TEST", "PLAYGROUND"]
"""What an execution is for."""


class Breakpoint(NamedTuple):
    """A task before which an execution stops; in a loop, for one value or (None) for each."""

    task_id: str
    value: str | None = None

    @classmethod
    def read(cls, text: str) -> Breakpoint:
        """The breakpoint that `task` or `task.value` names."""
        task_id, dot, value = text.partition(".")
        return cls(task_id, value if dot else None)

    def matches(self, run: TaskRun) -> bool:
        """Whether it stands before this task run."""
        return self.task_id == run.task_id and self.value in (None, run.value)


@record(kw_only=True)
class Execution:
    """One run of a flow, without its task runs.

    `inputs` is None when the flow has none and none were given. `variables` is None until a
    task sets some; then they replace the flow's. `attempt_number` counts executions made by
    retries of kind CREATE_NEW_EXECUTION and restarts, from 1. `closing`: it has ended, and its
    `afterExecution` is still to be done. One of another `kind` than NORMAL is not among those that
    are searched or counted. It stops before the tasks of its `breakpoints`.
    """

    id: str
    namespace: str
    flow_id: str
    flow_revision: int
    history: History
    inputs: Mapping[str, Any] | None = None
    outputs: Outputs | None = None
    labels: tuple[Label, ...] = ()
    variables: Mapping[str, Any] | None = None
    trigger: TriggerCause | None = None
    parent_id: str | None = None
    original_id: str | None = None
    attempt_number: int = 1
    original_created: datetime | None = None
    schedule_date: datetime | None = None
    closing: bool = False
    kind: ExecutionKind = "NORMAL"
    breakpoints: tuple[Breakpoint, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is still to be done."""
        return self.state.is_terminal and not self.closing

    @property
    def state(self) -> State:
        """The state it is in."""
        return self.history.current

    def moved(self, state: State, now: datetime) -> Execution:
        """The execution in `state` from `now` on."""
        return replace(self, history=self.history.moved(state, now))


@record(kw_only=True)
class LogBatch:
    """Lines of an execution's log that share everything but their text.

    A script's output arrives in chunks of thousands of lines; one object a line would be what
    costs most. `task_id` is None for lines of the execution itself. `attempt` counts from 0.
    """

    execution_id: str
    namespace: str
    flow_id: str
    level: Level
    messages: Sequence[str]
    date: datetime
    task_id: str | None = None
    task_run_id: str | None = None
    attempt: int | None = None
    trigger_id: str | None = None


@record(kw_only=True)
class LogLine:
    """One stored line of an execution's log; `number` orders the lines of a store."""

    number: int
    execution_id: str
    namespace: str
    flow_id: str
    level: Level
    message: str
    date: datetime
    task_id: str | None = None
    task_run_id: str | None = None
    attempt: int | None = None
    trigger_id: str | None = None


@record(kw_only=True)
class Metric:
    """One value that a task measured. `value` of a timer is in milliseconds.

    `name` and `tags` are None where a script gave none: no tags and `{}` are two series on Kestra.
    """

    execution_id: str
    namespace: str
    flow_id: str
    task_id: str
    task_run_id: str
    name: str | None
    type: str
    value: float
    date: datetime
    tags: Mapping[str, str] | None = None

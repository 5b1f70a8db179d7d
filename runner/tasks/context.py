"""What a task sees while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from runner.errors import RunnerError
from runner.model.execution import Execution, Label, Level, Outputs, TaskRun
from runner.model.flow import Flow, Task
from runner.model.state import State
from runner.records import record
from runner.runners.base import Command, Leavings, Outcome, TaskRunner
from runner.runners.intents import Left
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues


@record(kw_only=True)
class Executed:
    """What came of a command that a task ran: its ending, and the outputs that it sent."""

    outcome: Outcome
    vars: Mapping[str, Any]


@record(kw_only=True)
class Result:
    """What a task gives back: its outputs, and the state it ends in.

    Without a state a runnable task is SUCCESS, and a flowable what its children make of it.
    `passed` is a state that the run goes through just before it ends. Not `attempted`: the task
    found nothing to do and the run has no attempt. `hard`: `allowFailure` does not soften it.
    `forced`: a flowable has failed by itself, and its `errors` run. `alone`: it found nothing to
    run, and neither its `errors` nor its `finally` run. `unbegun`: its history shows no beginning.
    """

    outputs: Outputs | None = None
    state: State | None = None
    passed: State | None = None
    attempted: bool = True
    hard: bool = False
    forced: bool = False
    alone: bool = False
    unbegun: bool = False


class RunContext(Protocol):
    """One attempt of one task run.

    The getters `text`, `flag`... render property `name` of the task and convert it by its type in
    the catalogue; an absent property gives the catalogue's default, or None (an empty sequence or
    mapping). `more` are variables that are visible in this rendering only. They raise
    `RenderFailed` for a bad expression and `TaskFailed` for a value of the wrong type.
    `of` reads from a nested map (`taskRunner`, `options`) whose model the catalogue names.
    """

    @property
    def task(self) -> Task: ...
    @property
    def task_run(self) -> TaskRun: ...
    @property
    def execution(self) -> Execution: ...
    @property
    def flow(self) -> Flow: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def kv(self) -> KeyValues: ...
    @property
    def runners(self) -> TaskRunners: ...

    @property
    def shared_dir(self) -> Path | None:
        """The folder shared by the children of a WorkingDirectory, None outside of one."""
        ...

    @property
    def leaving(self) -> Leavings:
        """Takes what is to be cleaned up as soon as the end of this attempt is stored."""
        ...

    @property
    def resumed(self) -> Left | None:
        """The container in which an earlier Eyas has begun this attempt; None as a rule."""
        ...

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 0."""
        ...

    def now(self) -> datetime:
        """The current time."""
        ...

    async def text(self, name: str, /, **more: object) -> str | None: ...
    async def flag(self, name: str, /, **more: object) -> bool: ...
    async def integer(self, name: str, /, **more: object) -> int | None: ...
    async def duration(self, name: str, /, **more: object) -> timedelta | None: ...
    async def texts(self, name: str, /, **more: object) -> Sequence[str]: ...
    async def mapping(self, name: str, /, **more: object) -> Mapping[str, Any]: ...

    async def render(self, value: Any, /, **more: object) -> Any:
        """`value` with every expression in it rendered to text: strings, items, keys and values."""
        ...

    async def render_typed(self, value: Any, /, **more: object) -> Any:
        """Like `render`, but a string that is one lone expression keeps its value's type."""
        ...

    def log(self, level: Level, message: str) -> None:
        """Add a line to the task's log; secrets in it are masked."""
        ...

    def count(self, name: str, value: float, **tags: str) -> None:
        """Add to the counter metric `name`."""
        ...

    def time(self, name: str, duration: timedelta, **tags: str) -> None:
        """Record a timer metric."""
        ...

    def gauge(self, name: str, value: float, **tags: str) -> None:
        """Record what the gauge metric `name` stands at."""
        ...

    async def execute(self, runner: TaskRunner, command: Command) -> Executed:
        """Run `command`; its lines become log lines, its markers outputs and metrics.

        A status other than 0 is a value here, not an error.
        """
        ...


@record(kw_only=True)
class Group:
    """Tasks that run one after the other, beside other groups of the same flowable.

    `after` are the positions of groups that must have ended before this one starts.
    """

    tasks: Sequence[Task]
    value: str | None = None
    iteration: int | None = None
    after: frozenset[int] = frozenset()


@record(kw_only=True)
class Child:
    """An execution that a task starts (Subflow, ForEachItem); values are rendered already.

    `variables` are added to those of its `trigger`. `number` counts those of one task run.
    """

    namespace: str
    flow_id: str
    revision: int | None = None
    inputs: Mapping[str, Any] | None = None
    labels: Sequence[Label] = ()
    inherit_labels: bool = False
    schedule_date: datetime | None = None
    variables: Mapping[str, Any] | None = None
    number: int | None = None


@record(kw_only=True)
class Finished:
    """An execution that ended, and what it gives the task that started it.

    `output_error` says why its outputs could not be rendered.
    """

    execution: Execution
    outputs: Outputs | None = None
    output_error: str | None = None


@record(kw_only=True)
class Resumption:
    """Why a pause is over; `inputs` are what the person gave who resumed it."""

    why: Literal["resumed", "elapsed", "ended"]
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])


class FlowContext(RunContext, Protocol):
    """What a flowable task sees, and tasks that change their execution.

    Children's failures are not raised here: a `run` that comes back False was stopped, by a
    failure, a kill or the end of the execution, and the flowable should return.
    """

    @property
    def left_folder(self) -> Path | None:
        """The folder in which an earlier Eyas ran this task's children; None as a rule."""
        ...

    async def run(
        self, tasks: Sequence[Task], *, value: str | None = None, iteration: int | None = None
    ) -> bool:
        """Run `tasks` in order as children; False if one failed or nothing more may start."""
        ...

    async def run_groups(self, groups: Sequence[Group], limit: int = 0) -> bool:
        """Run groups beside each other, at most `limit` at a time (0: all).

        Comes back at the first failure, while other groups still run what they have begun.
        """
        ...

    async def run_in(self, folder: Path, tasks: Sequence[Task]) -> bool:
        """Run `tasks` in order as one job in `folder`, which they share."""
        ...

    async def timeout(self) -> timedelta | None:
        """The task's `timeout`, rendered; None if it has none. Only Pause has a use for it."""
        ...

    async def set_outputs(self, outputs: Outputs) -> None:
        """Give outputs while still running: children and parallel tasks see them at once."""
        ...

    def complain(self, error: RunnerError, before: str = "") -> None:
        """Log an error in one line, with what stands `before` it; what helps is in a DEBUG line."""
        ...

    async def discard_children(self, iteration: int) -> None:
        """Forget the runs of the direct children, and begin round `iteration`."""
        ...

    def children(self) -> Sequence[TaskRun]:
        """The runs of the direct children, in the order in which they were created."""
        ...

    async def pause(self, until: datetime | None, *, cancels: bool = False) -> Resumption:
        """Pause this task run and the execution until somebody resumes it, or until `until`.

        `cancels`: at `until` the execution is not to go on, it is about to be ended.
        The task's `onPause` runs once, beside, as soon as it is paused.
        """
        ...

    async def rest(self, until: datetime) -> bool:
        """Pause the execution, but not this task run, until `until`; False if it is being ended."""
        ...

    async def update(
        self,
        *,
        variables: Mapping[str, Any] | None = None,
        labels: Sequence[Label] | None = None,
    ) -> None:
        """Replace the execution's variables or labels."""
        ...

    async def end_execution(self, state: State) -> None:
        """End the execution at once in `state` (Exit, Pause with behavior CANCEL)."""
        ...

    async def start(self, children: Sequence[Child]) -> Sequence[Execution]:
        """Start executions of other flows, caused by this task run: all, or none if one cannot be.

        After a crash, those that were started then are given instead.
        """
        ...

    async def restart(self, number: int | None = None) -> Execution | None:
        """The newest execution that this task run started, restarted if it has failed.

        `number` is that of its `Child`. None if there is none.
        """
        ...

    async def ended(
        self, execution_id: str, wanted: Mapping[str, Any] | None = None, *, typed: bool = True
    ) -> Finished:
        """Wait until an execution started here has ended, and return it.

        `wanted` are outputs that the task itself asks for, of a flow that declares none. Without
        `typed` the outputs are as they are rendered, texts most of them.
        """
        ...

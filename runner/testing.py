"""Doubles and shortcuts for tests of flows: ours, and those of people who write tasks or flows.

    ended = await run_flow("id: hello\\nnamespace: demo\\ntasks: ...", inputs={"who": "you"})
    assert ended.state is State.SUCCESS
    assert ended.states == {"greet": State.SUCCESS}

`bench()` gives the engine itself, for tests that pause, kill or restart what they started.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from runner.engine.engine import Engine
from runner.engine.flows import FixedFlows
from runner.errors import NotFound
from runner.loading.flow import load
from runner.model.execution import Execution, Label, Level, LogLine, Metric, Outputs, TaskRun
from runner.model.flow import Flow
from runner.model.state import State
from runner.records import record
from runner.runners.base import Command, Emit, Outcome, Stream, TaskRunner
from runner.runners.registry import TaskRunners
from runner.settings import TEMP_PREFIX, Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.memory import MemoryStore as _MemoryStore

if TYPE_CHECKING:
    from runner.runners.docker_options import DockerOptions

__all__ = ["Bench", "Ended", "FakeRunner", "FakeRunners", "MemoryStore", "bench", "run_flow"]


@record(kw_only=True)
class Ended:
    """How an execution stands, and what came of it."""

    execution: Execution
    runs: Sequence[TaskRun]
    lines: Sequence[LogLine]
    metrics: Sequence[Metric]

    @property
    def state(self) -> State:
        """The execution's state."""
        return self.execution.state

    @property
    def history(self) -> list[State]:
        """The states that the execution went through."""
        return [change.state for change in self.execution.history.changes]

    @property
    def outputs(self) -> Outputs | None:
        """The flow's outputs."""
        return self.execution.outputs

    @property
    def states(self) -> dict[str, State]:
        """The state of each task run, in order of creation; `task[value]` for one of a loop."""
        return {_name(run): run.state for run in self.runs}

    def run(self, name: str) -> TaskRun:
        """The task run of that name (`task`, or `task[value]` in a loop).

        Raises:
            NotFound: the task did not run.
        """
        for run in self.runs:
            if _name(run) == name:
                return run
        raise NotFound(f"No run of '{name}'; there are: {', '.join(self.states) or 'none'}")

    def history_of(self, name: str) -> list[State]:
        """The states that a task run went through."""
        return [change.state for change in self.run(name).history.changes]

    def attempts_of(self, name: str) -> list[State]:
        """The states in which the attempts of a task run ended."""
        return [attempt.history.current for attempt in self.run(name).attempts]

    def outputs_of(self, name: str) -> Outputs:
        """The outputs of a task run; empty if it gave none."""
        return self.run(name).outputs or {}

    def logs(self, level: Level = Level.INFO, task: str | None = None) -> list[str]:
        """The texts of the log from `level` up, of one task if it is named."""
        return [
            line.message
            for line in self.lines
            if line.level.rank >= level.rank and (task is None or line.task_id == task)
        ]


class MemoryStore(_MemoryStore):
    """The store in memory, which here also gives the executions of a flow."""

    def executions_of(self, flow_id: str) -> list[Execution]:
        """Every execution of a flow, in the order in which they were created."""
        return [each for each in self._executions.values() if each.flow_id == flow_id]


def _name(run: TaskRun) -> str:
    return run.task_id if run.value is None else f"{run.task_id}[{run.value}]"


Answer = Callable[[Command, Emit], Awaitable[Outcome]]
"""What a `FakeRunner` does instead of running a command."""


class FakeRunner:
    """A task runner that runs nothing: it says what it is told to say, and notes the commands.

    `stdout` and `stderr` are emitted whole; `answer` replaces all of it.
    """

    keeps_returns = False

    def __init__(
        self,
        exit_code: int = 0,
        *,
        stdout: str = "",
        stderr: str = "",
        markers: Sequence[str] = (),
        answer: Answer | None = None,
    ) -> None:
        self.commands: list[Command] = []
        self._outcome = Outcome(exit_code=exit_code, markers=markers)
        self._text = {Stream.STDOUT: stdout, Stream.STDERR: stderr}
        self._answer = answer

    async def run(self, command: Command, emit: Emit) -> Outcome:
        """Note the command, emit what was asked for and give the outcome."""
        self.commands.append(command)
        if self._answer is not None:
            return await self._answer(command, emit)
        for stream, text in self._text.items():
            if text:
                await emit(stream, text.encode())
        return self._outcome


class FakeRunners(TaskRunners):
    """Task runners of which every one is the same `FakeRunner`."""

    def __init__(self, runner: FakeRunner | None = None, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings(environ={}))
        self.runner = runner or FakeRunner()

    def process(self) -> TaskRunner:
        """The fake."""
        return self.runner

    def docker(
        self, options: DockerOptions, warn: Callable[[str], None] = lambda _: None
    ) -> TaskRunner:
        """The fake."""
        return self.runner

    async def engine_answers(self) -> bool:
        """There is no engine."""
        return False


@record(kw_only=True)
class Bench:
    """An engine with some flows, everything in memory but the stored files."""

    engine: Engine
    store: MemoryStore
    flows: Sequence[Flow]

    @property
    def flow(self) -> Flow:
        """The first flow."""
        return self.flows[0]

    async def start(self, flow_id: str | None = None, **options: Any) -> str:
        """Start a flow (the first, unless named) as `Engine.start` does; gives the id."""
        flow = next((each for each in self.flows if each.id == flow_id), self.flow)
        return (await self.engine.start(flow, **options)).id

    async def ended(self, execution_id: str) -> Ended:
        """The execution once nothing of it runs any more."""
        await self.engine.wait_until_done(execution_id)
        return await self.seen(execution_id)

    async def seen(self, execution_id: str) -> Ended:
        """The execution as it stands now."""
        return Ended(
            execution=await self.store.execution(execution_id),
            runs=await self.store.task_runs(execution_id),
            lines=await self.store.logs(execution_id),
            metrics=await self.store.metrics(execution_id),
        )

    async def until(self, execution_id: str, met: Callable[[Ended], bool]) -> Ended:
        """The execution as soon as `met` is true of it."""
        while True:
            changed = self.engine.changed(execution_id)
            seen = await self.seen(execution_id)
            if met(seen):
                return seen
            await changed.wait()

    async def until_task(self, execution_id: str, name: str, state: State) -> Ended:
        """The execution as soon as a task run is in `state`."""
        return await self.until(execution_id, lambda seen: seen.states.get(name) is state)

    async def until_state(self, execution_id: str, state: State) -> Ended:
        """The execution as soon as it is in `state`."""
        return await self.until(execution_id, lambda seen: seen.state is state)

    async def executions_of(self, flow_id: str) -> list[Ended]:
        """Every execution of a flow, in the order in which they were created."""
        return [await self.seen(each.id) for each in self.store.executions_of(flow_id)]


@asynccontextmanager
async def bench(
    *sources: str | Path,
    settings: Settings | None = None,
    store: MemoryStore | None = None,
    runners: TaskRunners | None = None,
    kv: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Bench]:
    """Open an engine with the flows of `sources`: texts, or paths of files.

    `settings`, `store` and `runners` default to local processes, memory and the real runners;
    stored files and keys go where `settings.state_dir` says, a temporary folder by default.
    `kv` are keys of the first flow's namespace.
    """
    with tempfile.TemporaryDirectory(prefix=TEMP_PREFIX) as folder:
        chosen = settings or Settings(
            state_dir=Path(folder) / "state",
            task_runner="process",
            environ={"PATH": os.environ.get("PATH", os.defpath)},
        )
        flows = [load(_text(source)) for source in sources]
        storage = Storage(chosen.state_dir / "storage")
        keys = KeyValues(chosen.state_dir / "storage")
        for key, value in (kv or {}).items():
            keys.set(flows[0].namespace, key, value)
        kept = store or MemoryStore()
        ways = runners or TaskRunners(chosen)
        engine = Engine(chosen, kept, FixedFlows(flows), storage, keys, ways)
        async with ways, engine:
            yield Bench(engine=engine, store=kept, flows=flows)


def _text(source: str | Path) -> str:
    if isinstance(source, Path):
        return source.read_text(encoding="utf-8")
    return source


async def run_flow(
    source: str | Path,
    *others: str | Path,
    inputs: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    runners: TaskRunners | None = None,
    kv: Mapping[str, Any] | None = None,
    limit_s: float = 30,
) -> Ended:
    """Run a flow to its end and give what came of it; `others` are flows that it may call.

    Raises:
        FlowInvalid: a text is not a valid flow.
        InputInvalid: an input is missing or wrong.
        TimeoutError: it has not ended within `limit_s`.
    """
    given = [Label(key, value) for key, value in (labels or {}).items()]
    with anyio.fail_after(limit_s):
        async with bench(source, *others, settings=settings, runners=runners, kv=kv) as opened:
            return await opened.ended(await opened.start(inputs=inputs, labels=given))

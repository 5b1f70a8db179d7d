"""The live record of one execution: what the engine knows, and has stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint

from runner.engine.bell import Bell
from runner.engine.masking import Masker
from runner.engine.trees import Trees
from runner.model.execution import (
    Attempt,
    Execution,
    Level,
    LogBatch,
    Metric,
    Outputs,
    TaskRun,
    new_id,
)
from runner.model.flow import Flow, Task
from runner.model.state import History, State
from runner.model.triggers import Consequences
from runner.store.base import NO_CONSEQUENCES, Store

FLUSH_LINES = 100
"""So many waiting log lines are written before more are taken..."""
FLUSH_INTERVAL_S = 0.2
"""...and none waits longer than this."""

FIRST_LINES_S = 0.02
"""Lines that come after a while are written sooner: somebody may be watching."""

NEXT_S = 0.005
"""Whatever comes next is saved within this time, or not soon."""

MAX_ERRORS = 1000
"""So many ERROR lines are kept in memory for `errorLogs()`."""


class OnState(Protocol):
    """Told of each change of an execution's state."""

    def __call__(
        self, execution: Execution, runs: Collection[TaskRun]
    ) -> AbstractAsyncContextManager[Consequences]:
        """Give what follows from the state, which is stored within the context with the change.

        What must not be seen or done before is done at the context's end.
        """
        ...


_UNSET: Any = object()


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


class Journal:
    """One execution and its task runs in memory; every change is stored before it returns.

    The journal is right, and the store follows: nothing else writes an execution that is driven.
    `told` is the execution as `on_state` has been told of it, by an earlier Eyas.
    """

    def __init__(
        self,
        flow: Flow,
        execution: Execution,
        store: Store,
        *,
        runs: Iterable[TaskRun] = (),
        clock: Callable[[], datetime] = utc_now,
        on_state: OnState | None = None,
        told: Execution | None = None,
    ) -> None:
        self.flow = flow
        self.execution = execution
        self._runs: dict[str, TaskRun] = {run.id: run for run in runs}
        self._below: dict[str | None, dict[str, None]] = {}
        for run in self._runs.values():
            self._below.setdefault(run.parent_id, {})[run.id] = None
        self.trees = Trees(self._runs)
        self.masker = Masker()
        self.now = clock
        self._bell = Bell()
        self.errors: list[tuple[str | None, str]] = []
        """Task id and text of the first ERROR lines of the execution."""
        self.output_limit = 0
        """So many characters of commands' output are logged; 0: all of it."""
        self._output = 0
        self.stored = execution
        """The execution as the store has it, or had it when it was read."""
        self.may_wait = store.waits_for_disk
        """Whether facts that may be stored soon are not stored at once."""
        self._store = store
        self._waiting: list[LogBatch] = []
        self._waiting_lines = 0
        self._metrics: list[Metric] = []
        self._unsaved: dict[str, TaskRun] = {}
        self._unsaved_states: list[Execution] = []
        self._writing = 0
        self._flushed_s = 0.0
        self._due_s = math.inf
        self._sooner = anyio.Event()
        self._on_state = on_state
        self._telling = anyio.Lock(fast_acquire=True)
        self._told = len(told.history.changes) if told is not None else 0

    async def save(
        self,
        *runs: TaskRun,
        execution: Execution | None = None,
        within_s: float | None = None,
    ) -> None:
        """Record new versions of task runs, and of the execution if given; durable on return.

        `within_s`: it does not wait. They become durable before anything that is saved later, and
        begin to be written within so many seconds: what comes after them may be written with them.
        That is for facts which nobody could miss who finds everything before them.
        """
        if execution is not None:
            self.execution = execution
        for run in runs:
            self.add(run)
        if within_s is None or not self.may_wait:
            with anyio.CancelScope(shield=True):
                await self._store_now(runs, changed=execution is not None)
            return
        if execution is not None:
            # Each state that the execution was in is told: none may be replaced by a later one.
            if any(each.state is not State.CREATED for each in self._unsaved_states):
                await self.recorded()
            self._unsaved_states.append(execution)
        self._unsaved.update((run.id, run) for run in runs)
        self._write_within(within_s)
        await checkpoint()  # others want to go on, too

    async def recorded(self) -> None:
        """Come back when everything that was saved is durable."""
        while (waits := self._unsaved or self._unsaved_states) or self._writing:
            if waits:  # also what somebody else could not write just now
                with anyio.CancelScope(shield=True):
                    await self._store_now(())
            else:
                await self.changed.wait()

    async def begun(self) -> None:
        """Come back when the execution is durable, in whichever state it has come to.

        Its creation is written with what comes next, or alone if nothing does.
        """
        with anyio.move_on_after(NEXT_S):
            while self._unsaved_states:
                await self.changed.wait()
        with anyio.CancelScope(shield=True):
            async with self._telling:  # it may be being written
                pass
            while self._unsaved_states:
                await self._store_now(())

    async def _store_now(
        self, runs: Sequence[TaskRun], *, changed: bool = False, lines: bool = False
    ) -> None:
        """Store task runs, and the execution as it is if that is `changed`, after what waits.

        `lines`: those that wait, too.
        """
        if not (changed or self._unsaved_states):
            await self._write(None, runs, lines=lines)
            return
        # One after the other, so that no state is stored without what follows from it.
        async with self._telling:
            states, self._unsaved_states = self._unsaved_states, []
            if not (changed or states):
                # They were stored meanwhile.
                if runs or self._unsaved or lines:
                    await self._write(None, runs, lines=lines)
                return
            if not states or states[-1] is not self.execution:
                states.append(self.execution)
            try:
                while states:
                    count = _stored_together(states)
                    rest = states[count:]
                    await self._write_states(states[:count], () if rest else runs, lines=lines)
                    states = rest
            except Exception:
                self._unsaved_states = [*states, *self._unsaved_states]
                raise

    async def _write_states(
        self, states: Sequence[Execution], runs: Sequence[TaskRun], *, lines: bool
    ) -> None:
        """Store the execution as it is in the last of these, and what follows from each."""
        last, told = states[-1], self._told
        async with AsyncExitStack() as telling:
            follows = NO_CONSEQUENCES
            for execution in states:
                # Of several changes of state at once only the last counts for what follows.
                changes = len(execution.history.changes)
                if self._on_state is not None and changes != told:
                    more = self._on_state(execution, self._runs.values())
                    follows = follows.and_(await telling.enter_async_context(more))
                    told = changes
            await self._write(last, runs, follows, lines=lines)
            self._told = told

    async def _write(
        self,
        execution: Execution | None,
        runs: Sequence[TaskRun],
        consequences: Consequences = NO_CONSEQUENCES,
        *,
        lines: bool = False,
    ) -> None:
        """Store what is to be saved; before an ending, or if so asked, the `lines` before it."""
        earlier, self._unsaved = self._unsaved, {}
        if earlier:
            runs = list({**earlier, **{run.id: run for run in runs}}.values())
        ends = execution is not None and execution.state.is_terminal
        batches: list[LogBatch] = []
        metrics: list[Metric] = []
        if lines or ends or any(run.state.is_terminal for run in runs):
            batches, metrics = self._take_lines()
        self._writing += 1
        try:
            await self._store.save(execution, runs, batches, metrics, consequences)
        except Exception:
            self._unsaved = earlier | self._unsaved
            raise
        else:
            self.stored = execution or self.stored
        finally:
            self._writing -= 1
            self._tell()

    def _take_lines(self) -> tuple[list[LogBatch], list[Metric]]:
        """The log lines and metrics that wait, which are written now."""
        batches, self._waiting = self._waiting, []
        metrics, self._metrics = self._metrics, []
        self._waiting_lines = 0
        self._flushed_s = anyio.current_time()
        return batches, metrics

    def new_run(
        self,
        task: Task,
        parent_id: str | None,
        *,
        value: str | None = None,
        iteration: int | None = None,
    ) -> TaskRun:
        """A run of a task, CREATED now; it is not taken into the record."""
        return TaskRun(
            id=new_id(),
            execution_id=self.execution.id,
            namespace=self.execution.namespace,
            flow_id=self.execution.flow_id,
            task_id=task.id,
            history=History.begin(State.CREATED, self.now()),
            parent_id=parent_id,
            value=value,
            iteration=iteration,
        )

    def add(self, run: TaskRun) -> None:
        """Take a new or changed task run into the record in memory; it is not stored."""
        if run.id not in self._runs:
            self._below.setdefault(run.parent_id, {})[run.id] = None
        self._runs[run.id] = run
        self.trees.put(run)

    async def move(self, *states: State, within_s: float | None = None, **changes: Any) -> None:
        """Record that the execution went through `states` now, with other fields changed too.

        What is between two states is never seen: a waiter finds the last one. `within_s` is that
        of `save`.
        """
        moved = self.execution
        for state in states:
            moved = moved.moved(state, self.now())
        if moved.history is not self.execution.history or changes:
            await self.save(execution=replace(moved, **changes), within_s=within_s)

    async def move_run(
        self,
        run_id: str,
        *states: State,
        outputs: Outputs | None = _UNSET,
        attempt: bool = True,
        within_s: float | None = None,
    ) -> TaskRun:
        """Record that a task run went through `states` now; with `attempt` its last attempt too.

        `within_s` is that of `save`.
        """
        run = self._runs[run_id]
        for state in states:
            run = run.moved(state, self.now())
        if attempt and run.attempts and states:
            last = run.attempts[-1]
            ended = Attempt(history=last.history.moved(states[-1], self.now()))
            run = replace(run, attempts=(*run.attempts[:-1], ended))
        if outputs is not _UNSET:
            run = replace(run, outputs=outputs)
        await self.save(run, within_s=within_s)
        return run

    def begin_attempt(self, run: TaskRun, state: State = State.RUNNING) -> TaskRun:
        """`run` with one more attempt, not recorded yet."""
        attempt = Attempt(history=History.begin(state, self.now()))
        return replace(run, attempts=(*run.attempts, attempt))

    async def discard(self, run_ids: Iterable[str]) -> None:
        """Forget task runs."""
        gone: list[str] = []
        for run_id in run_ids:
            run = self._runs.pop(run_id, None)
            self._unsaved.pop(run_id, None)
            if run is not None:
                gone.append(run_id)
                self._below[run.parent_id].pop(run_id, None)
                self.trees.drop(run)
        if gone:
            with anyio.CancelScope(shield=True):
                await self._store.discard_runs(self.execution.id, gone)
            self._tell()

    @property
    def changed(self) -> anyio.Event:
        """Is set at the next change that is stored."""
        return self._bell.next

    @property
    def runs(self) -> Mapping[str, TaskRun]:
        """The task runs by id, in order of creation."""
        return self._runs

    def children(self, parent_id: str | None) -> list[TaskRun]:
        """The runs directly below a run (None: of the flow itself), in order of creation."""
        return [self._runs[run_id] for run_id in self._below.get(parent_id, ())]

    def log(self, level: Level, messages: str | Sequence[str], run: TaskRun | None = None) -> None:
        """Add log lines, masked, of a task run or of the execution itself."""
        lines = (messages,) if isinstance(messages, str) else messages
        if self.masker:
            lines = self.masker.mask_lines(lines)
        if level is Level.ERROR and len(self.errors) < MAX_ERRORS:
            self.errors += [(run.task_id if run else None, line) for line in lines]
        self._waiting.append(
            LogBatch(
                execution_id=self.execution.id,
                namespace=self.execution.namespace,
                flow_id=self.execution.flow_id,
                level=level,
                messages=lines,
                date=self.now(),
                task_id=run.task_id if run else None,
                task_run_id=run.id if run else None,
                attempt=max(len(run.attempts) - 1, 0) if run else None,
            )
        )
        self._waiting_lines += len(lines)
        self._write_within(FLUSH_INTERVAL_S)

    def within_limit(self, lines: Sequence[str]) -> Sequence[str]:
        """The lines of a command as far as the execution's log takes them."""
        if not self.output_limit:
            return lines
        if self._output + sum(map(len, lines)) >= self.output_limit:
            lines = list(self._first(lines))
        self._output += sum(map(len, lines))
        return lines

    def _first(self, lines: Sequence[str]) -> Iterator[str]:
        """Those for which there is still room; then the log is full."""
        left = self.output_limit - self._output
        for line in lines:
            left -= len(line)
            if left < 0:
                self._output = self.output_limit
                return
            yield line

    @property
    def output_is_full(self) -> bool:
        """Whether the log takes no more output of commands."""
        return 0 < self.output_limit <= self._output

    def add_metric(self, metric: Metric) -> None:
        """Add a metric."""
        self._metrics.append(metric)
        self._write_within(FLUSH_INTERVAL_S)

    async def took_output(self) -> None:
        """Write what a command has printed: at once if much waits, soon if it is the first lines.

        So a command that prints faster than is written has to wait.
        """
        follows = anyio.current_time() - self._flushed_s <= FLUSH_INTERVAL_S
        if self._waiting_lines >= FLUSH_LINES or not (follows or self.may_wait):
            await self.flush()
        elif not follows:
            self._write_within(FIRST_LINES_S)

    async def flush(self) -> None:
        """Write everything that waits, in order: log lines, metrics, and task runs."""
        with anyio.CancelScope(shield=True):
            if self._unsaved or self._unsaved_states:
                await self._store_now((), lines=True)
            elif self._waiting or self._metrics or self._writing:
                await self._store.append(*self._take_lines())
                self._tell()

    def _write_within(self, within_s: float) -> None:
        """Have what waits written by then."""
        due_s = anyio.current_time() + within_s
        if due_s < self._due_s:
            self._due_s = due_s
            self._sooner.set()

    async def keep_flushing(self) -> None:
        """Write what waits when it is due; until cancelled."""
        while True:
            while (left_s := self._due_s - anyio.current_time()) > 0:
                with anyio.move_on_after(left_s):
                    await self._sooner.wait()
                    self._sooner = anyio.Event()
            self._due_s = math.inf
            await self.flush()

    def _tell(self) -> None:
        """Wake whoever waits for a change."""
        self._bell.ring()


def _stored_together(states: Sequence[Execution]) -> int:
    """How many of the first states are stored at once: a creation waits for what comes next."""
    created = 0
    while created < len(states) - 1 and states[created].state is State.CREATED:
        created += 1
    return created + 1

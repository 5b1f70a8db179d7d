"""Starting executions and acting on them. Triggers, API and command line all enter here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.abc
import anyio.to_thread

from runner.engine.adoption import Adopted, Leftovers, adopt, adopt_later
from runner.engine.checks import refusal, run_checks
from runner.engine.children import Children
from runner.engine.context import scope_of_flow
from runner.engine.creation import CORRELATION, created, repeated, secrets_of, stand_in
from runner.engine.driver import Driver
from runner.engine.flows import Flows
from runner.engine.host import EngineHost
from runner.engine.inputs import Resolved, resolve_inputs, resume_inputs
from runner.engine.journal import NEXT_S, Journal, OnState, utc_now
from runner.engine.leaving import Leaving
from runner.engine.live import Live
from runner.errors import Conflict, NotFound, RunnerUnavailable
from runner.model.execution import (
    Breakpoint,
    Execution,
    ExecutionKind,
    Label,
    Level,
    TaskRun,
    TriggerCause,
    new_id,
)
from runner.model.flow import Flow
from runner.model.state import State
from runner.runners.base import series_of
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.base import Store
from runner.store.space import Space
from runner.tasks.host import Host

if TYPE_CHECKING:
    from runner.engine.reuse import Reuse
    from runner.store.past import Past

__all__ = ["CORRELATION", "Engine"]

MAX_RESTARTS = 3
"""So often a task run is run again after it was lost."""


class Engine:
    """Owns every execution that is going on; an async context manager.

    Leaving it cancels what still runs: tasks are stopped and nothing more is recorded, so that
    `recover` finds it at the next start.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        flows: Flows,
        storage: Storage,
        kv: KeyValues,
        runners: TaskRunners,
    ) -> None:
        self.on_state: OnState | None = None
        """Told of each change of an execution's state; set it before any execution starts."""
        self.settings = settings
        self.store = store
        self.flows = flows
        self.storage = storage
        self.kv = kv
        self.runners = runners
        self.space = Space(settings.state_dir, settings.min_free_bytes)
        self.host: Host = EngineHost(self)
        self.children = Children(self)
        self.live = Live(self)
        self._stack = AsyncExitStack()
        self._group: anyio.abc.TaskGroup
        self.leaving: Leaving

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        self.leaving = Leaving(self._group)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._group.cancel_scope.cancel()
        return await self._stack.__aexit__(kind, error, trace)

    def beside(
        self, work: Callable[..., Coroutine[Any, Any, None]], *args: object, name: str
    ) -> None:
        """Have something done that no execution waits for; it ends with the engine."""
        self._group.start_soon(work, *args, name=name)

    async def start(
        self,
        flow: Flow,
        *,
        inputs: Mapping[str, Any] | None = None,
        labels: Sequence[Label] = (),
        trigger: TriggerCause | None = None,
        schedule_date: datetime | None = None,
        execution_id: str | None = None,
        checked: bool = True,
        parsed: bool = True,
        reuse: Reuse | None = None,
        kind: ExecutionKind = "NORMAL",
        breakpoints: Sequence[Breakpoint] = (),
    ) -> Execution:
        """Create an execution of `flow` and begin it; returns it as it was stored first.

        `labels` are the caller's, which win over the flow's. `checked`: the flow's `checks` apply.
        Unless `parsed`, inputs are taken as they are given, whatever the flow declares (7.4). It
        begins at `schedule_date` if that is still to come, and takes over what `reuse` has of it.

        Raises:
            InputInvalid: an input is missing or wrong; nothing was created.
            Conflict: the flow is disabled, or a check forbids the execution.
            FlowInvalid: it has tasks that Eyas cannot run.
        """
        journal = await self.prepare(
            flow,
            inputs=inputs,
            labels=labels,
            trigger=trigger,
            schedule_date=schedule_date,
            execution_id=execution_id,
            parsed=parsed,
        )
        journal.execution = replace(journal.execution, kind=kind, breakpoints=tuple(breakpoints))
        failed = None
        if checked and flow.checks:
            failed = run_checks(flow, scope_of_flow(self, journal, ended=False))
        if failed is not None and failed.behavior == "BLOCK_EXECUTION":
            raise Conflict(failed.message)
        if failed is not None and failed.behavior == "FAIL_EXECUTION":
            await journal.save(execution=journal.execution)
            await journal.move(State.FAILED)
            return journal.execution
        if reuse is not None and reuse.past is not None:
            journal.execution = replace(journal.execution, parent_id=reuse.past.execution.id)
        return await self.begin(journal, reuse)

    async def prepare(
        self,
        flow: Flow,
        *,
        inputs: Mapping[str, Any] | None = None,
        labels: Sequence[Label] = (),
        trigger: TriggerCause | None = None,
        schedule_date: datetime | None = None,
        execution_id: str | None = None,
        parsed: bool = True,
    ) -> Journal:
        """An execution of `flow` that is ready to begin, but not stored; see `start`."""
        refusal(flow)
        execution = created(flow, labels, trigger, schedule_date, execution_id, utc_now())
        journal = self._journal(flow, execution)
        resolved = Resolved(values=inputs)
        if parsed and not (flow.inputs or inputs):
            resolved = Resolved(values=None)
        elif parsed:
            resolved = await resolve_inputs(
                flow,
                inputs or {},
                scope_of_flow(self, journal, ended=False),
                storage=self.storage,
                execution=execution,
            )
        for secret in resolved.secrets:
            journal.masker.add(secret)
        journal.execution = replace(execution, inputs=resolved.values)
        for warning in resolved.warnings:
            journal.log(Level.WARN, warning)
        return journal

    async def begin(self, journal: Journal, reuse: Reuse | None = None) -> Execution:
        """Store a prepared execution and let it run when it may; returns it as stored first."""
        execution = journal.execution
        for task in journal.flow.tasks[:1]:
            self.runners.comes(series_of(execution.namespace, execution.flow_id, task.id))
        # It runs while it is stored: whatever others could notice comes after that.
        await journal.save(execution=execution, within_s=NEXT_S)
        self.spawn(journal, reuse)
        try:
            await journal.begun()
        except Exception:
            await self.live.abandon(execution.id)
            raise
        return execution

    def spawn(self, journal: Journal, reuse: Reuse | None = None) -> None:
        """Let an execution that is stored run when it may."""
        self.live.spawn(journal, self._group, reuse=reuse)

    async def start_failed(
        self,
        flow: Flow,
        message: str,
        *,
        labels: Sequence[Label] = (),
        trigger: TriggerCause | None = None,
        schedule_date: datetime | None = None,
        execution_id: str | None = None,
    ) -> Execution:
        """Create an execution that failed before any task, with `message` in its log."""
        execution = created(flow, labels, trigger, schedule_date, execution_id, utc_now())
        journal = self._journal(flow, execution)
        journal.log(Level.ERROR, message)
        await journal.move(State.FAILED)
        return journal.execution

    def _journal(
        self,
        flow: Flow,
        execution: Execution,
        runs: Sequence[TaskRun] = (),
        told: Execution | None = None,
    ) -> Journal:
        journal = Journal(flow, execution, self.store, runs=runs, on_state=self.on_state, told=told)
        journal.output_limit = self.settings.log_max_bytes
        for secret in secrets_of(flow, execution):
            journal.masker.add(secret)
        return journal

    async def recover(
        self, restarts: int = MAX_RESTARTS, leftovers: Leftovers | None = None
    ) -> list[str]:
        """Go on with the executions that an earlier Eyas left unfinished; gives their ids.

        Call it once, before anything is started. Waits for a date, a person or a place go on.
        What ran and was lost with that Eyas runs again, at most `restarts` times a task run
        (0: never; it is FAILED then). An execution whose flow is gone is FAILED. Containers and
        folders among the `leftovers` are gone on with; where an engine cannot be asked for them
        now, the execution waits for it.
        """
        leftovers = leftovers or Leftovers()
        found: list[str] = []
        for execution in await self.store.unfinished():
            if execution.id in self.live:
                continue
            await self._recover(execution, restarts, leftovers)
            found.append(execution.id)
        return found

    async def _recover(self, execution: Execution, restarts: int, leftovers: Leftovers) -> None:
        try:
            flow = self.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)
        except NotFound as error:
            journal = Journal(stand_in(execution), execution, self.store, on_state=self.on_state)
            journal.log(Level.ERROR, f"Cannot go on after a restart of Eyas: {error}")
            if execution.closing:
                await journal.save(execution=replace(execution, closing=False))
            else:
                await journal.move(State.FAILED)
            return
        from runner.engine.recovery import types_of

        runs = await self.store.task_runs(execution.id)
        try:
            adopted = await adopt(leftovers, execution, runs, types_of(flow), self.runners)
        except RunnerUnavailable:
            leftovers.keep_all(leftovers.intents_of(runs))
            self._group.start_soon(self._recover_later, flow, execution, restarts, leftovers)
            return
        await self._go_on(flow, execution, runs, restarts, adopted)

    async def _recover_later(
        self, flow: Flow, execution: Execution, restarts: int, leftovers: Leftovers
    ) -> None:
        """Go on with an execution as soon as the engine that has its containers answers."""
        from runner.engine.recovery import types_of

        runs = await self.store.task_runs(execution.id)
        adopted = await adopt_later(leftovers, execution, runs, types_of(flow), self.runners)
        await self._go_on(flow, execution, runs, restarts, adopted)

    async def _go_on(
        self,
        flow: Flow,
        execution: Execution,
        runs: Sequence[TaskRun],
        restarts: int,
        adopted: Adopted,
    ) -> None:
        from runner.engine.recovery import recovered

        state = recovered(flow, execution, runs, utc_now(), restarts, adopted)
        adopted.forget_lost()
        journal = self._journal(flow, state.execution, state.runs, told=execution)
        # What brings Eyas down again and again must be found in the store.
        journal.may_wait = False
        for run, text in state.messages:
            journal.log(Level.WARN, text, run)
        await self.store.discard_runs(execution.id, state.dropped)
        await journal.save(*state.runs, execution=state.execution)
        driver = self.live.spawn(journal, self._group, adopted)
        if execution.state is State.KILLING:
            await driver.end(State.KILLED, stop=True)
        self.live.let_in(flow)

    async def wait(self, execution_id: str) -> Execution:
        """The execution, as soon as it has ended (its `afterExecution` may still run)."""
        while (driver := self.live.get(execution_id)) is not None:
            if driver.journal.stored.state.is_terminal:
                return driver.journal.stored
            await driver.journal.changed.wait()
        return await self.store.execution(execution_id)

    async def wait_until_done(self, execution_id: str) -> Execution:
        """The execution, when nothing of it runs any more."""
        while (driver := self.live.get(execution_id)) is not None:
            await driver.next_pulse()
        return await self.store.execution(execution_id)

    def changed(self, execution_id: str) -> anyio.Event:
        """An event that is set at the execution's next change.

        Follow by taking the event first, reading then, and waiting for it.
        """
        driver = self.live.get(execution_id)
        return driver.journal.changed if driver else anyio.Event()

    async def flush(self, execution_id: str) -> None:
        """Have the store hold every log line and metric that there is so far."""
        driver = self.live.get(execution_id)
        if driver is not None:
            await driver.journal.flush()

    def _driver(self, execution_id: str) -> Driver:
        driver = self.live.get(execution_id)
        if driver is None or driver.journal.execution.state.is_terminal:
            raise Conflict(f"Execution '{execution_id}' is not running")
        return driver

    async def kill(self, execution_id: str, *, cascade: bool = True) -> None:
        """Kill an execution, and with `cascade` those that it started as subflows.

        Raises:
            NotFound: there is no such execution.
            Conflict: it has ended already.
        """
        await self.store.execution(execution_id)
        driver = self._driver(execution_id)
        await driver.kill(cascade=cascade)
        if cascade:
            for child in self.live.children_of(execution_id):
                await self.kill_if_running(child.id)

    async def kill_if_running(self, execution_id: str) -> None:
        """Kill an execution and its subflows, unless it has ended."""
        driver = self.live.get(execution_id)
        if driver is not None and not driver.journal.execution.state.is_terminal:
            await self.kill(execution_id)

    async def pause(self, execution_id: str) -> Execution:
        """Pause an execution: running tasks finish, nothing new starts."""
        driver = self._driver(execution_id)
        if driver.journal.execution.state is not State.RUNNING or driver.ending is not None:
            raise Conflict(f"Execution '{execution_id}' is not running")
        await driver.journal.move(State.PAUSED)
        driver.pulse()
        return driver.journal.execution

    async def resume(self, execution_id: str, inputs: Mapping[str, Any] | None = None) -> Execution:
        """Resume a paused execution, with values for the Pause task's `onResume` inputs.

        Raises:
            Conflict: it is not paused.
            InputInvalid: an `onResume` input is missing or wrong; it stays paused.
        """
        await self.store.execution(execution_id)
        driver = self._driver(execution_id)
        journal = driver.journal
        if journal.execution.state is not State.PAUSED:
            raise Conflict(f"Execution '{execution_id}' is not paused")
        paused = next((r for r in journal.runs.values() if r.state is State.PAUSED), None)
        if paused is None:
            await driver.pauses.resume_all()
        else:
            task = next(t for t in journal.flow.walk() if t.id == paused.task_id)
            given = await resume_inputs(
                journal.flow,
                task,
                inputs or {},
                scope_of_flow(self, journal, ended=False),
                storage=self.storage,
                execution=journal.execution,
            )
            driver.pauses.resume(paused, given)
        return journal.execution

    async def resume_from_breakpoint(
        self, execution_id: str, breakpoints: Sequence[Breakpoint] | None = None
    ) -> Execution:
        """Let an execution go on that has stopped before a task.

        It stops at `breakpoints` then; None: at those that it has not come to.

        Raises:
            NotFound: there is no such execution.
            Conflict: it has not stopped at a breakpoint.
        """
        await self.store.execution(execution_id)
        driver = self._driver(execution_id)
        execution = driver.journal.execution
        if execution.state is not State.BREAKPOINT or driver.ending is not None:
            raise Conflict(f"Execution '{execution_id}' has not stopped at a breakpoint")
        await driver.leave_breakpoint(breakpoints)
        return driver.journal.execution

    async def force_run(self, execution_id: str) -> Execution:
        """Let an execution run that waits for its place or its date; resume a paused one.

        Raises:
            NotFound: there is no such execution.
            Conflict: it has ended already.
        """
        await self.store.execution(execution_id)
        driver = self._driver(execution_id)
        if driver.journal.execution.state is State.PAUSED:
            return await self.resume(execution_id)
        driver.admit()
        return driver.journal.execution

    async def restart(self, execution_id: str, revision: int | None = None) -> Execution:
        """Run a failed execution again from its failed tasks, as the same execution.

        With another `revision` of the flow it becomes a new execution.

        Raises:
            Conflict: nothing in it can be restarted.
        """
        from runner.engine import restart

        execution, runs, flow = await self._stored(execution_id, revision)
        execution, runs = restart.restarted(flow, execution, runs, utc_now())
        return await self._begin_again(flow, execution, runs)

    async def replay(
        self,
        execution_id: str,
        task_run_id: str | None = None,
        revision: int | None = None,
        breakpoints: Sequence[Breakpoint] = (),
    ) -> Execution:
        """Run an execution again as a new one, from a task run on or from the start."""
        from runner.engine import restart

        execution, runs, flow = await self._stored(execution_id, revision)
        new, copies = restart.replayed(flow, execution, runs, task_run_id, utc_now())
        new = replace(new, breakpoints=tuple(breakpoints))
        await self.set_labels(execution_id, [Label("system.replayed", "true")])
        return await self._begin_again(flow, new, copies)

    async def change_state(self, execution_id: str, task_run_id: str, state: State) -> Execution:
        """Give a task run of an ended execution another state and go on from there."""
        from runner.engine import restart

        execution, runs, flow = await self._stored(execution_id, None)
        execution, runs = restart.changed(flow, execution, runs, task_run_id, state, utc_now())
        return await self._begin_again(flow, execution, runs)

    async def set_labels(self, execution_id: str, labels: Sequence[Label]) -> Execution:
        """Add labels to an execution, running or ended."""
        driver = self.live.get(execution_id)
        if driver is not None:
            await driver.add_labels(labels)
            return driver.journal.execution
        execution = await self.store.execution(execution_id)
        merged = {label.key: label for label in (*execution.labels, *labels)}
        execution = replace(execution, labels=tuple(merged.values()))
        await self.store.save(execution)
        return execution

    async def _stored(
        self, execution_id: str, revision: int | None
    ) -> tuple[Execution, list[TaskRun], Flow]:
        """An execution that has ended, or is paused: it is not driven any more then."""
        execution = await self.store.execution(execution_id)
        if execution.state is State.PAUSED:
            await self.live.abandon(execution_id)
        elif not execution.state.is_terminal:
            raise Conflict(
                "Execution must be terminated to be restarted, current state is "
                f"'{execution.state}' !"
            )
        await self.wait_until_done(execution_id)
        execution = await self.store.execution(execution_id)
        flow = self.flows.find(
            execution.namespace, execution.flow_id, revision or execution.flow_revision
        )
        refusal(flow)
        return execution, await self.store.task_runs(execution_id), flow

    async def go_on(self, flow: Flow, past: Past, reuse: Reuse) -> Execution:
        """Begin an execution with task runs of another one, whose files it shares.

        `past` is that execution, with the task runs that are kept, as they are to be found.
        """
        refusal(flow)
        old, storage = past.execution, self.storage
        new = replace(old, id=new_id(), parent_id=old.id, flow_revision=flow.revision)
        await anyio.to_thread.run_sync(storage.share_inputs, old, new)
        runs: list[TaskRun] = []
        for run in past.runs:
            await anyio.to_thread.run_sync(storage.share_run, old, new, run)
            outputs = storage.readdressed(run.outputs, old, new)
            runs.append(replace(run, execution_id=new.id, outputs=outputs))
        inputs = storage.readdressed(old.inputs, old, new)
        variables = storage.readdressed(old.variables, old, new)
        new = replace(new, inputs=inputs, variables=variables)
        return await self._begin_again(flow, new, runs, reuse)

    async def _begin_again(
        self,
        flow: Flow,
        execution: Execution,
        runs: Sequence[TaskRun],
        reuse: Reuse | None = None,
    ) -> Execution:
        kept = {run.id for run in runs}
        gone = [r.id for r in await self.store.task_runs(execution.id) if r.id not in kept]
        journal = self._journal(flow, execution, runs)
        await self.store.discard_runs(execution.id, gone)
        await journal.save(*runs, execution=execution)
        self.spawn(journal, reuse)
        return execution

    async def retry_as_new(self, journal: Journal, date: datetime) -> None:
        """Store a new execution like this one, that begins at `date`.

        It is stored at once, so that it is not lost with this process. Its id follows from the
        old one's: should we be interrupted before the old one is RETRIED, it is not made twice.
        """
        new = repeated(journal.execution, date)
        if new.id not in self.live:
            await self.begin(self._journal(journal.flow, new))

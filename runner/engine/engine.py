"""Starting executions and acting on them. Triggers, API and command line all enter here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc

from runner.engine import restart
from runner.engine.checks import refusal, run_checks
from runner.engine.context import scope_of_flow
from runner.engine.driver import Driver
from runner.engine.flows import Flows
from runner.engine.inputs import Resolved, resolve_inputs, resume_inputs
from runner.engine.journal import Journal, OnState, utc_now
from runner.engine.retry import delay
from runner.engine.sla import watch_sla
from runner.errors import Conflict
from runner.model.execution import Execution, Label, Level, TaskRun, TriggerCause, new_id
from runner.model.flow import Flow, Retry
from runner.model.state import History, State
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.base import Store
from runner.tasks.context import Child


CORRELATION = "system.correlationId"
"""Label that ties executions together that were caused by each other."""


class Engine:
    """Owns every execution that is going on; an async context manager.

    Leaving it cancels what still runs: tasks are stopped and nothing more is recorded.
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
        """Awaited after each stored change of an execution's state; set it before any starts."""
        self.settings = settings
        self.store = store
        self.flows = flows
        self.storage = storage
        self.kv = kv
        self.runners = runners
        self._live: dict[str, Driver] = {}
        self._stack = AsyncExitStack()
        self._group: anyio.abc.TaskGroup

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._group.cancel_scope.cancel()
        return await self._stack.__aexit__(kind, error, trace)

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
    ) -> Execution:
        """Create an execution of `flow` and begin it; returns it as it was stored first.

        `labels` are the caller's, which win over the flow's. `checked`: the flow's `checks` apply.
        Unless `parsed`, inputs are taken as they are given, whatever the flow declares (7.4).

        Raises:
            InputInvalid: an input is missing or wrong; nothing was created.
            Conflict: the flow is disabled, or a check forbids the execution.
            FlowInvalid: it has tasks that Eyas cannot run.
        """
        refusal(flow)
        execution = self._created(flow, labels, trigger, schedule_date, execution_id)
        journal = self._journal(flow, execution)
        resolved = Resolved(values=inputs)
        if parsed:
            resolved = await resolve_inputs(
                flow,
                inputs or {},
                scope_of_flow(self, journal, ended=False),
                storage=self.storage,
                execution=execution,
            )
        for secret in resolved.secrets:
            journal.masker.add(secret)
        journal.execution = execution = replace(execution, inputs=resolved.values)
        failed = run_checks(flow, scope_of_flow(self, journal, ended=False)) if checked else None
        if failed is not None and failed.behavior == "BLOCK_EXECUTION":
            raise Conflict(failed.message)
        for warning in resolved.warnings:
            journal.log(Level.WARN, warning)
        await journal.save(execution=execution)
        if failed is not None and failed.behavior == "FAIL_EXECUTION":
            await journal.flush()
            await journal.move(State.FAILED)
            return journal.execution
        await self._admit(journal)
        return execution

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
        execution = self._created(flow, labels, trigger, schedule_date, execution_id)
        journal = self._journal(flow, execution)
        journal.log(Level.ERROR, message)
        await journal.flush()
        await journal.move(State.FAILED)
        return journal.execution

    def _journal(self, flow: Flow, execution: Execution, runs: Sequence[TaskRun] = ()) -> Journal:
        return Journal(flow, execution, self.store, runs=runs, on_state=self.on_state)

    def _created(
        self,
        flow: Flow,
        labels: Sequence[Label],
        trigger: TriggerCause | None,
        schedule_date: datetime | None,
        execution_id: str | None,
    ) -> Execution:
        execution_id = execution_id or new_id()
        merged = {label.key: label for label in (*flow.labels, *labels)}
        merged.setdefault(CORRELATION, Label(CORRELATION, execution_id))
        now = utc_now()
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

    async def _admit(self, journal: Journal) -> None:
        """Begin a created execution, or let it wait or end by the flow's `concurrency`."""
        concurrency = journal.flow.concurrency
        if concurrency is not None and self._running(journal.flow) >= concurrency.limit:
            if concurrency.behavior == "QUEUE":
                self._live[journal.execution.id] = Driver(self, journal, self._group)
                await journal.move(State.QUEUED)
                return
            if concurrency.behavior == "FAIL":
                text = "Execution is FAILED due to concurrency limit exceeded"
                journal.log(Level.ERROR, text)
                await journal.flush()
                await journal.move(State.FAILED)
                return
            await journal.move(State.CANCELLED)
            return
        self._spawn(journal)

    def _running(self, flow: Flow) -> int:
        """How many executions of the flow hold a slot: begun, and not ended (3.9)."""
        return sum(
            1
            for driver in self._live.values()
            if (driver.journal.flow.namespace, driver.journal.flow.id) == (flow.namespace, flow.id)
            and driver.journal.execution.state is not State.QUEUED
            and not driver.journal.execution.state.is_terminal
        )

    def _spawn(self, journal: Journal) -> Driver:
        driver = Driver(self, journal, self._group)
        self._live[journal.execution.id] = driver
        self._group.start_soon(self._drive, driver, name=f"execution {journal.execution.id}")
        return driver

    async def _drive(self, driver: Driver) -> None:
        """Run one execution to its very end; a bug in it must not take the others down."""
        journal = driver.journal
        try:
            async with anyio.create_task_group() as aside:
                aside.start_soon(journal.keep_flushing, name="flush")
                if journal.flow.sla:
                    aside.start_soon(watch_sla, driver, name="sla")
                async with anyio.create_task_group() as group:
                    driver.group = group
                    await driver.drive()
                    await self._pop_queue(journal.flow)
                    await driver.run_after_execution()
                aside.cancel_scope.cancel()
            await journal.flush()
        except Exception:  # a bug of ours: the daemon lives on, and says so
            import structlog  # 50 ms that a run without bugs does not need

            structlog.get_logger().exception("execution.crashed", execution=journal.execution.id)
            journal.log(Level.ERROR, "Internal error: see Eyas's own log")
            await journal.flush()
            await journal.move(State.FAILED)
        finally:
            self._live.pop(journal.execution.id, None)
            driver.pulse()

    async def _pop_queue(self, flow: Flow) -> None:
        """Begin the oldest queued execution of the flow, if there is a slot."""
        if flow.concurrency is None:
            return
        for driver in list(self._live.values()):
            waiting = driver.journal
            if (
                waiting.execution.state is State.QUEUED
                and (waiting.flow.namespace, waiting.flow.id) == (flow.namespace, flow.id)
                and self._running(flow) < flow.concurrency.limit
            ):
                self._spawn(waiting)
                await waiting.move(State.RUNNING)
                return

    async def wait(self, execution_id: str) -> Execution:
        """The execution, as soon as it has ended (its `afterExecution` may still run)."""
        while (driver := self._live.get(execution_id)) is not None:
            if driver.journal.execution.state.is_terminal:
                return driver.journal.execution
            await driver.journal.changed.wait()
        return await self.store.execution(execution_id)

    async def wait_until_done(self, execution_id: str) -> Execution:
        """The execution, when nothing of it runs any more."""
        while (driver := self._live.get(execution_id)) is not None:
            await driver.next_pulse()
        return await self.store.execution(execution_id)

    def changed(self, execution_id: str) -> anyio.Event:
        """An event that is set at the execution's next change.

        Follow by taking the event first, reading then, and waiting for it.
        """
        driver = self._live.get(execution_id)
        return driver.journal.changed if driver else anyio.Event()

    def _driver(self, execution_id: str) -> Driver:
        driver = self._live.get(execution_id)
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
        if driver.journal.execution.state is State.QUEUED:
            await driver.journal.move(State.KILLED)
            self._live.pop(execution_id, None)
            return
        if cascade:
            for child in list(self._live.values()):
                cause = child.journal.execution.trigger
                if cause and cause.variables.get("executionId") == execution_id:
                    await child.kill()
        await driver.kill()

    async def pause(self, execution_id: str) -> Execution:
        """Pause an execution: running tasks finish, nothing new starts."""
        driver = self._driver(execution_id)
        if driver.journal.execution.state is not State.RUNNING:
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
            await driver.resume_all()
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
            driver.resume(paused, given)
        return journal.execution

    async def restart(self, execution_id: str, revision: int | None = None) -> Execution:
        """Run a failed execution again from its failed tasks, as the same execution.

        Raises:
            Conflict: nothing in it can be restarted.
        """
        execution, runs, flow = await self._stored(execution_id, revision)
        execution, runs = restart.restarted(flow, execution, runs, utc_now())
        return await self._begin_again(flow, execution, runs)

    async def replay(
        self, execution_id: str, task_run_id: str | None = None, revision: int | None = None
    ) -> Execution:
        """Run an execution again as a new one, from a task run on or from the start."""
        execution, runs, flow = await self._stored(execution_id, revision)
        new, copies = restart.replayed(flow, execution, runs, task_run_id, utc_now())
        replayed = Label("system.replayed", "true")
        await self.store.save(replace(execution, labels=(*execution.labels, replayed)))
        return await self._begin_again(flow, new, copies)

    async def change_state(self, execution_id: str, task_run_id: str, state: State) -> Execution:
        """Give a task run of an ended execution another state and go on from there."""
        execution, runs, flow = await self._stored(execution_id, None)
        execution, runs = restart.changed(flow, execution, runs, task_run_id, state, utc_now())
        return await self._begin_again(flow, execution, runs)

    async def set_labels(self, execution_id: str, labels: Sequence[Label]) -> Execution:
        """Add labels to an execution, running or ended."""
        driver = self._live.get(execution_id)
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
        execution = await self.store.execution(execution_id)
        if execution_id in self._live:
            await self.wait_until_done(execution_id)
            execution = await self.store.execution(execution_id)
        flow = self.flows.find(
            execution.namespace, execution.flow_id, revision or execution.flow_revision
        )
        return execution, await self.store.task_runs(execution_id), flow

    async def _begin_again(
        self, flow: Flow, execution: Execution, runs: Sequence[TaskRun]
    ) -> Execution:
        kept = {run.id for run in runs}
        gone = [r.id for r in await self.store.task_runs(execution.id) if r.id not in kept]
        journal = self._journal(flow, execution, runs)
        await self.store.discard_runs(execution.id, gone)
        await journal.save(*runs, execution=execution)
        self._spawn(journal)
        return execution

    async def start_child(self, child: Child, parent: Journal, run: TaskRun) -> Execution:
        """Start the execution that a task asks for, caused by that task's run."""
        flow = self.flows.find(child.namespace, child.flow_id, child.revision)
        if flow.disabled:
            raise Conflict("Cannot execute a flow which is disabled")
        above = parent.execution.labels
        inherited = [
            label for label in above if child.inherit_labels or label.key.startswith("system.")
        ]
        own = {label.key: label for label in (*inherited, *flow.labels, *child.labels)}
        task = next((t for t in parent.flow.walk() if t.id == run.task_id), None)
        cause = TriggerCause(
            id=run.task_id,
            type=task.type if task else "io.kestra.plugin.core.flow.ForEachItem",
            variables={
                "executionId": parent.execution.id,
                "namespace": parent.execution.namespace,
                "flowId": parent.execution.flow_id,
                "flowRevision": parent.execution.flow_revision,
                "taskRunId": run.id,
                "taskId": run.task_id,
                **(child.variables or {}),
            },
        )
        return await self.start(
            flow,
            inputs=child.inputs,
            labels=tuple(own.values()),
            trigger=cause,
            schedule_date=child.schedule_date,
            checked=False,
        )

    def next_execution(self, policy: Retry, journal: Journal) -> datetime | None:
        """When to retry an execution as a new one; None if the policy is used up."""
        execution = journal.execution
        if policy.max_attempts is not None and execution.attempt_number >= policy.max_attempts:
            return None
        date = journal.now() + delay(policy, execution.attempt_number)
        created = execution.original_created or execution.history.start
        if policy.max_duration is not None and date > created + policy.max_duration:
            return None
        return date

    def retry_as_new(self, journal: Journal, date: datetime) -> None:
        """Begin a new execution like this one at `date`."""
        old = journal.execution
        new = Execution(
            id=new_id(),
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
        self._group.start_soon(self._begin_at, journal.flow, new, date, name=f"retry {new.id}")

    async def _begin_at(self, flow: Flow, execution: Execution, date: datetime) -> None:
        await anyio.sleep(max((date - utc_now()).total_seconds(), 0))
        journal = self._journal(flow, execution)
        await journal.save(execution=execution)
        await self._admit(journal)

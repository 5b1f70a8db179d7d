"""The executions that are going on, and which of them may run: `concurrency` (flow-model 3.9)."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from runner.engine.adoption import Adopted
from runner.engine.driver import Driver
from runner.engine.journal import Journal
from runner.model.execution import Execution, Level
from runner.model.flow import Flow
from runner.model.state import State

if TYPE_CHECKING:
    from runner.engine.engine import Engine
    from runner.engine.reuse import Reuse


class Live:
    """The drivers of all executions that have not come to their very end, oldest first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._drivers: dict[str, Driver] = {}

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._drivers

    def get(self, execution_id: str) -> Driver | None:
        """The driver of an execution; None if nothing of it runs."""
        return self._drivers.get(execution_id)

    def children_of(self, execution_id: str) -> list[Execution]:
        """The live executions that tasks of another one started."""
        return [
            execution
            for execution in (driver.journal.execution for driver in self._drivers.values())
            if execution.trigger is not None
            and execution.trigger.variables.get("executionId") == execution_id
            and "taskRunId" in execution.trigger.variables
        ]

    def spawn(
        self,
        journal: Journal,
        group: anyio.abc.TaskGroup,
        adopted: Adopted | None = None,
        reuse: Reuse | None = None,
    ) -> Driver:
        """Drive an execution in `group`, with what an earlier Eyas or execution has done."""
        driver = Driver(self._engine, journal, adopted, reuse)
        self._drivers[journal.execution.id] = driver
        group.start_soon(self._drive, driver, name=f"execution {journal.execution.id}")
        return driver

    async def abandon(self, execution_id: str) -> None:
        """Stop driving an execution without ending it."""
        driver = self._drivers.get(execution_id)
        if driver is not None:
            driver.whole.cancel()
            await self._gone(driver)

    async def _gone(self, driver: Driver) -> None:
        while driver.journal.execution.id in self._drivers:
            await driver.next_pulse()

    async def enter(self, driver: Driver) -> None:
        """Give a created execution its place, or let it wait or end as `concurrency` says."""
        journal = driver.journal
        concurrency = journal.flow.concurrency
        if driver.admitted or concurrency is None or self._has_place(journal):
            driver.admit()
        elif concurrency.behavior == "QUEUE":
            await journal.move(State.QUEUED)
        elif concurrency.behavior == "FAIL":
            journal.log(Level.ERROR, "Execution is FAILED due to concurrency limit exceeded")
            await driver.end(State.FAILED, stop=False)
        else:
            await driver.end(State.CANCELLED, stop=False)

    def _has_place(self, journal: Journal) -> bool:
        concurrency = journal.flow.concurrency
        if journal.execution.state is State.QUEUED or concurrency is None:
            return False  # those that wait are let in by their age
        return self._running(journal.flow) < concurrency.limit

    def _of(self, flow: Flow) -> Iterator[Driver]:
        for driver in self._drivers.values():
            other = driver.journal.flow
            if (other.namespace, other.id) == (flow.namespace, flow.id):
                yield driver

    def _running(self, flow: Flow) -> int:
        """How many executions of the flow hold a place: let in, and not ended."""
        return sum(
            driver.admitted and not driver.journal.execution.state.is_terminal
            for driver in self._of(flow)
        )

    def let_in(self, flow: Flow) -> None:
        """Give the places of the flow that are free to the executions that wait longest."""
        if flow.concurrency is None:
            return
        free = flow.concurrency.limit - self._running(flow)
        for driver in self._of(flow):
            if free <= 0:
                return
            waits = driver.journal.execution.state is State.QUEUED and not driver.admitted
            if waits and driver.ending is None:
                driver.admit()
                free -= 1

    async def _drive(self, driver: Driver) -> None:
        """Run one execution to its very end; a bug in it must not take the others down."""
        journal = driver.journal
        try:
            async with anyio.create_task_group() as aside:
                driver.whole = aside.cancel_scope
                aside.start_soon(journal.keep_flushing, name="flush")
                if journal.flow.sla:
                    aside.start_soon(driver.promises.watch, name="sla")
                async with anyio.create_task_group() as group:
                    driver.group = group
                    began = await driver.drive()
                    self.let_in(journal.flow)
                    if began:
                        await driver.run_after_execution()
                aside.cancel_scope.cancel()
            await journal.flush()
        except Exception:  # noqa: BLE001 # a bug of ours, or a broken disk: the daemon lives on
            import structlog

            # The plain trace: a pretty one shows the values of variables, secrets among them.
            trace = traceback.format_exc()
            # Without a daemon nobody has said where logs go, and stdout is the run's own.
            own = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
            log = structlog.get_logger() if structlog.is_configured() else own
            log.error("execution.crashed", execution=journal.execution.id, trace=trace)  # noqa: TRY400 # the trace is given
            with suppress(Exception):  # the store may be what is broken
                journal.log(Level.ERROR, "Internal error of Eyas: see its own log")
                await journal.flush()
                await journal.move(State.FAILED, closing=False)
        finally:
            self._drivers.pop(journal.execution.id, None)
            self._engine.runners.forget(journal.execution.id)
            self.let_in(journal.flow)
            driver.pulse()

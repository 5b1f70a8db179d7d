"""Watching the promises of a flow about its executions (flow-model 3.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio

from runner.engine.complaints import cause_of, hint_of
from runner.engine.context import scope_of_flow
from runner.errors import RenderFailed
from runner.expr import is_truthy, render
from runner.model.convert import duration_text
from runner.model.execution import Level
from runner.model.flow import Sla
from runner.model.state import State

if TYPE_CHECKING:
    from runner.engine.driver import Driver


_FINE = (State.SUCCESS, State.WARNING)


class Promises:
    """The SLAs of one execution; each that is broken is acted on once."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._open = {sla.id: sla for sla in driver.journal.flow.sla}
        self._ignored: set[str] = set()

    async def check(self) -> None:
        """Act on assertions that do not hold as the execution stands.

        Nothing starts before this was asked: Kestra looks at each change before it goes on.
        """
        if not self._is_over:
            assertions = [sla for sla in self._open.values() if sla.duration is None]
            broken = [sla for sla in assertions if not self._holds(sla)]
            await self._act({sla.id: f"assertion is false: {sla.assertion}." for sla in broken})

    async def watch(self) -> None:
        """Check at each change and when time is up, until all is broken or over."""
        journal = self._driver.journal
        while self._open and not self._is_over:
            changed = journal.changed
            await self.check()
            passed = journal.now() - journal.execution.history.start
            for sla in list(self._open.values()):
                if sla.duration is not None and passed >= sla.duration and not self._is_over:
                    limit = duration_text(sla.duration)
                    text = f"execution duration of {duration_text(passed)} exceed the maximum "
                    await self._act({sla.id: f"{text}duration of {limit}."})
            with anyio.move_on_after(self._left()):
                await changed.wait()

    @property
    def _is_over(self) -> bool:
        return self._driver.ending is not None or self._driver.journal.execution.state.is_terminal

    def _left(self) -> float | None:
        """Seconds until the next duration is over; None if there is none."""
        journal = self._driver.journal
        durations = [sla.duration for sla in self._open.values() if sla.duration is not None]
        ends = [journal.execution.history.start + duration for duration in durations]
        return min(((end - journal.now()).total_seconds() for end in ends), default=None)

    def _holds(self, sla: Sla) -> bool:
        journal = self._driver.journal
        try:
            scope = scope_of_flow(self._driver.engine, journal, ended=False)
            return is_truthy(render(sla.assertion or "", scope))
        except RenderFailed as error:
            if sla.id not in self._ignored:
                self._ignored.add(sla.id)
                text = f"Ignoring SLA '{sla.id}' because of the error: {cause_of(error)}"
                journal.log(Level.ERROR, text)
                if hint := hint_of(error):
                    journal.log(Level.DEBUG, hint)
            return True

    async def _act(self, reasons: Mapping[str, str]) -> None:
        """Tell of broken promises; only the first changes the execution."""
        journal = self._driver.journal
        broken = [self._open.pop(name) for name in reasons]
        texts = [f"SLA '{name}' violated: {reason}" for name, reason in reasons.items()]
        for text in texts:
            journal.log(Level.WARN, text)
        if broken:
            await _change(self._driver, broken[0], texts[0])


async def _change(driver: Driver, sla: Sla, text: str) -> None:
    journal = driver.journal
    if sla.behavior == "FAIL":
        journal.log(Level.ERROR, f"Execution failed due to {text}")
    if sla.labels:
        await driver.add_labels(sla.labels)
    if sla.behavior == "NONE":
        return
    state = State.FAILED if sla.behavior == "FAIL" else State.CANCELLED
    last = next(iter([*journal.runs.values()][-1:]), None)
    if last is not None and last.state in _FINE:
        # Kestra gives the last task run the state even if it has ended (flow-model 3.10).
        await journal.move_run(last.id, state, attempt=False)
    await driver.end(state, stop=True)

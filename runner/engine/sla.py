"""Watching the promises of a flow about its executions (flow-model 3.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

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


async def watch_sla(driver: Driver) -> None:
    """Act on the first promise that is broken; returns when one was, or the execution ended."""
    journal = driver.journal
    while not journal.execution.state.is_terminal:
        changed = journal.changed
        for sla in journal.flow.sla:
            reason = _violation(driver, sla)
            if reason is not None:
                await _act(driver, sla, reason)
                return
        dates = [
            journal.execution.history.start + sla.duration
            for sla in journal.flow.sla
            if sla.duration is not None
        ]
        left = min((date - journal.now()).total_seconds() for date in dates) if dates else None
        with anyio.move_on_after(left):
            await changed.wait()


def _violation(driver: Driver, sla: Sla) -> str | None:
    journal = driver.journal
    if sla.duration is not None:
        passed = journal.now() - journal.execution.history.start
        if passed < sla.duration:
            return None
        return (
            f"execution duration of {duration_text(passed)} exceed the maximum duration of "
            f"{duration_text(sla.duration)}."
        )
    assertion = sla.assertion or ""
    try:
        holds = is_truthy(render(assertion, scope_of_flow(driver.engine, journal, ended=False)))
    except RenderFailed:
        holds = False
    return None if holds else f"assertion is false: {assertion}."


async def _act(driver: Driver, sla: Sla, reason: str) -> None:
    journal = driver.journal
    text = f"SLA '{sla.id}' violated: {reason}"
    journal.log(Level.WARN, text)
    if sla.behavior == "FAIL":
        journal.log(Level.ERROR, f"Execution failed due to {text}")
    if sla.labels:
        await driver.add_labels(sla.labels)
    if sla.behavior == "NONE":
        return
    state = State.FAILED if sla.behavior == "FAIL" else State.CANCELLED
    last = next(iter([*journal.runs.values()][-1:]), None)
    if state is State.FAILED and last is not None and last.state in _FINE:
        # Kestra makes the last task run FAILED even if it has ended (flow-model 3.10).
        await journal.move_run(last.id, State.FAILED)
    await driver.end(state, stop=True)

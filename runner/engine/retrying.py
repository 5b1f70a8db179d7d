"""Waiting for the next attempt of a task, or making a new execution of it (flow-model 3.6)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from runner.engine.frame import Frame
from runner.engine.retry import next_execution, next_try
from runner.model.execution import TaskRun
from runner.model.flow import Retry, Task
from runner.model.state import State
from runner.tasks.registry import Kind, Registered

if TYPE_CHECKING:
    from runner.engine.driver import Driver


def policy_of(driver: Driver, frame: Frame, task: Task, registered: Registered) -> Retry | None:
    """The retry that counts for a task: its own, that of a flowable around it, the flow's."""
    if registered.kind is Kind.UPDATING:
        return None
    policy = task.retry or frame.inherited_retry() or driver.journal.flow.retry
    if policy is not None and policy.behavior == "CREATE_NEW_EXECUTION" and frame.is_after:
        return None  # the execution has ended already
    return policy


def next_date(driver: Driver, policy: Retry, run: TaskRun) -> datetime | None:
    """When the failed attempt is followed by another one; None if it was the last."""
    if policy.behavior == "CREATE_NEW_EXECUTION":
        return next_execution(policy, driver.journal.execution, driver.journal.now())
    return next_try(policy, len(run.attempts), driver.journal.now(), began(run))


def began(run: TaskRun) -> datetime:
    """When the first attempt of a run began."""
    return run.attempts[0].history.start if run.attempts else run.history.start


async def show_retrying(driver: Driver, frame: Frame, task: Task) -> None:
    """Record that the execution waits for a retry, unless it waits for one already."""
    journal = driver.journal
    if driver.retrying == 0 and journal.execution.state is State.RUNNING:
        # A root task's retry passes through FAILED (flow-model 3.6, Histories).
        own = frame.run is None and task.retry is not None
        passes = own or _was_all(driver, frame)
        await journal.move(*([State.FAILED] if passes else []), State.RETRYING)


def _was_all(driver: Driver, frame: Frame) -> bool:
    """Whether nothing would be left to do after a failure: neither `errors` nor `finally`."""
    flow = driver.journal.flow
    return frame.run is None and not flow.errors and not flow.finally_


async def wait_for_retry(
    driver: Driver, frame: Frame, run: TaskRun, date: datetime
) -> TaskRun | None:
    """Wait for the next attempt; the ended run if there is to be none after all."""
    journal = driver.journal
    driver.retrying += 1
    alive = await driver.wait_until(date, frame)
    driver.retrying -= 1
    if driver.retrying == 0 and driver.ending is None and journal.execution.state is State.RETRYING:
        await journal.move(State.RUNNING)
    if alive and await driver.may_start(frame):
        await journal.move_run(run.id, State.CREATED, attempt=False)
        return None
    # A sibling's failure has closed the level: the failure stands. Otherwise it was a kill.
    state = State.FAILED if driver.ending is None else State.KILLED
    return await journal.move_run(run.id, state, attempt=False)


async def retry_as_new(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, date: datetime
) -> None:
    """End the execution RETRIED; a new one of the same kind starts at `date`."""
    journal = driver.journal
    await driver.engine.retry_as_new(journal, date)
    await journal.save(run.moved(State.RETRIED, journal.now()))
    own = frame.run is None and task.retry is not None
    before = (State.FAILED,) if own or _was_all(driver, frame) else ()
    await driver.end(State.RETRIED, stop=False, from_=frame, before=before)

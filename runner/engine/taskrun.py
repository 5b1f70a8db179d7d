"""Running one task: conditions, attempts, retries and the ending."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import anyio

from runner.engine.context import Context
from runner.engine.endings import guess, softened
from runner.engine.frame import Frame
from runner.engine.retry import next_try
from runner.errors import RunnerError, TaskTimedOut
from runner.expr import is_truthy
from runner.model.execution import Attempt, Level, Outputs, TaskRun, new_id
from runner.model.flow import Task
from runner.model.state import History, State
from runner.tasks.context import Result
from runner.tasks.modules import load
from runner.tasks.registry import Kind, Registered

if TYPE_CHECKING:
    from runner.engine.driver import Driver

T = TypeVar("T")


async def run_task(
    driver: Driver,
    frame: Frame,
    task: Task,
    *,
    value: str | None = None,
    iteration: int | None = None,
) -> TaskRun | None:
    """Run `task` once in `frame`, retries included, and return its ended run.

    Returns None when the execution was retried as a new one or ended meanwhile.
    """
    run = driver.earlier(frame, task, value)
    if run is not None and run.state.is_terminal:
        return run
    registered = load(task.type)
    if run is None:
        run = _created(driver, frame, task, value, iteration)
        checked = await _may_run(driver, frame, task, run, registered)
        if checked.state.is_terminal:
            return checked
    if registered is None:
        # Loading refuses such a flow, unless the task was thought not to run.
        return await _refuse(driver, run, f"Task type '{task.type}' is not supported by Eyas")
    if registered.kind is Kind.FLOWABLE:
        return await _run_flowable(driver, frame, task, run, registered)
    return await _run_attempts(driver, frame, task, run, registered)


def _created(
    driver: Driver, frame: Frame, task: Task, value: str | None, iteration: int | None
) -> TaskRun:
    execution = driver.journal.execution
    return TaskRun(
        id=new_id(),
        execution_id=execution.id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        task_id=task.id,
        history=History.begin(State.CREATED, driver.journal.now()),
        parent_id=frame.run_id,
        value=value,
        iteration=iteration,
    )


async def _may_run(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, registered: Registered | None
) -> TaskRun:
    """The run as it stands after its `runIf`: SKIPPED or FAILED, or still CREATED."""
    if task.run_if == "true":
        return run
    journal = driver.journal
    journal.runs[run.id] = run
    context = Context(driver, frame, task, run.id)
    try:
        wanted = is_truthy((await context.render(task.run_if) or "").strip())
    except RunnerError as error:
        text = f"Failed to evaluate the runIf condition for task {task.id}. Cause: {error}"
        return await _refuse(driver, run, text)
    if wanted:
        return run
    skipped = journal.begin_attempt(run, State.SKIPPED).moved(State.SKIPPED, journal.now())
    if registered is not None and registered.skipped is not None:
        skipped = replace(skipped, outputs=await registered.skipped(context))
    await journal.save(skipped)
    return skipped


async def _refuse(driver: Driver, run: TaskRun, text: str) -> TaskRun:
    """The run, FAILED before any attempt."""
    driver.journal.runs[run.id] = run
    driver.journal.log(Level.ERROR, text, run)
    await driver.journal.flush()
    failed = run.moved(State.FAILED, driver.journal.now())
    await driver.journal.save(failed)
    return failed


async def _run_flowable(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, registered: Registered
) -> TaskRun:
    journal = driver.journal
    if run.state is State.CREATED:
        run = journal.begin_attempt(run).moved(State.RUNNING, journal.now())
        await journal.save(run)
    inner = Frame(parent=frame, task=task, run=run, shared_dir=frame.shared_dir)
    context = Context(driver, inner, task, run.id)
    result: Result | None = None

    async def work() -> None:
        nonlocal result
        result = await registered.work(context)

    try:
        await driver.run_level(inner, work, task.children("errors"), task.children("finally"))
    except RunnerError as error:
        # Its own errors do not run, those around it do (flow-model 4.2).
        journal.log(Level.ERROR, f"Unable to resolve state from the Flowable task: {error}", run)
        await journal.flush()
        result = Result(state=State.FAILED)
    if journal.runs[run.id].state.is_terminal:
        return journal.runs[run.id]
    state = result.state if result is not None else None
    if state is None:
        state = guess(each.state for each in driver.main_runs(inner))
    if driver.ending is State.KILLED and not driver.after_end:
        state = State.KILLED
    if result is not None and result.outputs is not None:
        await context.set_outputs(result.outputs)
    state = softened(state, task)
    await _close_below(driver, run, state)
    return await journal.move_run(run.id, state)


async def _close_below(driver: Driver, run: TaskRun, state: State) -> None:
    """Flowables still open below a run that ends are ended with it (flow-model 4.3)."""
    journal = driver.journal
    for child in journal.children(run.id):
        if not child.state.is_terminal and journal.children(child.id):
            await _close_below(driver, child, state)
            await journal.move_run(child.id, state, attempt=False)


async def _run_attempts(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, registered: Registered
) -> TaskRun | None:
    """Try the task until it succeeds or its retry policy is used up."""
    journal = driver.journal
    policy = task.retry or frame.inherited_retry() or journal.flow.retry
    submitted = registered.kind is Kind.RUNNABLE and frame.shared_dir is None
    while True:
        state, outputs = await _attempt(driver, frame, task, run, registered, submitted=submitted)
        run = journal.runs[run.id]
        date = None
        if state is State.FAILED and policy is not None and driver.ending is None:
            if policy.behavior == "CREATE_NEW_EXECUTION":
                date = driver.engine.next_execution(policy, journal)
            else:
                first = run.attempts[0].history.start
                date = next_try(policy, len(run.attempts), journal.now(), first)
        if date is None:
            return await _ended(driver, task, run, state, outputs)
        if policy is not None and policy.behavior == "CREATE_NEW_EXECUTION":
            await _retry_as_new(driver, frame, run, date)
            return None
        alive = await _wait_for_retry(driver, frame, task, run, outputs, date)
        if not alive:
            return await journal.move_run(run.id, State.KILLED, attempt=False)
        run = journal.runs[run.id]


async def _ended(
    driver: Driver, task: Task, run: TaskRun, state: State, outputs: Outputs | None
) -> TaskRun:
    policy = task.retry
    final = state
    if state is State.SUCCESS and len(run.attempts) > 1 and policy and policy.warning_on_retry:
        final = State.WARNING
    final = softened(final, task)
    await driver.journal.flush()
    ended = _attempt_ended(run, state, driver)
    ended = replace(ended.moved(final, driver.journal.now()), outputs=outputs)
    await driver.journal.save(ended)
    return ended


def _attempt_ended(run: TaskRun, state: State, driver: Driver) -> TaskRun:
    if not run.attempts:
        return run
    last = Attempt(history=run.attempts[-1].history.moved(state, driver.journal.now()))
    return replace(run, attempts=(*run.attempts[:-1], last))


async def _wait_for_retry(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, outputs: Outputs | None, date: datetime
) -> bool:
    """Record the failed attempt, wait for the next one; False if the execution ends before."""
    journal = driver.journal
    failed = _attempt_ended(run, State.FAILED, driver)
    now = journal.now()
    failed = replace(failed.moved(State.FAILED, now).moved(State.RETRYING, now), outputs=outputs)
    await journal.flush()
    await journal.save(failed)
    if driver.retrying == 0:
        # A root task's own retry passes through FAILED (flow-model 3.6, Histories).
        if frame.run is None and task.retry is not None:
            await journal.move(State.FAILED)
        await journal.move(State.RETRYING)
    driver.retrying += 1
    alive = await driver.wait_until(date)
    driver.retrying -= 1
    if not alive:
        return False
    await journal.move_run(run.id, State.CREATED, attempt=False)
    if driver.retrying == 0 and journal.execution.state is State.RETRYING:
        await journal.move(State.RUNNING)
    return True


async def _retry_as_new(driver: Driver, frame: Frame, run: TaskRun, date: datetime) -> None:
    """End the execution RETRIED; a new one of the same kind starts at `date`."""
    journal = driver.journal
    failed = _attempt_ended(run, State.FAILED, driver)
    now = journal.now()
    await journal.flush()
    await journal.save(failed.moved(State.FAILED, now).moved(State.RETRIED, now))
    if frame.run is None:
        await journal.move(State.FAILED)
    driver.engine.retry_as_new(journal, date)
    await driver.end(State.RETRIED, stop=False, from_=frame)


async def _attempt(
    driver: Driver,
    frame: Frame,
    task: Task,
    run: TaskRun,
    registered: Registered,
    *,
    submitted: bool,
) -> tuple[State, Outputs | None]:
    """Make one attempt; returns the state the attempt ended in, and its outputs."""
    journal = driver.journal
    now = journal.now()
    if submitted:
        run = run.moved(State.SUBMITTED, now)
    if registered.kind is Kind.RUNNABLE:
        await journal.save(journal.begin_attempt(run.moved(State.RUNNING, now)))
    else:
        # Kestra's executor runs these; one that fails at once never was RUNNING (3.1).
        await journal.save(journal.begin_attempt(run, State.CREATED))
    context = Context(driver, frame, task, run.id)
    outputs: Outputs | None = {}
    state = State.SUCCESS
    with anyio.CancelScope() as scope:
        driver.scopes[run.id] = scope
        try:
            result = await within(await context.timeout(), lambda: registered.work(context))
            if result is not None:
                outputs, state = result.outputs, result.state or State.SUCCESS
            await context.begin()
        except RunnerError as error:
            context.log(Level.ERROR, str(error))
            outputs = getattr(error, "outputs", {})
            state = State.FAILED
        except Exception as error:  # noqa: BLE001 # a bug of ours must not end the daemon
            context.log(Level.ERROR, f"Internal error: {error!r}")
            context.log(Level.DEBUG, traceback.format_exc())
            state = State.FAILED
        finally:
            driver.scopes.pop(run.id, None)
    if scope.cancelled_caught:
        return State.KILLED, {}
    return state, outputs


async def within(limit: timedelta | None, work: Callable[[], Awaitable[T]]) -> T:
    """Await `work()`; raise `TaskTimedOut` if `limit` (None: no limit) passes first."""
    if limit is None:
        return await work()
    with anyio.move_on_after(limit.total_seconds()):
        return await work()
    raise TaskTimedOut(limit)

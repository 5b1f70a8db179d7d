"""Running one task: conditions, attempts, retries and the ending."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import anyio

from runner.engine.adoption import remaining
from runner.engine.complaints import cause_of, complaint
from runner.engine.context import Context
from runner.engine.frame import Frame, Trail
from runner.engine.journal import FLUSH_INTERVAL_S, NEXT_S
from runner.engine.retry import next_try
from runner.engine.retrying import (
    began,
    next_date,
    policy_of,
    retry_as_new,
    show_retrying,
    wait_for_retry,
)
from runner.engine.task_cache import cached
from runner.errors import NotDecided, RunnerError, TaskFailed, TaskTimedOut
from runner.expr import is_truthy
from runner.model.execution import Attempt, Level, Outputs, TaskRun
from runner.model.flow import Task
from runner.model.state import History, State
from runner.tasks.context import Result
from runner.tasks.endings import guess, softened
from runner.tasks.modules import load
from runner.tasks.registry import Kind, Registered

if TYPE_CHECKING:
    from runner.engine.driver import Driver

T = TypeVar("T")


async def run_task(
    driver: Driver,
    frame: Frame,
    task: Task,
    trail: Trail,
    *,
    value: str | None = None,
    iteration: int | None = None,
) -> TaskRun | None:
    """Run `task` once in `frame`, retries included, and return its ended run.

    `trail` is what came before it. Returns None when the execution was retried as a new one
    meanwhile.
    """
    run = driver.earlier(frame, task, value)
    if run is not None and run.state.is_terminal:
        return run
    registered = load(task.type)
    if run is None:
        run = driver.journal.new_run(task, frame.run_id, value=value, iteration=iteration)
        driver.journal.add(run)
    # Who restarts an execution has it decided anew whether a task is to run.
    if run.state in (State.CREATED, State.RESTARTED):
        run = await _may_run(driver, frame, task, run, registered)
        if run.state.is_terminal:
            return run
    if registered is None:
        # Loading refuses such a flow, unless the task was thought not to run.
        return await _refuse(driver, run, f"Task type '{task.type}' is not supported by Eyas")
    if registered.kind is Kind.FLOWABLE:
        return await _run_flowable(driver, frame, task, trail, run, registered)
    if driver.reuse is not None:
        context = Context(driver, frame, task, run.id)
        taken = await driver.reuse.taken(driver.journal, context, frame, trail)
        if taken is not None:
            return taken
        run = driver.journal.runs[run.id]
    if registered.kind is Kind.RUNNABLE:
        run = await driver.pass_breakpoint(frame, run)
        if run.state is State.BREAKPOINT:
            return await driver.journal.move_run(run.id, driver.ending or State.KILLED)
    return await _run_attempts(driver, frame, task, run, registered)


async def _may_run(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, registered: Registered | None
) -> TaskRun:
    """The run as it stands after its `runIf`: SKIPPED or FAILED, or still CREATED."""
    if task.run_if == "true":
        return run
    journal = driver.journal
    context = Context(driver, frame, task, run.id)
    try:
        wanted = is_truthy((await context.render(task.run_if) or "").strip())
        if wanted:
            return run
    except RunnerError as error:
        if frame.shared_dir is not None:
            context.complain(error, "Failed evaluating runIf: ")
            await journal.discard([run.id])
            raise NotDecided from error
        text = f"Failed to evaluate the runIf condition for task {task.id}. Cause: "
        if registered is not None and registered.kind in (Kind.UPDATING, Kind.STARTING):
            # What Kestra's executor runs itself fails as a try of it.
            run = journal.begin_attempt(run, State.FAILED)
        return await _refuse(driver, run, text + complaint(error))
    skipped = journal.begin_attempt(run, State.SKIPPED).moved(State.SKIPPED, journal.now())
    if registered is not None and registered.skipped is not None:
        # What cannot be rendered gives no outputs, and is no failure.
        with suppress(RunnerError):
            skipped = replace(skipped, outputs=await registered.skipped(context))
    if skipped.outputs is None and _shows_when_skipped(frame, registered):
        skipped = replace(skipped, outputs={})
    await journal.save(skipped)
    return skipped


def _shows_when_skipped(frame: Frame, registered: Registered | None) -> bool:
    """Whether `outputs.<id>` is there although the task was skipped (flow-model 6.2)."""
    flowable = registered is not None and registered.kind is Kind.FLOWABLE
    return flowable or frame.shared_dir is not None


async def _refuse(driver: Driver, run: TaskRun, text: str) -> TaskRun:
    """The run, FAILED before any attempt."""
    driver.journal.log(Level.ERROR, text, run)
    failed = replace(run.moved(State.FAILED, driver.journal.now()), outputs={})
    await driver.journal.save(failed)
    return failed


async def guarded(context: Context, work: Callable[[], Awaitable[T]]) -> T:
    """Await the work of a task; a bug in it fails the task instead of the daemon.

    Raises:
        RunnerError: the task failed.
    """
    try:
        return await work()
    except RunnerError:
        raise
    except Exception as error:
        context.log(Level.DEBUG, traceback.format_exc())
        raise TaskFailed(f"Internal error of Eyas: {error!r}") from error


async def _run_flowable(
    driver: Driver, frame: Frame, task: Task, trail: Trail, run: TaskRun, registered: Registered
) -> TaskRun:
    try:
        return await _run_level(driver, frame, task, trail, run, registered)
    finally:
        await driver.leave(run.id)


async def _run_level(
    driver: Driver, frame: Frame, task: Task, trail: Trail, run: TaskRun, registered: Registered
) -> TaskRun:
    journal = driver.journal
    if run.state in (State.CREATED, State.RESTARTED):
        # A WorkingDirectory that is run again has one attempt, too.
        run = journal.begin_attempt(replace(run, attempts=()))
        run = replace(run.moved(State.RUNNING, journal.now()), outputs=run.outputs or {})
        await journal.save(run, within_s=_begins_within_s(registered))
    inner = Frame(frame, task, run, frame.shared_dir, counts=registered.counts, trail=trail)
    context = Context(driver, inner, task, run.id)
    result = Result()

    async def work() -> Result:
        nonlocal result
        result = await guarded(context, lambda: registered.work(context)) or Result()
        return result

    try:
        await driver.run_level(inner, work, task.children("errors"), task.children("finally"))
    except RunnerError as error:
        # Its own errors do not run, those around it do (flow-model 4.2).
        await _log_unresolved(context, error, registered)
        result = Result(state=State.FAILED, hard=True)
    return await _flowable_ended(driver, frame, inner, context, registered, result)


async def _flowable_ended(
    driver: Driver,
    frame: Frame,
    inner: Frame,
    context: Context,
    registered: Registered,
    result: Result,
) -> TaskRun:
    journal, task = driver.journal, context.task
    run = context.task_run
    if run.state.is_terminal:
        return run
    state = result.state or guess(each.state for each in driver.main_runs(inner))
    if driver.ending is State.KILLED and not frame.is_after:
        state = State.KILLED
    if result.unbegun:
        begun = History.begin(State.CREATED, run.history.start)
        await journal.save(replace(run, history=begun, attempts=()))
    if result.outputs is not None:
        await context.set_outputs(result.outputs)
    if state is State.FAILED and registered.lenient:
        state = State.WARNING  # and `allowWarning` does not count
    elif not result.hard:
        state = softened(state, task)
    await driver.close_below(run, state)
    within_s = FLUSH_INTERVAL_S if registered.pure else None
    return await journal.move_run(run.id, state, within_s=within_s)


async def _log_unresolved(context: Context, error: RunnerError, registered: Registered) -> None:
    """Say why a flowable could not go on."""
    context.complain(error, "Unable to resolve state from the Flowable task: ")
    if registered.chooses:
        text = f"Unable to resolve outputs from the Flowable task: {cause_of(error)}"
        context.log(Level.ERROR, text)
    await context.flush()


async def _run_attempts(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, registered: Registered
) -> TaskRun | None:
    """Try the task until it succeeds or its retry policy is used up."""
    try:
        return await _tries(driver, frame, task, run, registered)
    finally:
        await driver.leave(run.id)


async def _tries(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, registered: Registered
) -> TaskRun | None:
    journal = driver.journal
    policy = policy_of(driver, frame, task, registered)
    if run.state is State.RETRYING and policy is not None:
        # Going on after a crash, in the middle of the wait.
        date = next_try(policy, len(run.attempts), run.history.changes[-1].date, began(run))
        ended = await wait_for_retry(driver, frame, run, date or journal.now())
        if ended is not None:
            return ended
        run = journal.runs[run.id]
    while True:
        result = await _attempt(driver, frame, task, run, registered)
        run = journal.runs[run.id]
        date = None
        if result.state is State.FAILED and policy is not None and driver.goes_on(frame):
            date = next_date(driver, policy, run)
        if date is None:
            if policy is task.retry and policy and policy.behavior == "CREATE_NEW_EXECUTION":
                driver.silent.add(run.id)
            return await _ended(driver, task, run, registered, result)
        run = _attempt_ended(run, State.FAILED, driver)
        run = replace(run.moved(State.FAILED, journal.now()), outputs=result.outputs)
        await journal.flush()
        if policy is not None and policy.behavior == "CREATE_NEW_EXECUTION":
            await retry_as_new(driver, frame, task, run, date)
            return None
        await journal.save(run.moved(State.RETRYING, journal.now()))
        await driver.leave(run.id)
        await show_retrying(driver, frame, task)
        ended = await wait_for_retry(driver, frame, run, date)
        if ended is not None:
            return ended
        run = journal.runs[run.id]


async def _ended(
    driver: Driver, task: Task, run: TaskRun, registered: Registered, result: Result
) -> TaskRun:
    state = result.state or State.SUCCESS
    final = state
    warns = task.retry is not None and task.retry.warning_on_retry
    if state is State.SUCCESS and len(run.attempts) > 1 and warns:
        final = State.WARNING
    if registered.kind is not Kind.UPDATING and not result.hard:
        final = softened(final, task)
    if registered.kind is Kind.STARTING and final is not state:
        # A Subflow is FAILED for a moment before it is a WARNING (flow-model 4.8).
        run = run.moved(state, driver.journal.now())
        state = final
    if result.passed is not None:
        run = run.moved(result.passed, driver.journal.now())
    ended = _attempt_ended(run, state, driver) if result.attempted else replace(run, attempts=())
    ended = replace(ended.moved(final, driver.journal.now()), outputs=result.outputs)
    within_s = FLUSH_INTERVAL_S if registered.pure else None
    if registered.kind is Kind.RUNNABLE and not registered.pure:
        # As a rule more is to be stored at once: that the next one begins, or the execution's end.
        within_s = NEXT_S
    await driver.journal.save(ended, within_s=within_s)
    return ended


def _attempt_ended(run: TaskRun, state: State, driver: Driver) -> TaskRun:
    if not run.attempts:
        return run
    last = Attempt(history=run.attempts[-1].history.moved(state, driver.journal.now()))
    return replace(run, attempts=(*run.attempts[:-1], last))


async def _attempt(
    driver: Driver, frame: Frame, task: Task, run: TaskRun, registered: Registered
) -> Result:
    """Make one attempt; the result has the state in which the attempt ended."""
    context = Context(driver, frame, task, run.id)
    with anyio.CancelScope() as scope:
        driver.scopes[run.id] = scope
        try:
            if driver.stopping and not frame.is_after:
                scope.cancel()
            await _begin(driver, frame, run, registered)
            result = await guarded(context, lambda: _work(context, registered)) or Result()
            if result.attempted:
                await context.begin()
            return replace(
                result,
                state=result.state or State.SUCCESS,
                outputs=_given(result, registered),
            )
        except RunnerError as error:
            context.log(Level.ERROR, complaint(error))
            outputs: Outputs | None = getattr(error, "outputs", {})
            # An execution that could not be started stays FAILED whatever `allowFailure` says.
            hard = registered.kind is Kind.STARTING
            return Result(state=State.FAILED, outputs=outputs, hard=hard)
        finally:
            driver.scopes.pop(run.id, None)
    outputs = driver.journal.runs[run.id].outputs or {}
    if driver.kills_children and "executionId" in outputs:
        # The execution that it started is killed with it.
        outputs = {**outputs, "state": str(State.KILLED)}
    if driver.kills_children and "iterations" in outputs:
        killed = outputs["iterations"].get("RUNNING", 0)
        outputs = {**outputs, "iterations": {"CREATED": 0, "KILLED": killed, "RUNNING": 0}}
    return Result(state=State.KILLED, outputs=outputs)


def _given(result: Result, registered: Registered) -> Outputs | None:
    """The outputs of a run that has ended; what changes its execution has none at all."""
    if result.outputs is None and registered.kind is not Kind.UPDATING:
        return {}
    return result.outputs


async def _begin(driver: Driver, frame: Frame, run: TaskRun, registered: Registered) -> None:
    """Record the new attempt."""
    journal = driver.journal
    if run.id in driver.adopted.rests:
        return  # an earlier Eyas has
    if registered.kind is Kind.RUNNABLE:
        if frame.shared_dir is None or run.attempts:
            run = run.moved(State.SUBMITTED, journal.now())
        run = journal.begin_attempt(run.moved(State.RUNNING, journal.now()))
        await journal.save(run, within_s=_begins_within_s(registered))
    elif run.state is not State.RUNNING:
        # Kestra's executor runs these; one that fails at once never was RUNNING (3.1).
        if registered.kind is Kind.UPDATING:
            run = replace(run, attempts=())
        await journal.save(journal.begin_attempt(run, State.CREATED))


def _begins_within_s(registered: Registered) -> float | None:
    """How soon it has to be stored that a task begins; None: before it does."""
    if registered.pure:
        return FLUSH_INTERVAL_S
    return NEXT_S if registered.stages else None


async def _work(context: Context, registered: Registered) -> Result | None:
    """Do what the task does, within its time and through its cache."""
    if registered.kind is not Kind.RUNNABLE:
        return await registered.work(context)
    limit = await context.timeout()
    if limit is not None and context.resumed is not None:
        limit = remaining(context.task_run, limit, context.now(), context.resumed)
    return await within(limit, lambda: cached(context, lambda: registered.work(context)))


async def within(limit: timedelta | None, work: Callable[[], Awaitable[T]]) -> T:
    """Await `work()`; raise `TaskTimedOut` if `limit` (None: no limit) passes first."""
    if limit is None:
        return await work()
    with anyio.move_on_after(limit.total_seconds()):
        return await work()
    raise TaskTimedOut(limit)

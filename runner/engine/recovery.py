"""What becomes of an execution that an earlier Eyas left unfinished (reliability 0.1).

All of it is data: the runs as they are to go on. Driving the execution again then keeps every run
that has ended, goes on waiting where it waited, and runs again what was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime

from runner.engine.adoption import DIRECTORY, Adopted
from runner.model.execution import Attempt, Execution, TaskRun
from runner.model.flow import Flow
from runner.model.state import State
from runner.records import record
from runner.tasks.hidden import all_tasks
from runner.tasks.modules import load
from runner.tasks.registry import Kind

_FLOW = "io.kestra.plugin.core.flow"
_LOOP = f"{_FLOW}.LoopUntil"
_AT_WORK = (State.SUBMITTED, State.RUNNING, State.RESUBMITTED)


@record(kw_only=True, frozen=False)
class Recovered:
    """An execution as it is to go on; `messages` belong into its log, with their task runs."""

    execution: Execution
    runs: list[TaskRun] = field(default_factory=list[TaskRun])
    dropped: list[str] = field(default_factory=list[str])
    messages: list[tuple[TaskRun, str]] = field(default_factory=list[tuple[TaskRun, str]])


def recovered(
    flow: Flow,
    execution: Execution,
    runs: Sequence[TaskRun],
    now: datetime,
    restarts: int,
    adopted: Adopted | None = None,
) -> Recovered:
    """The execution and its runs, ready to go on at `now`; see `Engine.recover`.

    What is `adopted` stays as it is.
    """
    adopted = adopted or Adopted()
    types = types_of(flow)
    result = Recovered(execution=execution)
    if _rested(execution, runs, types):
        result.execution = execution.moved(State.RUNNING, now)
    folders = {
        run.id for run in runs if types.get(run.task_id) == DIRECTORY and not run.state.is_terminal
    } - adopted.folders.keys()
    for run in runs:
        if run.parent_id in folders:
            # The folder is gone with what was in it: its tasks begin anew.
            result.dropped.append(run.id)
        elif run.state.is_terminal:
            result.runs.append(run)
        else:
            rest = adopted.rests.get(run.id)
            if run.id in adopted.folders or (rest is not None and rest.verdict != "lost"):
                result.runs.append(run)
            else:
                reason = f": {rest.reason}" if rest is not None else ""
                result.runs.append(_again(result, run, types, now, restarts, reason))
    return result


def types_of(flow: Flow) -> dict[str, str]:
    """The types of a flow's tasks by their ids."""
    return {task.id: task.type for task in all_tasks(flow)}


def _again(
    result: Recovered,
    run: TaskRun,
    types: dict[str, str],
    now: datetime,
    restarts: int,
    reason: str,
) -> TaskRun:
    """A run that has not ended, as it goes on."""
    kind = _kind(run, types)
    folder = types.get(run.task_id) == DIRECTORY
    if run.state is State.CREATED and kind in (Kind.STARTING, Kind.UPDATING):
        # It was about to begin; what it may have started is found again by its id.
        return replace(run, attempts=run.attempts[:-1])
    if run.state not in _AT_WORK or kind is Kind.STARTING:
        return run
    if kind is Kind.FLOWABLE and not folder:
        return run
    lost = _attempt(run, State.FAILED, now)
    times = sum(change.state is State.RESUBMITTED for change in run.history.changes)
    if times >= restarts:
        text = f"Lost when Eyas stopped{reason}; it is not run again ({times})"
        result.messages.append((run, text))
        return lost.moved(State.FAILED, now)
    result.messages.append((run, f"Lost when Eyas stopped{reason}; it is run again"))
    again = lost.moved(State.RESUBMITTED, now)
    return _attempt(again.moved(State.RUNNING, now), State.RUNNING, now) if folder else again


def _kind(run: TaskRun, types: dict[str, str]) -> Kind:
    registered = load(types.get(run.task_id, ""))
    return registered.kind if registered is not None else Kind.RUNNABLE


def _attempt(run: TaskRun, state: State, now: datetime) -> TaskRun:
    """The run with its last attempt in `state`."""
    if not run.attempts:
        return run
    last = Attempt(history=run.attempts[-1].history.moved(state, now))
    return replace(run, attempts=(*run.attempts[:-1], last))


def _rested(execution: Execution, runs: Sequence[TaskRun], types: dict[str, str]) -> bool:
    """Whether the execution is paused because a LoopUntil waits for its next round."""
    if execution.state is not State.PAUSED:
        return False
    if any(run.state is State.PAUSED for run in runs):
        return False
    for loop in runs:
        if loop.state is State.RUNNING and types.get(loop.task_id) == _LOOP:
            children = [run for run in runs if run.parent_id == loop.id]
            if children and all(child.state.is_terminal for child in children):
                return True
    return False

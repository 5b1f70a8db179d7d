"""Where an ended execution goes on: restart, replay and change of state (flow-model 3.12).

All of it is data: which runs are kept, and in which state. Driving the execution again then
reuses every run that has ended and runs the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from runner.errors import Conflict, NotFound
from runner.model.catalog import catalog
from runner.model.execution import Attempt, Execution, Label, TaskRun, new_id
from runner.model.flow import Flow, Task
from runner.model.state import State
from runner.tasks.hidden import all_tasks

_WORKING_DIRECTORY = "io.kestra.plugin.core.flow.WorkingDirectory"
_AS_A_WHOLE = (_WORKING_DIRECTORY, "io.kestra.plugin.core.flow.Pause")


class NothingToRestart(Conflict):
    """No task found to restart execution from!"""


def restarted(
    flow: Flow, execution: Execution, runs: Sequence[TaskRun], now: datetime
) -> tuple[Execution, list[TaskRun]]:
    """The execution and its runs, ready to go on from the failed tasks."""
    if not execution.state.is_terminal and execution.state is not State.PAUSED:
        raise Conflict(
            f"Execution must be terminated to be restarted, current state is '{execution.state}' !"
        )
    kept = _without_branches(flow, runs)
    chosen = _to_repeat(kept)
    if not chosen:
        raise NothingToRestart
    flowables = _flowables(flow)
    again = [
        _again(run, is_leaf=run.task_id not in flowables, now=now) if run.id in chosen else run
        for run in kept
    ]
    labels = (*execution.labels, Label("system.restarted", "true"))
    execution = replace(
        execution.moved(State.RESTARTED, now),
        attempt_number=execution.attempt_number + 1,
        labels=tuple({label.key: label for label in labels}.values()),
        outputs=None,
    )
    again = _without_children_of_directories(flow, again, chosen)
    if flow.revision == execution.flow_revision:
        return execution, again
    # Another revision of the flow: another execution (flow-model 3.12).
    new = replace(execution, id=new_id(), parent_id=execution.id, flow_revision=flow.revision)
    return new, _copies(again, new.id)


def _flowables(flow: Flow) -> set[str]:
    """Ids of the tasks whose run goes on as it is when something in it is run again.

    A WorkingDirectory is run again itself, and so is a Pause.
    """
    tasks = ((task.id, catalog().task(task.type)) for task in all_tasks(flow))
    return {
        name for name, info in tasks if info and info.is_flowable and info.name not in _AS_A_WHOLE
    }


def _to_repeat(runs: Sequence[TaskRun]) -> set[str]:
    """Ids of the runs that failed, were paused or never ended, and of those around them."""
    by_id = {run.id: run for run in runs}
    failed = [
        run
        for run in runs
        if run.state in (State.FAILED, State.PAUSED) or not run.state.is_terminal
    ]
    return {each.id for run in failed for each in (run, *_ancestors(run, by_id))}


def _copies(runs: Sequence[TaskRun], execution_id: str) -> list[TaskRun]:
    """The same runs in another execution, with ids of their own."""
    names = {run.id: new_id() for run in runs}
    return [
        replace(
            run,
            id=names[run.id],
            execution_id=execution_id,
            parent_id=names.get(run.parent_id) if run.parent_id else None,
        )
        for run in runs
    ]


def _again(run: TaskRun, *, is_leaf: bool, now: datetime) -> TaskRun:
    if is_leaf:
        return run.moved(State.RESTARTED, now)
    return _reopened(run, now)


def _reopened(run: TaskRun, now: datetime) -> TaskRun:
    """A flowable's run, RUNNING again, its attempt too."""
    run = run.moved(State.RUNNING, now)
    if not run.attempts:
        return run
    last = Attempt(history=run.attempts[-1].history.moved(State.RUNNING, now))
    return replace(run, attempts=(*run.attempts[:-1], last))


def replayed(
    flow: Flow,
    execution: Execution,
    runs: Sequence[TaskRun],
    task_run_id: str | None,
    now: datetime,
) -> tuple[Execution, list[TaskRun]]:
    """A new execution that goes on from a task run (None: from the start), and its runs."""
    labels = {label.key: label for label in execution.labels}
    labels["system.replay"] = Label("system.replay", "true")
    new = replace(
        execution,
        id=new_id(),
        parent_id=execution.id,
        outputs=None,
        labels=tuple(labels.values()),
    )
    if task_run_id is None:
        created = type(execution.history).begin(State.CREATED, now)
        return replace(new, history=created), []
    by_id = {run.id: run for run in runs}
    if task_run_id not in by_id:
        raise NotFound(f"Task run '{task_run_id}' not found")
    start = _replayable(flow, by_id[task_run_id], by_id)
    above = list(_ancestors(start, by_id))
    flowables = _flowables(flow)
    kept = _before(flow, runs, start, above)
    moved: list[TaskRun] = []
    for run in kept:
        if run.id == start.id:
            moved.append(_again(run, is_leaf=run.task_id not in flowables, now=now))
        elif run in above:
            moved.append(_reopened(run, now))
        else:
            moved.append(run)
    return new.moved(State.RESTARTED, now), _copies(moved, new.id)


def resumed(
    flow: Flow, execution: Execution, runs: Sequence[TaskRun], now: datetime
) -> tuple[Execution, list[TaskRun]]:
    """The execution and its runs, ready to go on where it was broken off or killed."""
    kept = _without_branches(flow, runs)
    parents = {run.parent_id for run in kept}
    again = {run.id for run in kept if run.id in parents and not _is_usable(run)}
    result = [
        _reopened(run, now) if run.id in again else run
        for run in kept
        if run.id in again or _is_usable(run)
    ]
    moved = replace(execution.moved(State.RESTARTED, now), outputs=None)
    return moved, _without_children_of_directories(flow, _with_parents(result), again)


def begun_at(
    flow: Flow, execution: Execution, runs: Sequence[TaskRun], task_id: str, now: datetime
) -> tuple[Execution, list[TaskRun]]:
    """The execution and its runs, ready to go on from a task, whether it has run before or not.

    Of the tasks that stand before it those are kept that have come to a usable end.

    Raises:
        NotFound: the flow has no such task.
        Conflict: the task stands in a branch that runs only when others failed or have ended.
    """
    order = {task.id: number for number, task in enumerate(all_tasks(flow))}
    if task_id not in order:
        raise NotFound(f"Flow '{flow.namespace}.{flow.id}' has no task '{task_id}'")
    aside = _aside_of(flow)
    if task_id in aside:
        raise Conflict(f"Task '{task_id}' stands in a branch that is not run by itself")
    around = {
        task.id for task in flow.walk() if task_id in {each.id for each in task.walk()} - {task.id}
    }
    kept: list[TaskRun] = []
    for run in runs:
        if run.task_id in around:
            kept.append(_reopened(run, now))
        elif run.task_id in aside or not _is_usable(run):
            continue
        elif order.get(run.task_id, order[task_id]) < order[task_id]:
            kept.append(run)
    moved = replace(execution.moved(State.RESTARTED, now), outputs=None)
    folders = {
        task.id for task in flow.walk() if task.id in around and task.type == _WORKING_DIRECTORY
    }
    shared = {run.id for run in kept if run.task_id in folders}
    return moved, [run for run in _with_parents(kept) if run.parent_id not in shared]


def _is_usable(run: TaskRun) -> bool:
    return run.state in (State.SUCCESS, State.WARNING, State.SKIPPED)


def _replayable(flow: Flow, run: TaskRun, by_id: dict[str, TaskRun]) -> TaskRun:
    """The run, or the WorkingDirectory that it is in: that one starts from its first child."""
    types = {task.id: task.type for task in all_tasks(flow)}
    above = (each for each in _ancestors(run, by_id) if types[each.task_id] == _WORKING_DIRECTORY)
    return next(above, run)


def _before(
    flow: Flow, runs: Sequence[TaskRun], start: TaskRun, above: Sequence[TaskRun]
) -> list[TaskRun]:
    """The runs of tasks that stand before the replayed one, its ancestors and itself."""
    order = {task.id: number for number, task in enumerate(all_tasks(flow))}
    aside = _aside_of(flow)
    last = order[start.task_id]
    around = {run.id for run in above}
    kept: list[TaskRun] = []
    for run in runs:
        if run.id in around or run.id == start.id:
            kept.append(run)
        elif run.task_id in aside:
            continue
        elif order.get(run.task_id, last) < last:
            kept.append(run)
    return _with_parents(kept)


def _with_parents(runs: Sequence[TaskRun]) -> list[TaskRun]:
    """The runs whose ancestors are all among them."""
    ids = {run.id for run in runs}
    kept = [run for run in runs if run.parent_id is None or run.parent_id in ids]
    return kept if len(kept) == len(runs) else _with_parents(kept)


def changed(
    flow: Flow,
    execution: Execution,
    runs: Sequence[TaskRun],
    task_run_id: str,
    state: State,
    now: datetime,
) -> tuple[Execution, list[TaskRun]]:
    """The execution with one task run in another state, ready to go on from there."""
    if not execution.state.is_terminal:
        raise Conflict(
            f"Execution must be terminated to change a task's state, it is '{execution.state}'"
        )
    by_id = {run.id: run for run in runs}
    if task_run_id not in by_id:
        raise NotFound(f"Task run '{task_run_id}' not found")
    above = {run.id for run in _ancestors(by_id[task_run_id], by_id)}
    result: list[TaskRun] = []
    for run in runs:
        if run.id == task_run_id:
            moved = run.moved(state, now)
            if run.attempts:
                last = Attempt(history=run.attempts[-1].history.moved(state, now))
                moved = replace(moved, attempts=(*run.attempts[:-1], last))
            result.append(moved)
        elif run.id in above:
            result.append(_reopened(run, now))
        else:
            result.append(run)
    return replace(execution.moved(State.RESTARTED, now), outputs=None), result


def _ancestors(run: TaskRun, by_id: dict[str, TaskRun]) -> Iterable[TaskRun]:
    # Above a run of a LoopUntil's earlier round there may be nothing any more.
    while run.parent_id in by_id:
        run = by_id[run.parent_id]
        yield run


def _aside_of(flow: Flow) -> set[str]:
    """Ids of the tasks in any `errors`, `finally` or `afterExecution` branch."""
    ends = (flow.listener_tasks, flow.after_execution)
    branches: list[Sequence[Task]] = [flow.errors, flow.finally_, *ends]
    for task in all_tasks(flow):
        branches += [task.properties.get(name) or () for name in ("errors", "finally")]
    return {inner.id for branch in branches for task in branch for inner in task.walk()}


def _without_branches(flow: Flow, runs: Sequence[TaskRun]) -> list[TaskRun]:
    aside = _aside_of(flow)
    return [run for run in runs if run.task_id not in aside]


def _without_children_of_directories(
    flow: Flow, runs: Sequence[TaskRun], failed: set[str]
) -> list[TaskRun]:
    """A WorkingDirectory restarts from its first child: its folder is gone."""
    types = {task.id: task.type for task in all_tasks(flow)}
    folders = {
        run.id for run in runs if run.id in failed and types.get(run.task_id) == _WORKING_DIRECTORY
    }
    return [run for run in runs if run.parent_id not in folders]

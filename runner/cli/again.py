"""`eyas run` with what earlier executions of the flow have done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.cli.wanted import LAST, Again
from runner.engine.journal import utc_now
from runner.engine.restart import NothingToRestart, begun_at, restarted, resumed
from runner.engine.reuse import Reuse, has_changed, since
from runner.errors import Conflict, NotFound
from runner.model.execution import Execution, Label, TaskRun
from runner.model.flow import Flow
from runner.model.state import State
from runner.store.past import Past, id_of, past_files, read_past
from runner.tasks.hidden import all_tasks

if TYPE_CHECKING:
    from runner.cli.display import Display
    from runner.engine.engine import Engine
    from runner.settings import Settings

_NAMED = 20


def past_of(settings: Settings, flow: Flow, wanted: str) -> Past:
    """The earlier execution of the flow that is meant: of `eyas run`, or of the daemon.

    Raises:
        NotFound: there is none, or several.
    """
    name = f"{flow.namespace}.{flow.id}"
    files = past_files(settings.state_dir, flow.namespace, flow.id)
    found = [file for file in files if wanted == LAST or id_of(file).startswith(wanted)]
    if wanted != LAST and len(found) > 1:
        some = ", ".join(id_of(file) for file in found)
        raise NotFound(f"Several executions begin with '{wanted}': {some}. Write more of the id")
    for file in found:
        past = read_past(file)
        if past is not None:
            return _ended(past)
    if wanted == LAST:
        raise NotFound(f"No earlier run of '{name}' is kept in {settings.state_dir}")
    past = _of_daemon(settings, wanted)
    if past is not None and (past.execution.namespace, past.execution.flow_id) == (
        flow.namespace,
        flow.id,
    ):
        return past
    if past is not None:
        other = f"{past.execution.namespace}.{past.execution.flow_id}"
        raise NotFound(f"Execution '{past.execution.id}' is one of flow '{other}', not of '{name}'")
    known = ", ".join(id_of(file) for file in files)
    raise NotFound(
        f"There is no execution '{wanted}' of '{name}'; those of `eyas run` that are kept: "
        f"{known or 'none'}"
    )


def _ended(past: Past) -> Past:
    """A run that was broken off, as one that was killed: nothing goes on with it by itself."""
    execution = past.execution
    if execution.state.is_terminal:
        return past
    return replace(past, execution=execution.moved(State.KILLED, utc_now()))


def _of_daemon(settings: Settings, wanted: str) -> Past | None:
    from runner.store.reader import StoreUnreadable, open_reader

    try:
        with open_reader(settings.state_dir) as reader:
            return Past(*reader.found(reader.execution_id(wanted)))
    except (StoreUnreadable, NotFound):
        return None


async def begun(
    engine: Engine,
    flow: Flow,
    again: Again,
    past: Past,
    labels: Sequence[Label],
    display: Display,
) -> Execution:
    """Begin an execution that goes on with an earlier one, and say what it keeps of that.

    Raises:
        Conflict: that execution has no failed task, or the task cannot be begun at.
        NotFound: the flow has no such task.
    """
    old = past.execution
    # Whatever revision it was of: this one goes on as the file says now.
    known = replace(flow, revision=old.flow_revision)
    if again.from_task is not None:
        execution, runs = begun_at(known, old, past.runs, again.from_task, utc_now())
    else:
        execution, runs = _from_failed(known, past)
    _say_kept(flow, past, runs, display)
    merged = {label.key: label for label in (*execution.labels, *labels)}
    execution = replace(execution, labels=tuple(merged.values()))
    kept = Past(replace(execution, id=old.id), runs)
    return await engine.go_on(flow, kept, Reuse())


def _from_failed(flow: Flow, past: Past) -> tuple[Execution, list[TaskRun]]:
    """The execution, ready to go on at the tasks that failed, or that it was broken off at."""
    old = past.execution
    try:
        return restarted(flow, old, past.runs, utc_now())
    except NothingToRestart as error:
        if old.state in (State.KILLED, State.CANCELLED):
            return resumed(flow, old, past.runs, utc_now())
        raise Conflict(
            f"No task of execution '{old.id}' has failed (it ended {old.state}). `--from TASK` "
            "begins at a task, `--only-changed` at what has changed"
        ) from error


def _say_kept(flow: Flow, past: Past, runs: Iterable[TaskRun], display: Display) -> None:
    kept = [run for run in runs if run.state.is_terminal]
    display.note(
        f"Kept of execution {past.execution.id}: {_names(kept)}"
        if kept
        else f"Nothing is kept of execution {past.execution.id}"
    )
    tasks = {task.id: task for task in all_tasks(flow)}
    changed = [run for run in kept if run.task_id in tasks and has_changed(tasks[run.task_id], run)]
    if changed:
        display.note(
            f"Changed since, and kept all the same: {_names(changed)}. `--only-changed` would run "
            "them again"
        )


def say_reused(reuse: Reuse, display: Display) -> None:
    """Say at the end which tasks were not run, since their results are those of before."""
    past = reuse.past
    if past is None:
        return
    used = _names(reuse.used) if reuse.used else "nothing"
    display.note(f"Reused of execution {past.execution.id}: {used}")
    display.note(f"Ran again: {_names(reuse.ran) if reuse.ran else 'nothing'}")


def _names(runs: Sequence[TaskRun]) -> str:
    """Tasks, and when they ended if they have."""
    named = [
        run.task_id + (f"[{run.value}]" if run.value is not None else "") + _when(run)
        for run in runs[:_NAMED]
    ]
    left = len(runs) - _NAMED
    return ", ".join(named) + (f" and {left} more" if left > 0 else "")


def _when(run: TaskRun) -> str:
    return f" ({since(run)})" if run.state.is_terminal else ""

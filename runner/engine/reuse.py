"""Taking over what an earlier execution of a flow has done: `eyas run --only-changed`.

A task's result is used again if all that it follows from is as it was. That is its definition
(type and properties, after plugin defaults) and its basis: the properties as they are rendered now,
the contents of the files that they name, and for a script what it sees beside them (see
`tasks.script_basis`). A task that can see what tasks before it left behind, in a database, say,
is used again only if the same tasks came before it and none of them has run anew. When in doubt,
a task runs.

Flowables are never taken over: they decide anew, and each task in them stands for itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from runner.engine.frame import Frame, Trail, digest
from runner.errors import NotFound, RunnerError
from runner.expr import to_json
from runner.model.execution import Level, TaskRun
from runner.model.flow import Task
from runner.model.state import State
from runner.patterns import regex
from runner.tasks.languages import COMMANDS_TYPES, SCRIPT_TYPES

if TYPE_CHECKING:
    from runner.engine.context import Context
    from runner.engine.journal import Journal
    from runner.store.past import Past

_CORE = "io.kestra.plugin.core."
_CLOSED = frozenset(
    f"{_CORE}{name}"
    for name in (
        *("debug.Return", "debug.Echo", "log.Log", "output.OutputValues", "flow.Sleep"),
        *("storage.Write", "storage.Concat", "storage.Split", "storage.Reverse", "storage.Size"),
        *("storage.DeduplicateItems", "storage.FilterItems"),
    )
)
"""They depend on nothing but their properties, and leave nothing behind but their outputs."""
_SCRIPTS = frozenset((*SCRIPT_TYPES, *COMMANDS_TYPES))
_OPEN = frozenset((*_SCRIPTS, f"{_CORE}http.Request", f"{_CORE}http.Download"))
"""They may see, and leave behind, what nobody knows of."""
_HIDING = frozenset(
    f"{_CORE}{name}"
    for name in (
        *("templating.TemplatedTask", "flow.Subflow"),
        "flow.ForEachItem$ForEachItemExecutable",
    )
)
"""What they run does not show in their properties."""
_LOOP_UNTIL = f"{_CORE}flow.LoopUntil"
_UNKNOWN = "?"
_URI = regex(r"""(?:kestra|nsfile|file)://[^\s"'\\<>|]*""")
_FOLDERS = {"workingDir": "WORKING_DIR", "outputDir": "OUTPUT_DIR"}

_Path = tuple[tuple[str, str | None], ...]
"""Task ids and loop values from the root to a task run."""


class Reuse:
    """What an execution takes over from `past`; without it, it only notes what is to be compared.

    `used` are the task runs that were taken over, `ran` those that ran anew.
    """

    def __init__(self, past: Past | None = None) -> None:
        self.past = past
        self.used: list[TaskRun] = []
        self.ran: list[TaskRun] = []
        self._before = _by_path(past.runs) if past is not None else {}
        self._definitions: dict[Task, str] = {}

    async def taken(
        self, journal: Journal, context: Context, frame: Frame, trail: Trail
    ) -> TaskRun | None:
        """The run that stands for a new one, which it replaces; None if the task is to run.

        The new one gets its fingerprint.
        """
        task, run = context.task, context.task_run
        # A loop runs the same task for each of its values.
        if task not in self._definitions:
            self._definitions[task] = definition_of(task)
        now = f"{self._definitions[task]}:{await _basis(context, frame, trail)}"
        run = replace(run, fingerprint=now)
        journal.add(run)
        before = self._before.get(_path_of(run, journal.runs))
        why = _why_not(task, frame, trail, before, now)
        if why is None and before is not None:
            if task.type not in _CLOSED:
                trail.grow(now, anew=False)
            return await self._take(journal, context, before)
        if self.past is not None:
            self.ran.append(run)
            journal.log(Level.INFO, f"Runs again: {why}", run)
        if task.type not in _CLOSED:
            earlier = before if before is not None and before.state is State.SUCCESS else None
            is_same = earlier is not None and earlier.fingerprint == now
            trail.grow(now, anew=not is_same or task.type in _OPEN | _HIDING)
        return None

    async def _take(self, journal: Journal, context: Context, before: TaskRun) -> TaskRun:
        """Put the earlier run in the place of the new one."""
        assert self.past is not None
        run, storage = context.task_run, context.storage
        source, target = self.past.execution, journal.execution
        await anyio.to_thread.run_sync(storage.share_run, source, target, before)
        taken = replace(
            run,
            id=before.id,
            history=before.history,
            attempts=before.attempts,
            outputs=storage.readdressed(before.outputs, source, target),
            fingerprint=before.fingerprint,
        )
        await journal.discard([run.id])
        await journal.save(taken)
        self.used.append(taken)
        journal.log(Level.INFO, f"Reused: nothing has changed since {since(before)}", taken)
        return taken


def since(run: TaskRun) -> str:
    """When a run ended, in the time of this place."""
    return f"{run.history.changes[-1].date.astimezone():%Y-%m-%d %H:%M:%S}"


def definition_of(task: Task) -> str:
    """What stands for a task as its author wrote it, plugin defaults in place."""
    return digest(task.type, to_json(dict(task.properties)))


def has_changed(task: Task, run: TaskRun) -> bool:
    """Whether the task was written otherwise when `run` ran."""
    before = (run.fingerprint or "").partition(":")[0]
    return bool(before) and before != definition_of(task)


def _why_not(
    task: Task, frame: Frame, trail: Trail, before: TaskRun | None, now: str
) -> str | None:
    """Why a task must run, in words for its author; None if the run `before` can stand for it."""
    if before is None:
        return "it has not run before"
    was_defined, _, was_based = (before.fingerprint or _UNKNOWN).partition(":")
    defined, _, based = now.partition(":")
    reasons = {
        "it has changed": was_defined != defined,
        f"it ended {before.state}": before.state is not State.SUCCESS,
        "such tasks always run": task.type not in _CLOSED | _OPEN or _always_runs(frame),
        "what it depends on is not known": based == _UNKNOWN,
        "what it depends on has changed": was_based != based,
        "a task before it ran again": trail.anew and task.type in _OPEN,
    }
    return next((text for text, holds in reasons.items() if holds), None)


def _always_runs(frame: Frame) -> bool:
    """Whether tasks here run each time: they share a folder, poll, or clean up."""
    return frame.shared_dir is not None or any(
        around.keeps_going or (around.task is not None and around.task.type == _LOOP_UNTIL)
        for around in frame.outward()
    )


async def _basis(context: Context, frame: Frame, trail: Trail) -> str:
    """What stands for all that a task's result follows from beside its definition."""
    task = context.task
    try:
        parts: list[Any] = [await context.render(dict(task.properties), **_FOLDERS)]
        if frame.shared_dir is not None and frame.task is not None:
            around = {k: v for k, v in frame.task.properties.items() if not _holds_tasks(v)}
            parts.append(await context.render(around))
        if task.type in _SCRIPTS:
            from runner.tasks.script_basis import script_basis

            parts.append(await script_basis(context))
        # Rendered texts name files of this execution: those of another one are the same.
        text = to_json(parts).replace(context.storage.home_uri(context.execution), "kestra:///-")
        uris = sorted(set(_URI.findall(text)))
        files = await anyio.to_thread.run_sync(_contents, context, uris) if uris else ""
    except RunnerError:
        return _UNKNOWN  # the task itself will say what is wrong
    before = trail.fingerprint if task.type not in _CLOSED else ""
    return digest(text, files, before)


def _holds_tasks(value: object) -> bool:
    return isinstance(value, Sequence) and any(isinstance(each, Task) for each in value)  # pyright: ignore[reportUnknownVariableType] # YAML border


def _contents(context: Context, uris: Iterable[str]) -> str:
    """The contents of the files that can change under their name.

    Those of task runs cannot: their names hold the id of the run that made them.
    """
    found: list[str] = []
    for uri in uris:
        if uri.startswith("kestra:///-/tasks/"):
            continue
        path = _file(context, uri)
        if path is not None and path.is_file():
            with path.open("rb") as file:
                found.append(f"{uri} {hashlib.file_digest(file, 'sha256').hexdigest()}")
    return "\n".join(found)


def _file(context: Context, uri: str) -> Path | None:
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    own = context.storage.home_uri(context.execution)
    try:
        return context.storage.open(uri.replace("kestra:///-", own), context.execution.namespace)
    except NotFound:
        return None


def _by_path(runs: Sequence[TaskRun]) -> dict[_Path, TaskRun]:
    by_id = {run.id: run for run in runs}
    return {_path_of(run, by_id): run for run in runs}


def _path_of(run: TaskRun, by_id: Mapping[str, TaskRun]) -> _Path:
    path: list[tuple[str, str | None]] = []
    around: TaskRun | None = run
    while around is not None:
        path.append((around.task_id, around.value))
        around = by_id.get(around.parent_id) if around.parent_id else None
    return tuple(reversed(path))

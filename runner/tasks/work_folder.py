"""The folder that a task works in: made for one attempt, gone afterwards (script-tasks 2.1)."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from runner.errors import TaskFailed
from runner.model.execution import Level, TaskRun, new_id
from runner.model.state import State
from runner.runners.work_dirs import new_work_dir
from runner.settings import TEMP_PREFIX
from runner.tasks.context import RunContext
from runner.tasks.kept_files import PREFIX

_REMOVAL_GRACE_S = 60

_FEW = 16
"""So many files are deleted in less time than a thread is called."""


@asynccontextmanager
async def work_folder(ctx: RunContext, left: Path | None = None) -> AsyncGenerator[Path]:
    """A new, empty folder as an absolute path; it and all in it are deleted at the end.

    `left` is one that was made before, by an earlier Eyas or for a container that stood by. When
    tasks are handed over to the next Eyas, it stays.
    """
    name = f"{_name_of(ctx.task_run)}-{new_id()}"
    folder = left if left is not None else _make(ctx.settings.tmp_dir, name)
    try:
        yield folder
    finally:
        if not ctx.runners.handing_over:
            with anyio.move_on_after(_REMOVAL_GRACE_S, shield=True):
                problem = None
                if not _delete_few(folder.parent, [_FEW]):
                    problem = await anyio.to_thread.run_sync(delete, folder.parent)
                if problem:
                    ctx.log(Level.WARN, f"The working directory could not be removed: {problem}")


def _name_of(run: TaskRun) -> str:
    """How the names of a task run's folders begin; another one when it was lost and begins anew.

    The id backwards: paths in logs look as on Kestra only if no id of the execution is in them.
    """
    times = sum(change.state is State.RESUBMITTED for change in run.history.changes)
    return f"{TEMP_PREFIX}{run.id[::-1]}-{times}"


def left_folder(outers: Iterable[Path], run: TaskRun) -> Path | None:
    """The folder of a task run among those an earlier Eyas has left; None if it is not there."""
    for outer in outers:
        if outer.name.startswith(f"{_name_of(run)}-"):
            folders = [path for path in outer.iterdir() if not path.name.startswith(PREFIX)]
            return folders[0] if len(folders) == 1 else None
    return None


def _make(tmp_dir: Path, name: str) -> Path:
    try:
        return new_work_dir(tmp_dir, name)
    except OSError as error:
        raise TaskFailed(f"Cannot make a working directory in {tmp_dir}: {error}") from error


def _delete_few(folder: Path, left: list[int]) -> bool:
    """Delete a folder if there are no more than `left` things in it, counted down; else a part."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                left[0] -= 1
                if left[0] < 0:
                    return False
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)  # noqa: PTH108 - this runs for every task
                elif not _delete_few(Path(entry.path), left):
                    return False
        folder.rmdir()
    except OSError:
        return False
    return True


def delete(outer: Path) -> str | None:
    """Delete the folder; what is in the way, if something is."""
    if not outer.exists():
        return None
    import shutil

    try:
        shutil.rmtree(outer)
        return None
    except OSError:
        _open_folders(outer)
    try:
        shutil.rmtree(outer)
    except OSError as error:
        return str(error)
    return None


def _open_folders(outer: Path) -> None:
    """Make folders writable that a script left read-only."""
    for path, folders, _ in os.walk(outer):
        for name in folders:
            folder = Path(path, name)
            if not folder.is_symlink():
                try:
                    folder.chmod(0o700)
                except OSError:
                    # Somebody else's: deleting it then fails, and says so.
                    continue

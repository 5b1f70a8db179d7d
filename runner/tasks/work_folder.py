"""The folder that a task works in: made for one attempt, gone afterwards (script-tasks 2.1)."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from runner.errors import TaskFailed
from runner.model.execution import Level, new_id
from runner.settings import TEMP_PREFIX
from runner.tasks.context import RunContext
from runner.tasks.script_files import make_folder

_REMOVAL_GRACE_S = 60


@asynccontextmanager
async def work_folder(ctx: RunContext) -> AsyncGenerator[Path]:
    """A new, empty folder as an absolute path; it and all in it are deleted at the end.

    It stands in a folder that only this user may enter, so it can be open to the user of a
    container without being open to everyone on this machine.
    """
    outer = ctx.settings.tmp_dir.absolute() / f"{TEMP_PREFIX}{new_id()}"
    try:
        yield _make(outer)
    finally:
        with anyio.move_on_after(_REMOVAL_GRACE_S, shield=True):
            problem = await anyio.to_thread.run_sync(_remove, outer)
            if problem:
                ctx.log(Level.WARN, f"The working directory could not be removed: {problem}")


def _make(outer: Path) -> Path:
    # Named by a bare id of its own, as Kestra's are: paths in logs then look the same.
    folder = outer / new_id()
    try:
        outer.parent.mkdir(parents=True, exist_ok=True)
        outer.mkdir(mode=0o700)
        make_folder(folder)
    except OSError as error:
        raise TaskFailed(f"Cannot make a working directory in {outer.parent}: {error}") from error
    return folder


def _remove(outer: Path) -> str | None:
    """Delete the folder; what is in the way, if something is."""
    if not outer.exists():
        return None
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

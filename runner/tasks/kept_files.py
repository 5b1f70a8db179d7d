"""What a container deletes from a shared folder comes back, as on Kestra (script-tasks 6.6).

Kestra copies the folder into the container and out again, which deletes nothing. Our containers
work on the folder itself, so the files that were there are remembered by a second name.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from runner.model.execution import new_id

_LIMIT_S = 60


PREFIX = "kept-"
"""How the names of folders begin that hold the second names."""


@asynccontextmanager
async def kept_files(
    folder: Path, *, resumed: bool = False, goes_on: Callable[[], bool] = lambda: False
) -> AsyncGenerator[None]:
    """Bring back, at the end of the block, what was in `folder` at its beginning and is gone.

    A file comes back as it was when it was deleted; links do not come back. `resumed`: an earlier
    Eyas began the block. Nothing is done while `goes_on` gives True: the next Eyas ends it.
    """
    left = next(folder.parent.glob(f"{PREFIX}*"), None) if resumed else None
    kept = left or folder.parent / f"{PREFIX}{new_id()}"
    try:
        if not resumed:
            await anyio.to_thread.run_sync(_remember, folder, kept)
        yield
    finally:
        if not goes_on():
            with anyio.move_on_after(_LIMIT_S, shield=True):
                await anyio.to_thread.run_sync(_bring_back, folder, kept)


def _remember(folder: Path, kept: Path) -> None:
    """Give what is below `folder` second names below the new folder `kept`."""
    kept.mkdir()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remember(folder / entry.name, kept / entry.name)
            elif entry.is_file(follow_symlinks=False):
                os.link(entry.path, kept / entry.name, follow_symlinks=False)


def _bring_back(folder: Path, kept: Path) -> None:
    """Put what is missing below `folder` back, and take `kept` away."""
    if kept.is_dir():
        import shutil

        _restore(folder, kept)
        shutil.rmtree(kept)


def _restore(folder: Path, kept: Path) -> None:
    import shutil

    with os.scandir(kept) as entries:
        for entry in entries:
            target = folder / entry.name
            # Not `exists`: what is there now may be a link, to be left alone and not followed.
            is_there = os.path.lexists(target)
            if entry.is_dir():
                if not is_there:
                    target.mkdir()
                    target.chmod(0o755)
                if not target.is_symlink() and target.is_dir():
                    _restore(target, kept / entry.name)
            elif not is_there and entry.stat().st_nlink == 1:
                Path(entry.path).rename(target)
            elif not is_there:
                # It was only renamed: two files from now on.
                shutil.copy2(entry.path, target)

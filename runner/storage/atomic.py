"""Writing files so that a crash leaves the old content or the new, never a piece of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runner.errors import NotFound, TaskFailed
from runner.failpoints import failpoint
from runner.model.execution import new_id


def publish(target: Path, source: Path | bytes, temps: Path, *, move: bool = False) -> None:
    """Make `source` the content of `target`, durably and all at once; folders come into being.

    `temps` is a folder of the same file system for the unfinished file. A source path is not
    followed if it is a link. `move` takes the file away from where it was, without copying it
    if both places are in one file system.

    Raises:
        NotFound: there is no file at the path `source`.
        TaskFailed: it is no regular file.
    """
    temps.mkdir(parents=True, exist_ok=True)
    temp = temps / new_id()
    try:
        _fill(temp, source, move)
        _make_folders(target.parent)
        failpoint("file.filled")
        temp.replace(target)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)
    failpoint("file.published")


def _fill(temp: Path, source: Path | bytes, move: bool) -> None:
    if isinstance(source, bytes):
        with temp.open("wb") as file:
            file.write(source)
            file.flush()
            os.fsync(file.fileno())
        return
    if move and _rename(source, temp):
        return
    try:
        origin = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFound(f"{source} (File not found)") from error
    except OSError as error:  # ELOOP for a link, EACCES, ENXIO for a socket
        raise TaskFailed(f"Cannot read {source}: {error.strerror}") from error
    with os.fdopen(origin, "rb") as reading, temp.open("wb") as writing:
        if not stat.S_ISREG(os.fstat(origin).st_mode):
            raise TaskFailed(f"{source} is not a regular file")
        while piece := reading.read(1 << 20):
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    if move:
        source.unlink()


def _rename(source: Path, temp: Path) -> bool:
    """Whether `source` could be moved to `temp` by its name alone."""
    try:
        if not stat.S_ISREG(source.lstat().st_mode):
            raise TaskFailed(f"{source} is not a regular file")
        source.rename(temp)
    except FileNotFoundError as error:
        raise NotFound(f"{source} (File not found)") from error
    except OSError:  # another file system, or not ours: copy it
        return False
    # A script that is still running may have put a link there after the look above.
    if not stat.S_ISREG(temp.lstat().st_mode):
        raise TaskFailed(f"{source} is not a regular file")
    temp.chmod(0o644)
    file = os.open(temp, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    return True


def _make_folders(folder: Path) -> None:
    """Make `folder` and those above it, each durable in the one that holds it."""
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

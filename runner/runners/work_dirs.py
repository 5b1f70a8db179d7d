"""Working directories: folders that commands work in, in folders that only this user may enter."""

from __future__ import annotations

from pathlib import Path

from runner.model.execution import new_id
from runner.settings import TEMP_PREFIX


def new_work_dir(tmp_dir: Path, name: str | None = None) -> Path:
    """A new, empty working directory in a folder `name` of its own below `tmp_dir`.

    The folder around it can be entered by this user alone, so it may be open to the user of a
    container without being open to everyone on this machine.

    Raises:
        OSError: it cannot be made.
    """
    outer = tmp_dir.absolute() / (name or f"{TEMP_PREFIX}{new_id()}")
    # Named by a bare id of its own, as Kestra's are: paths in logs then look the same.
    folder = outer / new_id()
    try:
        outer.mkdir(mode=0o700)
    except FileNotFoundError:
        outer.parent.mkdir(parents=True, exist_ok=True)
        outer.mkdir(mode=0o700)
    make_folder(folder)
    return folder


def make_folder(path: Path) -> None:
    """Make a folder that any user may enter, whatever our umask; one that is there stays as it is.

    Raises OSError where that is not possible.
    """
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(0o755)


def remove_work_dir(folder: Path) -> None:
    """Remove a working directory that no command has used, with the folder around it."""
    import shutil

    shutil.rmtree(folder.parent, ignore_errors=True)

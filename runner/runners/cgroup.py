"""A cgroup for each process, where this machine lets us make some (version 2, delegated).

What a command starts stays in its cgroup whatever else it leaves: its session, its parent, its
environment. So all of it can be killed at once, and nothing has to be looked for.

To move a process into another cgroup the kernel halts every fork and exit of the machine, for
longer than a short command takes. So only those are moved that go on for a moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from runner.model.execution import new_id

_PREFIX = "eyas-"


class Cell:
    """A cgroup of its own for one command, made now and removed at the end of the block.

    `parent` is our own cgroup; None: this machine has none for us, and nothing here does anything.
    """

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    @property
    def is_there(self) -> bool:
        """Whether there can be one."""
        return self._parent is not None

    def take(self, find: Callable[[], Iterable[int]]) -> None:
        """Put the processes that `find` gives into the cell, until it finds no more of them.

        One that was moved stays, with whatever it starts. This takes milliseconds.
        """
        if self._parent is None:
            return
        folder = self._parent / f"{_PREFIX}{new_id()}"
        with suppress(OSError):
            folder.mkdir()
            self._folder = folder
            known: set[int] = set()
            while new := set(find()) - known:
                for pid in new:
                    # One that has ended meanwhile takes nothing with it.
                    with suppress(OSError):
                        _move(pid, folder)
                known |= new

    def kill(self) -> None:
        """Kill everything in the cell."""
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / "cgroup.kill").write_text("1")

    def __exit__(self, *_: object) -> None:
        """Let what is left in the cell go on where we are, and remove it."""
        if self._folder is None or self._parent is None:
            return
        with suppress(OSError):
            for pid in (self._folder / "cgroup.procs").read_text().split():
                _move(int(pid), self._parent)
            self._folder.rmdir()


def own_cgroup() -> Path | None:
    """The folder of the cgroup that we are in, if it is ours to make others below it.

    Cells that an earlier Eyas has left there empty are removed.
    """
    try:
        memberships = Path("/proc/self/cgroup").read_text()
        folder = place_of(memberships, Path("/proc/self/mountinfo").read_text())
    except OSError:
        return None
    if folder is None or not _is_ours(folder):
        return None
    for cell in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            cell.rmdir()
    return folder


def place_of(memberships: str, mounts: str) -> Path | None:
    """Where the texts of `/proc/PID/cgroup` and `mountinfo` say that our cgroup is."""
    ours = next((line[3:] for line in memberships.splitlines() if line.startswith("0::/")), None)
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        if ours is not None and kind.startswith("cgroup2 "):
            root, mounted = fields.split()[3:5]
            if Path(ours).is_relative_to(root):
                return Path(mounted) / Path(ours).relative_to(root)
    return None


def _is_ours(folder: Path) -> bool:
    """Whether it may be written, and nobody else (systemd) looks after what is below it."""
    if not all(os.access(path, os.W_OK) for path in (folder, folder / "cgroup.procs")):
        return False
    if os.geteuid() != 0 or not (folder / "cgroup.kill").exists():
        return True  # given to our user; or the root of all, where systemd never runs a service
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _move(pid: int, folder: Path) -> None:
    (folder / "cgroup.procs").write_text(str(pid))

"""The private folder of one command: where the shim keeps its markers besides printing them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from runner.errors import RunnerUnavailable
from runner.model.execution import new_id
from runner.settings import TEMP_PREFIX

NAME = "markers"
"""The side file's name in its folder."""

READ_LIMIT_BYTES = 64 * 1024 * 1024
"""More of a side file is never read: a script may put anything into it."""

_QUICK_BYTES = 100_000
"""So much is read faster than a thread is called."""


class SideFolder:
    """A folder that only this command uses, made now and removed at the end of the block.

    `open_to_all`: any user may write into it, as the user of a container may be anyone; the
    folder around it is ours alone.
    """

    def __init__(self, tmp_dir: Path, *, open_to_all: bool = False) -> None:
        try:
            self._outer = tmp_dir / f"{TEMP_PREFIX}side-{new_id()}"
            self._outer.mkdir(mode=0o700)
        except OSError as error:
            raise RunnerUnavailable(
                f"Cannot write to the temporary directory {tmp_dir}: {error.strerror}"
            ) from error
        self.path = self._outer
        if open_to_all:
            self.path = self._outer / "side"
            self.path.mkdir()
            self.path.chmod(0o777)

    @property
    def file(self) -> Path:
        """The side file; there is none until a script has sent something."""
        return self.path / NAME

    @property
    def outer(self) -> Path:
        """The folder around it, which is ours alone."""
        return self._outer

    @classmethod
    def at(cls, outer: Path) -> SideFolder:
        """The folder of a command that an earlier Eyas began, by its `outer`."""
        found = cls.__new__(cls)
        found._outer, found.path = outer, outer / "side"
        return found

    def __enter__(self) -> SideFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete the folder."""
        try:
            # As a rule there is a file or two in it, and no folder.
            for name in os.listdir(self._outer):  # noqa: PTH208 - this runs for every process
                os.unlink(self._outer / name)  # noqa: PTH108
            self._outer.rmdir()
        except OSError:
            import shutil

            shutil.rmtree(self._outer, ignore_errors=True)

    async def markers(self) -> Sequence[str]:
        """The marker lines in the side file, in the order in which they were written."""
        try:
            size = self.file.lstat().st_size
        except OSError:
            return ()
        if size <= _QUICK_BYTES:
            return self._markers()
        return await anyio.to_thread.run_sync(self._markers)

    def _markers(self) -> Sequence[str]:
        try:
            # A script may have made anything of it, a link or a FIFO too.
            fd = os.open(self.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ()
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return ()
        with os.fdopen(fd, "rb") as file:
            return parse(file.read(READ_LIMIT_BYTES))


def parse(data: bytes) -> Sequence[str]:
    """The marker lines in the bytes of a side file."""
    from kestra_shim.side_file import read_side_file

    return read_side_file(data).markers if data else ()

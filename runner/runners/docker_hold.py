"""Keeping the shell of a container from beginning its command, and from its end after that.

A command may not begin before that is on the disk; meanwhile its shell comes as far as it can.

An engine takes a container apart with more work than a short command is. While its tasks follow
each other closely, that work would take the processor from them. So the shell that was the command
ends all other processes, as its own end would, and waits: for us to let it go, or to be gone.
"""

from __future__ import annotations

import fcntl
import os
import termios
from array import array

from runner.runners.docker_entry import GO, HOLD
from runner.runners.side_file import SideFolder


class Hold:
    """Holds the shell of one container before its command and at its end, until it is let go.

    It is a pipe of which we have an end: when ours is closed, also by our death, the shell's
    reading comes to its end. A shell that has not begun by then ends without its command.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def of(cls, side: SideFolder) -> Hold | None:
        """A hold by a pipe in a private folder that no container has yet; None if none can be."""
        path = side.path / HOLD
        try:
            os.mkfifo(path)
            path.chmod(0o666)  # any user of the container may use it, whatever our umask
            found = cls(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return None
        found.begin()  # for the shell to find when it begins to wait
        return found

    @property
    def is_known(self) -> bool:
        """Whether the shell has found the pipe to be ours, and so will wait for its beginning.

        A container that was just started has not yet. One whose engine has another kernel than we
        never does: what it opens is another pipe.
        """
        left = array("i", [0])
        fcntl.ioctl(self._handle, termios.FIONREAD, left)
        return left[0] == 0

    @property
    def is_held(self) -> bool:
        """Whether the shell was not let go yet."""
        return self._handle >= 0

    def begin(self) -> None:
        """Let the command begin, now or as soon as its shell comes there."""
        os.write(self._handle, GO)

    def let_go(self) -> None:
        """Have the shell end, now or as soon as it comes there; once is enough."""
        if self.is_held:
            os.close(self._handle)
            self._handle = -1

"""The side file: a second way home for markers, should what is printed be lost on its way.

The variable EYAS_SIDE_FILE names it. Every marker is one line appended by one write:

    m <process> <number> <CRC-32, 8 hex digits> <marker line>

`process` is a word of its own for each process (a forked child is another one), `number` counts
its markers from 1. A process that ends by itself adds, and syncs to the disk:

    e <process> <how many markers it wrote>

Nothing here ever fails for the script: a file that cannot be written is given up.
"""

from __future__ import annotations

import os

LIMIT_BYTES = 64 * 1024 * 1024
"""What one process writes at most; from then on its markers are printed only."""


class _Process:
    """How much this process has written, and under which name."""

    def __init__(self, path: str, pid: int) -> None:
        from itertools import count
        from time import time_ns

        self.path = path
        self.pid = pid
        self.word = f"{pid:x}-{time_ns():x}"
        self.numbers = count(1)  # `next` of it is safe between threads
        self.size = 0
        self.given_up = False


_current: _Process | None = None


def append(line: str) -> None:
    """Append a marker line to the side file, if there is one."""
    process = _process()
    if process is None or process.given_up or "\n" in line:
        return
    from binascii import crc32

    data = line.encode("utf-8", "backslashreplace")
    process.size += len(data)
    head = f"m {process.word} {next(process.numbers)} {crc32(data):08x} "
    if process.size > LIMIT_BYTES or not _write(process.path, head.encode() + data + b"\n"):
        process.given_up = True


def _process() -> _Process | None:
    global _current
    pid = os.getpid()
    if _current is None or _current.pid != pid:
        path = os.environ.get("EYAS_SIDE_FILE")
        if not path:
            return None
        if _current is None:
            import atexit

            atexit.register(_end)  # a forked child inherits it
        _current = _Process(path, pid)
    return _current


def _end() -> None:
    """Say that this process has written all it wanted to."""
    process = _current
    if process is not None and not process.given_up and process.pid == os.getpid():
        line = f"e {process.word} {next(process.numbers) - 1}\n"
        _write(process.path, line.encode(), sync=True)


def _write(path: str, data: bytes, sync: bool = False) -> bool:
    """Append `data`; False if that failed.

    The file is opened each time: a descriptor kept open may have been closed by the script, and
    its number may be another file by now.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        fd = os.open(path, flags, 0o666)
        try:
            while data:
                data = data[os.write(fd, data) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return False
    return True

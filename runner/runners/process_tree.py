"""Finding and signalling everything that a command started, also what left its group."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from runner.records import record

_PROC = Path("/proc")


@record
class Process:
    """A running process. A pid is used again one day; the pair with its start time never is."""

    pid: int
    parent: int
    started: str


def descendants(pid: int) -> list[Process]:
    """The children of `pid`, their children and so on; empty where there is no /proc."""
    children: dict[int, list[Process]] = {}
    for process in _all():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    queue = [pid]
    while queue:
        for child in children.pop(queue.pop(), ()):
            found.append(child)
            queue.append(child.pid)
    return found


def carriers(variable: str, *, prefix: bool = False) -> list[Process]:
    """The processes that were started with `variable` (`NAME=value`) in their environment.

    `prefix`: the value need only begin so.
    """
    wanted = variable.encode() + (b"" if prefix else b"\0")
    found: list[Process] = []
    for process in _all():
        try:
            environment = (_PROC / str(process.pid) / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment:
            found.append(process)
    return found


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to the process group of `leader`, which must not have been reaped."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        # Gone, or nothing but what changed its user: there is nobody to tell.
        return


def signal_each(processes: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to each of the processes that is still the one it was."""
    for process in processes:
        now = _read(process.pid)
        if now is None or now.started != process.started:
            continue
        try:
            os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _all() -> list[Process]:
    try:
        pids = [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - twice as fast
    except OSError:
        return []
    return [process for process in map(_read, pids) if process is not None]


def _read(pid: int) -> Process | None:
    """What /proc says of a process; None if it has gone or is a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything: what follows begins after the last bracket.
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return None
    return Process(pid, int(fields[1]), fields[19])

"""Locks on files and folders that the kernel gives up when their holder ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

_PAUSES_S = (0.01, 0.02, 0.05)
_LONG_PAUSE_S = 0.1


def opened(path: Path) -> int | None:
    """An open handle of a folder; None if there is no such folder."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None


def shared(handle: int) -> bool:
    """Hold the handle's file beside others who do; False if somebody has it alone."""
    return _locked(handle, fcntl.LOCK_SH)


def alone(handle: int) -> bool:
    """Hold the handle's file alone; False if somebody else holds it."""
    return _locked(handle, fcntl.LOCK_EX)


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def one_at_a_time(path: Path) -> AsyncGenerator[None]:
    """Let only one task of all processes into the block; the others wait, and may be cancelled."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        pauses = iter(_PAUSES_S)
        # The kernel's own waiting could not be cancelled.
        while not alone(handle):  # noqa: ASYNC110 # other processes set no event of ours
            await anyio.sleep(next(pauses, _LONG_PAUSE_S))
        yield
    finally:
        os.close(handle)

"""Writes that wait for their turn share one trip to the disk, over several files too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast

import anyio
import anyio.to_thread
import structlog

log = structlog.get_logger()

T = TypeVar("T")


FULL_PAUSE_S = 0.5
"""So long after it was full the disk is tried again."""


class DiskFull(Exception):
    """A file's disk has no room: nothing of what was to be committed is written."""


class DiskBroken(Exception):
    """A file's disk gives errors, or became read-only: what is on it is not known any more."""


class File(Protocol):
    """What a `Writer` commits to."""

    def commit(self, jobs: Sequence[Job[object]]) -> None:
        """Run all jobs in one transaction; what comes of each is noted in it.

        Raises:
            DiskFull: nothing came of any; it may be tried again.
            DiskBroken: of some nothing came, as is noted in them, and it had better not be.
        """
        ...


class Job(Generic[T]):
    """A function that waits to be run in a transaction on a file, then what came of it."""

    def __init__(self, file: File, work: Callable[[sqlite3.Connection], T]) -> None:
        self.file = file
        self.work = work
        self.result: T | None = None
        self.error: Exception | None = None

    def outcome(self) -> T:
        """What the function returned; raises what it raised, or what kept it off the disk."""
        if self.error is not None:
            raise self.error
        return cast("T", self.result)


class _Batch:
    """Jobs that are written together. Whoever brings the first one writes them all."""

    def __init__(self) -> None:
        self.jobs: list[Job[object]] = []
        self.files: list[File] = []
        """Those that are written."""
        self.written = anyio.Event()

    def left_for(self, file: File) -> list[Job[object]]:
        """What is still to be written to a file."""
        return [job for job in self.jobs if job.file is file and file not in self.files]


class Writer:
    """Commits to some files, one batch after the other, in the order in which jobs came.

    While a batch is being written, the next one gathers. Within a batch the files are written in
    the order in which they were made known: what a later one says rests on what is in the earlier.

    While a disk is full everything waits, and goes on when there is room: nothing is lost, and
    nothing is told as done. `full` says so. `broken` is set when a disk gave errors: from then on
    nothing is written.
    """

    def __init__(self) -> None:
        self.files: list[File] = []
        self._turn = anyio.Lock(fast_acquire=True)
        self._one = anyio.CapacityLimiter(1)
        self._gathering = _Batch()
        self._impatient = anyio.Event()
        self.full = ""
        self.broken = anyio.Event()

    def give_up(self) -> None:
        """Have what waits for room on a full disk fail, from now on at once."""
        self._impatient.set()

    async def write(self, *jobs: Job[T]) -> None:
        """Have the jobs run, in one batch; when it comes back they are on the disk, or failed.

        When cancelled meanwhile, either nothing or all of it was written.
        """
        batch = self._gathering
        leads = not batch.jobs
        batch.jobs += cast("tuple[Job[object], ...]", jobs)
        if not leads:
            await batch.written.wait()
            return
        with anyio.CancelScope(shield=True):  # others' jobs are in the batch
            async with self._turn:
                self._gathering = _Batch()
                await self._write_whole(batch)
            batch.written.set()

    async def alone(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread when everything that came before was written."""
        async with self._turn:
            # Whatever comes now is too late for this turn.
            self._gathering = _Batch()
            await anyio.to_thread.run_sync(work, limiter=self._one)

    async def _write_whole(self, batch: _Batch) -> None:
        while True:
            failed = await anyio.to_thread.run_sync(self._write, batch, limiter=self._one)
            if isinstance(failed, DiskBroken) and not self.broken.is_set():
                log.error("store.broken", reason=str(failed))
                self.broken.set()
            before, self.full = self.full, str(failed) if isinstance(failed, DiskFull) else ""
            if self.full and not before:
                log.warning("store.full", reason=self.full)
            elif before and not self.full:
                log.info("store.goes_on")
            if not self.full or self._impatient.is_set():
                return
            with anyio.move_on_after(FULL_PAUSE_S):
                await self._impatient.wait()

    def _write(self, batch: _Batch) -> DiskFull | DiskBroken | None:
        """Write what is left of the batch; what went wrong with a disk."""
        for file in self.files:
            jobs = batch.left_for(file)
            try:
                if self.broken.is_set():
                    raise DiskBroken("the disk gave errors before")
                if jobs:
                    file.commit(jobs)
            except (DiskFull, DiskBroken) as error:
                # What is to be written to the later files rests on this.
                for job in (job for each in self.files for job in batch.left_for(each)):
                    job.error = job.error or error
                return error
            batch.files.append(file)
        return None

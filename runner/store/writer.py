"""Writes that wait for their turn share one trip to the disk, over several files too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar, cast

import anyio
import anyio.to_thread

T = TypeVar("T")


class File(Protocol):
    """What a `Writer` commits to."""

    def commit(self, jobs: Sequence[Job[object]]) -> None:
        """Run all jobs in one transaction; what comes of each is noted in it."""
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
        self.written = anyio.Event()


class Writer:
    """Commits to some files, one batch after the other, in the order in which jobs came.

    While a batch is being written, the next one gathers. Within a batch the files are written in
    the order in which they were made known: what a later one says rests on what is in the earlier.
    """

    def __init__(self) -> None:
        self.files: list[File] = []
        self._turn = anyio.Lock(fast_acquire=True)
        self._one = anyio.CapacityLimiter(1)
        self._gathering = _Batch()

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
            await self.alone(partial(self._write, batch))
            batch.written.set()

    async def alone(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread when everything that came before was written."""
        async with self._turn:
            # Whatever comes now is too late for this turn.
            self._gathering = _Batch()
            await anyio.to_thread.run_sync(work, limiter=self._one)

    def _write(self, batch: _Batch) -> None:
        for file in self.files:
            jobs = [job for job in batch.jobs if job.file is file]
            if jobs:
                file.commit(jobs)

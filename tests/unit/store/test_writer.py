"""Group commit: what waits for the disk at one time goes there together, and in order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence

import anyio
import pytest

from runner.store.writer import DiskBroken, DiskFull, Job, Writer


class Noted:
    """A file that notes what is committed to it together, and can be made to take long."""

    def __init__(self, name: str, order: list[tuple[str, int]]) -> None:
        self._name = name
        self._order = order
        self.may_end = threading.Event()
        self.may_end.set()
        self.began = threading.Event()

    def commit(self, jobs: Sequence[Job[object]]) -> None:
        self.began.set()
        assert self.may_end.wait(10)
        self._order.append((self._name, len(jobs)))


def nothing(_: sqlite3.Connection) -> None:
    """A change of nothing."""


async def test_what_comes_during_a_commit_shares_the_next_one() -> None:
    order: list[tuple[str, int]] = []
    file, writer = Noted("state", order), Writer()
    writer.files.append(file)
    file.may_end.clear()

    async with anyio.create_task_group() as group:
        group.start_soon(writer.write, Job(file, nothing))
        await anyio.to_thread.run_sync(file.began.wait)
        for _ in range(5):
            group.start_soon(writer.write, Job(file, nothing))
        await anyio.wait_all_tasks_blocked()
        file.may_end.set()

    assert order == [("state", 1), ("state", 5)]


async def test_files_are_written_in_their_order_whatever_came_first() -> None:
    order: list[tuple[str, int]] = []
    lines, facts, writer = Noted("logs", order), Noted("state", order), Writer()
    writer.files += [lines, facts]

    await writer.write(Job(facts, nothing), Job(lines, nothing), Job(facts, nothing))

    assert order == [("logs", 1), ("state", 2)]


@pytest.mark.parametrize("cancelled", [0, 1], ids=["that leads", "that follows"])
async def test_a_cancelled_write_takes_no_other_with_it(cancelled: int) -> None:
    order: list[tuple[str, int]] = []
    file, writer = Noted("state", order), Writer()
    writer.files.append(file)
    file.may_end.clear()
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def write(scope: anyio.CancelScope) -> None:
        with scope:
            await writer.write(Job(file, nothing))

    async with anyio.create_task_group() as group:
        group.start_soon(writer.write, Job(file, nothing))
        await anyio.to_thread.run_sync(file.began.wait)
        for scope in scopes:
            group.start_soon(write, scope)
        await anyio.wait_all_tasks_blocked()
        scopes[cancelled].cancel()
        await anyio.wait_all_tasks_blocked()
        file.may_end.set()

    assert order == [("state", 1), ("state", 3)]


async def test_work_alone_waits_for_what_came_before() -> None:
    order: list[tuple[str, int]] = []
    file, writer = Noted("state", order), Writer()
    writer.files.append(file)
    file.may_end.clear()

    async with anyio.create_task_group() as group:
        group.start_soon(writer.write, Job(file, nothing))
        await anyio.to_thread.run_sync(file.began.wait)
        group.start_soon(writer.write, Job(file, nothing))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(writer.alone, lambda: order.append(("alone", 0)))
        await anyio.wait_all_tasks_blocked()
        file.may_end.set()

    assert order == [("state", 1), ("state", 1), ("alone", 0)]


class Disk(Noted):
    """A file on a disk that answers to each commit with what was put down, at last with success."""

    def __init__(self, name: str, order: list[tuple[str, int]], *answers: Exception) -> None:
        super().__init__(name, order)
        self._answers = list(answers)

    def commit(self, jobs: Sequence[Job[object]]) -> None:
        if self._answers:
            raise self._answers.pop(0)
        super().commit(jobs)


async def test_what_a_full_disk_does_not_take_is_written_when_there_is_room() -> None:
    order: list[tuple[str, int]] = []
    lines, facts, writer = Noted("logs", order), Disk("state", order, DiskFull("no room")), Writer()
    writer.files += [lines, facts]

    await writer.write(Job(lines, nothing), Job(facts, nothing))

    assert order == [("logs", 1), ("state", 1)]
    assert writer.full == ""


async def test_what_waits_for_room_can_be_given_up() -> None:
    order: list[tuple[str, int]] = []
    file, writer = Disk("state", order, *[DiskFull("no room")] * 1000), Writer()
    writer.files.append(file)
    job = Job(file, nothing)

    async with anyio.create_task_group() as group:
        group.start_soon(writer.write, job)
        await anyio.wait_all_tasks_blocked()
        assert writer.full == "no room"
        writer.give_up()

    with pytest.raises(DiskFull):
        job.outcome()


async def test_what_rests_on_a_broken_disk_is_not_written() -> None:
    order: list[tuple[str, int]] = []
    lines, facts, writer = Disk("logs", order, DiskBroken("EIO")), Noted("state", order), Writer()
    writer.files += [lines, facts]
    job = Job(facts, nothing)

    await writer.write(Job(lines, nothing), job)

    assert order == []
    assert writer.broken.is_set()
    with pytest.raises(DiskBroken):
        job.outcome()
    await writer.write(Job(lines, nothing))
    assert order == []

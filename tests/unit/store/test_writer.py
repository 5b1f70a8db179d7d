"""Group commit: what waits for the disk at one time goes there together, and in order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence

import anyio
import pytest

from runner.store.writer import Job, Writer


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

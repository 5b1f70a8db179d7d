"""What is on the disk when: nothing that anybody can have seen may be lost in a power cut."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from runner.engine.engine import Engine
from runner.engine.flows import FixedFlows
from runner.engine.journal import FLUSH_INTERVAL_S, Journal
from runner.engine.leaving import Leaving
from runner.loading.flow import load
from runner.model.execution import Execution, Level, TaskRun, new_id
from runner.model.flow import Flow
from runner.model.state import History, State
from runner.model.triggers import Consequences
from runner.runners.base import Leavings
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.base import NO_CONSEQUENCES
from runner.store.sqlite import SqliteStore

T0 = datetime(2026, 1, 20, 9, 15, 2, tzinfo=UTC)
FLOW = """
id: f
namespace: t
tasks:
  - id: around
    type: io.kestra.plugin.core.flow.Sequential
    tasks:
      - {id: before, type: io.kestra.plugin.core.debug.Return, format: value}
      - id: looks
        type: io.kestra.plugin.scripts.shell.Commands
        taskRunner: {type: io.kestra.plugin.core.runner.Process}
        commands: ["PYTHON LOOKS STATE"]
"""
LOOKS = """
import json, sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}/state.db?mode=ro", uri=True)
for (body,) in db.execute("SELECT body FROM task_runs ORDER BY number"):
    run = json.loads(body)
    print(run["task"], run["history"][-1][0], run["outputs"])
"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An empty store on the disk."""
    async with await SqliteStore.open(tmp_path / "state") as store:
        yield store


@asynccontextmanager
async def engine_for(flow: Flow, store: SqliteStore, folder: Path) -> AsyncGenerator[Engine]:
    """An engine that knows a flow, and keeps everything in `store` and below a folder."""
    settings = Settings(
        state_dir=folder / "state",
        tmp_dir=folder,
        task_runner="process",
        environ={"PATH": os.environ["PATH"]},
    )
    storage = Storage(folder / "state" / "storage")
    ways = TaskRunners(settings)
    engine = Engine(settings, store, FixedFlows([flow]), storage, KeyValues(storage.root), ways)
    async with ways, engine:
        yield engine


async def test_before_a_process_begins_everything_before_it_is_on_the_disk(
    store: SqliteStore, tmp_path: Path
) -> None:
    (tmp_path / "looks.py").write_text(LOOKS)
    text = FLOW.replace("PYTHON", sys.executable).replace("LOOKS", str(tmp_path / "looks.py"))
    flow = load(text.replace("STATE", str(tmp_path / "state")))
    async with engine_for(flow, store, tmp_path) as engine:
        id_ = (await engine.start(flow)).id
        await engine.wait_until_done(id_)

    lines = [line.message for line in await store.logs(id_) if line.level is Level.INFO]
    assert lines == [
        "around RUNNING {}",
        "before SUCCESS {'value': 'value'}",
        "looks RUNNING None",
    ]
    assert [run.state for run in await store.task_runs(id_)] == [State.SUCCESS] * 3


def journal_in(store: SqliteStore) -> tuple[Journal, TaskRun]:
    """A journal of an execution that runs, and a task run of it."""
    flow = load(FLOW)
    history = History.begin(State.RUNNING, T0)
    execution = Execution(id=new_id(), namespace="t", flow_id="f", flow_revision=1, history=history)
    run = TaskRun(
        id=new_id(),
        execution_id=execution.id,
        namespace="t",
        flow_id="f",
        task_id="before",
        history=history,
    )
    return Journal(flow, execution, store), run


async def test_what_may_wait_is_stored_soon_with_its_lines(store: SqliteStore) -> None:
    journal, run = journal_in(store)
    journal.log(Level.INFO, "a line", run)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.keep_flushing)
        changed = journal.changed
        await journal.save(run.moved(State.SUCCESS, T0), within_s=FLUSH_INTERVAL_S)
        assert await store.task_runs(run.execution_id) == []

        await changed.wait()
        assert [each.state for each in await store.task_runs(run.execution_id)] == [State.SUCCESS]
        assert [line.message for line in await store.logs(run.execution_id)] == ["a line"]
        group.cancel_scope.cancel()


async def test_what_may_wait_is_stored_with_whatever_is_saved_next(store: SqliteStore) -> None:
    journal, run = journal_in(store)
    await journal.save(run, within_s=FLUSH_INTERVAL_S)
    await journal.save(run.moved(State.SUCCESS, T0), within_s=FLUSH_INTERVAL_S)

    await journal.move(State.SUCCESS)

    assert [each.state for each in await store.task_runs(run.execution_id)] == [State.SUCCESS]


async def test_what_could_not_be_stored_is_stored_by_the_next_try(store: SqliteStore) -> None:
    journal, run = journal_in(store)
    await journal.save(run, within_s=FLUSH_INTERVAL_S)
    await store.state.write(lambda db: db.execute("ALTER TABLE task_runs RENAME TO away"))
    with pytest.raises(sqlite3.Error):
        await journal.flush()
    await store.state.write(lambda db: db.execute("ALTER TABLE away RENAME TO task_runs"))

    await journal.flush()

    assert len(await store.task_runs(run.execution_id)) == 1


async def test_what_was_saved_is_stored_when_it_is_waited_for(store: SqliteStore) -> None:
    journal, run = journal_in(store)
    for flushes in (False, True):
        async with anyio.create_task_group() as group:
            if flushes:
                group.start_soon(journal.keep_flushing)
            state = State.SUCCESS if flushes else State.RUNNING
            await journal.save(replace(run, history=History.begin(state, T0)), within_s=0)
            await journal.recorded()

            assert [each.state for each in await store.task_runs(run.execution_id)] == [state]
            group.cancel_scope.cancel()


async def test_what_could_not_be_stored_meanwhile_is_not_taken_for_stored(
    store: SqliteStore,
) -> None:
    journal, run = journal_in(store)
    await store.state.write(lambda db: db.execute("ALTER TABLE task_runs RENAME TO away"))
    await journal.save(run, within_s=60)

    async def flush() -> None:
        with pytest.raises(sqlite3.Error):
            await journal.flush()

    async with anyio.create_task_group() as group:
        group.start_soon(flush)
        await anyio.lowlevel.checkpoint()
        with pytest.raises(sqlite3.Error):
            await journal.recorded()


async def test_every_state_is_told_once_also_if_it_was_to_be_stored_later(
    store: SqliteStore,
) -> None:
    told: list[State] = []

    @asynccontextmanager
    async def on_state(
        execution: Execution, runs: Collection[TaskRun]
    ) -> AsyncGenerator[Consequences]:
        yield NO_CONSEQUENCES
        stored = await store.execution(execution.id)
        assert stored.state is execution.state
        told.append(execution.state)

    plain, run = journal_in(store)
    created = replace(plain.execution, history=History.begin(State.CREATED, T0))
    journal = Journal(plain.flow, created, store, on_state=on_state, told=created)
    await journal.move(State.RUNNING, within_s=60)
    await journal.save(run, within_s=60)
    assert told == []

    await journal.move(State.PAUSED, within_s=60)
    await journal.move(State.SUCCESS)

    assert told == [State.RUNNING, State.PAUSED, State.SUCCESS]
    assert len(await store.task_runs(run.execution_id)) == 1


async def test_a_creation_is_stored_with_the_state_that_follows_and_both_are_told(
    store: SqliteStore,
) -> None:
    told: list[State] = []
    stored: list[State | None] = []

    @asynccontextmanager
    async def on_state(
        execution: Execution, runs: Collection[TaskRun]
    ) -> AsyncGenerator[Consequences]:
        told.append(execution.state)
        stored.append(next((each.state for each in await store.unfinished()), None))
        yield NO_CONSEQUENCES

    plain, _ = journal_in(store)
    created = replace(plain.execution, history=History.begin(State.CREATED, T0))
    journal = Journal(plain.flow, created, store, on_state=on_state)
    await journal.save(execution=created, within_s=60)
    await journal.move(State.RUNNING, within_s=60)
    assert await store.unfinished() == []

    await journal.begun()

    assert told == [State.CREATED, State.RUNNING]
    assert stored == [None, None]
    (execution,) = await store.unfinished()
    assert [change.state for change in execution.history.changes] == told


async def test_what_follows_from_a_creation_and_from_what_comes_next_is_stored(
    store: SqliteStore,
) -> None:
    plain, _ = journal_in(store)

    @asynccontextmanager
    async def on_state(
        execution: Execution, runs: Collection[TaskRun]
    ) -> AsyncGenerator[Consequences]:
        after = replace(plain.execution, id=f"after-{execution.state}")
        yield Consequences(executions=[after])

    created = replace(plain.execution, history=History.begin(State.CREATED, T0))
    journal = Journal(plain.flow, created, store, on_state=on_state)
    await journal.save(execution=created, within_s=60)
    await journal.move(State.RUNNING)

    found = {execution.id for execution in await store.unfinished()}
    assert found == {created.id, "after-CREATED", "after-RUNNING"}


async def test_a_creation_that_nothing_follows_is_stored_all_the_same(store: SqliteStore) -> None:
    plain, _ = journal_in(store)
    created = replace(plain.execution, history=History.begin(State.CREATED, T0))
    journal = Journal(plain.flow, created, store)
    await journal.save(execution=created, within_s=60)

    await journal.begun()

    assert [each.state for each in await store.unfinished()] == [State.CREATED]


async def test_lines_wait_while_it_is_stored_that_a_task_begins(store: SqliteStore) -> None:
    journal, run = journal_in(store)
    journal.log(Level.DEBUG, "a line", run)
    await journal.save(run, within_s=60)
    await journal.recorded()
    assert await store.logs(run.execution_id) == []

    await journal.flush()
    assert [line.message for line in await store.logs(run.execution_id)] == ["a line"]


async def test_nothing_is_removed_before_its_end_is_stored(store: SqliteStore) -> None:
    journal, run = journal_in(store)
    removed: list[int] = []
    for breaks in (True, False):
        stack = Leavings()
        stack.takes_time = True

        async def remove() -> None:
            removed.append(len(await store.task_runs(run.execution_id)))

        stack.push_async_callback(remove)
        if breaks:
            await store.state.write(lambda db: db.execute("ALTER TABLE task_runs RENAME TO away"))
        await journal.save(run, within_s=60)
        async with anyio.create_task_group() as group:
            await Leaving(group).close(stack, journal)
        if breaks:
            await store.state.write(lambda db: db.execute("ALTER TABLE away RENAME TO task_runs"))
            assert removed == []

    assert removed == [1]


async def test_an_execution_that_cannot_be_stored_does_not_begin(
    store: SqliteStore, tmp_path: Path
) -> None:
    flow = load(FLOW.replace("PYTHON", sys.executable))
    async with engine_for(flow, store, tmp_path) as engine:
        await store.state.write(lambda db: db.execute("ALTER TABLE executions RENAME TO away"))
        with pytest.raises(sqlite3.Error):
            await engine.start(flow, execution_id="mine")
        await store.state.write(lambda db: db.execute("ALTER TABLE away RENAME TO executions"))

        assert "mine" not in engine.live
    assert await store.unfinished() == []
    assert await store.task_runs("mine") == []


async def test_an_execution_has_ended_for_others_when_that_is_stored(store: SqliteStore) -> None:
    journal, _ = journal_in(store)

    async with anyio.create_task_group() as group:
        group.start_soon(journal.move, State.SUCCESS)
        await anyio.lowlevel.checkpoint()
        assert journal.execution.state is State.SUCCESS
        assert journal.stored.state is State.RUNNING

    assert journal.stored.state is State.SUCCESS


async def test_no_ending_is_stored_without_the_lines_before_it(store: SqliteStore) -> None:
    journal, run = journal_in(store)
    await journal.save(run, execution=journal.execution)
    await store.logs_write(lambda db: db.execute("ALTER TABLE batches RENAME TO away"))
    journal.log(Level.INFO, "the last words", run)

    with pytest.raises(sqlite3.Error):
        await journal.save(run.moved(State.SUCCESS, T0))

    assert [each.state for each in await store.task_runs(run.execution_id)] == [State.RUNNING]


async def test_what_waits_is_stored_when_an_execution_is_given_up(
    store: SqliteStore, tmp_path: Path
) -> None:
    flow = load("id: f\nnamespace: t\ntasks: [{id: p, type: io.kestra.plugin.core.flow.Pause}]")
    async with engine_for(flow, store, tmp_path) as engine:
        id_ = (await engine.start(flow)).id
        while (await store.execution(id_)).state is not State.PAUSED:
            await engine.changed(id_).wait()
        driver = engine.live.get(id_)
        assert driver is not None
        (run,) = driver.journal.runs.values()
        await driver.journal.save(replace(run, outputs={"seen": 1}), within_s=FLUSH_INTERVAL_S)

        await engine.live.abandon(id_)

        assert [each.outputs for each in await store.task_runs(id_)] == [{"seen": 1}]

"""What is kept of ended executions stays within bounds, oldest first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.engine.retention import keep_within
from runner.errors import NotFound
from runner.model.execution import Execution, Level, LogBatch, TaskRun
from runner.model.state import History, State
from runner.settings import Settings
from runner.storage.files import Storage
from runner.store.sqlite import SqliteStore

NOW = datetime(2026, 6, 1, tzinfo=UTC)
UNLIMITED: dict[str, Any] = {
    "retention_age": timedelta(),
    "retention_count": 0,
    "retention_max_bytes": 0,
}


async def filled(store: SqliteStore, storage: Storage, *, running: bool = False) -> list[Execution]:
    """Ten executions, one a day, each with a line and a file of 100,000 bytes."""
    made: list[Execution] = []
    for days in range(10, 0, -1):
        began = NOW - timedelta(days=days)
        history = History.begin(State.CREATED, began)
        if not running:
            history = history.moved(State.RUNNING, began).moved(State.SUCCESS, began)
        of: dict[str, Any] = {"namespace": "t", "flow_id": "f", "history": history}
        execution = Execution(id=f"e{days}", flow_revision=1, **of)
        run = TaskRun(id=f"r{days}", execution_id=execution.id, task_id="s", **of)
        await store.save(execution, [run])
        batch = LogBatch(
            execution_id=execution.id,
            namespace="t",
            flow_id="f",
            level=Level.INFO,
            messages=["line"],
            date=began,
        )
        await store.append([batch])
        storage.put(execution, run, "file", b"x" * 100_000)
        made.append(execution)
    return made


async def left(root: Path, *, running: bool = False, **limits: Any) -> list[str]:
    """The ids of the executions that are kept; all of the others is gone."""
    storage = Storage(root / "storage")
    async with await SqliteStore.open(root) as store:
        made = await filled(store, storage, running=running)
        settings = replace(Settings(state_dir=root, environ={}), **{**UNLIMITED, **limits})
        deleted = await keep_within(settings, store, storage, NOW)
        kept: list[str] = []
        for execution in made:
            lines = await store.logs(execution.id)
            files = storage.execution_files(execution)
            try:
                await store.execution(execution.id)
            except NotFound:
                assert (lines, files) == ([], [])
            else:
                assert (len(lines), len(files)) == (1, 1)
                kept.append(execution.id)
    assert deleted == 10 - len(kept)
    return kept


async def test_without_limits_everything_is_kept(tmp_path: Path) -> None:
    assert len(await left(tmp_path)) == 10


async def test_what_is_too_old_goes(tmp_path: Path) -> None:
    age = timedelta(days=3, hours=1)
    assert await left(tmp_path, retention_age=age) == ["e3", "e2", "e1"]


async def test_the_oldest_go_if_there_are_too_many(tmp_path: Path) -> None:
    assert await left(tmp_path, retention_count=2) == ["e2", "e1"]


async def test_the_oldest_go_if_they_take_too_much_room(tmp_path: Path) -> None:
    kept = await left(tmp_path, retention_max_bytes=600_000)
    assert 1 <= len(kept) <= 5
    assert kept == [f"e{days}" for days in range(len(kept), 0, -1)]


async def test_what_still_runs_stays_whatever_the_limits(tmp_path: Path) -> None:
    limits = {"retention_age": timedelta(1), "retention_count": 1, "retention_max_bytes": 1}
    assert len(await left(tmp_path, running=True, **limits)) == 10

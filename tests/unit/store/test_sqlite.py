"""What only the store on disk does: it stays, it searches, and it refuses files it cannot trust."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.errors import NotFound
from runner.model.execution import Execution, Label, Level, LogBatch, TriggerCause
from runner.model.state import History, State
from runner.store import database
from runner.store.database import Database, StoreUnusable
from runner.store.search import Condition, QueryInvalid
from runner.store.sqlite import SqliteStore

MIGRATIONS = Path(database.__file__).parent / "migrations"
T0 = datetime(2026, 1, 20, 9, 15, 2, tzinfo=UTC)


def execution(name: str, state: State, minutes: int = 0, **labels: str) -> Execution:
    """An execution of flow `a.b/{name}` that was created `minutes` after T0."""
    return Execution(
        id=f"{name}{minutes}{state}",
        namespace="a.b",
        flow_id=name,
        flow_revision=1,
        history=History.begin(state, T0 + timedelta(minutes=minutes)),
        labels=tuple(Label(key, value) for key, value in labels.items()),
        trigger=TriggerCause(id="cause", type="t", variables={"executionId": "up"})
        if minutes == 2
        else None,
    )


async def ids(store: SqliteStore, field: str, operation: str, *values: str) -> list[str]:
    """Flow ids of the executions that meet one condition, newest first."""
    found, total = await store.search([Condition(field, operation, values)])
    assert total == len(found)
    return [each.flow_id for each, _ in found]


async def test_what_was_stored_is_there_after_a_restart_and_numbers_go_on(tmp_path: Path) -> None:
    one = execution("one", State.RUNNING)
    batch = LogBatch(
        execution_id=one.id,
        namespace="a.b",
        flow_id="one",
        level=Level.INFO,
        messages=("first", "second"),
        date=T0,
    )
    async with await SqliteStore.open(tmp_path) as store:
        await store.save(one)
        await store.append([batch])

    async with await SqliteStore.open(tmp_path) as store:
        await store.append([batch])

        assert await store.execution(one.id) == one
        assert [line.number for line in await store.logs(one.id)] == [1, 2, 3, 4]


async def test_searches_by_field_label_and_text(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path) as store:
        for minutes, (name, state) in enumerate(
            [("one", State.SUCCESS), ("two", State.FAILED), ("t_o", State.RUNNING)]
        ):
            await store.save(execution(name, state, minutes, team=name, all="x y:z"))

        assert await ids(store, "state", "IN", "FAILED", "RUNNING") == ["t_o", "two"]
        assert await ids(store, "state", "NOT_EQUALS", "FAILED") == ["t_o", "one"]
        assert await ids(store, "labels", "EQUALS", "all:x y:z") == ["t_o", "two", "one"]
        assert await ids(store, "labels", "EQUALS", "all:x y:z", "team:two") == ["two"]
        assert await ids(store, "labels", "NOT_EQUALS", "team:two") == ["t_o", "one"]
        assert await ids(store, "q", "EQUALS", "t_") == ["t_o"]
        assert await ids(store, "namespace", "PREFIX", "a") == ["t_o", "two", "one"]
        assert await ids(store, "namespace", "PREFIX", "a.") == []
        assert await ids(store, "flowId", "STARTS_WITH", "t") == ["t_o", "two"]
        assert await ids(store, "flowId", "REGEX", "o.*|two") == ["two", "one"]
        assert await ids(store, "childFilter", "EQUALS", "CHILD") == ["t_o"]
        assert await ids(store, "triggerExecutionId", "EQUALS", "up") == ["t_o"]
        after = "2026-01-20T09:16:02.000000Z"
        assert await ids(store, "startDate", "GREATER_THAN", after) == ["t_o"]


async def test_a_page_counts_all_and_is_in_the_order_asked_for(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path) as store:
        for minutes in range(5):
            await store.save(execution(f"f{minutes}", State.SUCCESS, minutes))

        found, total = await store.search(order=[("flowId", "asc")], limit=2, offset=2)

        assert ([each.flow_id for each, _ in found], total) == (["f2", "f3"], 5)


@pytest.mark.parametrize("condition", [("nope", "EQUALS"), ("state", "NEARLY")])
async def test_an_unknown_field_or_operation_is_refused(
    tmp_path: Path, condition: tuple[str, str]
) -> None:
    async with await SqliteStore.open(tmp_path) as store:
        with pytest.raises(QueryInvalid, match=condition[0] if condition[0] == "nope" else "NEAR"):
            await store.search([Condition(*condition, ("x",))])


async def test_log_search_pages_over_batches_and_finds_text_in_any_case(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path) as store:
        for number in range(4):
            await store.append(
                [
                    LogBatch(
                        execution_id=f"x{number % 2}",
                        namespace="a",
                        flow_id="f",
                        level=Level.ERROR if number == 3 else Level.INFO,
                        messages=tuple(f"Line 100%_{number}{letter}" for letter in "abc"),
                        date=T0,
                    )
                ]
            )

        lines, total = await store.search_logs(newest_first=False, limit=4, offset=2)
        assert ([line.message[-2:] for line in lines], total) == (["0c", "1a", "1b", "1c"], 12)

        lines, total = await store.search_logs(containing="LINE 100%_2B")
        assert ([line.message for line in lines], total) == (["Line 100%_2b"], 1)

        lines, total = await store.search_logs([Condition("level", "EQUALS", ("WARN",))], limit=2)
        assert ([line.message[-2:] for line in lines], total) == (["3c", "3b"], 3)

        gone = await store.delete_logs([Condition("executionId", "EQUALS", ("x1",))])
        assert (gone, await store.logs("x1"), len(await store.logs("x0"))) == (6, [], 6)


async def test_a_deleted_execution_is_not_found_and_has_no_runs(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path) as store:
        one = execution("one", State.SUCCESS)
        await store.save(one)

        await store.delete(one.id)

        with pytest.raises(NotFound):
            await store.execution(one.id)
        with pytest.raises(NotFound):
            await store.delete(one.id)


async def test_a_function_that_raises_undoes_its_own_changes_only(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path) as store:
        await store.save(execution("one", State.SUCCESS))

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM executions")
            raise NotFound("changed my mind")

        with pytest.raises(NotFound, match="changed my mind"):
            await store.state.write(work)

        assert len((await store.search())[0]) == 1


async def test_a_file_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreUnusable, match="newer Eyas"):
        await SqliteStore.open(tmp_path)


@pytest.mark.parametrize("kind", ["state", "logs"])
async def test_files_of_every_older_version_are_brought_up_to_date(
    tmp_path: Path, kind: str
) -> None:
    scripts = sorted((MIGRATIONS / kind).glob("*.sql"))
    for version in range(1, len(scripts) + 1):
        root = tmp_path / str(version)
        async with await SqliteStore.open(root) as store:
            await store.save(execution("one", State.SUCCESS))
            rows = await store.state.read(lambda db: db.execute("SELECT * FROM executions LIMIT 1"))
            row = rows.fetchone()
        (root / f"{kind}.db").unlink()
        with sqlite3.connect(root / f"{kind}.db") as db:
            for script in scripts[:version]:
                db.executescript(script.read_text())
            db.execute("PRAGMA application_id = 0x45594153")
            db.execute(f"PRAGMA user_version = {version}")
            if kind == "state":
                # Later columns were added at the end.
                columns = db.execute("SELECT * FROM executions").description
                marks = ", ".join("?" * len(columns))
                db.execute(f"INSERT INTO executions VALUES ({marks})", row[: len(columns)])
        db.close()

        async with await SqliteStore.open(root) as store:
            assert [each.flow_id for each, _ in (await store.search())[0]] == ["one"]
            batch = LogBatch(
                execution_id="e",
                namespace="a.b",
                flow_id="one",
                level=Level.INFO,
                messages=["line"],
                date=T0,
            )
            await store.append([batch])
            assert [line.message for line in await store.logs("e")] == ["line"]


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("CREATE TABLE cars (id)")
    db.close()

    with pytest.raises(StoreUnusable, match="another program"):
        await SqliteStore.open(tmp_path)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database, but long enough to look like one" * 200)

    with pytest.raises(StoreUnusable, match="cannot be used"):
        await Database.open(tmp_path / "state.db", "state")


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path / "state"):
        modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "state").glob("*.db")]

    assert modes == [0, 0]

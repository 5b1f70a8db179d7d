"""The read-only look at a store, beside one that is written to."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.errors import NotFound
from runner.model.execution import Execution, Label, Level, LogBatch, Metric, TaskRun
from runner.model.state import History, State
from runner.store.flow_texts import FlowTexts
from runner.store.reader import StoreUnreadable, open_reader
from runner.store.search import Condition
from runner.store.sqlite import SqliteStore

NOW = datetime(2026, 1, 20, 9, 15, 2, 123456, UTC)


def execution(id_: str, state: State = State.RUNNING) -> Execution:
    """An execution in that state."""
    return Execution(
        id=id_,
        namespace="a.b",
        flow_id="f",
        flow_revision=1,
        history=History.begin(state, NOW),
        inputs={"when": NOW},
        labels=(Label("team", "data"),),
    )


def lines(id_: str, *messages: str, level: Level = Level.INFO) -> LogBatch:
    """Lines of an execution."""
    return LogBatch(
        execution_id=id_,
        namespace="a.b",
        flow_id="f",
        level=level,
        messages=messages,
        date=NOW,
        task_id="t",
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store that is open for writing."""
    async with await SqliteStore.open(tmp_path) as opened:
        yield opened


async def test_what_was_written_is_read_as_it_was(store: SqliteStore, tmp_path: Path) -> None:
    written = execution("Abc1")
    run = TaskRun(
        id="r",
        execution_id="Abc1",
        namespace="a.b",
        flow_id="f",
        task_id="t",
        history=History.begin(State.SUCCESS, NOW),
        outputs={"n": 1},
    )
    metric = Metric(
        execution_id="Abc1",
        namespace="a.b",
        flow_id="f",
        task_id="t",
        task_run_id="r",
        name="rows",
        type="counter",
        value=3,
        date=NOW,
    )
    await store.save(written, [run])
    await store.append([lines("Abc1", "one", "two"), lines("other", "x")], [metric])
    await store.append([lines("Abc1", "three")])

    with open_reader(tmp_path) as reader:
        assert reader.found("Abc1") == (written, [run])
        assert [line.message for line in reader.lines("Abc1")] == ["one", "two", "three"]
        assert [line.message for line in reader.lines("Abc1", 1)] == ["two", "three"]
        backwards = [line.message for line in reader.lines_backwards("Abc1")]
        assert backwards == ["three", "two", "one"]
        assert reader.metrics("Abc1") == [metric]


async def test_many_lines_are_read_in_pieces_and_a_slow_reader_holds_nothing_up(
    store: SqliteStore, tmp_path: Path
) -> None:
    numbers = [str(number) for number in range(400)]
    for number in range(0, 400, 2):
        await store.append([lines("x", *numbers[number : number + 2]), lines("y", "other")])

    with open_reader(tmp_path) as reader:
        slow = reader.lines("x")
        first = next(slow)
        with closing(sqlite3.connect(tmp_path / "logs.db")) as other:
            (busy, _, _) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        rest = [line.message for line in slow]
        backwards = [line.message for line in reader.lines_backwards("x")]
        from_the_middle = [line.message for line in reader.lines("x", first.number)]

    assert busy == 0
    assert [first.message, *rest] == numbers
    assert backwards == numbers[::-1]
    assert from_the_middle == numbers[1:]


async def test_the_beginning_of_an_id_will_do_if_no_other_begins_so(
    store: SqliteStore, tmp_path: Path
) -> None:
    for id_ in ("Abc", "Abcd", "Abx", "aaa"):
        await store.save(execution(id_))

    with open_reader(tmp_path) as reader:
        assert reader.execution_id("Abcd") == "Abcd"
        assert reader.execution_id("Abc") == "Abc"  # an id, and the beginning of another one
        assert reader.execution_id("a") == "aaa"
        with pytest.raises(NotFound, match="begin with 'Ab': Abc, Abcd, Abx"):
            reader.execution_id("Ab")
        for unknown in ("", "zz", "Abcde", "%", "A_c"):
            with pytest.raises(NotFound, match="There is no execution"):
                reader.execution_id(unknown)
        assert [id_ for id_, _ in reader.ids("Ab", 2)] == ["Abx", "Abcd"]


async def test_a_search_gives_the_newest_first_and_counts_all(
    store: SqliteStore, tmp_path: Path
) -> None:
    for id_ in ("x1", "x2", "x3"):
        await store.save(execution(id_))
    await store.save(execution("x4", State.SUCCESS))

    with open_reader(tmp_path) as reader:
        found, total = reader.search([Condition("state", "IN", ("RUNNING",))], 2)

    assert [each.id for each, _ in found] == ["x3", "x2"]
    assert total == 3


async def test_flows_are_known_by_every_text_they_had(store: SqliteStore, tmp_path: Path) -> None:
    texts = FlowTexts(store.state)
    await texts.record([("a", "f", "first"), ("a.b", "g", "other")])
    await texts.record([("a", "f", "second")])

    with open_reader(tmp_path) as reader:
        assert reader.flow_names() == [("a", "f"), ("a.b", "g")]
        revisions = reader.flow_revisions("a", "f")

    assert [(each.revision, each.source) for each in revisions] == [(1, "first"), (2, "second")]


async def test_waiting_ends_when_somebody_writes(store: SqliteStore, tmp_path: Path) -> None:
    woken = threading.Event()
    ready = threading.Event()

    def wait() -> None:
        with open_reader(tmp_path) as reader:
            version = reader.version()
            ready.set()
            reader.wait_for_change(version)
            woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    ready.wait()
    assert not woken.is_set()

    await store.append([lines("x", "now")])

    thread.join(10)
    assert woken.is_set()


def test_a_folder_without_a_store_stays_without_one(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="There is no store in"), open_reader(tmp_path):
        pass

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("change", "says"), [(1, "a newer Eyas"), (-1, "an older Eyas")])
async def test_a_store_of_another_version_is_left_alone(
    tmp_path: Path, change: int, says: str
) -> None:
    async with await SqliteStore.open(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "state.db") as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + change}")
    db.close()

    with pytest.raises(StoreUnreadable, match=says), open_reader(tmp_path):
        pass


async def test_a_damaged_store_is_one_message(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path):
        pass
    (tmp_path / "state.db").write_bytes(b"no database at all" * 1000)

    with pytest.raises(StoreUnreadable, match="cannot be read"), open_reader(tmp_path):
        pass


async def test_a_reader_cannot_write(store: SqliteStore, tmp_path: Path) -> None:
    await store.save(execution("x"))

    with pytest.raises(StoreUnreadable, match="readonly"), open_reader(tmp_path) as reader:
        reader._state.execute("DELETE FROM executions")  # pyright: ignore[reportPrivateUsage] # what nothing public does

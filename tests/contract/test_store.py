"""What every store must do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from runner.errors import NotFound
from runner.model.execution import (
    Attempt,
    Execution,
    Label,
    Level,
    LogBatch,
    Metric,
    TaskRun,
    TriggerCause,
    new_id,
)
from runner.model.state import History, State
from runner.store.base import Store
from runner.store.memory import MemoryStore
from runner.store.sqlite import SqliteStore

T0 = datetime(2026, 1, 20, 9, 15, 2, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """One store of each kind, empty."""
    if request.param == "memory":
        yield MemoryStore()
        return
    async with await SqliteStore.open(tmp_path / "state") as store:
        yield store


def make(*states: State, execution_id: str = "") -> Execution:
    """An execution with one of everything, that went through `states`."""
    history = History.begin(states[0], T0)
    for step, state in enumerate(states[1:], 1):
        history = history.moved(state, T0 + timedelta(seconds=step))
    return Execution(
        id=execution_id or new_id(),
        namespace="company.team",
        flow_id="daily",
        flow_revision=3,
        history=history,
        inputs={"n": 5, "when": T0, "took": timedelta(minutes=1), "none": None, "é": ["\n"]},
        outputs={"rows": 42},
        labels=(Label("team", "data"), Label("k", "with:colon")),
        variables={"a": {"b": [1.5, True]}},
        trigger=TriggerCause(id="every", type="t.Schedule", variables={"date": T0}),
        parent_id="p",
        original_id="o",
        attempt_number=2,
        original_created=T0,
        schedule_date=T0 + timedelta(days=1),
    )


def make_run(execution: Execution, task_id: str = "t") -> TaskRun:
    """A task run of the execution with one of everything."""
    history = History.begin(State.CREATED, T0).moved(State.RUNNING, T0 + timedelta(seconds=1))
    return TaskRun(
        id=new_id(),
        execution_id=execution.id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        task_id=task_id,
        history=history,
        parent_id="up",
        value="7",
        iteration=1,
        attempts=(Attempt(history=history), Attempt(history=history)),
        outputs={"vars": {"x": [1, None]}},
        dynamic=True,
    )


def make_batch(execution: Execution, *messages: str, level: Level = Level.INFO) -> LogBatch:
    return LogBatch(
        execution_id=execution.id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        level=level,
        messages=messages,
        date=T0,
        task_id="t",
        task_run_id="r",
        attempt=0,
    )


async def test_what_was_saved_is_read_back_equal(store: Store) -> None:
    execution = make(State.CREATED, State.RUNNING)
    run = make_run(execution)

    await store.save(execution, [run])

    assert await store.execution(execution.id) == execution
    assert await store.task_runs(execution.id) == [run]


async def test_saving_again_replaces_and_keeps_the_order_of_creation(store: Store) -> None:
    execution = make(State.CREATED)
    first, second = make_run(execution, "a"), make_run(execution, "b")
    await store.save(execution, [first, second])

    ended = first.moved(State.SUCCESS, T0 + timedelta(seconds=9))
    await store.save(None, [ended])
    await store.save(execution.moved(State.RUNNING, T0))

    assert await store.task_runs(execution.id) == [ended, second]
    assert (await store.execution(execution.id)).state is State.RUNNING


async def test_an_unknown_execution_is_not_found_and_has_nothing(store: Store) -> None:
    with pytest.raises(NotFound, match="nope"):
        await store.execution("nope")

    assert await store.task_runs("nope") == []
    assert await store.logs("nope") == []
    assert await store.metrics("nope") == []


async def test_dropped_runs_are_gone_and_the_others_stay(store: Store) -> None:
    execution = make(State.RUNNING)
    runs = [make_run(execution, name) for name in "abc"]
    await store.save(execution, runs)

    await store.discard_runs(execution.id, [runs[0].id, runs[2].id, "unknown"])

    assert await store.task_runs(execution.id) == [runs[1]]


async def test_lines_are_numbered_in_order_over_batches_and_executions(store: Store) -> None:
    one, other = make(State.RUNNING), make(State.RUNNING)
    await store.append([make_batch(one, "a", "b"), make_batch(other, "x")])
    await store.append([make_batch(one, "c\nd", level=Level.ERROR), make_batch(one)])

    lines = await store.logs(one.id)

    assert [line.message for line in lines] == ["a", "b", "c\nd"]
    assert [line.level for line in lines] == [Level.INFO, Level.INFO, Level.ERROR]
    numbers = [line.number for line in lines]
    assert numbers == sorted(set(numbers))
    assert lines[0].date == T0
    assert (lines[0].task_id, lines[0].task_run_id, lines[0].attempt) == ("t", "r", 0)


async def test_following_reads_what_came_after_a_number(store: Store) -> None:
    execution = make(State.RUNNING)
    await store.append([make_batch(execution, *"abcde"), make_batch(execution, *"fgh")])
    lines = await store.logs(execution.id)

    later = await store.logs(execution.id, after=lines[2].number)
    some = await store.logs(execution.id, after=lines[2].number, limit=3)
    none = await store.logs(execution.id, after=lines[-1].number)

    assert "".join(line.message for line in later) == "defgh"
    assert "".join(line.message for line in some) == "def"
    assert none == []


async def test_metrics_come_back_in_order(store: Store) -> None:
    execution = make(State.RUNNING)
    metrics = [
        Metric(
            execution_id=execution.id,
            namespace="n",
            flow_id="f",
            task_id="t",
            task_run_id="r",
            name=name,
            type="counter",
            value=2.5,
            date=T0,
            tags=tags,
        )
        for name, tags in [("b", {"table": "ü"}), ("a", {}), (None, None)]
    ]

    await store.append([], metrics)

    assert await store.metrics(execution.id) == metrics


async def test_unfinished_executions_are_listed_as_they_were_created(store: Store) -> None:
    running, ended, paused = make(State.RUNNING), make(State.SUCCESS), make(State.PAUSED)
    for execution in (running, ended, paused):
        await store.save(execution)
    await store.save(running.moved(State.PAUSED, T0))

    assert [each.id for each in await store.unfinished()] == [running.id, paused.id]


async def test_text_that_utf8_cannot_hold_is_kept_as_far_as_it_can(store: Store) -> None:
    execution = make(State.RUNNING)
    odd = replace(execution, outputs={"nul": "a\x00b", "big": 2**70})

    await store.save(odd)
    await store.append([make_batch(execution, "fine \x00 ünï")])

    assert (await store.execution(odd.id)).outputs == odd.outputs
    assert (await store.logs(execution.id))[0].message == "fine \x00 ünï"


async def test_many_writers_at_once_lose_nothing(store: Store) -> None:
    executions = [make(State.RUNNING) for _ in range(40)]

    async def write(execution: Execution) -> None:
        await store.save(execution, [make_run(execution, str(n)) for n in range(3)])
        await store.append([make_batch(execution, "one", "two")])
        await store.save(execution.moved(State.SUCCESS, T0 + timedelta(seconds=5)))

    async with anyio.create_task_group() as group:
        for execution in executions:
            group.start_soon(write, execution)

    for execution in executions:
        assert (await store.execution(execution.id)).state is State.SUCCESS
        assert [run.task_id for run in await store.task_runs(execution.id)] == ["0", "1", "2"]
        assert [line.message for line in await store.logs(execution.id)] == ["one", "two"]


async def test_a_cancelled_write_is_whole_or_absent(store: Store) -> None:
    executions = [make(State.RUNNING) for _ in range(30)]
    runs = {each.id: [make_run(each, str(n)) for n in range(5)] for each in executions}

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            for execution in executions:
                group.start_soon(store.save, execution, runs[execution.id])
            await anyio.lowlevel.checkpoint()
            scope.cancel()

    for execution in executions:
        kept = await store.task_runs(execution.id)
        assert kept in ([], runs[execution.id])
        assert bool(kept) == (execution.id in {each.id for each in await store.unfinished()})
    again = make(State.RUNNING)
    await store.save(again)
    assert await store.execution(again.id) == again

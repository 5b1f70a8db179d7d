"""What every store of triggers must do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.model.execution import Execution, Label
from runner.model.state import History, State
from runner.model.triggers import Backfill, Consequences, TriggerName, TriggerState, Window
from runner.store.base import Store
from runner.store.database import Database
from runner.store.memory import MemoryStore
from runner.store.memory_triggers import MemoryTriggers
from runner.store.sqlite import SqliteStore
from runner.store.triggers import SqliteTriggers, TriggerStore

T0 = datetime(2026, 1, 20, 9, 15, 2, 1, tzinfo=UTC)
NAME = TriggerName("company.team", "daily", "morning")
FULL = TriggerState(
    name=NAME,
    plan="0 9 * * *|UTC",
    next_date=T0 + timedelta(days=1),
    last_date=T0,
    updated=T0,
    execution_id="abc",
    disabled=True,
    backfill=Backfill(
        start=T0,
        end=T0 + timedelta(days=3),
        current=T0 + timedelta(days=1),
        created=T0,
        paused=True,
        inputs={"n": 5, "when": T0, "é": [None]},
        labels=(Label("team", "data"),),
    ),
    met=True,
)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TriggerStore]:
    """One store of each kind, empty."""
    if request.param == "memory":
        yield MemoryTriggers()
        return
    state = await Database.open(tmp_path / "state.db", "state")
    yield SqliteTriggers(state)
    await state.close()


async def test_a_state_comes_back_as_it_was_saved(store: TriggerStore) -> None:
    bare = TriggerState(name=TriggerName("a", "b", "c"))
    await store.save_state(FULL)
    await store.save_state(bare)

    assert await store.states() == [bare, FULL]


async def test_a_state_is_replaced_and_deleted_by_its_name(store: TriggerStore) -> None:
    other = replace(FULL, name=TriggerName("company.team", "daily", "evening"))
    await store.save_state(FULL)
    await store.save_state(other)
    await store.save_state(replace(FULL, disabled=False))
    assert await store.states() == [other, replace(FULL, disabled=False)]

    await store.delete_state(NAME)
    await store.delete_state(NAME)
    assert await store.states() == [other]


@pytest.fixture(params=["memory", "sqlite"])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Store, TriggerStore]]:
    """A store of executions of each kind, and the one of triggers that it writes to."""
    if request.param == "memory":
        memory = MemoryStore()
        yield memory, memory.triggers
        return
    async with await SqliteStore.open(tmp_path) as sqlite:
        yield sqlite, SqliteTriggers(sqlite.state)


def made(flow_id: str) -> Execution:
    """An execution."""
    return Execution(
        id=f"of {flow_id}",
        namespace="company.team",
        flow_id=flow_id,
        flow_revision=1,
        history=History.begin(State.CREATED, T0),
    )


async def test_what_follows_from_a_state_is_saved_with_it(
    stores: tuple[Store, TriggerStore],
) -> None:
    store, triggers = stores
    await store.save(made("a"), consequences=Consequences(executions=[made("b")], states=[FULL]))

    assert [each.id for each in await store.unfinished()] == ["of a", "of b"]
    assert await triggers.states() == [FULL]


async def test_a_window_keeps_the_order_in_which_conditions_were_met(
    stores: tuple[Store, TriggerStore],
) -> None:
    store, triggers = stores
    met = {"z": "1", "a": "2", "m": "3"}
    window = Window(name=NAME, start=T0, end=T0 + timedelta(days=1), met=met)
    other = replace(window, name=TriggerName("company.team", "daily", "evening"))
    await store.save(None, consequences=Consequences(windows=[replace(window, met={}), other]))
    await store.save(None, consequences=Consequences(windows=[window], over=[other.name]))

    (kept,) = await triggers.windows()
    assert kept == window
    assert list(kept.met) == ["z", "a", "m"]

    await triggers.delete_window(NAME)
    assert await triggers.windows() == []

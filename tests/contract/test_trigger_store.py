"""What every store of triggers must do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.model.execution import Label
from runner.model.triggers import Backfill, TriggerName, TriggerState, Window
from runner.store.database import Database
from runner.store.triggers import MemoryTriggers, SqliteTriggers, TriggerStore

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


async def test_a_window_keeps_the_order_in_which_conditions_were_met(store: TriggerStore) -> None:
    met = {"z": "1", "a": "2", "m": "3"}
    window = Window(name=NAME, start=T0, end=T0 + timedelta(days=1), met=met)
    await store.save_window(replace(window, met={}))
    await store.save_window(window)

    (kept,) = await store.windows()
    assert kept == window
    assert list(kept.met) == ["z", "a", "m"]

    await store.delete_window(NAME)
    assert await store.windows() == []

"""Where states of triggers and windows of preconditions are kept, in memory and on disk."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from typing import Any, Protocol

from runner.model.execution import Label
from runner.model.triggers import Backfill, TriggerName, TriggerState, Window
from runner.store.database import Database
from runner.store.rows import dumps, loads


class TriggerStore(Protocol):
    """Keeps what triggers need to know after a restart. Every write is durable on return."""

    async def states(self) -> list[TriggerState]:
        """Every state, in the order of their names."""
        ...

    async def save_state(self, state: TriggerState) -> None:
        """Insert or replace the state of a trigger."""
        ...

    async def delete_state(self, name: TriggerName) -> None:
        """Forget a trigger; one that is not known is no error."""
        ...

    async def windows(self) -> list[Window]:
        """Every window, in the order of their names."""
        ...

    async def save_window(self, window: Window) -> None:
        """Insert or replace the window of that name."""
        ...

    async def delete_window(self, name: TriggerName) -> None:
        """Forget a window; one that is not known is no error."""
        ...


class MemoryTriggers:
    """A `TriggerStore` that is gone when the process ends."""

    def __init__(self) -> None:
        self._states: dict[TriggerName, TriggerState] = {}
        self._windows: dict[TriggerName, Window] = {}

    async def states(self) -> list[TriggerState]:
        """Every state, in the order of their names."""
        return [self._states[name] for name in sorted(self._states)]

    async def save_state(self, state: TriggerState) -> None:
        """Insert or replace the state of a trigger."""
        self._states[state.name] = state

    async def delete_state(self, name: TriggerName) -> None:
        """Forget a trigger."""
        self._states.pop(name, None)

    async def windows(self) -> list[Window]:
        """Every window, in the order of their names."""
        return [self._windows[name] for name in sorted(self._windows)]

    async def save_window(self, window: Window) -> None:
        """Insert or replace the window of that name."""
        self._windows[window.name] = window

    async def delete_window(self, name: TriggerName) -> None:
        """Forget a window."""
        self._windows.pop(name, None)


class SqliteTriggers:
    """A `TriggerStore` in the tables of the state database."""

    def __init__(self, state: Database) -> None:
        self._state = state

    async def states(self) -> list[TriggerState]:
        """Every state, in the order of their names."""

        def work(db: sqlite3.Connection) -> list[TriggerState]:
            sql = "SELECT * FROM trigger_states ORDER BY namespace, flow_id, trigger_id"
            return [_state(TriggerName(*row[:3]), loads(row[3])) for row in db.execute(sql)]

        return await self._state.read(work)

    async def save_state(self, state: TriggerState) -> None:
        """Insert or replace the state of a trigger."""
        body = asdict(state)
        del body["name"]
        await self._save("trigger_states", state.name, body)

    async def delete_state(self, name: TriggerName) -> None:
        """Forget a trigger."""
        await self._delete("trigger_states", "trigger_id", name)

    async def windows(self) -> list[Window]:
        """Every window, in the order of their names."""

        def work(db: sqlite3.Connection) -> list[Window]:
            sql = "SELECT * FROM trigger_windows ORDER BY namespace, flow_id, id"
            return [Window(name=TriggerName(*row[:3]), **loads(row[3])) for row in db.execute(sql)]

        return await self._state.read(work)

    async def save_window(self, window: Window) -> None:
        """Insert or replace the window of that name."""
        body = {"start": window.start, "end": window.end, "met": dict(window.met)}
        await self._save("trigger_windows", window.name, body)

    async def delete_window(self, name: TriggerName) -> None:
        """Forget a window."""
        await self._delete("trigger_windows", "id", name)

    async def _save(self, table: str, name: TriggerName, body: dict[str, Any]) -> None:
        row = (*name, dumps(body))

        def work(db: sqlite3.Connection) -> None:
            db.execute(f"REPLACE INTO {table} VALUES (?, ?, ?, ?)", row)

        await self._state.write(work)

    async def _delete(self, table: str, column: str, name: TriggerName) -> None:
        def work(db: sqlite3.Connection) -> None:
            sql = f"DELETE FROM {table} WHERE namespace = ? AND flow_id = ? AND {column} = ?"
            db.execute(sql, name)

        await self._state.write(work)


def _state(name: TriggerName, body: dict[str, Any]) -> TriggerState:
    backfill = body.pop("backfill")
    if backfill is not None:
        labels = tuple(Label(**label) for label in backfill.pop("labels"))
        backfill = Backfill(labels=labels, **backfill)
    return TriggerState(name=name, backfill=backfill, **body)

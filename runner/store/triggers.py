"""Where states of triggers and windows of preconditions are kept, in memory and on disk."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from runner.model.execution import Label
from runner.model.triggers import Backfill, Consequences, TriggerName, TriggerState, Window
from runner.store.database import Database
from runner.store.rows import dumps, loads


class TriggerStore(Protocol):
    """Keeps what triggers need to know after a restart. Every write is durable on return.

    `Store.save` writes here too what an execution's change of state leads to.
    """

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

    async def delete_window(self, name: TriggerName) -> None:
        """Forget a window; one that is not known is no error."""
        ...


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
        await self._state.write(partial(write_consequences, Consequences(states=[state])))

    async def delete_state(self, name: TriggerName) -> None:
        """Forget a trigger."""

        def work(db: sqlite3.Connection) -> None:
            sql = (
                "DELETE FROM trigger_states WHERE namespace = ? AND flow_id = ? AND trigger_id = ?"
            )
            db.execute(sql, name)

        await self._state.write(work)

    async def windows(self) -> list[Window]:
        """Every window, in the order of their names."""

        def work(db: sqlite3.Connection) -> list[Window]:
            sql = "SELECT * FROM trigger_windows ORDER BY namespace, flow_id, id"
            return [Window(name=TriggerName(*row[:3]), **loads(row[3])) for row in db.execute(sql)]

        return await self._state.read(work)

    async def delete_window(self, name: TriggerName) -> None:
        """Forget a window."""
        await self._state.write(partial(write_consequences, Consequences(over=[name])))


def write_consequences(consequences: Consequences, db: sqlite3.Connection) -> None:
    """Write the states and windows of triggers that have become other ones."""
    for state in consequences.states:
        body = asdict(state)
        del body["name"]
        db.execute("REPLACE INTO trigger_states VALUES (?, ?, ?, ?)", (*state.name, dumps(body)))
    for window in consequences.windows:
        met = {"start": window.start, "end": window.end, "met": dict(window.met)}
        db.execute("REPLACE INTO trigger_windows VALUES (?, ?, ?, ?)", (*window.name, dumps(met)))
    for name in consequences.over:
        sql = "DELETE FROM trigger_windows WHERE namespace = ? AND flow_id = ? AND id = ?"
        db.execute(sql, name)


def _state(name: TriggerName, body: dict[str, Any]) -> TriggerState:
    backfill = body.pop("backfill")
    if backfill is not None:
        labels = tuple(Label(**label) for label in backfill.pop("labels"))
        backfill = Backfill(labels=labels, **backfill)
    return TriggerState(name=name, backfill=backfill, **body)

"""Every text that a flow ever had, by revision."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from runner.store.database import Database
from runner.store.rows import stamp, storable


@dataclass(frozen=True, slots=True)
class FlowText:
    """A flow's text and which revision it is, counted from 1."""

    revision: int
    source: str


class FlowTexts:
    """Revisions of flows, in the tables of the state database.

    A flow that is deleted keeps its texts: executions of it show their own, and a flow of that
    name that comes later goes on counting.
    """

    def __init__(self, state: Database) -> None:
        self._state = state

    async def record(self, flows: Sequence[tuple[str, str, str]]) -> list[int]:
        """Note the texts of flows (namespace, id, text) and return the revision of each.

        A text that equals the newest one is that revision, any other is the next.
        """
        if not flows:
            return []

        def work(db: sqlite3.Connection) -> list[int]:
            now = stamp(datetime.now(UTC))
            return [_record(db, *flow, now) for flow in flows]

        return await self._state.write(work)

    def text(self, namespace: str, flow_id: str, revision: int) -> str | None:
        """The flow's text in that revision, None if there is none. Blocks for microseconds."""

        def work(db: sqlite3.Connection) -> str | None:
            sql = "SELECT source FROM flows WHERE namespace = ? AND id = ? AND revision = ?"
            row = db.execute(sql, (namespace, flow_id, revision)).fetchone()
            return row[0] if row else None

        return self._state.read_now(work)

    async def history(self, namespace: str, flow_id: str) -> list[FlowText]:
        """All texts of the flow, oldest first."""

        def work(db: sqlite3.Connection) -> list[FlowText]:
            sql = (
                "SELECT revision, source FROM flows WHERE namespace = ? AND id = ?"
                " ORDER BY revision"
            )
            return [FlowText(*row) for row in db.execute(sql, (namespace, flow_id))]

        return await self._state.read(work)


def _record(db: sqlite3.Connection, namespace: str, flow_id: str, source: str, now: str) -> int:
    source = storable(source)
    sql = (
        "SELECT revision, source FROM flows WHERE namespace = ? AND id = ?"
        " ORDER BY revision DESC LIMIT 1"
    )
    last = db.execute(sql, (namespace, flow_id)).fetchone()
    if last and last[1] == source:
        return last[0]
    revision = last[0] + 1 if last else 1
    db.execute(
        "INSERT INTO flows VALUES (?, ?, ?, ?, ?)", (namespace, flow_id, revision, source, now)
    )
    return revision

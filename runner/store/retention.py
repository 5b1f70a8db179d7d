"""Which ended executions are to go, so that what is kept stays within bounds (reliability E10)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from runner.model.execution import Execution
from runner.store.rows import execution_from, stamp
from runner.store.sqlite import SqliteStore

_COLUMNS = "id, namespace, flow_id, flow_revision, body"


async def ended_before(store: SqliteStore, moment: datetime, limit: int) -> list[Execution]:
    """At most `limit` of the executions that ended before `moment`, oldest first."""
    sql = "ended = 1 AND end_date < ? ORDER BY number LIMIT ?"
    return await _found(store, sql, (stamp(moment), limit))


async def oldest_ended(store: SqliteStore, limit: int) -> list[Execution]:
    """At most `limit` of the ended executions, oldest first."""
    return await _found(store, "ended = 1 ORDER BY number LIMIT ?", (limit,))


async def count(store: SqliteStore) -> int:
    """How many executions there are."""

    def work(db: sqlite3.Connection) -> int:
        (number,) = db.execute("SELECT count(*) FROM executions").fetchone()
        return number

    return await store.state.read(work)


async def used_bytes(store: SqliteStore) -> int:
    """How much of the store's files is in use; deleting makes it less at once."""

    def work(db: sqlite3.Connection) -> int:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        return (pages - free) * size

    return await store.state.read(work) + await store.logs_read(work)


async def forget(store: SqliteStore, execution_id: str) -> None:
    """Delete an execution with its task runs, log lines and metrics."""

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM batches WHERE execution_id = ?", (execution_id,))
        db.execute("DELETE FROM metrics WHERE execution_id = ?", (execution_id,))

    await store.logs_write(work)
    await store.delete(execution_id)


async def _found(store: SqliteStore, where: str, values: Sequence[object]) -> list[Execution]:
    def work(db: sqlite3.Connection) -> list[Execution]:
        rows = db.execute(f"SELECT {_COLUMNS} FROM executions WHERE {where}", values)
        return [execution_from(*row) for row in rows]

    return await store.state.read(work)

"""The store of the daemon: two SQLite files in one folder.

`state.db` holds what must survive a power cut: every commit is on the disk before it is answered.
`logs.db` holds log lines and metrics; it is forced to the disk before the state row that says that
their task has ended, and else follows in its own time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from runner.errors import NotFound
from runner.model.execution import Execution, LogBatch, LogLine, Metric, TaskRun
from runner.model.triggers import Consequences
from runner.store.base import NO_CONSEQUENCES
from runner.store.condition import mark_closed, mark_open, was_left_open
from runner.store.database import Database
from runner.store.figures import Figures, read_figures
from runner.store.rows import (
    batch_row,
    execution_from,
    execution_row,
    lines_from,
    metric_from,
    metric_row,
    task_run_from,
    task_run_row,
)
from runner.store.search import (
    EXECUTION_ORDER,
    EXECUTIONS,
    LINES,
    NORMAL_ONLY,
    Condition,
    QueryInvalid,
    where,
)
from runner.store.triggers import write_consequences
from runner.store.writer import Job, Writer

T = TypeVar("T")

_EXECUTION = "id, namespace, flow_id, flow_revision, body"
_RUN = "id, execution_id, body"

Found = tuple[Execution, list[TaskRun]]
"""An execution with its task runs."""


class SqliteStore:
    """A `Store` in the folder `root`; beyond that, searches and deletes for the API.

    Open it with `async with SqliteStore.open(root)`: closing waits for what is being written.
    """

    waits_for_disk = True

    def __init__(self, state: Database, logs: Database, next_line: int) -> None:
        self.state = state
        self._writer = state.writer
        self._logs = logs
        self._next_line = next_line
        self._closing = AsyncExitStack()

    @classmethod
    async def open(cls, root: Path) -> SqliteStore:
        """Open the store in folder `root`, which is made if it is not there.

        Raises:
            StoreUnusable: a file is damaged, gone, not ours, or newer than this program.
            StoreUnwritable: the folder's disk is full, read-only or broken.
        """
        async with AsyncExitStack() as stack:
            check = await anyio.to_thread.run_sync(was_left_open, root)
            writer = Writer()
            logs = await Database.open(
                root / "logs.db", "logs", "NORMAL", check=check, writer=writer
            )
            stack.push_async_callback(logs.close)
            state = await Database.open(root / "state.db", "state", check=check, writer=writer)
            stack.push_async_callback(state.close)
            await anyio.to_thread.run_sync(mark_open, root)
            store = cls(state, logs, await logs.read(_next_number))
            store._closing = stack.pop_all()
        return store

    @property
    def full(self) -> str:
        """Why nothing is written for now, as there is no room; empty while there is."""
        return self._writer.full

    @property
    def broken(self) -> anyio.Event:
        """Set when the disk gave errors: what is on it is not known any more."""
        return self._writer.broken

    def give_up(self) -> None:
        """Have what waits for room on a full disk fail."""
        self._writer.give_up()

    async def __aenter__(self) -> SqliteStore:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()
        # Where there is no room for it, the next start looks for damage in vain.
        with anyio.CancelScope(shield=True), suppress(OSError):
            await anyio.to_thread.run_sync(mark_closed, self.state.path.parent)

    async def save(
        self,
        execution: Execution | None,
        runs: Sequence[TaskRun] = (),
        batches: Sequence[LogBatch] = (),
        metrics: Sequence[Metric] = (),
        consequences: Consequences = NO_CONSEQUENCES,
    ) -> None:
        """Insert or replace the execution, the task runs and what follows, all or nothing.

        Before that, add log lines and metrics. Whatever is in the log is on the disk before an
        ending is.
        """
        lines = self._lines(batches, metrics) if batches or metrics else None
        ends = execution is not None and execution.state.is_terminal
        forced = self._logs if ends or any(run.state.is_terminal for run in runs) else None
        facts = Job(self.state, partial(_save, execution, tuple(runs), consequences, lines, forced))
        await self._writer.write(*([facts] if lines is None else [lines, facts]))
        facts.outcome()

    async def discard_runs(self, execution_id: str, run_ids: Sequence[str]) -> None:
        """Forget these task runs of the execution."""
        rows = [(run_id, execution_id) for run_id in run_ids]

        def work(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM task_runs WHERE id = ? AND execution_id = ?", rows)

        await self.state.write(work)

    async def append(self, batches: Sequence[LogBatch], metrics: Sequence[Metric] = ()) -> None:
        """Add log lines and metrics, in this order."""
        lines = self._lines(batches, metrics)
        await self._writer.write(lines)
        lines.outcome()

    def _lines(self, batches: Sequence[LogBatch], metrics: Sequence[Metric]) -> Job[None]:
        """What adds log lines and metrics."""
        rows: list[tuple[Any, ...]] = []
        for batch in batches:
            if batch.messages:
                rows.append(batch_row(self._next_line, batch))
                self._next_line += len(batch.messages)
        values = [metric_row(metric) for metric in metrics]
        return Job(self._logs, partial(_append, rows, values))

    async def execution(self, execution_id: str) -> Execution:
        """The execution of that id.

        Raises:
            NotFound: there is none.
        """
        return await self.state.read(partial(_execution, execution_id))

    async def unfinished(self) -> list[Execution]:
        """The executions of which something is to be done, in the order of their creation."""

        def work(db: sqlite3.Connection) -> list[Execution]:
            sql = f"SELECT {_EXECUTION} FROM executions WHERE ended = 0 ORDER BY number"
            return [execution_from(*row) for row in db.execute(sql)]

        return await self.state.read(work)

    async def task_runs(self, execution_id: str) -> list[TaskRun]:
        """The execution's task runs, in the order in which they were created."""
        return await self.state.read(partial(_task_runs, execution_id))

    async def found(self, execution_id: str) -> Found:
        """The execution with its task runs, both as of one moment.

        Raises:
            NotFound: there is none.
        """

        def work(db: sqlite3.Connection) -> Found:
            with _Snapshot(db):
                return _execution(execution_id, db), _task_runs(execution_id, db)

        return await self.state.read(work)

    async def logs(
        self, execution_id: str, after: int = 0, limit: int | None = None
    ) -> list[LogLine]:
        """At most `limit` of the execution's log lines after number `after`, in order."""

        def work(db: sqlite3.Connection) -> list[LogLine]:
            sql = (
                "SELECT * FROM batches WHERE execution_id = ? AND number + lines > ?"
                " ORDER BY number"
            )
            lines: list[LogLine] = []
            for row in db.execute(sql, (execution_id, after + 1)):
                lines.extend(line for line in lines_from(row) if line.number > after)
                if limit is not None and len(lines) >= limit:
                    break
            return lines[:limit]

        return await self._logs.read(work)

    async def metrics(self, execution_id: str) -> list[Metric]:
        """The execution's metrics, in the order in which they came."""

        def work(db: sqlite3.Connection) -> list[Metric]:
            sql = "SELECT * FROM metrics WHERE execution_id = ? ORDER BY number"
            return [metric_from(row) for row in db.execute(sql, (execution_id,))]

        return await self._logs.read(work)

    async def search(
        self,
        conditions: Sequence[Condition] = (),
        *,
        order: Sequence[tuple[str, str]] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[Found], int]:
        """Executions that meet all conditions, newest first unless `order` says otherwise.

        `order` are pairs of a field of `EXECUTION_ORDER` and `asc` or `desc`. The number is how
        many there are, whatever `limit` and `offset` show.

        Raises:
            QueryInvalid: a field, operation or order is not known.
        """
        text, values = where(conditions, EXECUTIONS)
        if not any(condition.field == "kind" for condition in conditions):
            text = f"({text}) AND {NORMAL_ONLY}"
        by = ", ".join([_order(*each) for each in order] + ["number DESC"])

        def work(db: sqlite3.Connection) -> tuple[list[Found], int]:
            with _Snapshot(db):
                sql = f"SELECT count(*) FROM executions WHERE {text}"
                (total,) = db.execute(sql, values).fetchone()
                sql = f"SELECT {_EXECUTION} FROM executions WHERE {text} ORDER BY {by}"
                rows = db.execute(f"{sql} LIMIT ? OFFSET ?", [*values, _limit(limit), offset])
                executions = [execution_from(*row) for row in rows]
                return [(each, _task_runs(each.id, db)) for each in executions], total

        return await self.state.read(work)

    async def search_logs(
        self,
        conditions: Sequence[Condition] = (),
        *,
        containing: str = "",
        newest_first: bool = True,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[LogLine], int]:
        """Log lines of any execution that meet all conditions, and how many there are.

        `containing`: only lines whose text contains it, whatever the case.
        """
        text, values = where(conditions, LINES)
        wanted = _Window(containing.casefold(), offset, limit)
        if containing.isascii():  # SQLite's LIKE folds the case of ASCII only
            text += " AND messages LIKE ? ESCAPE '\\'"
            values.append(f"%{_like(containing)}%")
        order = "DESC" if newest_first else "ASC"

        def work(db: sqlite3.Connection) -> tuple[list[LogLine], int]:
            sql = f"SELECT * FROM batches WHERE {text} ORDER BY number {order}"
            for row in db.execute(sql, values):
                wanted.add(row, newest_first)
            return wanted.lines, wanted.total

        return await self._logs.read(work)

    async def search_metrics(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a query on the table `metrics`."""

        def work(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return db.execute(sql, values).fetchall()

        return await self._logs.read(work)

    async def figures(self) -> Figures:
        """Counts of executions, for monitoring."""
        places = (
            Path(f"{db.path}{end}") for db in (self.state, self._logs) for end in ("", "-wal")
        )

        def work(db: sqlite3.Connection) -> Figures:
            return read_figures(db, sum(path.stat().st_size for path in places if path.exists()))

        return await self.state.read(work)

    async def logs_read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What a function reads from the file of log lines and metrics."""
        return await self._logs.read(work)

    async def logs_write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in a transaction on the file of log lines and metrics."""
        return await self._logs.write(work)

    async def delete(self, execution_id: str) -> None:
        """Forget the execution and its task runs; its lines and metrics stay.

        Raises:
            NotFound: there is none.
        """

        def work(db: sqlite3.Connection) -> None:
            _execution(execution_id, db)
            db.execute("DELETE FROM task_runs WHERE execution_id = ?", (execution_id,))
            db.execute("DELETE FROM executions WHERE id = ?", (execution_id,))

        await self.state.write(work)

    async def delete_logs(self, conditions: Sequence[Condition]) -> int:
        """Delete the log lines that meet all conditions and return how many there were."""
        text, values = where(conditions, LINES)

        def work(db: sqlite3.Connection) -> int:
            sql = f"SELECT coalesce(sum(lines), 0) FROM batches WHERE {text}"
            (lines,) = db.execute(sql, values).fetchone()
            db.execute(f"DELETE FROM batches WHERE {text}", values)
            return lines

        return await self._logs.write(work)

    async def delete_metrics(self, execution_id: str) -> None:
        """Delete the metrics of an execution."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM metrics WHERE execution_id = ?", (execution_id,))

        await self._logs.write(work)


class _Window:
    """Lines from `offset` on, at most `limit`, of all that are shown to it, which it counts."""

    def __init__(self, containing: str, offset: int, limit: int | None) -> None:
        self.lines: list[LogLine] = []
        self.total = 0
        self._containing = containing
        self._offset = offset
        self._end = offset + limit if limit is not None else None

    def add(self, row: Sequence[Any], backwards: bool) -> None:
        count: int = row[1]
        before = self.total
        beyond = self._end is not None and before >= self._end
        if not self._containing and (beyond or before + count <= self._offset):
            self.total += count
            return
        lines = lines_from(row)
        if self._containing:
            lines = [line for line in lines if self._containing in line.message.casefold()]
        if backwards:
            lines.reverse()
        self.total += len(lines)
        end = None if self._end is None else max(self._end - before, 0)
        self.lines.extend(lines[max(self._offset - before, 0) : end])


class _Snapshot:
    """Reads within it see one moment of the database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._db.execute("COMMIT")


def _save(
    execution: Execution | None,
    runs: Sequence[TaskRun],
    consequences: Consequences,
    lines: Job[None] | None,
    forced: Database | None,
    db: sqlite3.Connection,
) -> None:
    if lines is not None:
        lines.outcome()
    if forced is not None:
        forced.force()
    changed = () if execution is None else (execution,)
    for each in (*changed, *consequences.executions):
        row = execution_row(each)
        db.execute(_upsert("executions", tuple(row)), row)
    for run in runs:
        row = task_run_row(run)
        db.execute(_upsert("task_runs", tuple(row)), row)
    write_consequences(consequences, db)


@cache
def _upsert(table: str, names: tuple[str, ...]) -> str:
    marks = ", ".join(f":{name}" for name in names)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
        f" ON CONFLICT (id) DO UPDATE SET {changes}"
    )


def _append(
    rows: Sequence[tuple[Any, ...]], metrics: Sequence[tuple[Any, ...]], db: sqlite3.Connection
) -> None:
    db.executemany(f"INSERT INTO batches VALUES ({', '.join('?' * 12)})", rows)
    db.executemany(f"INSERT INTO metrics VALUES (NULL, {', '.join('?' * 10)})", metrics)


def _next_number(db: sqlite3.Connection) -> int:
    sql = "SELECT number + lines FROM batches ORDER BY number DESC LIMIT 1"
    row = db.execute(sql).fetchone()
    return row[0] if row else 1


def _execution(execution_id: str, db: sqlite3.Connection) -> Execution:
    sql = f"SELECT {_EXECUTION} FROM executions WHERE id = ?"
    row = db.execute(sql, (execution_id,)).fetchone()
    if row is None:
        raise NotFound(f"Execution '{execution_id}' not found")
    return execution_from(*row)


def _task_runs(execution_id: str, db: sqlite3.Connection) -> list[TaskRun]:
    sql = f"SELECT {_RUN} FROM task_runs WHERE execution_id = ? ORDER BY number"
    return [task_run_from(*row) for row in db.execute(sql, (execution_id,))]


def _order(field: str, direction: str) -> str:
    if field not in EXECUTION_ORDER or direction not in ("asc", "desc"):
        raise QueryInvalid(f"Illegal argument: cannot sort by '{field}:{direction}'")
    return f"{EXECUTION_ORDER[field]} {direction}"


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit  # SQLite's word for "all"


def _like(text: str) -> str:
    """The text as it stands inside a JSON string, with what LIKE takes for a pattern escaped."""
    import json

    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    return inner.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

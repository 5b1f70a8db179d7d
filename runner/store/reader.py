"""A look at the store of a state folder: read-only, beside a daemon that writes, or without one.

The verbs that look use it, each in a process of its own that lives for one answer. So there are no
threads here and no event loop: opening takes a few milliseconds. The write-ahead log lets a reader
see one moment of the database while the daemon goes on writing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.errors import NotFound, RunnerUnavailable
from runner.model.execution import Execution, LogLine, Metric, TaskRun
from runner.store.rows import execution_from, lines_from, metric_from, task_run_from
from runner.store.search import EXECUTIONS, Condition, where

_EXECUTION = "id, namespace, flow_id, flow_revision, body"
_BUSY_S = 10.0
_POLL_S = 0.1
_LAST = 2**63 - 1  # no number of a line is greater
_AT_ONCE = 50
"""So many batches of lines are read at once: a cursor that stays open while a pager waits for a key
would keep the write-ahead log from being emptied."""
_BEYOND = "~"  # sorts after every character of an id
_MIGRATIONS = Path(__file__).parent / "migrations"


class StoreUnreadable(RunnerUnavailable):
    """The state folder has no store, or one that this program cannot read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFlow:
    """One text of a flow: its revision counts from 1, `created` is the moment it was first seen."""

    namespace: str
    id: str
    revision: int
    source: str
    created: str


class Reader:
    """What is stored in a state folder. Open it with `open_reader`."""

    def __init__(self, root: Path, state: sqlite3.Connection, logs: sqlite3.Connection) -> None:
        self.root = root
        self._state = state
        self._logs = logs

    def execution_id(self, text: str) -> str:
        """The execution that `text` means: its id, or the beginning of one that no other has.

        Raises:
            NotFound: there is none, or there are several.
        """
        sql = "SELECT id FROM executions WHERE id >= ? AND id < ? ORDER BY id LIMIT 6"
        found = [row[0] for row in self._state.execute(sql, (text, f"{text}{_BEYOND}"))]
        if text in found or (text and len(found) == 1):
            return text if text in found else found[0]
        if not text or not found:
            raise NotFound(
                f"There is no execution '{text}' in {self.root}; `eyas ps --all` lists all"
            )
        some = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise NotFound(f"Several executions begin with '{text}': {some}. Write more of the id")

    def ids(self, prefix: str, limit: int) -> list[tuple[str, str]]:
        """Ids of executions that begin with `prefix`, newest first, and what to say of each."""
        sql = (
            "SELECT id, namespace || '.' || flow_id || ' ' || state FROM executions"
            " WHERE id >= ? AND id < ? ORDER BY number DESC LIMIT ?"
        )
        return self._state.execute(sql, (prefix, f"{prefix}{_BEYOND}", limit)).fetchall()

    def execution(self, execution_id: str) -> Execution:
        """The execution of that id.

        Raises:
            NotFound: there is none.
        """
        sql = f"SELECT {_EXECUTION} FROM executions WHERE id = ?"
        row = self._state.execute(sql, (execution_id,)).fetchone()
        if row is None:
            raise NotFound(f"Execution '{execution_id}' not found")
        return execution_from(*row)

    def found(self, execution_id: str) -> tuple[Execution, list[TaskRun]]:
        """The execution with its task runs in the order of their creation, as of one moment.

        Raises:
            NotFound: there is none.
        """
        with self._moment():
            return self.execution(execution_id), self._task_runs(execution_id)

    def search(
        self, conditions: Sequence[Condition], limit: int
    ) -> tuple[list[tuple[Execution, list[TaskRun]]], int]:
        """At most `limit` executions that meet all conditions, newest first, and how many do.

        Raises:
            QueryInvalid: a field or operation is not known.
        """
        text, values = where(conditions, EXECUTIONS)
        with self._moment():
            count = self._state.execute(f"SELECT count(*) FROM executions WHERE {text}", values)
            (total,) = count.fetchone()
            sql = f"SELECT {_EXECUTION} FROM executions WHERE {text} ORDER BY number DESC LIMIT ?"
            rows = self._state.execute(sql, [*values, limit]).fetchall()
            return [(execution_from(*row), self._task_runs(row[0])) for row in rows], total

    def lines(self, execution_id: str, after: int = 0) -> Iterator[LogLine]:
        """The execution's log lines after number `after`, in order."""
        sql = (
            "SELECT * FROM batches WHERE execution_id = ? AND number + lines > ?"
            f" ORDER BY number LIMIT {_AT_ONCE}"
        )
        while rows := self._logs.execute(sql, (execution_id, after + 1)).fetchall():
            for row in rows:
                yield from (line for line in lines_from(row) if line.number > after)
            after = rows[-1][0] + rows[-1][1] - 1

    def lines_backwards(self, execution_id: str) -> Iterator[LogLine]:
        """The execution's log lines, the last one first."""
        sql = (
            "SELECT * FROM batches WHERE execution_id = ? AND number < ?"
            f" ORDER BY number DESC LIMIT {_AT_ONCE}"
        )
        before = _LAST
        while rows := self._logs.execute(sql, (execution_id, before)).fetchall():
            for row in rows:
                yield from reversed(lines_from(row))
            before = rows[-1][0]

    def metrics(self, execution_id: str) -> list[Metric]:
        """The execution's metrics, in the order in which they came."""
        sql = "SELECT * FROM metrics WHERE execution_id = ? ORDER BY number"
        return [metric_from(row) for row in self._logs.execute(sql, (execution_id,))]

    def flow_names(self) -> list[tuple[str, str]]:
        """Namespace and id of every flow that ever was in service, sorted."""
        sql = "SELECT DISTINCT namespace, id FROM flows ORDER BY namespace, id"
        return self._state.execute(sql).fetchall()

    def flow_revisions(self, namespace: str, flow_id: str) -> list[StoredFlow]:
        """Every text of a flow, oldest first; none if there never was such a flow."""
        sql = (
            "SELECT revision, source, created FROM flows WHERE namespace = ? AND id = ?"
            " ORDER BY revision"
        )
        return [
            StoredFlow(
                namespace=namespace, id=flow_id, revision=row[0], source=row[1], created=row[2]
            )
            for row in self._state.execute(sql, (namespace, flow_id))
        ]

    def trigger_names(self) -> list[tuple[str, str, str]]:
        """Namespace, flow and id of every trigger that was ever looked at, sorted."""
        sql = "SELECT namespace, flow_id, trigger_id FROM trigger_states ORDER BY 1, 2, 3"
        return self._state.execute(sql).fetchall()

    def version(self) -> tuple[int, int]:
        """Two numbers, one of which is another as soon as somebody wrote to the store."""
        return _data_version(self._state), _data_version(self._logs)

    def wait_for_change(self, since: tuple[int, int]) -> None:
        """Return when the store is not as it was at `since` any more.

        SQLite tells other processes of a write by a number that costs microseconds to read.
        """
        while self.version() == since:
            time.sleep(_POLL_S)

    @contextmanager
    def _moment(self) -> Generator[None]:
        """Reads within it see one moment of what is stored."""
        self._state.execute("BEGIN")
        try:
            yield
        finally:
            self._state.execute("COMMIT")

    def _task_runs(self, execution_id: str) -> list[TaskRun]:
        sql = "SELECT id, execution_id, body FROM task_runs WHERE execution_id = ? ORDER BY number"
        return [task_run_from(*row) for row in self._state.execute(sql, (execution_id,))]


@contextmanager
def open_reader(root: Path) -> Generator[Reader]:
    """The store in the state folder `root`.

    Raises:
        StoreUnreadable: there is none, it may not be read, or another version of Eyas wrote it.
    """
    if not (root / "state.db").is_file():
        raise StoreUnreadable(
            f"There is no store in {root}. `eyas serve` makes one; name the state folder of a "
            "daemon with --state-dir or EYAS_STATE_DIR"
        )
    try:
        with (
            closing(_connection(root / "state.db", "state")) as state,
            closing(_connection(root / "logs.db", "logs")) as logs,
        ):
            yield Reader(root, state, logs)
    except sqlite3.Error as error:
        raise StoreUnreadable(f"The store in {root} cannot be read: {error}") from error


def _connection(path: Path, kind: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_S
    )
    try:
        connection.execute("PRAGMA query_only = 1")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        newest = max(int(script.name[:4]) for script in (_MIGRATIONS / kind).glob("*.sql"))
        if version > newest:
            raise StoreUnreadable(f"{path} was written by a newer Eyas: use that one to look at it")
        if version < newest:
            raise StoreUnreadable(
                f"{path} was written by an older Eyas; `eyas serve` brings it up to date"
            )
    except (sqlite3.Error, StoreUnreadable):
        connection.close()
        raise
    return connection


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return version

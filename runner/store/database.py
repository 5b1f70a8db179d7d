"""One SQLite file: opened, migrated, written by one function at a time, read by several."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import anyio
import anyio.to_thread

from runner.errors import RunnerError

T = TypeVar("T")

_APPLICATION_ID = 0x45594153  # "EYAS"
_MIGRATIONS = Path(__file__).parent / "migrations"
_READERS = 4
_BUSY_S = 10.0
_DISK_ERRORS = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
)

CHECK_LIMIT_BYTES = 2 * 1024**3
"""A larger file is not looked through at the start; that takes a second for each 300 MB."""


class StoreUnusable(RunnerError):
    """The store's file is damaged, not ours, or written by a newer Eyas."""


class StoreUnwritable(RunnerError):
    """The store's file cannot be written: the disk is full, read-only or broken."""


class _Job(Generic[T]):
    """A function that waits to be run in a transaction, then what came of it."""

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.work = work
        self.done = False
        self.result: T | None = None
        self.error: Exception | None = None


class Database:
    """Reads and writes of one file. Callers hand over functions, which run in worker threads.

    A function given to `write` is one transaction, durable on return when `synchronous` is FULL.
    Writes that wait for their turn share one commit, so that a slow disk is asked once for all;
    a function that raises undoes its own changes only.
    """

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        self.path = path
        self._writer = writer
        self._turn = anyio.Lock()
        self._waiting: list[_Job[object]] = []
        self._one = anyio.CapacityLimiter(1)
        self._readers = anyio.CapacityLimiter(_READERS)
        self._idle: list[sqlite3.Connection] = []

    @classmethod
    async def open(
        cls,
        path: Path,
        kind: Literal["state", "logs"],
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        *,
        check: bool = False,
    ) -> Database:
        """Open the file at `path`, made if it is not there, and bring its tables up to date.

        `check`: look for damage first, unless that would take minutes.

        Raises:
            StoreUnusable: it is damaged, not ours, or newer than this program.
            StoreUnwritable: its disk is full, read-only or broken.
        """
        writer = await anyio.to_thread.run_sync(partial(_open, path, kind, synchronous, check))
        return cls(path, writer)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction and return what it returns.

        When cancelled while it waits for its turn, either nothing or all of it was written.
        """
        job = _Job(work)
        self._waiting.append(cast("_Job[object]", job))
        try:
            async with self._turn:
                if not job.done:
                    await self._commit_waiting()
        finally:
            if job in self._waiting:
                self._waiting.remove(cast("_Job[object]", job))
        if job.error is not None:
            raise job.error
        return cast("T", job.result)

    async def _commit_waiting(self) -> None:
        jobs, self._waiting = self._waiting, []
        with anyio.CancelScope(shield=True):  # others' jobs are among them
            await anyio.to_thread.run_sync(partial(_commit, self._writer, jobs), limiter=self._one)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which only reads, and return what it returns."""
        return await anyio.to_thread.run_sync(partial(self._read, work), limiter=self._readers)

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like `read`, without a thread: for a row by its key, which takes microseconds."""
        return self._read(work)

    async def close(self) -> None:
        """Close the file; what waits is written first."""
        with anyio.CancelScope(shield=True):
            async with self._turn:
                await anyio.to_thread.run_sync(self._close)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.pop() if self._idle else _reader(self.path)
        try:
            return work(connection)
        finally:
            self._idle.append(connection)

    def _close(self) -> None:
        for reader in self._idle:
            reader.close()
        self._writer.execute("PRAGMA optimize")
        self._writer.close()


def _commit(connection: sqlite3.Connection, jobs: list[_Job[object]]) -> None:
    """Run all jobs in one transaction, each within a savepoint of its own."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            _run_in_savepoint(connection, job)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for job in jobs:
            job.error = job.error or error
    for job in jobs:
        job.done = True


def _run_in_savepoint(connection: sqlite3.Connection, job: _Job[object]) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except Exception as error:  # noqa: BLE001 - handed to its caller in `write`
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{path}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_S,
    )
    connection.execute("PRAGMA query_only = 1")
    connection.create_function("matches", 2, _matches, deterministic=True)
    return connection


def _matches(pattern: str, value: str | None) -> bool:
    import re

    return value is not None and re.fullmatch(pattern, value) is not None


def _open(path: Path, kind: str, synchronous: str, check: bool) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        raise StoreUnwritable(f"{path} cannot be written: {error.strerror}") from error
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S
    )
    try:
        _check_owner(connection, path)
        if check and path.stat().st_size <= CHECK_LIMIT_BYTES:
            _check_pages(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        _migrate(connection, path, kind)
    except sqlite3.DatabaseError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF in _DISK_ERRORS:
            raise StoreUnwritable(
                f"{path} cannot be written ({error}): make space on its disk, or mount it writable"
            ) from error
        raise StoreUnusable(
            f"{path}: the database cannot be used ({error}); restore a backup, or move the file "
            "away to begin anew"
        ) from error
    except StoreUnusable:
        connection.close()
        raise
    return connection


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Look for damage after the last Eyas ended without closing the file."""
    (first,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if first != "ok":
        raise StoreUnusable(
            f"{path}: the database is damaged ({first}); it was left as it is. Restore a backup, "
            "or move the file away to begin anew"
        )


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if owner != _APPLICATION_ID and (owner or tables):
        raise StoreUnusable(f"{path}: this is another program's database")


def _migrate(connection: sqlite3.Connection, path: Path, kind: str) -> None:
    """Run the migrations that the file has not seen, each in one transaction with its number."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    scripts = sorted((_MIGRATIONS / kind).glob("*.sql"))
    newest = int(scripts[-1].name[:4])
    if version > newest:
        raise StoreUnusable(
            f"{path}: written by a newer Eyas (schema {version}, this one knows {newest}); "
            "the data is untouched"
        )
    for script in scripts[version:]:
        number = int(script.name[:4])
        connection.executescript(
            "BEGIN IMMEDIATE;\n"
            f"PRAGMA application_id = {_APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\n"
            f"{script.read_text()}\nCOMMIT;"
        )

"""One SQLite file: opened, migrated, written by one function at a time, read by several."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import anyio
import anyio.to_thread

from runner.errors import RunnerError
from runner.failpoints import failpoint
from runner.store.writer import DiskBroken, DiskFull, Job, Writer

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


class Database:
    """Reads and writes of one file. Callers hand over functions, which run in worker threads.

    A function given to `write` is one transaction, durable on return when `synchronous` is FULL.
    Writes that wait for their turn share one commit, so that a slow disk is asked once for all;
    a function that raises undoes its own changes only. Files that have a `Writer` in common are
    written in one thread, those that were opened first before the others.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, writer: Writer) -> None:
        self.path = path
        self._connection = connection
        self.writer = writer
        self._unforced = False
        self._readers = anyio.CapacityLimiter(_READERS)
        self._idle: list[sqlite3.Connection] = []
        writer.files.append(self)

    @classmethod
    async def open(
        cls,
        path: Path,
        kind: Literal["state", "logs"],
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        *,
        check: bool = False,
        writer: Writer | None = None,
    ) -> Database:
        """Open the file at `path`, made if it is not there, and bring its tables up to date.

        `check`: look for damage first, unless that would take minutes.

        Raises:
            StoreUnusable: it is damaged, not ours, or newer than this program.
            StoreUnwritable: its disk is full, read-only or broken.
        """
        connection = await anyio.to_thread.run_sync(partial(_open, path, kind, synchronous, check))
        return cls(path, connection, writer or Writer())

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction and return what it returns.

        When cancelled while it waits for its turn, either nothing or all of it was written.
        """
        job = Job(self, work)
        await self.writer.write(job)
        return job.outcome()

    def commit(self, jobs: Sequence[Job[object]]) -> None:
        """Run all jobs in one transaction, each within a savepoint of its own.

        Raises:
            DiskFull: there is no room for them.
            DiskBroken: the disk gave errors.
        """
        self._unforced = True
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                _run_in_savepoint(self._connection, job)
            failpoint("store.commit")
            self._connection.execute("COMMIT")
            failpoint("store.committed")
        except (sqlite3.Error, OSError) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if _is_full(error):
                raise DiskFull(f"{self.path}: {error}") from error
            for job in jobs:
                job.error = job.error or error
        for job in jobs:
            if job.error is not None and _is_broken(job.error):
                raise DiskBroken(f"{self.path}: {job.error}") from job.error

    def force(self) -> None:
        """Have the disk hold every commit; for a file whose commits do not do so themselves.

        To be called from a job on a file that is written after this one.
        """
        if self._unforced:
            _force(self.path.with_name(f"{self.path.name}-wal"))
            self._unforced = False

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which only reads, and return what it returns."""
        return await anyio.to_thread.run_sync(partial(self._read, work), limiter=self._readers)

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like `read`, without a thread: for a row by its key, which takes microseconds."""
        return self._read(work)

    async def close(self) -> None:
        """Close the file; what waits is written first."""
        with anyio.CancelScope(shield=True):
            await self.writer.alone(self._close)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.pop() if self._idle else _reader(self.path)
        try:
            return work(connection)
        finally:
            self._idle.append(connection)

    def _close(self) -> None:
        for reader in self._idle:
            reader.close()
        with suppress(sqlite3.OperationalError):  # no room: it is only to be faster next time
            self._connection.execute("PRAGMA optimize")
        self._connection.close()


def _force(file: Path) -> None:
    """Have the disk hold what was written to the file; one that is not there holds nothing."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _run_in_savepoint(connection: sqlite3.Connection, job: Job[object]) -> None:
    connection.execute("SAVEPOINT job")
    job.error = None
    try:
        job.result = job.work(connection)
    except Exception as error:  # handed to its caller in `write`
        if _is_full(error):
            raise
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _is_full(error: Exception) -> bool:
    """Whether there was no room on the disk."""
    if isinstance(error, sqlite3.Error):
        code = error.sqlite_errorcode
        return code == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_broken(error: Exception) -> bool:
    """Whether the disk gave an error, or cannot be written any more."""
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorcode & 0xFF in _DISK_ERRORS
    return isinstance(error, OSError)


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

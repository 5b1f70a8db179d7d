"""Deleting old executions in the background, slowly, so that a disk does not fill up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import anyio
import anyio.to_thread

from runner.errors import NotFound
from runner.model.execution import Execution
from runner.settings import Settings
from runner.storage.files import Storage
from runner.store import retention
from runner.store.sqlite import SqliteStore

INTERVAL_S = 3600
"""How often it is looked for what may go."""

_BATCH = 50
_PAUSE_S = 0.05
"""The pause after each deletion: others need the disk, too."""


async def keep_within(
    settings: Settings, store: SqliteStore, storage: Storage, now: datetime
) -> int:
    """Delete ended executions until what is kept is within the settings; gives how many."""
    return (
        await _by_age(settings, store, storage, now)
        + await _by_count(settings, store, storage)
        + await _by_size(settings, store, storage)
    )


async def _by_age(settings: Settings, store: SqliteStore, storage: Storage, now: datetime) -> int:
    deleted = 0
    while settings.retention_age:
        oldest = now - settings.retention_age
        found = await retention.ended_before(store, oldest, _BATCH)
        if not found:
            break
        deleted += await _delete(found, store, storage)
    return deleted


async def _by_count(settings: Settings, store: SqliteStore, storage: Storage) -> int:
    deleted = 0
    while settings.retention_count:
        over = await retention.count(store) - settings.retention_count
        found = await retention.oldest_ended(store, min(over, _BATCH)) if over > 0 else ()
        if not found:
            break
        deleted += await _delete(found, store, storage)
    return deleted


async def _by_size(settings: Settings, store: SqliteStore, storage: Storage) -> int:
    limit_bytes = settings.retention_max_bytes
    if not limit_bytes:
        return 0
    deleted, files_bytes = 0, await anyio.to_thread.run_sync(_size, storage)
    found = await retention.oldest_ended(store, _BATCH)
    while found and files_bytes + await retention.used_bytes(store) > limit_bytes:
        files_bytes -= await anyio.to_thread.run_sync(_size_of, storage, found[0])
        deleted += await _delete(found[:1], store, storage)
        found = found[1:] or await retention.oldest_ended(store, _BATCH)
    return deleted


async def _delete(executions: Sequence[Execution], store: SqliteStore, storage: Storage) -> int:
    for execution in executions:
        await anyio.to_thread.run_sync(storage.delete_execution, execution)
        try:
            await retention.forget(store, execution.id)
        except NotFound:
            # Somebody else has just deleted it.
            continue
        await anyio.sleep(_PAUSE_S)
    return len(executions)


def _size(storage: Storage) -> int:
    return sum(path.lstat().st_size for path in storage.root.rglob("*") if path.is_file())


def _size_of(storage: Storage, execution: Execution) -> int:
    return sum(storage.size(uri) for uri in storage.execution_files(execution))

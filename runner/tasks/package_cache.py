"""The cache of installed packages: sets by key, built once, kept on disk, the oldest evicted.

    <state_dir>/cache/packages/<key>/current       link to the version that is given out
    <state_dir>/cache/packages/<key>/<version>/    one build: lib, manifest.json, checksums.json
    <state_dir>/cache/packages/<key>/build.lock    held by whoever builds

A version never changes and is never renamed. Whoever uses one holds a lock on its folder, so a
newer version can be put beside it, and the old one goes when nobody holds it any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import anyio
import anyio.to_thread

from runner.settings import Settings
from runner.tasks.package_entry import (
    Entry,
    Manifest,
    accept,
    is_whole,
    looks_whole,
    read,
    seal,
)
from runner.tasks.package_locks import alone, one_at_a_time, opened, shared

Build = Callable[[Path], Awaitable[Manifest]]
"""Fills the folder `lib` of the folder that it is given, and says what it holds."""

_CURRENT = "current"
_LOCK = "build.lock"
_UNFINISHED = ".new-"


class PackageCache:
    """The sets below `root`, together not much larger than `limit_bytes`."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root
        self._limit_bytes = limit_bytes

    @staticmethod
    def of(settings: Settings) -> PackageCache:
        """The cache that the settings name."""
        return PackageCache(
            settings.state_dir.absolute() / "cache" / "packages",
            settings.package_cache_max_bytes,
        )

    def held(self, key: str, until: ExitStack) -> Entry | None:
        """The set of this key, not to be evicted before `until` is closed; None if there is none.

        A set that lost files is none; one whose folders merely look different is read in full.
        """
        while True:
            version = self._current(key)
            handle = None if version is None else opened(version)
            if version is None or handle is None:
                return None
            if not shared(handle):
                # It is being removed.
                os.close(handle)
                return None
            entry = read(version)
            if entry is not None and not looks_whole(entry):
                entry = accept(entry) if is_whole(entry) else None
            if entry is not None:
                until.callback(os.close, handle)
                entry.touch()
                return entry
            os.close(handle)
            if self._current(key) == version:
                return None

    async def built(
        self, key: str, until: ExitStack, build: Build, good: Callable[[Entry], bool]
    ) -> Entry:
        """The set of this key, made by `build` unless there is one meanwhile that is `good`.

        However many ask, one builds and the others wait. What is raised by `build` is raised.
        """
        folder = self.root / key
        async with one_at_a_time(folder / _LOCK):
            with ExitStack() as found:
                entry = self.held(key, found)
                if entry is not None and good(entry):
                    until.push(found.pop_all())
                    return entry
            return await self._build(key, until, build)

    async def _build(self, key: str, until: ExitStack, build: Build) -> Entry:
        folder = self.root / key
        # Nobody else builds: whoever left these has ended.
        for left in folder.glob(f"{_UNFINISHED}*"):
            await anyio.to_thread.run_sync(remove, left)
        new = folder / f"{_UNFINISHED}{token_hex(8)}"
        (new / "lib").mkdir(mode=0o755, parents=True)
        try:
            manifest = await build(new)
            return await anyio.to_thread.run_sync(self._publish, key, new, manifest, until)
        except BaseException:
            with anyio.move_on_after(30, shield=True):
                await anyio.to_thread.run_sync(remove, new)
            raise

    def _publish(self, key: str, new: Path, manifest: Manifest, until: ExitStack) -> Entry:
        seal(new, manifest)
        folder = self.root / key
        stamp = f"{manifest.created:%Y%m%dT%H%M%S}-{token_hex(4)}"
        handle = opened(new)
        assert handle is not None
        until.callback(os.close, handle)
        shared(handle)
        new.rename(folder / stamp)
        link = folder / f"{_UNFINISHED}link-{token_hex(4)}"
        link.symlink_to(stamp)
        link.replace(folder / _CURRENT)
        entry = read(folder / stamp)
        assert entry is not None
        entry.touch()
        self.sweep()
        return entry

    def entries(self) -> list[Entry]:
        """The sets that are given out, the one used last first."""
        found = [
            entry
            for key in self._keys()
            if (version := self._current(key.name)) and (entry := read(version))
        ]
        return sorted(found, key=lambda entry: entry.last_used, reverse=True)

    def in_use(self, entry: Entry) -> bool:
        """Whether a task uses the set right now."""
        handle = opened(entry.folder)
        if handle is None:
            return False
        try:
            return not alone(handle)
        finally:
            os.close(handle)

    def sweep(self, limit_bytes: int | None = None, unused_since: datetime | None = None) -> int:
        """Remove old versions, and sets beyond the limit or unused since; bytes that are free now.

        Those used longest ago go first. What is in use stays.
        """
        limit = self._limit_bytes if limit_bytes is None else limit_bytes
        freed = sum(self._without_old_versions(key) for key in self._keys())
        kept = self.entries()
        size = sum(entry.manifest.size_bytes for entry in kept)
        for entry in reversed(kept):
            unused = unused_since is not None and entry.last_used < unused_since
            if (size > limit or unused) and self.remove(entry):
                size -= entry.manifest.size_bytes
                freed += entry.manifest.size_bytes
        return freed

    def remove(self, entry: Entry) -> bool:
        """Remove a set; False if it is in use."""
        handle = opened(entry.folder)
        if handle is None:
            return True
        try:
            if not alone(handle):
                return False
            current = entry.folder.parent / _CURRENT
            if current.is_symlink() and current.resolve() == entry.folder.resolve():
                current.unlink()
            remove(entry.folder)
            return True
        finally:
            os.close(handle)

    def _without_old_versions(self, key: Path) -> int:
        """Remove what is not given out any more and not in use; how many bytes that were."""
        freed = 0
        current = self._current(key.name)
        for version in key.iterdir():
            if version == current or version.name == _CURRENT or not version.is_dir():
                continue
            if version.name.startswith(_UNFINISHED):
                continue
            entry = read(version)
            size = 0 if entry is None else entry.manifest.size_bytes
            handle = opened(version)
            if handle is None:
                continue
            try:
                if alone(handle):
                    remove(version)
                    freed += size
            finally:
                os.close(handle)
        return freed

    def _keys(self) -> Iterator[Path]:
        if self.root.is_dir():
            yield from (path for path in sorted(self.root.iterdir()) if path.is_dir())

    def _current(self, key: str) -> Path | None:
        try:
            return self.root / key / (self.root / key / _CURRENT).readlink()
        except OSError:
            return None


def remove(folder: Path) -> None:
    """Delete a folder of the cache, though it is read-only; one that has gone is fine."""
    if not folder.is_dir() or folder.is_symlink():
        folder.unlink(missing_ok=True)
        return
    shutil.rmtree(folder, ignore_errors=True)


def utc_now() -> datetime:
    """The time that a set made now is marked with."""
    return datetime.now(UTC)

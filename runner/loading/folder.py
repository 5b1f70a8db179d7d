"""A folder of flows: read whole, watched, and written to as a person would.

Events of the file system are hints, reading the folder again is the truth: it is done after every
batch of events and every 30 seconds, so that lost events, network drives and replaced folders do
no harm.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import structlog

from runner.errors import NotFound
from runner.loading.repository import FlowFile, Repository
from runner.records import record
from runner.storage.atomic import publish

log = structlog.get_logger()

GRACE = timedelta(seconds=60)
"""So long flows stay in service after their folder vanished or was replaced by an empty one."""

QUIET = timedelta(seconds=1)
"""A file that changed less than this ago may be half written: it is not reported as broken yet."""

_SUFFIXES = (".yml", ".yaml")
_STEP_MS = 100
_BATCH_MS = 1000
_POLL_MS = 1000
_RESCAN_MS = 30_000


@record
class _Seen:
    """What tells whether a file changed since it was read."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Seen:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@record
class _Scan:
    """What a folder held: files by path below it, and the folder's own identity."""

    files: dict[str, tuple[Path, _Seen]]
    identity: tuple[int, int]


class Folder:
    """Keeps a `Repository` in step with the folder `root`, which may come and go."""

    def __init__(
        self,
        root: Path,
        repository: Repository,
        *,
        grace: timedelta = GRACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root
        self.repository = repository
        self.problem: str | None = None
        """What is wrong with the folder itself; None: nothing."""
        self._grace_s = grace.total_seconds()
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._identity: tuple[int, int] | None = None
        self._missing_since: float | None = None
        self._unsettled = False
        self._begun = False
        self._turn = anyio.Lock()
        self._replaced = False

    async def scan(self) -> None:
        """Read the folder, and have the repository hold what is there now."""
        async with self._turn:
            await self._scan()

    async def write(self, path: str, text: str) -> None:
        """Make `text` the file at `path` below the folder, at once and whole, and load it.

        Raises:
            NotFound: that path leads out of the folder.
        """
        async with self._turn:
            file = await anyio.to_thread.run_sync(self._inside, path)
            self._seen[path] = await anyio.to_thread.run_sync(_write, file, text, self.root)
            read = await anyio.to_thread.run_sync(self.repository.read, path, file)
            await self.repository.update({path: read})

    async def remove(self, path: str, trash: Path) -> None:
        """Move the file at `path` below the folder to the folder `trash`."""
        async with self._turn:
            file = await anyio.to_thread.run_sync(self._inside, path)
            await anyio.to_thread.run_sync(_move, file, trash)
            await self._scan()

    def _inside(self, path: str) -> Path:
        """The file at that path; where a link leads, if that is in the folder too."""
        root = self.root.resolve()
        place = (root / path).resolve()
        if place == root or not place.is_relative_to(root):
            raise NotFound(f"'{path}' is no path of a flow")
        return place

    async def _scan(self) -> None:
        try:
            found = await anyio.to_thread.run_sync(partial(_scan, self.root))
        except OSError as error:
            await self._vanished(f"{self.root}: {error.strerror or error}")
            return
        if not found.files and self._seen and found.identity != self._identity:
            await self._vanished(f"{self.root}: replaced by an empty folder")
            return
        if self._identity is not None and found.identity != self._identity:
            self._replaced = True
        self._identity, self._missing_since, self.problem = found.identity, None, None
        await self._load(found)

    async def _vanished(self, reason: str) -> None:
        """Keep the flows for a while: an unmounted drive must not delete every schedule."""
        now = self._clock()
        if self._missing_since is None:
            self._missing_since = now
            if self._seen:
                log.warning("flows.folder_missing", reason=reason, grace_s=self._grace_s)
        self.problem = reason
        self._replaced = True
        if now - self._missing_since >= self._grace_s and self._seen:
            log.warning("flows.removed", count=len(self._seen), reason=reason)
            gone: dict[str, FlowFile | None] = dict.fromkeys(self._seen)
            self._seen.clear()
            self._identity = None
            await self.repository.update(gone)

    def _read_all(self, files: dict[str, Path]) -> dict[str, FlowFile]:
        return {path: self.repository.read(path, place) for path, place in files.items()}

    async def _load(self, found: _Scan) -> None:
        changed = {
            path: place
            for path, (place, seen) in found.files.items()
            if self._seen.get(path) != seen
        }
        gone = [path for path in self._seen if path not in found.files]
        self._unsettled = False
        begun, self._begun = self._begun, True
        if not changed and not gone:
            return
        read = await anyio.to_thread.run_sync(partial(self._read_all, changed))
        fresh = time.time_ns() - int(QUIET.total_seconds() * 1e9)
        updates: dict[str, FlowFile | None] = dict.fromkeys(gone)
        for path, file in read.items():
            seen = found.files[path][1]
            if file.flow is None and begun and seen.modified_ns > fresh:
                self._unsettled = True  # half written, perhaps: read again when it is quiet
                continue
            self._seen[path] = seen
            updates[path] = file
        for path in gone:
            del self._seen[path]
        if updates:
            await self.repository.update(updates)
        _report(updates, singly=begun)

    async def watch(self) -> None:
        """Scan after every batch of events, and every 30 seconds, until cancelled."""
        polling = False
        while True:
            try:
                with _Watcher(await self._real_root(), polling) as watcher:
                    await self._scan_until_settled()
                    while not self._replaced:
                        await watcher.wait()
                        await self._scan_until_settled()
            except FileNotFoundError:
                await anyio.sleep(1)
                await self.scan()
            except OSError as error:
                if polling:
                    raise
                polling = True
                log.warning(
                    "flows.watch_limit",
                    reason=str(error),
                    hint="raise fs.inotify.max_user_watches; until then the folder is polled",
                )

    async def _real_root(self) -> Path:
        self._replaced = False
        return await anyio.to_thread.run_sync(partial(self.root.resolve, strict=True))

    async def _scan_until_settled(self) -> None:
        await self.scan()
        while self._unsettled:
            await anyio.sleep(QUIET.total_seconds())
            await self.scan()


class _Watcher:
    """Waits for changes below a folder that exists.

    Not `watchfiles.awatch`: that one takes up to 5 seconds to notice that it was cancelled, and
    cannot tell when it has begun to listen, from when on a scan misses nothing.
    """

    def __init__(self, root: Path, polling: bool) -> None:
        from watchfiles._rust_notify import RustNotify

        self._notify = RustNotify([str(root)], False, polling, _POLL_MS, True, True)

    def __enter__(self) -> _Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._notify.close()

    async def wait(self) -> None:
        """Return after a batch of changes, or when it is time to look without one."""
        stop = threading.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(_set_when_cancelled, stop)
            await anyio.to_thread.run_sync(
                partial(
                    self._notify.watch,
                    _BATCH_MS,
                    _STEP_MS,
                    _RESCAN_MS,
                    stop,
                )
            )
            group.cancel_scope.cancel()


async def _set_when_cancelled(stop: threading.Event) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


def _scan(root: Path) -> _Scan:
    real = root.resolve(strict=True)
    status = real.stat()
    files: dict[str, tuple[Path, _Seen]] = {}
    places: set[tuple[int, int]] = set()
    above = len(str(real).rstrip("/")) + 1
    entries = [(entry.is_symlink(), Path(entry.path), entry) for entry in _walk(real)]
    for is_link, path, entry in sorted(entries, key=lambda found: found[:2]):
        found = _status(real, path) if is_link else _status_of_file(path, entry)
        if found is None:
            continue
        place, result = found
        if (result.st_dev, result.st_ino) in places and place != path:
            continue  # a link to a file that is here already
        places.add((result.st_dev, result.st_ino))
        files[entry.path[above:]] = (place, _Seen.of(result))
    return _Scan(files, (status.st_dev, status.st_ino))


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file that may be a flow. Hidden names are editors' own; links to folders loop."""
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name.endswith(_SUFFIXES):
                yield entry
            yield from _walk(Path(entry.path))
        elif entry.name.endswith(_SUFFIXES):
            yield entry


def _status_of_file(path: Path, entry: os.DirEntry[str]) -> tuple[Path, os.stat_result] | None:
    """The same as `_status` for what is no link; every file of a folder is asked every time."""
    try:
        return path, entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _status(root: Path, path: Path) -> tuple[Path, os.stat_result] | None:
    """Where a file really is and what it is; None if it has gone or leads out of the folder."""
    try:
        place = path.resolve(strict=True)
        return (place, place.stat()) if place.is_relative_to(root) else None
    except (OSError, RuntimeError):  # gone meanwhile, or a link in a circle
        return None


def _write(file: Path, text: str, root: Path) -> _Seen:
    """Publish a file as an editor would, and tell what a scan will see of it."""
    temporary = root / ".eyas-tmp"
    publish(file, text.encode("utf-8", "surrogatepass"), temporary)
    temporary.rmdir()
    return _Seen.of(file.stat())


def _move(file: Path, trash: Path) -> None:
    trash.mkdir(parents=True, exist_ok=True)
    target = trash / f"{time.time_ns()}-{file.name}"
    target.write_bytes(file.read_bytes())
    file.unlink()


def _report(updates: dict[str, FlowFile | None], *, singly: bool) -> None:
    """Log what became of files. Unless `singly`, those that are fine are one line together."""
    fine = [file.flow for file in updates.values() if file is not None and file.flow is not None]
    if fine and not singly:
        log.info("flows.loaded", count=len(fine))
    for path, file in updates.items():
        if file is None:
            log.info("flow.removed", file=path)
        elif file.flow is None:
            log.warning("flow.broken", file=path, problems=[str(each) for each in file.problems])
        elif singly:
            log.info("flow.loaded", file=path, flow=f"{file.flow.namespace}.{file.flow.id}")

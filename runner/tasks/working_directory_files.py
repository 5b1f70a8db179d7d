"""Files into and out of a working folder, of scripts and WorkingDirectory (script-tasks 2)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from runner.errors import TaskFailed
from runner.model.execution import Level, new_id
from runner.patterns import regex
from runner.records import record
from runner.runners.properties import PropertyReader
from runner.storage.files import NamespaceFiles
from runner.tasks.context import RunContext
from runner.tasks.globs import Matches, anywhere, below
from runner.tasks.script_files import (
    cannot_write,
    rendered_inputs,
    target_of,
    write_file,
    write_files,
)

_IF_EXISTS = ("OVERWRITE", "FAIL", "WARN", "IGNORE")
_NOT_IN_PATH = regex(r'["<>\\^`{|}\[\]\x00-\x1f\x7f]')


async def stage_inputs(
    ctx: RunContext, folder: Path, input_files: Any, namespace_files: Any, **more: object
) -> None:
    """Put the files of the unrendered properties `inputFiles` and `namespaceFiles` into `folder`.

    For a WorkingDirectory: an input file wins over a namespace file of its name, a null value
    makes an empty file, and unlike those of a script the namespace files are not counted.

    Raises:
        RunnerError: a file is not there or cannot be written.
    """
    await load_namespace_files(ctx, folder, namespace_files, measured=False)
    given = await rendered_inputs(ctx, folder, input_files, more, null_is_empty=True)
    await write_files(folder, given)


async def load_namespace_files(
    ctx: RunContext, folder: Path, raw: Any, *, measured: bool = True
) -> None:
    """Copy the namespace files that the unrendered property `namespaceFiles` asks for.

    `measured`: their number and the time that it took become metrics of the task.

    Raises:
        TaskFailed: a file exists already and `ifExists` is FAIL.
    """
    if raw is None:
        return
    if not isinstance(raw, Mapping):
        raise TaskFailed("Invalid namespaceFiles: a map such as {enabled: true} is needed")
    read = PropertyReader(cast("Mapping[str, Any]", await ctx.render(raw)), "namespaceFiles.")
    if not read.flag_or("enabled", default=True):
        return
    namespaces = read.texts("namespaces") or (ctx.execution.namespace,)
    loader = _Loader(
        folder=folder,
        files=[ctx.storage.namespace_files(namespace) for namespace in namespaces],
        include=anywhere(read.texts("include") or ("**",)),
        exclude=anywhere(read.texts("exclude") or ()),
        if_exists=read.choice("ifExists", _IF_EXISTS),
        per_namespace=read.flag_or("folderPerNamespace", default=False),
    )
    started = time.monotonic()
    try:
        await anyio.to_thread.run_sync(loader.load)
    except FileExistsError as error:
        # Kestra's words: its log has these two beside its exception's.
        ctx.log(Level.ERROR, "Error while loading namespace files")
        ctx.log(Level.ERROR, f"Cannot load '{error.filename}': `ifExists` is FAIL")
        raise TaskFailed(f"File {error.filename} already exist") from error
    took = timedelta(seconds=time.monotonic() - started)
    for path in loader.kept:
        ctx.log(Level.WARN, f"File {path} already exists")
    names = ", ".join(namespaces)
    ctx.log(Level.INFO, f"Loaded {loader.count} namespace files from '{names}' in {_clock(took)}")
    if measured:
        ctx.count("namespacefiles.count", loader.count)
        ctx.time("namespacefiles.duration", took)


@record(kw_only=True, frozen=False)
class _Loader:
    """Copies the files of namespaces, in their order, into a folder; runs in a thread.

    `count` is how many files were wanted, `kept` are those that were there and stayed (WARN).
    """

    folder: Path
    files: Sequence[NamespaceFiles]
    include: Matches
    exclude: Matches
    if_exists: str
    per_namespace: bool
    count: int = 0
    kept: list[Path] = field(default_factory=list[Path])

    def load(self) -> None:
        """Copy what is wanted; raises FileExistsError for a file that may not be there."""
        for files in self.files:
            for path in files.list():
                if self.include(f"/{path}") and not self.exclude(f"/{path}"):
                    name = f"{files.namespace}/{path}" if self.per_namespace else path
                    self._copy(files.path(path), name)
                    self.count += 1

    def _copy(self, source: Path, name: str) -> None:
        target = target_of(self.folder, name)
        if self.if_exists == "OVERWRITE" or not target.exists():
            write_file(target, source, name)
        elif self.if_exists == "FAIL":
            raise FileExistsError(errno.EEXIST, "File exists", str(target))
        elif self.if_exists == "WARN":
            self.kept.append(target)


def _clock(took: timedelta) -> str:
    minutes, seconds = divmod(took.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02}:{minutes:02}:{seconds:06.3f}"


async def collect_outputs(ctx: RunContext, folder: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Move the files below `folder` that match into the storage; their URIs by relative path.

    Raises:
        TaskFailed: a pattern or a name is not valid, or a file cannot be stored.
    """
    if not patterns:
        return {}
    matches = below(str(folder), patterns)
    return await anyio.to_thread.run_sync(_store, ctx, folder, matches)


async def collect_folder(ctx: RunContext, folder: Path) -> dict[str, str]:
    """Move all files below `folder` into the storage; their URIs by relative path."""
    return await anyio.to_thread.run_sync(_store, ctx, folder, _everything)


def _everything(_: str) -> bool:
    return True


def _store(ctx: RunContext, folder: Path, matches: Matches) -> dict[str, str]:
    stored: dict[str, str] = {}
    for path in _regular_files(folder):
        if not matches(str(path)):
            continue
        name = path.relative_to(folder).as_posix()
        bad = _NOT_IN_PATH.search(path.name)
        if bad:
            # Kestra makes a URI of the name, and fails the task (script-tasks 2.5).
            raise TaskFailed(
                f"Illegal character in path at index {bad.start()}: {path.name}\n"
                f"outputFiles: rename '{name}' in the script; {bad[0]!r} cannot stand in a URI."
            )
        size_bytes = path.stat().st_size
        try:
            stored[name] = _put(ctx, folder, path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise cannot_write(name, ctx.storage.root / name, error, size_bytes) from error
            raise TaskFailed(f"Cannot store the output file '{name}': {error}") from error
    return stored


def _put(ctx: RunContext, folder: Path, path: Path) -> str:
    """Store one file; it is gone from the folder once the task's end is stored, not before.

    Should Eyas be killed meanwhile, the next one finds all files where the command left them.
    """
    name, twin = f"{new_id()}-{path.name}", folder.parent / new_id()
    try:
        os.link(path, twin, follow_symlinks=False)
    except OSError:
        # A file system without second names, or somebody else's file.
        return ctx.storage.put(ctx.execution, ctx.task_run, name, path, move=True)
    ctx.leaving.callback(path.unlink, missing_ok=True)
    try:
        return ctx.storage.put(ctx.execution, ctx.task_run, name, twin, move=True)
    finally:
        twin.unlink(missing_ok=True)


def _regular_files(folder: Path) -> Iterator[Path]:
    """The regular files below `folder`, sorted; links are neither followed nor given."""
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found.append(Path(entry.path))
    return iter(sorted(found))

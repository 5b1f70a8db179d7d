"""Namespace files: `namespace.UploadFiles`, `DownloadFiles`, `DeleteFiles`, `PurgeFiles`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from runner.errors import NotFound, TaskFailed
from runner.model.execution import Level, new_id
from runner.model.jsons import read_json
from runner.model.uris import check_uri
from runner.storage.files import NamespaceFiles
from runner.tasks.context import Result, RunContext
from runner.tasks.globs import Matches, anywhere, below
from runner.tasks.needed import needed_text
from runner.tasks.registry import task
from runner.tasks.storage import stored


@task("io.kestra.plugin.core.namespace.UploadFiles")
async def upload(ctx: RunContext) -> Result | None:
    """Store files of the working directory (`files`) or by URI (`filesMap`) in a namespace."""
    files = ctx.storage.namespace_files(await needed_text(ctx, "namespace"))
    conflict = await ctx.text("conflict") or "OVERWRITE"
    if not {"files", "filesMap"}.intersection(ctx.task.properties):
        raise TaskFailed("files or filesMap is required")
    folder = await ctx.text("destination") or "/"
    sources = {f"{folder}/{name}": path for name, path in (await _local(ctx)).items()}
    # Kestra puts a name of `filesMap` right after the destination.
    sources |= {f"{folder}{name}": path for name, path in (await _mapped(ctx)).items()}
    for name, source in sources.items():
        path = "/".join(part for part in name.split("/") if part)
        await anyio.to_thread.run_sync(partial(_write, files, path, source, conflict))
    return None


def _write(files: NamespaceFiles, path: str, source: Path, conflict: str) -> None:
    if conflict != "OVERWRITE" and files.exists(path):
        if conflict == "ERROR":
            raise TaskFailed(
                f"File '/{path}' already exists in namespace '{files.namespace}' "
                "and conflict is set to ERROR"
            )
        return
    files.write(path, source)


async def _local(ctx: RunContext) -> dict[str, Path]:
    """Files of the shared working directory that match the patterns, by relative path."""
    patterns = await ctx.texts("files")
    if not patterns:
        return {}
    folder = ctx.shared_dir
    if folder is None:
        # A task by itself has a folder of its own in Kestra, with nothing in it.
        ctx.log(
            Level.DEBUG,
            "`files` names files of a working directory: put the task into a WorkingDirectory",
        )
        return {}
    matches = below(str(folder), patterns)
    return await anyio.to_thread.run_sync(_matching, folder, matches)


def _matching(folder: Path, matches: Matches) -> dict[str, Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): path for path in sorted(found) if matches(str(path))
    }


async def _mapped(ctx: RunContext) -> dict[str, Path]:
    """The files of `filesMap`: stored files by the names that they are to have."""
    given = ctx.task.properties.get("filesMap")
    if given is None:
        return {}
    entries: Any = await ctx.render(given)
    entries = read_json(entries) if isinstance(entries, str) else entries
    if not isinstance(entries, Mapping):
        raise TaskFailed("filesMap: a map of file names to storage URIs is needed")
    found: dict[str, Path] = {}
    for name, uri in cast("Mapping[str, Any]", entries).items():
        if not isinstance(uri, str):
            raise TaskFailed("filesMap must be a Map<String, String>")
        try:
            check_uri(uri)
        except ValueError as error:
            raise TaskFailed(str(error)) from error
        # Kestra passes over what is not there.
        with suppress(NotFound):
            found[name] = await stored(ctx, uri)
    return found


@task("io.kestra.plugin.core.namespace.DownloadFiles")
async def download(ctx: RunContext) -> Result | None:
    """Store copies of namespace files that match as files of the task run."""
    files = ctx.storage.namespace_files(await needed_text(ctx, "namespace"))
    wanted = await _wanted(ctx, files)
    uris: dict[str, str] = {}
    for path in wanted:
        name = f"{new_id()}-{Path(path).name}"
        put = partial(ctx.storage.put, ctx.execution, ctx.task_run, name, files.path(path))
        # Wherever they are stored (`destination`), the keys are the names in the namespace.
        uris[f"/{path}"] = await anyio.to_thread.run_sync(put)
    ctx.count("downloaded", len(wanted))
    return Result(outputs={"files": uris})


@task("io.kestra.plugin.core.namespace.DeleteFiles")
async def delete(ctx: RunContext) -> Result | None:
    """Delete the namespace files that match, and folders they leave empty if asked to."""
    files = ctx.storage.namespace_files(await needed_text(ctx, "namespace"))
    wanted = await _wanted(ctx, files)
    parents_too = await ctx.flag("deleteParentFolder")
    await anyio.to_thread.run_sync(_delete, files, wanted, parents_too)
    ctx.count("deleted", len(wanted))
    return None


def _delete(files: NamespaceFiles, paths: Sequence[str], parents_too: bool) -> None:
    for path in paths:
        files.delete(path)
        if parents_too:
            files.delete_empty_parents(path)


async def _wanted(ctx: RunContext, files: NamespaceFiles) -> list[str]:
    """Paths of the namespace files that the property `files` matches: a glob or a list."""
    given: Any = await ctx.render(ctx.task.properties.get("files"))
    if isinstance(given, str):
        given = read_json(given) if given.lstrip().startswith("[") else [given]
    matches = anywhere([str(pattern) for pattern in cast("list[Any]", given)])
    paths = await anyio.to_thread.run_sync(files.list)
    return [path for path in paths if matches(f"/{path}")]


@task("io.kestra.plugin.core.namespace.PurgeFiles")
async def purge(ctx: RunContext) -> Result | None:
    """Delete old versions of namespace files: there are none here, files have one version."""
    return Result(outputs={"size": 0})

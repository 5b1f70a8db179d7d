"""Files of the internal storage: written, joined, cut, turned round, measured, deleted."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from runner.errors import NotFound, TaskFailed
from runner.model.execution import new_id
from runner.model.jsons import read_json
from runner.runners.properties import parse_size
from runner.tasks.context import Result, RunContext
from runner.tasks.needed import needed_text
from runner.tasks.registry import task
from runner.tasks.splitting import Cut, backwards, split_file
from runner.tasks.work_folder import work_folder

_BYTEWISE = frozenset(("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252"))
"""Charsets in which the bytes that end a line stand for nothing else, wherever they are."""


@task("io.kestra.plugin.core.storage.Write")
async def write(ctx: RunContext) -> Result | None:
    """Store a text as a file."""
    content = await needed_text(ctx, "content")
    name = f"{new_id()}{await ctx.text('extension') or '.tmp'}"
    return Result(outputs={"uri": await store(ctx, name, content.encode())})


@task("io.kestra.plugin.core.storage.Size")
async def size(ctx: RunContext) -> Result | None:
    """Give the length of a file in bytes."""
    path = await stored(ctx, await needed_text(ctx, "uri"))
    return Result(outputs={"size": path.stat().st_size})


@task("io.kestra.plugin.core.storage.Delete")
async def delete(ctx: RunContext) -> Result | None:
    """Delete a file, and say whether it was there."""
    uri = await needed_text(ctx, "uri")
    deleted = await anyio.to_thread.run_sync(ctx.storage.delete_for_task, ctx.execution, uri)
    if not deleted and await ctx.flag("errorOnMissing"):
        raise NotFound(f"Unable to find file '{uri}'")
    return Result(outputs={"uri": uri, "deleted": deleted})


@task("io.kestra.plugin.core.storage.Concat")
async def concat(ctx: RunContext) -> Result | None:
    """Store a file that has the content of several, with `separator` after each."""
    sources = [await stored(ctx, uri) for uri in await _uris(ctx)]
    separator = (await ctx.text("separator") or "").encode()
    extension = await ctx.text("extension") or ".tmp"
    async with work_folder(ctx) as folder:
        target = folder / f"{new_id()}{extension}"
        await anyio.to_thread.run_sync(_join, sources, separator, target)
        return Result(outputs={"uri": await store(ctx, target.name, target)})


def _join(sources: Sequence[Path], separator: bytes, target: Path) -> None:
    with target.open("wb") as writing:
        for source in sources:
            with source.open("rb") as reading:
                while piece := reading.read(1 << 20):
                    writing.write(piece)
            writing.write(separator)


async def _uris(ctx: RunContext) -> list[str]:
    """The property `files`: a list, or a text that is one in JSON."""
    given: Any = await ctx.render(ctx.task.properties.get("files"))
    try:
        items: Any = read_json(given) if isinstance(given, str) else given
    except ValueError as error:
        raise TaskFailed(f"Invalid `files`: {error}") from error
    if not isinstance(items, list) or not all(
        isinstance(item, str) for item in cast("list[Any]", items)
    ):
        raise TaskFailed("Invalid `files`: a list of storage URIs is needed")
    return cast("list[str]", items)


@task("io.kestra.plugin.core.storage.Split")
async def split(ctx: RunContext) -> Result | None:
    """Store the parts of a file, cut by its rows."""
    source = await stored(ctx, await needed_text(ctx, "from"))
    limit = await ctx.text("bytes")
    separator = ctx.task.properties.get("separator")
    cut = Cut(
        bytes=None if limit is None else parse_size(limit),
        partitions=await ctx.integer("partitions"),
        rows=await ctx.integer("rows"),
        pattern=await ctx.text("regexPattern"),
        separator="\n" if separator is None else await needed_text(ctx, "separator"),
    )
    async with work_folder(ctx) as folder:
        parts = await anyio.to_thread.run_sync(split_file, source, folder, cut)
        uris = [await store(ctx, f"{new_id()}{part.suffix}", part) for part in parts]
    return Result(outputs={"uris": uris})


@task("io.kestra.plugin.core.storage.Reverse")
async def reverse(ctx: RunContext) -> Result | None:
    """Store a file with the rows of another from the last to the first."""
    source = await stored(ctx, await needed_text(ctx, "from"))
    separator = ctx.task.properties.get("separator")
    separator = "\n" if separator is None else await needed_text(ctx, "separator")
    charset = await ctx.text("charset") or "UTF-8"
    try:
        codecs.lookup(charset)
    except LookupError as error:
        raise TaskFailed(f"charset: '{charset}' is unknown") from error
    async with work_folder(ctx) as folder:
        target = folder / f"{new_id()}{source.suffix}"
        await anyio.to_thread.run_sync(_reverse, source, separator, charset, target)
        return Result(outputs={"uri": await store(ctx, target.name, target)})


def _reverse(source: Path, separator: str, charset: str, target: Path) -> None:
    """Write the lines of `source` into `target`, the last one first, each with the separator."""
    end = separator.encode(charset, "replace")
    with target.open("wb") as writing:
        for row in _lines_backwards(source, charset):
            writing.write(row.decode(charset, "replace").encode(charset, "replace"))
            writing.write(end)


def _lines_backwards(source: Path, charset: str) -> Iterator[bytes]:
    """The lines, whether they end with a line feed, a carriage return or both."""
    if codecs.lookup(charset).name in _BYTEWISE:
        for row in backwards(source, b"\n"):
            yield from reversed(row.removesuffix(b"\r").split(b"\r"))
        return
    text = source.read_bytes().decode(charset, "replace")
    rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not rows[-1]:
        rows.pop()
    for row in reversed(rows):
        yield row.encode(charset, "replace")


@task("io.kestra.plugin.core.storage.PurgeCurrentExecutionFiles")
async def purge(ctx: RunContext) -> Result | None:
    """Delete all files of the execution."""
    uris = await anyio.to_thread.run_sync(ctx.storage.delete_execution, ctx.execution)
    return Result(outputs={"uris": uris})


async def stored(ctx: RunContext, uri: str) -> Path:
    """The stored file that `uri` names; it must be one that the execution may read.

    Raises:
        NotFound: there is none.
    """
    return await anyio.to_thread.run_sync(ctx.storage.open_for_task, ctx.execution, uri)


async def store(ctx: RunContext, name: str, source: Path | bytes) -> str:
    """Store a file of the task run and return its URI; a file at a path is moved."""
    put = partial(ctx.storage.put, ctx.execution, ctx.task_run, name, source)
    return await anyio.to_thread.run_sync(partial(put, move=isinstance(source, Path)))

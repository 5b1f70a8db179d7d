"""`http.Request` and `http.Download`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import anyio

from runner.errors import TaskFailed
from runner.model.execution import Level, new_id
from runner.patterns import regex
from runner.tasks.context import Result, RunContext
from runner.tasks.http_call import answered, read_call
from runner.tasks.registry import task
from runner.tasks.storage import store
from runner.tasks.work_folder import work_folder

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Longest body that http.Request keeps as an output; Download has no limit."""

_FILE_NAME = regex(r"""filename\*?\s*=\s*(?:[\w-]+'[\w-]*')?("[^"]*"|[^;\s]+)""", re.I)


@task("io.kestra.plugin.core.http.Request")
async def request(ctx: RunContext) -> Result | None:
    """Send a request and give the answer's code, headers and body, which must be text."""
    call = read_call(await ctx.render(ctx.task.properties))
    if await ctx.flag("encryptBody"):
        raise TaskFailed("`encryptBody` is not supported: there is no encryption key here")
    async with answered(call, partial(ctx.storage.open_for_task, ctx.execution)) as response:
        body = await _text(response, call.charset)
        call.check(response.status, body)
        outputs = {**_described(response), "uri": call.uri, "body": body}
    return Result(outputs=outputs)


async def _text(response: aiohttp.ClientResponse, charset: str) -> str:
    content = bytearray()
    async for piece in response.content.iter_chunked(1 << 16):
        content += piece
        if len(content) > MAX_BODY_BYTES:
            raise TaskFailed(
                f"The body is longer than {MAX_BODY_BYTES} bytes: use the Download task instead"
            )
    try:
        return content.decode(response.charset or charset)
    except (LookupError, UnicodeDecodeError) as error:
        raise TaskFailed(
            "The Request task only supports valid text as body "
            f"({error}).\nYou can try using the Download task instead."
        ) from error


def _described(response: aiohttp.ClientResponse) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    return {"code": response.status, "headers": headers}


@task("io.kestra.plugin.core.http.Download")
async def download(ctx: RunContext) -> Result | None:
    """Send a request and store the answer's body as a file."""
    call = read_call(await ctx.render(ctx.task.properties))
    async with (
        work_folder(ctx) as folder,
        answered(call, partial(ctx.storage.open_for_task, ctx.execution)) as response,
    ):
        target = folder / new_id()
        length = await _save(response, target)
        call.check(response.status, await _start_of(target))
        _check_length(response, length)
        if not length:
            if await ctx.flag("failOnEmptyResponse"):
                raise TaskFailed("No response from server")
            ctx.log(Level.WARN, f"The answer of '{call.uri}' is empty")
        name = await ctx.text("saveAs") or _name(response.headers, call.uri)
        outputs = {**_described(response), "uri": await store(ctx, name, target), "length": length}
    return Result(outputs=outputs)


async def _start_of(path: Path) -> str:
    async with await anyio.open_file(path, "rb") as file:
        return (await file.read(4096)).decode("utf-8", "replace")


async def _save(response: aiohttp.ClientResponse, target: Path) -> int:
    length = 0
    async with await anyio.open_file(target, "wb") as file:
        async for piece in response.content.iter_chunked(1 << 18):
            length += len(piece)
            await file.write(piece)
    return length


def _check_length(response: aiohttp.ClientResponse, length: int) -> None:
    expected = response.headers.get("Content-Length")
    if expected is None or "Content-Encoding" in response.headers:
        return
    if response.method != "HEAD" and int(expected) != length:
        raise TaskFailed(f"Invalid size, got {length}, expected {expected}")


def _name(headers: Mapping[str, str], uri: str) -> str:
    """The name that the server gives the file, or one with the extension of the address."""
    found = _FILE_NAME.search(headers.get("Content-Disposition", ""))
    if found:
        name = PurePosixPath(unquote(found[1].strip('"')).replace("\\", "/")).name
        if name:
            return name
    return f"{new_id()}{PurePosixPath(urlsplit(uri).path).suffix}"

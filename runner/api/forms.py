"""The body of a request that starts or resumes an execution: one part per input."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from aiohttp import BodyPartReader, web

from runner.api.services import BadRequest, Unprocessable, UnsupportedMedia, services
from runner.engine.engine import CORRELATION
from runner.engine.inputs import Upload
from runner.model.execution import Label, new_id
from runner.model.flow import Input

MAX_TEXT_BYTES = 16 * 1024 * 1024
"""Longest value of an input that is not a file."""

_CHUNK = 1 << 18


@asynccontextmanager
async def form(request: web.Request, files: frozenset[str]) -> AsyncGenerator[Mapping[str, Any]]:
    """The inputs in the request's body by name: text, or an `Upload` for a part with a file name.

    `files` are the declared inputs of type FILE. Uploaded files live as long as the context, but
    for those that an execution took. No body at all gives no inputs.

    Raises:
        UnsupportedMedia: the body is not multipart.
        BadRequest: it cannot be read.
    """
    if not request.can_read_body:
        yield {}
        return
    if request.content_type != "multipart/form-data":
        raise UnsupportedMedia(
            f"The body must be multipart/form-data, one part per input, not {request.content_type}"
        )
    folder = services(request).uploads / new_id()
    try:
        yield await _parts(request, files, folder)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, folder, True)


async def _parts(request: web.Request, files: frozenset[str], folder: Path) -> dict[str, Any]:
    given: dict[str, Any] = {}
    left = services(request).settings.max_upload_bytes
    try:
        reader = await request.multipart()
        async for part in reader:
            if not isinstance(part, BodyPartReader):
                raise BadRequest("Bad Request: a part of the form is a form itself")
            name = part.name or ""
            if part.filename is None:
                text = await _text(part)
                given[name] = text
                left -= len(text)
            else:
                key = name if name in files or part.filename not in files else part.filename
                # Up to 0.23 the part is called `files`, and its file name is the input's.
                given[key] = await _file(part, folder / new_id(), left)
                left -= given[key].content.stat().st_size
            if left < 0:
                raise web.HTTPRequestEntityTooLarge(services(request).settings.max_upload_bytes, 0)
    except (ValueError, AssertionError) as error:
        raise BadRequest(f"Bad Request: the form cannot be read: {error}") from error
    return given


async def _text(part: BodyPartReader) -> str:
    content = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        content.extend(chunk)
        if len(content) > MAX_TEXT_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_TEXT_BYTES, len(content))
    return content.decode(part.get_charset("utf-8"))


async def _file(part: BodyPartReader, place: Path, most: int) -> Upload:
    await anyio.to_thread.run_sync(_make_folder, place.parent)
    size = 0
    async with await anyio.open_file(place, "wb") as file:
        while chunk := await part.read_chunk(_CHUNK):
            size += len(chunk)
            if size > most:
                raise web.HTTPRequestEntityTooLarge(most, size)
            await file.write(chunk)
    return Upload(name=Path(part.filename or "").name or "file", content=place, move=True)


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def files_among(inputs: Sequence[Input]) -> frozenset[str]:
    """Ids of the inputs that are files."""
    return frozenset(each.id for each in inputs if each.type == "FILE")


def labels(request: web.Request) -> list[Label]:
    """The labels among the query parameters.

    Raises:
        Unprocessable: one has no `:`, or is reserved for the system.
    """
    found: list[Label] = []
    for text in request.query.getall("labels", []):
        key, colon, value = text.partition(":")
        if not colon or not key:
            raise Unprocessable(f"Illegal argument: a label must be key:value, not '{text}'")
        found.append(checked_label(key, value))
    return found


def checked_label(key: str, value: str) -> Label:
    """A label that a caller may set.

    Raises:
        Unprocessable: its key is reserved for the system.
    """
    if key.startswith("system.") and key != CORRELATION:
        raise Unprocessable(
            f"System labels can only be set by Kestra itself, offending label: {key}={value}"
        )
    return Label(key, value)

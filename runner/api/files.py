"""Files of executions: downloaded, measured, looked at."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from aiohttp import web

from runner.api.answers import attachment, json_response
from runner.api.services import BadRequest, Unprocessable, number, required, services
from runner.errors import NotFound
from runner.patterns import regex

ROUTES = web.RouteTableDef()

_OF_EXECUTION = regex(r"kestra:///.+?/executions/([0-9A-Za-z]+)/.+")
_CHUNK = 1 << 18
_PREVIEW_BYTES = 2 * 1024 * 1024
_IMAGES = frozenset({"png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "ico"})


@ROUTES.get("/executions/{execution}/file")
async def download(request: web.Request) -> web.StreamResponse:
    """The content of a file of the execution."""
    return await send_file(request, _file(request))


@ROUTES.get("/executions/{execution}/file/metas")
async def metas(request: web.Request) -> web.Response:
    """The size of a file of the execution."""
    return json_response({"size": _file(request).stat().st_size})


@ROUTES.get("/executions/{execution}/file/preview")
async def preview(request: web.Request) -> web.Response:
    """The beginning of a file of the execution, as a person can look at it."""
    most = min(number(request, "maxRows", 100, least=1) or 100, 5000)
    encoding = request.query.get("encoding") or "utf-8"
    try:
        b"".decode(encoding)
    except LookupError as error:
        raise BadRequest(f"Bad Request: unknown encoding '{encoding}'") from error
    document = await anyio.to_thread.run_sync(_preview, _file(request), most, encoding)
    return json_response(document)


def _file(request: web.Request) -> Path:
    """Where the file of the query is.

    Raises:
        HTTPTemporaryRedirect: it is another execution's; it is to be had there.
        Unprocessable: it is no execution's.
        NotFound: there is no such file.
    """
    uri = required(request, "path")
    own = request.match_info["execution"]
    found = _OF_EXECUTION.fullmatch(uri)
    if found is None:
        raise Unprocessable(f"Illegal argument: '{uri}' is no file of an execution")
    if found[1] != own:
        place = request.path.replace(f"/{own}/", f"/{found[1]}/", 1)
        raise web.HTTPTemporaryRedirect(str(request.url.with_path(place).with_query(request.query)))
    return services(request).storage.open(uri)


async def send_file(
    request: web.Request, path: Path, name: str | None = None
) -> web.StreamResponse:
    """Send a file to be saved under `name`, never to be shown in the browser."""
    try:
        file = await anyio.open_file(path, "rb")
    except OSError as error:
        raise NotFound(f"{path.name} (File not found)") from error
    async with file:
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": attachment(name or path.name),
                "X-Content-Type-Options": "nosniff",
            }
        )
        response.content_length = await file.seek(0, 2)
        await file.seek(0)
        await response.prepare(request)
        while chunk := await file.read(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
    return response


def _preview(path: Path, most: int, encoding: str) -> dict[str, Any]:
    extension = path.suffix.removeprefix(".").lower()
    size = path.stat().st_size
    with path.open("rb") as file:
        content = file.read(_PREVIEW_BYTES)
    document: dict[str, Any] = {"extension": extension, "maxLine": most}
    if extension in _IMAGES or extension == "pdf":
        kind = "PDF" if extension == "pdf" else "IMAGE"
        text = base64.b64encode(content).decode()
        return document | {"type": kind, "content": text, "truncated": size > len(content)}
    lines = content.decode(encoding, "replace").splitlines(keepends=True)
    truncated = size > len(content) or len(lines) > most
    document["truncated"] = truncated
    if extension in ("ion", "jsonl"):
        rows = [_row(line) for line in lines[:most] if line.strip()]
        return document | {"type": "LIST", "content": rows}
    kind = "MARKDOWN" if extension == "md" else "TEXT"
    return document | {"type": kind, "content": "".join(lines[:most])}


def _row(line: str) -> Any:
    """A row of a file of rows: its JSON value, or its text."""
    try:
        return json.loads(line)
    except ValueError:
        return line.rstrip("\r\n")

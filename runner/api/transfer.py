"""Flows in archives: exported, imported."""

from __future__ import annotations

import io
from collections.abc import Sequence

import anyio.to_thread
from aiohttp import BodyPartReader, web

from runner.api.answers import attachment, json_response
from runner.api.executions import named_flows
from runner.api.filters import conditions
from runner.api.flows import checked, documents, found_flows, store
from runner.api.services import BadRequest, Unprocessable, flag, services
from runner.errors import FlowInvalid
from runner.model.flow import Flow

ROUTES = web.RouteTableDef()

MAX_ENTRIES, MAX_ENTRY_BYTES = 10_000, 16 * 1024 * 1024
"""Most files of an archive of flows, and the largest of them."""

_ENDINGS = (".yml", ".yaml")


@ROUTES.get("/flows/export/by-query")
async def export_found(request: web.Request) -> web.Response:
    """The flows that the filters find, as an archive."""
    return await _archive(found_flows(services(request), conditions(request)))


@ROUTES.post("/flows/export/by-ids")
async def export_named(request: web.Request) -> web.Response:
    """The flows that the body names, as an archive."""
    api = services(request)
    return await _archive([api.flows.find(*name) for name in await named_flows(request)])


@ROUTES.post("/flows/import")
async def import_flows(request: web.Request) -> web.Response:
    """Store the flows of an uploaded file or archive; answers with the entries that failed."""
    if request.content_type != "multipart/form-data":
        raise BadRequest("Bad Request: a form with the part 'fileUpload' is needed")
    api, failed = services(request), list[str]()
    for name, text in await _uploaded(request):
        try:
            for document in documents(text):
                await store(api, await checked(api, document), document)
        except FlowInvalid as error:
            if flag(request, "failOnError"):
                raise
            failed.append(f"{name}: {error}")
    return json_response(failed)


async def _archive(flows: Sequence[Flow]) -> web.Response:
    body = await anyio.to_thread.run_sync(_packed, flows)
    headers = {"Content-Disposition": attachment("flows.zip")}
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


def _packed(flows: Sequence[Flow]) -> bytes:
    import zipfile  # late: it takes longer to import than everything else here

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for flow in flows:
            archive.writestr(f"{flow.namespace}.{flow.id}.yml", flow.source)
    return buffer.getvalue()


async def _uploaded(request: web.Request) -> list[tuple[str, str]]:
    """Names and texts of what was uploaded."""
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "fileUpload":
                content, name = bytes(await part.read()), part.filename or ""
                if len(content) > MAX_ENTRY_BYTES:
                    raise web.HTTPRequestEntityTooLarge(MAX_ENTRY_BYTES, len(content))
                if name.endswith(".zip"):
                    return await anyio.to_thread.run_sync(_unpacked, content)
                return [(name, content.decode("utf-8-sig", "replace"))]
    except (ValueError, AssertionError) as error:
        raise BadRequest(f"Bad Request: the form cannot be read: {error}") from error
    raise BadRequest("Bad Request: the form has no part 'fileUpload'")


def _unpacked(content: bytes) -> list[tuple[str, str]]:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [each for each in archive.infolist() if each.filename.endswith(_ENDINGS)]
            if len(members) > MAX_ENTRIES or any(e.file_size > MAX_ENTRY_BYTES for e in members):
                raise Unprocessable("Illegal argument: the archive is too large")
            return [
                (each.filename, archive.read(each).decode("utf-8-sig", "replace"))
                for each in members
            ]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise Unprocessable(f"Illegal argument: the archive cannot be read: {error}") from error

"""Namespaces and the files that their flows share."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from aiohttp import BodyPartReader, web

from runner.api.answers import attachment, empty, json_response
from runner.api.files import send_file
from runner.api.filters import paging
from runner.api.names import namespace_of
from runner.api.services import BadRequest, Unprocessable, required, services
from runner.api.shapes import Json, page
from runner.errors import NotFound
from runner.model.execution import new_id
from runner.storage.files import NamespaceFiles

ROUTES = web.RouteTableDef()

_CHUNK = 1 << 18


@ROUTES.get("/namespaces/search")
async def search(request: web.Request) -> web.Response:
    """A page of namespaces: those of flows, and those above them."""
    text = request.query.get("q", "")
    api = services(request)
    named = {flow.namespace for flow in api.flows.all()}
    named |= set(await anyio.to_thread.run_sync(api.kv.namespaces))
    every = sorted({name for each in named for name in _with_parents(each) if text in name})
    limit, offset = paging(request)
    shown = [
        {"id": name, "deleted": False, "disabled": name not in named}
        for name in every[offset : offset + limit]
    ]
    return json_response(page(shown, len(every)))


@ROUTES.post("/namespaces/autocomplete")
async def autocomplete(request: web.Request) -> web.Response:
    """Names of namespaces that contain a text."""
    try:
        body: Any = await request.json() if request.can_read_body else {}
        text = str(body.get("q") or "")
    except (ValueError, AttributeError) as error:
        raise BadRequest('Bad Request: {"q"} is needed') from error
    named = {flow.namespace for flow in services(request).flows.all()}
    return json_response(sorted(name for name in named if text in name))


@ROUTES.get("/namespaces/{namespace}")
async def get(request: web.Request) -> web.Response:
    """A namespace, whether a flow lives there or not."""
    return json_response({"id": namespace_of(request), "deleted": False})


@ROUTES.get("/namespaces/{namespace}/files")
async def read(request: web.Request) -> web.StreamResponse:
    """The content of a file."""
    path = _path(request)
    return await send_file(request, _files(request).path(path), Path(path).name)


@ROUTES.post("/namespaces/{namespace}/files")
async def write(request: web.Request) -> web.Response:
    """Make the uploaded content the file at a path; an uploaded archive is unpacked there."""
    path, files = _path(request), _files(request)
    if request.content_type != "multipart/form-data":
        raise BadRequest("Bad Request: a form with the part 'fileContent' is needed")
    upload = services(request).uploads / new_id()
    try:
        name = await _receive(request, upload)
        if name.endswith(".zip") and not path.endswith(".zip"):
            await anyio.to_thread.run_sync(_unpack, files, path, upload)
        else:
            await anyio.to_thread.run_sync(_put, files, path, upload)
    finally:
        await anyio.to_thread.run_sync(partial(upload.unlink, missing_ok=True))
    return empty(200)


@ROUTES.put("/namespaces/{namespace}/files")
async def move(request: web.Request) -> web.Response:
    """Give a file or folder another path."""
    source, target = _relative(required(request, "from")), _relative(required(request, "to"))
    await anyio.to_thread.run_sync(_files(request).move, source, target)
    return empty(200)


@ROUTES.delete("/namespaces/{namespace}/files")
async def delete(request: web.Request) -> web.Response:
    """Delete a file or folder."""
    if not await anyio.to_thread.run_sync(_files(request).delete, _path(request)):
        raise NotFound(f"Not Found: no file '{_path(request)}'")
    return empty(200)


@ROUTES.get("/namespaces/{namespace}/files/directory")
async def listing(request: web.Request) -> web.Response:
    """What a folder holds; the namespace's own folder if none is named."""
    path = request.query.get("path", "").strip("/")
    folder = _files(request).root if not path else _place(request, path)
    return json_response(await anyio.to_thread.run_sync(_listing, folder, not path))


@ROUTES.post("/namespaces/{namespace}/files/directory")
async def make_folder(request: web.Request) -> web.Response:
    """Make an empty folder."""
    await anyio.to_thread.run_sync(_files(request).make_folder, _path(request))
    return empty(200)


@ROUTES.get("/namespaces/{namespace}/files/stats")
async def stats(request: web.Request) -> web.Response:
    """Size and dates of a file or folder."""
    path = request.query.get("path", "").strip("/")
    place = _place(request, path) if path else _files(request).root
    return json_response(await anyio.to_thread.run_sync(_stats, place))


@ROUTES.get("/namespaces/{namespace}/files/search")
async def find(request: web.Request) -> web.Response:
    """Paths that contain a text."""
    text = request.query.get("q", "")
    paths = await anyio.to_thread.run_sync(_files(request).list)
    return json_response([f"/{path}" for path in paths if text in path])


@ROUTES.get("/namespaces/{namespace}/files/export")
async def export(request: web.Request) -> web.Response:
    """All files in one archive."""
    body = await anyio.to_thread.run_sync(_archive, _files(request))
    headers = {"Content-Disposition": attachment(f"{namespace_of(request)}_files.zip")}
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


@ROUTES.get("/namespaces/{namespace}/files/revisions")
async def revisions(request: web.Request) -> web.Response:
    """Revisions of a file; there is only ever one."""
    _files(request).path(_path(request))
    return json_response([{"revision": 1}])


def _files(request: web.Request) -> NamespaceFiles:
    return services(request).storage.namespace_files(namespace_of(request))


def _path(request: web.Request) -> str:
    return _relative(required(request, "path"))


def _relative(path: str) -> str:
    """A path as the storage takes it; Kestra keeps flows below `/_flows`, where no file may be."""
    path = path.removeprefix("/")
    if not path or path.split("/")[0] == "_flows":
        raise Unprocessable(f"Illegal argument: '{path}' is no path of a file")
    return path


def _place(request: web.Request, path: str) -> Path:
    place = _files(request).locate(path)
    if place is None or not place.exists():
        raise NotFound(f"Not Found: no file '/{path}'")
    return place


async def _receive(request: web.Request, upload: Path) -> str:
    """Store the uploaded part at `upload` and return the name that it came with."""
    left = services(request).settings.max_upload_bytes
    await anyio.to_thread.run_sync(partial(upload.parent.mkdir, parents=True, exist_ok=True))
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name != "fileContent":
            continue
        async with await anyio.open_file(upload, "wb") as file:
            while chunk := await part.read_chunk(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise web.HTTPRequestEntityTooLarge(0, 0)
                await file.write(chunk)
        return part.filename or ""
    raise BadRequest("Bad Request: the form has no part 'fileContent'")


def _put(files: NamespaceFiles, path: str, upload: Path) -> None:
    if files.locate(path) is None:
        raise Unprocessable(f"Illegal argument: '{path}' leads out of the namespace")
    files.write(path, upload)


def _unpack(files: NamespaceFiles, folder: str, upload: Path) -> None:
    """Write the files of an archive below `folder`; one that leads out of it refuses all."""
    import zipfile  # late: it takes longer to import than everything else here

    try:
        with zipfile.ZipFile(upload) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            paths = [f"{folder.strip('/')}/{each.filename}".lstrip("/") for each in members]
            if any(files.locate(path) is None for path in paths):
                raise Unprocessable("Illegal argument: the archive leads out of the namespace")
            for path, member in zip(paths, members, strict=True):
                files.write(path, archive.read(member))
    except zipfile.BadZipFile as error:
        raise Unprocessable(f"Illegal argument: the archive cannot be read: {error}") from error


def _listing(folder: Path, is_root: bool) -> list[Json]:
    if not folder.is_dir():
        if is_root:
            return []
        raise NotFound(f"Not Found: '{folder.name}' is no folder")
    return [_stats(path) for path in sorted(folder.iterdir())]


def _stats(path: Path) -> Json:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise NotFound(f"Not Found: no file '{path.name}'") from error
    return {
        "fileName": path.name,
        "type": "Directory" if path.is_dir() else "File",
        "size": status.st_size if path.is_file() else 0,
        "lastModifiedTime": int(status.st_mtime * 1000),
        "creationTime": int(status.st_ctime * 1000),
    }


def _archive(files: NamespaceFiles) -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files.list():
            archive.write(files.path(path), path)
    return buffer.getvalue()


def _with_parents(namespace: str) -> list[str]:
    parts = namespace.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]

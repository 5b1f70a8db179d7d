"""The key-value store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio.to_thread
from aiohttp import web

from runner.api.answers import empty, json_response
from runner.api.filters import conditions, paging, sorting, text_of
from runner.api.names import namespace_of
from runner.api.services import BadRequest, Unprocessable, services
from runner.api.shapes import Json, instant, page, plain
from runner.errors import NotFound, RunnerError
from runner.model.times import read_date, read_duration, read_instant
from runner.patterns import regex
from runner.storage.kv import Entry, KvType, lineage

ROUTES = web.RouteTableDef()

_DURATION = regex(r"-?P.+")


class Gone(RunnerError):
    """The key has expired."""

    status = 410


@ROUTES.get("/kv")
async def search(request: web.Request) -> web.Response:
    """A page of the keys of all namespaces."""
    api = services(request)
    wanted = conditions(request)
    prefix, text = text_of(wanted, "namespace"), text_of(wanted, "q")

    def collect() -> list[Entry]:
        names = api.kv.namespaces()
        under = [name for name in names if not prefix or f"{name}.".startswith(f"{prefix}.")]
        return [entry for name in under for entry in api.kv.entries(name) if text in entry.key]

    found = await anyio.to_thread.run_sync(collect)
    for field, direction in reversed(sorting(request)):
        found.sort(key=lambda e: str(entry_json(e).get(field, "")), reverse=direction == "desc")
    limit, offset = paging(request)
    shown = [entry_json(entry) for entry in found[offset : offset + limit]]
    return json_response(page(shown, len(found)))


@ROUTES.get("/namespaces/{namespace}/kv")
async def entries(request: web.Request) -> web.Response:
    """The keys of a namespace."""
    found = await anyio.to_thread.run_sync(services(request).kv.entries, namespace_of(request))
    return json_response([entry_json(entry) for entry in found])


@ROUTES.get("/namespaces/{namespace}/kv/inheritance")
async def inherited(request: web.Request) -> web.Response:
    """The keys of the namespaces above one."""
    kv = services(request).kv
    above = list(lineage(namespace_of(request)))[1:]
    found = [await anyio.to_thread.run_sync(kv.entries, namespace) for namespace in above]
    return json_response([entry_json(entry) for entries in found for entry in entries])


@ROUTES.get("/namespaces/{namespace}/kv/{key}")
async def get(request: web.Request) -> web.Response:
    """The value of a key."""
    namespace, key = namespace_of(request), request.match_info["key"]
    entry = await anyio.to_thread.run_sync(services(request).kv.entry, namespace, key)
    if entry is None:
        raise NotFound(f"Not Found: no key '{key}' in namespace '{namespace}'")
    if entry.is_expired(datetime.now(UTC)):
        raise Gone(f"The key '{key}' of namespace '{namespace}' has expired")
    return json_response(
        {
            "type": entry.type.value,
            "value": plain(entry.value),
            "revision": entry.version,
            "updated": instant(entry.updated),
        }
    )


@ROUTES.put("/namespaces/{namespace}/kv/{key}")
async def put(request: web.Request) -> web.Response:
    """Give a key a value: JSON, or a bare date, moment or duration."""
    kv = services(request).kv
    namespace, key = namespace_of(request), request.match_info["key"]
    kind, value = _value((await request.text()).strip())
    ttl = request.headers.get("ttl")
    try:
        life = read_duration(ttl) if ttl else None
    except ValueError as error:
        raise BadRequest(f"Bad Request: the header ttl '{ttl}' is no duration") from error
    description = request.headers.get("description")
    await anyio.to_thread.run_sync(
        partial(kv.set, namespace, key, value, type=kind, ttl=life, description=description)
    )
    return empty(200)


@ROUTES.delete("/namespaces/{namespace}/kv/{key}")
async def delete(request: web.Request) -> web.Response:
    """Delete a key; tells whether there was one."""
    kv = services(request).kv
    key = request.match_info["key"]
    return json_response(await anyio.to_thread.run_sync(kv.delete, namespace_of(request), key))


@ROUTES.delete("/namespaces/{namespace}/kv")
async def delete_several(request: web.Request) -> web.Response:
    """Delete several keys; tells which there were."""
    kv, namespace = services(request).kv, namespace_of(request)
    try:
        keys = [str(key) for key in (await request.json())["keys"]]
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest('Bad Request: {"keys": [...]} is needed') from error
    gone = [key for key in keys if await anyio.to_thread.run_sync(kv.delete, namespace, key)]
    return json_response({"keys": gone})


def entry_json(entry: Entry) -> Json:
    """A key without its value."""
    document: Json = {
        "namespace": entry.namespace,
        "key": entry.key,
        "version": entry.version,
        "revision": entry.version,
        "description": entry.description,
        "creationDate": instant(entry.created),
        "updateDate": instant(entry.updated),
        "expirationDate": entry.expires and instant(entry.expires),
    }
    return {key: value for key, value in document.items() if value is not None}


def _value(text: str) -> tuple[KvType | None, Any]:
    """The type (None: as the value says) and the value of a body."""
    try:
        return None, json.loads(text)
    except ValueError:
        pass
    for kind, read in ((KvType.DATETIME, read_instant), (KvType.DATE, read_date)):
        try:
            read(text)
        except ValueError:
            continue
        return kind, text
    if _DURATION.fullmatch(text):
        try:
            read_duration(text)
        except ValueError:
            pass
        else:
            return KvType.DURATION, text
    raise Unprocessable(f"Illegal argument: the value is no JSON: {text[:200]}")

"""What types there are, and the schemas with which editors complete and check flows."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import anyio.to_thread
from aiohttp import web

from runner import __version__
from runner.api.answers import json_response
from runner.api.shapes import Json
from runner.errors import NotFound
from runner.expr.registry import names
from runner.loading.schema import schema_of
from runner.model.catalog import TypeInfo, catalog

ROUTES = web.RouteTableDef()

_KINDS = {
    "task": "tasks",
    "trigger": "triggers",
    "condition": "conditions",
    "taskRunner": "taskRunners",
}
_SCHEMAS = {"flow": "flow", "task": "task", "trigger": "trigger"}


@ROUTES.get("/plugins/schemas/{kind}")
async def schema(request: web.Request) -> web.Response:
    """The JSON Schema of flows, tasks or triggers."""
    kind = request.match_info["kind"].lower()
    if kind not in _SCHEMAS:
        raise NotFound(f"Not Found: no schema of '{kind}'")
    body = await anyio.to_thread.run_sync(_schema_text, kind)
    return web.Response(
        body=body,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "public, max-age=3600"},
    )


@ROUTES.get("/plugins")
@ROUTES.get("/plugins/groups/subgroups")
async def plugins(request: web.Request) -> web.Response:
    """Every type that Eyas has, by its package."""
    groups: dict[str, Json] = {}
    for kind, member in _KINDS.items():
        for name in sorted(catalog().names(kind)):  # pyright: ignore[reportArgumentType] # the keys are its kinds
            group = name.rpartition(".")[0]
            held = groups.setdefault(group, _group(group))
            info = catalog().any_kind(name)
            deprecated = info is not None and info.deprecated
            held[member].append({"cls": name, "deprecated": deprecated})
    return json_response([groups[name] for name in sorted(groups)])


@ROUTES.get("/plugins/icons")
@ROUTES.get("/plugins/icons/groups")
async def icons(request: web.Request) -> web.Response:
    """There are none."""
    return json_response({})


@ROUTES.get("/plugins/inputs")
async def inputs(request: web.Request) -> web.Response:
    """Every type of input."""
    return json_response([{"type": word, "cls": word} for word in catalog().words("inputs")])


@ROUTES.get("/plugins/{type}")
async def plugin(request: web.Request) -> web.Response:
    """Properties and outputs of one type."""
    name = request.match_info["type"]
    info = catalog().any_kind(catalog().canonical(name))
    if info is None:
        raise NotFound(f"Not Found: Eyas has no type '{name}'")
    definitions: Any = json.loads(_schema_text("flow"))["definitions"]
    own = definitions.get(info.name, {})
    return json_response(
        {
            "markdown": f"# {info.name}\n\n{own.get('description', '')}",
            "schema": {
                "properties": {
                    "title": info.name,
                    "properties": own.get("properties", {}),
                    "required": own.get("required", []),
                    "$deprecated": info.deprecated,
                },
                "outputs": {"properties": _outputs(info)},
                "definitions": {},
            },
        }
    )


@ROUTES.get("/pebble/functions")
async def functions(request: web.Request) -> web.Response:
    """Functions of expressions."""
    return json_response([{"name": name, "arguments": []} for name in names("function")])


@ROUTES.get("/pebble/filters")
async def filters(request: web.Request) -> web.Response:
    """Filters of expressions."""
    return json_response(names("filter"))


@lru_cache(maxsize=len(_SCHEMAS))
def _schema_text(kind: str) -> bytes:
    """A schema as JSON; made once, which takes a while."""
    made = schema_of(kind)  # pyright: ignore[reportArgumentType] # a key of _SCHEMAS
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


def _group(name: str) -> Json:
    members: Json = {member: [] for member in _KINDS.values()}
    return {"name": name, "title": name, "group": name, "version": __version__, **members}


def _outputs(info: TypeInfo) -> Json:
    return {
        name: {"title": name, "description": str(type_)} for name, type_ in info.outputs.items()
    }

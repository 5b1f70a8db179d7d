"""The API's own description: an OpenAPI document and a table, both made from the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import anyio.to_thread
from aiohttp import web

from runner import __version__
from runner.api.answers import json_response
from runner.api.shapes import Json
from runner.patterns import regex

_PARAMETER = regex(r"\{(\w+)(?::([^{}]+))?\}")

_ERRORS = {
    "400": "The request cannot be understood",
    "401": "Credentials are missing or wrong",
    "403": "The caller's page or name is foreign, or the server is read-only",
    "404": "There is no such thing",
    "409": "The state of the thing forbids this",
    "422": "The content is wrong",
}


def first_sentence(handler: object) -> str:
    """The first line of what a handler says about itself."""
    return (handler.__doc__ or "").split("\n", maxsplit=1)[0]


def openapi(routes: Iterable[tuple[str, str, object]]) -> Json:
    """An OpenAPI 3.0 document of routes: method, pattern of the path, handler."""
    from runner.api.reading import body_of, query_of  # late: nobody asks at the start

    paths: dict[str, Json] = {}
    for method, pattern, handler in routes:
        path = _PARAMETER.sub(r"{\1}", pattern)
        operation: Json = {
            "summary": first_sentence(handler),
            "operationId": f"{method.lower()}_{re.sub(r'[^A-Za-z0-9]+', '_', path).strip('_')}",
            "parameters": [
                *(_parameter(*found) for found in _PARAMETER.findall(pattern)),
                *query_of(handler),
            ],
            "responses": {
                "default": {"description": "The answer"},
                **{status: _error(text) for status, text in _ERRORS.items()},
            },
        }
        body = body_of(handler) if method in ("POST", "PUT", "DELETE") else None
        if body is not None:
            operation["requestBody"] = body
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Eyas",
            "version": __version__,
            "description": "The part of Kestra 1.2's API that Eyas answers.",
            "license": {"name": "Apache-2.0"},
        },
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["message"],
                    "properties": {"message": {"type": "string"}},
                }
            },
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{}, {"basic": []}, {"bearer": []}],
    }


def table(routes: Iterable[tuple[str, str, object]]) -> str:
    """The routes as a table in Markdown."""
    rows = sorted((pattern, method, first_sentence(handler)) for method, pattern, handler in routes)
    lines = [f"| {method} | `{_cell(path)}` | {_cell(text)} |" for path, method, text in rows]
    return "\n".join(["| Method | Path | What it does |", "|---|---|---|", *lines])


def openapi_route(described: Sequence[tuple[str, str, object]]) -> Any:
    """A handler that answers with the document of these routes."""

    made: list[Json] = []

    async def handler(request: web.Request) -> web.Response:
        """This API as an OpenAPI document."""
        if not made:
            made.append(await anyio.to_thread.run_sync(openapi, described))
        return json_response(made[0])

    return handler


def _parameter(name: str, pattern: str) -> Json:
    schema: Json = {"type": "string"}
    if "|" in pattern:
        schema["enum"] = pattern.split("|")
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _error(text: str) -> Json:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

"""What the handlers of the API read of a request, found in their own source.

The OpenAPI document is made from it, so that it cannot say other than what the code does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from runner.api.shapes import Json
from runner.patterns import regex

_PARAMETER = regex(
    r"\b(flag|number|required)\(\s*request,\s*\"(\w+)\"|request\.query\.get(?:all)?\(\s*\"(\w+)\""
)
_SCHEMAS: Mapping[str, Json] = {
    "flag": {"type": "boolean"},
    "number": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
}
_FILTERS = ("q", "namespace", "flowId", "state", "startDate", "endDate", "timeRange", "labels")
_FLOW: Json = {
    "type": "object",
    "required": ["id", "namespace", "tasks"],
    "properties": {
        "id": {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9._-]*$", "maxLength": 100},
        "namespace": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$", "maxLength": 150},
        "tasks": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "type"],
                "properties": {"id": {"type": "string"}, "type": {"type": "string"}},
            },
        },
    },
}
_FORM: Json = {"type": "object", "additionalProperties": {"type": "string"}}
_BODIES: tuple[tuple[str, str, Json], ...] = (
    (r"request\.multipart\(\)", "multipart/form-data", _FORM),
    (r"request\.json\(\)", "application/json", {}),
    (r"body_text\(request\)|documents\(", "application/x-yaml", _FLOW),
    (r"request\.(?:read|text)\(\)", "text/plain", {"type": "string"}),
)


def query_of(handler: object) -> list[Json]:
    """The query parameters of a handler, as OpenAPI has them."""
    source = "".join(reached(handler))
    found: dict[str, Json] = {}
    for kind, name, plain in _PARAMETER.findall(source):
        schema = _SCHEMAS.get(kind, {"type": "string"})
        found[name or plain] = _parameter(name or plain, schema, required=kind == "required")
    if "conditions(request" in source:
        for name in _FILTERS:
            found.setdefault(name, _parameter(name, {"type": "string"}))
    return [found[name] for name in sorted(found)]


def body_of(handler: object) -> Json | None:
    """The request body of a handler, as OpenAPI has it; None if it reads none."""
    source = "".join(reached(handler))
    content = {
        kind: {"schema": schema} for text, kind, schema in _BODIES if re.search(text, source)
    }
    return {"content": content} if content else None


def reached(handler: object) -> Iterator[str]:
    """The source of a handler and of the functions of this package that it can come to."""
    seen: set[object] = set()
    waiting = [handler]
    while waiting:
        function: Any = inspect.unwrap(cast("Any", waiting.pop()))
        if function in seen or not inspect.isfunction(function):
            continue
        seen.add(function)
        if function.__module__.startswith(__package__ or "") and function.__module__ != __name__:
            yield _source(function)
            waiting += _called(function)


def _called(function: Any) -> Iterator[object]:
    """What the names in a function stand for, and what is in the tables among them."""
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, dict):
            yield from cast("dict[object, object]", value).values()
        elif inspect.isfunction(value):
            yield value


@lru_cache(maxsize=1024)
def _source(function: Any) -> str:
    return inspect.getsource(function)


def _parameter(name: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema}

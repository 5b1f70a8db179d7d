"""The search parameters of requests, in Kestra's two dialects, as conditions (http-api 2.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from aiohttp import web

from runner.api.services import BadRequest, Unprocessable, number
from runner.model.times import read_duration
from runner.patterns import regex
from runner.store.rows import stamp
from runner.store.search import Condition

MAX_SIZE = 10_000

_BRACKETS = regex(r"filters\[(\w+)\]\[(\w+)\](?:\[([^\]]*)\])?")
_NAMES = {
    name.lower(): name
    for name in (
        *("q", "namespace", "flowId", "flowRevision", "state", "labels", "scope", "kind"),
        *("startDate", "endDate", "timeRange", "triggerId", "triggerExecutionId", "childFilter"),
        *("executionId", "taskId", "taskRunId", "attemptNumber", "level", "existing"),
    )
} | {"minlevel": "level", "query": "q", "triggerstate": "state"}
_OPERATIONS = frozenset(
    {
        *("EQUALS", "NOT_EQUALS", "IN", "NOT_IN", "GREATER_THAN", "LESS_THAN"),
        *("GREATER_THAN_OR_EQUAL_TO", "LESS_THAN_OR_EQUAL_TO", "STARTS_WITH", "ENDS_WITH"),
        *("CONTAINS", "REGEX", "PREFIX"),
    }
)
_FLAT_OPERATIONS = {
    "namespace": "PREFIX",
    "startDate": "GREATER_THAN_OR_EQUAL_TO",
    "endDate": "LESS_THAN_OR_EQUAL_TO",
}
_PAGING = frozenset({"page", "size", "sort"})


def conditions(request: web.Request, *, strict: Iterable[str] | None = None) -> list[Condition]:
    """What the query asks for, in either dialect.

    `strict` refuses every parameter that is neither a filter nor one of its names, and a query
    without any filter: for actions on everything that a search finds.

    Raises:
        BadRequest: a field or operation is unknown, or `strict` refuses.
    """
    found: list[Condition] = []
    other: set[str] = set()
    for key, value in request.query.items():
        brackets = _BRACKETS.fullmatch(key)
        name = _NAMES.get(key.replace("_", "").lower())
        if brackets:
            found.append(_bracketed(brackets, value))
        elif key.startswith("filters"):
            raise BadRequest(f"Invalid query filters: cannot read '{key}'")
        elif name is not None:
            found.append(_condition(name, _FLAT_OPERATIONS.get(name, "IN"), _values(name, value)))
        elif key not in _PAGING:
            other.add(key)
    if strict is not None:
        unknown = sorted(other.difference(strict))
        if unknown:
            raise BadRequest(f"Bad Request: unknown parameters {', '.join(unknown)}")
        if not found:
            raise BadRequest("Bad Request: this needs a filter; it would act on everything")
    return _together(found)


def paging(request: web.Request, size: int = 10) -> tuple[int, int]:
    """Limit and offset of the page that is asked for; `size` unless the query says another."""
    page = number(request, "page", 1, least=1) or 1
    limit = min(number(request, "size", size, least=0) or size, MAX_SIZE)
    return limit, (page - 1) * limit


def sorting(request: web.Request) -> list[tuple[str, str]]:
    """Fields and directions of the `sort` parameters.

    Raises:
        Unprocessable: one is not of the form `field:asc` or `field:desc`.
    """
    order: list[tuple[str, str]] = []
    for text in request.query.getall("sort", []):
        field, _, direction = text.partition(":")
        if not field or direction.lower() not in ("asc", "desc"):
            raise Unprocessable(f"Illegal argument: sort must be field:asc or :desc, not '{text}'")
        order.append((field, direction.lower()))
    return order


def moment(text: str) -> datetime:
    """A date parameter: `yyyy-MM-ddTHH:mm[:ss][.SSS][offset]`, UTC without an offset.

    Raises:
        BadRequest: it is none.
    """
    try:
        date = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError as error:
        raise BadRequest(f"Bad Request: '{text}' is no date with a time") from error
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)


def _bracketed(brackets: re.Match[str], value: str) -> Condition:
    field, operation, key = brackets.groups()
    name = _NAMES.get(field.replace("_", "").lower())
    if name is None:
        raise BadRequest(f"Invalid query filters: unknown field '{field}'")
    if operation.upper() not in _OPERATIONS:
        raise BadRequest(f"Invalid query filters: unknown operation '{operation}'")
    if key is not None and name != "labels":
        raise BadRequest(f"Invalid query filters: '{field}' has no '{key}'")
    values = (f"{key}:{value}",) if key is not None else _values(name, value)
    return _condition(name, operation.upper(), values)


def _values(name: str, value: str) -> tuple[str, ...]:
    return (value,) if name in ("q", "timeRange") else tuple(value.split(","))


def _condition(name: str, operation: str, values: tuple[str, ...]) -> Condition:
    if name in ("startDate", "endDate"):
        return Condition(name, operation, tuple(stamp(moment(value)) for value in values))
    if name == "timeRange":
        try:
            since = datetime.now(UTC) - read_duration(values[0])
        except (ValueError, OverflowError) as error:
            raise BadRequest(f"Bad Request: '{values[0]}' is no ISO 8601 duration") from error
        return Condition("startDate", "GREATER_THAN_OR_EQUAL_TO", (stamp(since),))
    return Condition(name, operation, values)


def _together(found: list[Condition]) -> list[Condition]:
    """Flat parameters that came several times mean any of their values; labels mean all."""
    merged: dict[tuple[str, str], Condition] = {}
    single: list[Condition] = []
    for each in found:
        if each.operation != "IN" or each.field == "labels":
            single.append(each)
            continue
        old = merged.get((each.field, each.operation))
        values = (*(old.values if old else ()), *each.values)
        merged[each.field, each.operation] = Condition(each.field, each.operation, values)
    return [*single, *merged.values()]


def without(found: Iterable[Condition], *names: str) -> list[Condition]:
    """The conditions but those on fields of these names."""
    return [each for each in found if each.field not in names]


def text_of(found: Iterable[Condition], name: str) -> str:
    """The value of the condition on that field; empty if there is none."""
    return next((each.values[0] for each in found if each.field == name), "")

"""Values of inputs and outputs: read by their declared type, checked, and made plain to keep.

`parse` gives Python's own types, `check` holds them against what the input declares, `plain`
makes JSON-like data of them. All raise `ValueError` with the text that follows `Cause: `.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from runner.model.catalog import type_expression
from runner.model.convert import convert
from runner.model.jsons import read_json
from runner.model.texts import BLANKS, java_text
from runner.model.times import (
    instant_text,
    read_date,
    read_duration,
    read_instant,
    read_time,
    time_text,
)
from runner.model.uris import check_uri
from runner.patterns import regex

INT_MIN, INT_MAX = -(2**31), 2**31 - 1

_INT = regex(r"[+-]?\d+")
_FLOAT = regex(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[fFdD]?")
_EMAIL = regex(r"([a-zA-Z0-9_!#$%&’*+/=?`{|}~^.-]+@[a-zA-Z0-9.-]+)?")

_DEFAULT_TYPES = {
    "INT": "integer",
    "FLOAT": "number",
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
    "DURATION": "duration",
    "DATE": "date",
    "TIME": "time",
    "DATETIME": "date-time",
}

Yaml = Callable[[str], Any]
"""Reads a YAML text as Kestra does, and raises `ValueError`."""


def parse(type_: str, raw: Any, yaml: Yaml, *, item_type: str | None = None) -> Any:
    """`raw` as a value of the input type `type_` (flow-model 2); FILE is not done here.

    `item_type` is the type of the elements of ARRAY and MULTISELECT; None leaves them alone.
    """
    match type_:
        case "INT":
            return _integer(raw)
        case "FLOAT":
            return _float32(raw)
        case "BOOLEAN" | "BOOL":
            # Kestra's Boolean.valueOf: whatever is not "true" is false.
            return raw if isinstance(raw, bool) else java_text(raw).lower() == "true"
        case "DATETIME":
            return raw if isinstance(raw, datetime) else read_instant(java_text(raw))
        case "DATE":
            return raw if isinstance(raw, date) else read_date(java_text(raw))
        case "TIME":
            return raw if isinstance(raw, time) else read_time(java_text(raw))
        case "DURATION":
            return raw if isinstance(raw, timedelta) else read_duration(java_text(raw))
        case "JSON":
            return read_json(raw) if isinstance(raw, str) else raw
        case "YAML":
            return yaml(raw) if isinstance(raw, str) else raw
        case "URI":
            return check_uri(java_text(raw))
        case "ARRAY" | "MULTISELECT":
            return _elements(type_, raw, yaml, item_type)
        case _:
            return java_text(raw)


def from_default(type_: str, default: Any) -> Any:
    """A rendered `defaults` as `parse` takes it; scalars are read as properties are.

    Text that is no value of the type is read as JSON first (flow-model 1.7): `1.5` for an INT is
    1, `5 apples` is 5, `twelve` is an unrecognized token.
    """
    expression = type_expression(_DEFAULT_TYPES.get(type_, "any"))
    if expression.kind == "any" or not isinstance(default, str):
        return default
    return convert(default, expression)


def _integer(raw: Any) -> int:
    text = java_text(raw)
    value = int(text) if _INT.fullmatch(text) else None
    if value is None or not INT_MIN <= value <= INT_MAX:
        raise ValueError(f'For input string: "{text}"')
    return value


def _float32(raw: Any) -> float:
    text = java_text(raw).strip(BLANKS)
    if not text:
        raise ValueError("empty String")
    if not _FLOAT.fullmatch(text):
        raise ValueError(f'For input string: "{text}"')
    try:
        narrow = _narrowed(float(text.rstrip("fFdD")))
    except OverflowError as error:
        raise ValueError(f'For input string: "{text}" (out of range)') from error
    # Java prints the shortest text that gives the same 32 bits: 0.1, not 0.10000000149011612.
    for digits in range(1, 10):
        short = float(f"{narrow:.{digits}g}")
        if _narrowed(short) == narrow:
            return short
    return narrow


def _narrowed(value: float) -> float:
    (narrow,) = struct.unpack("<f", struct.pack("<f", value))
    return narrow


def _elements(type_: str, raw: Any, yaml: Yaml, item_type: str | None) -> list[Any]:
    given: Any = read_json(raw) if isinstance(raw, str) else raw
    if not isinstance(given, list | tuple):
        raise ValueError(f"Cannot deserialize value of type list from {java_text(given)!r}")
    items = cast("Sequence[Any]", given)
    if item_type is None:
        return list(items)
    parsed: list[Any] = []
    for item in items:
        try:
            parsed.append(parse(item_type, item, yaml))
        except ValueError as error:
            if type_ == "MULTISELECT":
                raise
            raise ValueError(
                f"Unable to parse array element as `{item_type}` on `{java_text(item)}` ({error})"
            ) from error
    return parsed


def check(type_: str, value: Any, declared: Mapping[str, Any]) -> None:
    """Raise unless a parsed value keeps the bounds that its input declares."""
    match type_:
        case "EMAIL":
            if not _EMAIL.fullmatch(value):
                raise ValueError("The input must be a valid email")
        case "INT" | "FLOAT":
            _check_bounds(type_, value, declared, "min", "max", "it must be more", "less", " than")
        case "DURATION":
            _check_bounds(type_, value, declared, "min", "max", "It must be more", "less", " than")
        case "DATE" | "TIME" | "DATETIME":
            _check_bounds(type_, value, declared, "after", "before", "it must be after", "before")
        case _:
            pass


def _check_bounds(
    type_: str,
    value: Any,
    declared: Mapping[str, Any],
    low: str,
    high: str,
    below: str,
    above: str,
    than: str = "",
) -> None:
    for name, text in ((low, below), (high, f"{below.rpartition(' ')[0]} {above}")):
        if declared.get(name) is None:
            continue
        bound = parse(type_, declared[name], read_json)
        if (value < bound) if name == low else (value > bound):
            raise ValueError(f"{text}{than} `{java_text(bound)}`")


def check_choice(type_: str, value: Any, choices: Sequence[str]) -> None:
    """Raise unless the value of a SELECT, ENUM or MULTISELECT is among `choices`."""
    listed = f"[{', '.join(choices)}]"
    if type_ != "MULTISELECT":
        if value not in choices:
            raise ValueError(f"it must match the values `{listed}`")
        return
    for item in value:
        if not isinstance(item, str):
            # Kestra compares texts only: other element types end in a class-cast error.
            raise ValueError(
                f"value `{java_text(item)}` cannot be cast to a text: "
                f"`itemType` must be STRING to match the values `{listed}`"
            )
        if item not in choices:
            raise ValueError(f"value `{item}` doesn't match the values `{listed}`")


def plain(value: Any, *, six_digits: bool = True) -> Any:
    """A parsed value as JSON-like data: times as text, durations as seconds.

    Moments have six digits after the seconds (inputs), or as many as needed (outputs).
    """
    match value:
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z" if six_digits else instant_text(value)
        case date():
            return value.isoformat()
        case time():
            return time_text(value)
        case timedelta():
            return value / timedelta(seconds=1)
        case list():
            items = cast("list[Any]", value)
            return [plain(item, six_digits=six_digits) for item in items]
        case _:
            return value

"""JSON as Kestra writes and reads it.

Written compactly, without the map entries whose value is null, numbers in Java's form, nothing
escaped but quotes, backslashes and control characters. The C encoder of the standard library does
the work; the walk before it only looks for what that encoder would write differently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NoReturn, cast

from runner.expr.faults import Fault
from runner.expr.limits import MAX_DEPTH, Budget
from runner.expr.text import decimal_text, double_text, float32_text, string_form
from runner.expr.values import (
    Duration,
    Entry,
    Float32,
    Instant,
    LocalDateTime,
    Loop,
    is_decimal,
    is_map,
    is_number,
    temporal,
)

_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
_SAFE_IN_LIST = frozenset({str, int, bool, type(None)})
_SAFE_IN_MAP = frozenset({str, int, bool})
_TEXT_ONLY = frozenset({str})
_CONTROL = re.compile(r"\\(?:u00([01][0-9a-f])|.)", re.DOTALL)
_IDENTIFIER = re.compile(r"[\w$]")


def to_json(value: object) -> str:
    """Give `value` as compact JSON, as the filter `toJson` does.

    Raises:
        RenderFailed: the value is too deep or too large to write.
    """
    from runner.errors import RenderFailed

    try:
        return write_json(value, Budget())
    except Fault as fault:
        raise RenderFailed(fault.message) from fault


def write_json(value: object, budget: Budget) -> str:
    """Give `value` as compact JSON; null is `null`."""
    writer = _Preparation(budget)
    ready = writer.prepare(value, 0)
    try:
        text = _ENCODER.encode(ready)
    except ValueError as error:  # an integer of more digits than Python writes
        raise Fault("The number has too many digits") from error
    budget.spend(len(text))
    if "\\u00" in text:
        text = _CONTROL.sub(_upper_hex, text)
    if writer.mark:
        text = re.sub(f'"{writer.mark}([^"]*)"', r"\1", text)
    return text


def _upper_hex(found: re.Match[str]) -> str:
    digits = found.group(1)
    return f"\\u00{digits.upper()}" if digits else found.group()


class _Preparation:
    """Replaces, in a copy, what the C encoder would write in another way than Java."""

    __slots__ = ("budget", "mark")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.mark = ""

    def prepare(self, value: object, depth: int) -> object:
        """Give `value` itself when it can be written as it is, otherwise a changed copy."""
        if isinstance(value, (list, tuple)):
            return self._items(cast("list[object]", value), depth)
        if is_map(value):
            return self._map(value, depth)
        if isinstance(value, (str, bool, int)) or value is None:
            return value
        if isinstance(value, float):
            return self._number(value)
        return self._other(value, depth)

    def _items(self, items: list[object], depth: int) -> object:
        if depth > MAX_DEPTH:
            raise Fault(f"The value has more than {MAX_DEPTH} lists and maps inside one another")
        self.budget.spend_items(len(items) + 1)
        if _SAFE_IN_LIST.issuperset(map(type, items)):
            return items
        below, prepare = depth + 1, self.prepare
        return [prepare(item, below) for item in items]

    def _map(self, entries: Mapping[object, object], depth: int) -> object:
        if depth > MAX_DEPTH:
            raise Fault(f"The value has more than {MAX_DEPTH} lists and maps inside one another")
        self.budget.spend_items(len(entries) + 1)
        if _TEXT_ONLY.issuperset(map(type, entries)) and isinstance(entries, dict):
            if _SAFE_IN_MAP.issuperset(map(type, entries.values())):
                return entries
            below, prepare = depth + 1, self.prepare
            return {
                key: item if type(item) is str else prepare(item, below)
                for key, item in entries.items()
                if item is not None
            }
        return {
            self._key(key): self.prepare(item, depth + 1)
            for key, item in entries.items()
            if item is not None
        }

    def _key(self, key: object) -> str:
        if key is None:
            raise Fault(
                "Null key for a Map not allowed in JSON (use a converting NullKeySerializer?)"
            )
        return string_form(key, self.budget)

    def _number(self, value: float) -> object:
        if isinstance(value, Float32):
            return self._raw(float32_text(value))
        if 1e-3 <= value < 1e7 or value == 0 or -1e7 < value <= -1e-3:
            return value
        text = double_text(value)
        # Jackson quotes what JSON has no number for.
        return text if text[-1] in "Ny" else self._raw(text)

    def _raw(self, text: str) -> str:
        """Give a string that stands for `text` written without quotes."""
        if not self.mark:
            import os

            self.mark = f"@{os.urandom(9).hex()}@"
        return self.mark + text

    def _other(self, value: object, depth: int) -> object:
        if is_decimal(value):
            return self._raw(decimal_text(value))
        if isinstance(value, Entry):
            return self._map({value.key: value.value}, depth)
        if isinstance(value, Loop):
            return self._map(cast("Mapping[object, object]", value.fields()), depth)
        moment = temporal(value)
        if isinstance(moment, Duration):
            return self._raw(moment.json_text())
        if isinstance(moment, LocalDateTime):
            return moment.json_text()
        if isinstance(moment, Instant):
            return str(moment)
        if moment is None:
            raise Fault(f"A value of type {type(value).__name__} has no JSON form")
        return moment.isoformat()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"Non-standard token '{constant}'")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_json(text: str) -> object:
    """Give the first JSON value of `text`; what follows it is ignored, as Kestra's reader does.

    Raises:
        ValueError: the text does not begin with a JSON value.
    """
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise ValueError("No content to map due to end-of-input")
    try:
        value, end = cast("tuple[object, int]", _DECODER.raw_decode(text, start))
    except RecursionError as error:
        raise ValueError("Document nesting depth exceeds the maximum allowed") from error
    _check_end(text, end, value)
    return value


def _check_end(text: str, end: int, value: object) -> None:
    """Refuse what stands right behind a number, or behind a word as if it were part of it."""
    following = text[end : end + 1]
    if not following or following.isspace() or isinstance(value, str):
        return
    if is_number(value) or (
        (value is None or isinstance(value, bool)) and _IDENTIFIER.match(following)
    ):
        raise ValueError(f"Unexpected character ('{following}') after the value")

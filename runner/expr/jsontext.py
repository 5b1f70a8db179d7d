"""JSON as Kestra writes and reads it.

Written compactly, without the map entries whose value is null, numbers in Java's form, nothing
escaped but quotes, backslashes and control characters. The C encoder of the standard library does
the work; the walk before it only looks for what that encoder would write differently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
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
from runner.patterns import regex

_SAFE_IN_LIST = frozenset({str, int, bool, type(None)})
_SAFE_IN_MAP = frozenset({str, int, bool})
_CONTROL = regex(r"\\(?:u00([01][0-9a-f])|.)", re.DOTALL)
_IDENTIFIER = regex(r"[\w$]")

# Numbers that Java writes in another way: 8 digits before the point, or an exponent. Each pattern
# begins with a letter that the engine can look for quickly.
_LONG_NUMBER = regex(r"\.(?<=[0-9]{8}\.)")
_EXPONENT = regex(r"e(?<=[0-9]e)[-+][0-9]")


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
    text = None if budget.built or not _looks_plain(value, 0) else _plain_json(value)
    if text is None:
        text = _prepared_json(value, budget)
    budget.spend(len(text))
    return _CONTROL.sub(_upper_hex, text) if "\\u00" in text else text


class _NotPlain(Exception):
    """The value has something in it that the C encoder does not know."""


def _not_plain(_: object) -> NoReturn:
    raise _NotPlain


_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
_PLAIN_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_not_plain
)


def _looks_plain(value: object, depth: int) -> bool:
    """Tell from its first parts whether `value` may need no change, to save the attempt."""
    if isinstance(value, dict):
        items = list(islice(cast("dict[str, object]", value).values(), 20))
        return depth > 5 or (
            None not in items and all(_looks_plain(item, depth + 1) for item in items)
        )
    if isinstance(value, list):
        items = cast("list[object]", value)[:2]
        return depth > 5 or all(_looks_plain(item, depth + 1) for item in items)
    return not isinstance(value, float) or not value or 1e-3 <= abs(value) < 1e7


def _plain_json(value: object) -> str | None:
    """Give the JSON of data that needs no change, or None when it may need one.

    For values of the context only: what a template builds can share its parts with itself, and a
    small value be gigabytes of text.
    """
    try:
        text = _PLAIN_ENCODER.encode(value)
    except (_NotPlain, TypeError, ValueError, RecursionError):
        return None
    if ":null" in text or "0.000" in text or "NaN" in text or "Infinity" in text:
        return None
    return None if _LONG_NUMBER.search(text) or _EXPONENT.search(text) else text


def _prepared_json(value: object, budget: Budget) -> str:
    """Give the JSON of any value, by way of a copy in which the C encoder makes no difference."""
    mark = "\x01"
    while True:
        writer = _Preparation(budget, mark)
        ready = writer.prepare(value, 0)
        budget.spend_items(writer.handled)
        try:
            text = _ENCODER.encode(ready)
        except ValueError as error:  # an integer of more digits than Python writes
            raise Fault("The number has too many digits") from error
        if not writer.marked:
            return text
        encoded = _ENCODER.encode(mark)
        start, end = encoded[:-1], encoded[1:]
        if text.count(start) == text.count(end) == writer.marked:
            return text.replace(start, "").replace(end, "")
        import os

        mark = f"\x01{os.urandom(9).hex()}"  # the data has strings that look like a mark


def _upper_hex(found: re.Match[str]) -> str:
    digits = found.group(1)
    return f"\\u00{digits.upper()}" if digits else found.group()


_KEPT_NUMBERS = 10_000


class _Preparation:
    """Replaces, in a copy, what the C encoder would write in another way than Java.

    What must stand without quotes becomes a string between two `mark`s; `marked` counts them.
    """

    __slots__ = ("budget", "handled", "mark", "marked", "texts")

    def __init__(self, budget: Budget, mark: str) -> None:
        self.budget = budget
        self.mark = mark
        self.marked = 0
        self.handled = 0
        self.texts: dict[float, str] = {}

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

    def _count(self, items: int, depth: int) -> None:
        """Count what is handled; the budget is asked only now and then."""
        self.handled += items + 1
        if self.handled > 50_000:
            self.budget.spend_items(self.handled)
            self.handled = 0
        if depth > MAX_DEPTH:
            raise Fault(f"The value has more than {MAX_DEPTH} lists and maps inside one another")

    def _items(self, items: list[object], depth: int) -> object:
        self._count(len(items), depth)
        if _SAFE_IN_LIST.issuperset(map(type, items)):
            return items
        below, prepare = depth + 1, self.prepare
        return [prepare(item, below) for item in items]

    def _map(self, entries: Mapping[object, object], depth: int) -> object:
        self._count(len(entries), depth)
        changed: dict[object, object] | None = None if isinstance(entries, dict) else dict(entries)
        for key, item in entries.items():
            kind = type(item)
            new = item
            if kind is float:
                number = cast("float", item)
                new = item if 1e-3 <= number < 1e7 else self._number(number)
            elif kind not in _SAFE_IN_MAP and item is not None:
                new = self.prepare(item, depth + 1)
            if type(key) is not str:
                return self._with_text_keys(entries, depth)
            if new is not item or item is None:
                changed = dict(entries) if changed is None else changed
                if item is None:
                    del changed[key]
                else:
                    changed[key] = new
        return entries if changed is None else changed

    def _with_text_keys(self, entries: Mapping[object, object], depth: int) -> object:
        return {
            self._key(key): self.prepare(item, depth + 1)
            for key, item in entries.items()
            if item is not None
        }

    def _key(self, key: object) -> str:
        if key is None:
            raise Fault("Null key for a Map not allowed in JSON")
        return string_form(key, self.budget)

    def _number(self, value: float) -> object:
        if isinstance(value, Float32):
            return self._raw(float32_text(value))
        if 1e-3 <= value < 1e7 or value == 0 or -1e7 < value <= -1e-3:
            return value
        found = self.texts.get(value)
        if found is not None:
            self.marked += 1
            return found
        text = double_text(value)
        if text[-1] in "Ny":
            return text  # Jackson quotes what JSON has no number for
        raw = self._raw(text)
        if len(self.texts) < _KEPT_NUMBERS:
            self.texts[value] = raw
        return raw

    def _raw(self, text: str) -> str:
        """Give a string that stands for `text` written without quotes."""
        self.marked += 1
        return f"{self.mark}{text}{self.mark}"

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

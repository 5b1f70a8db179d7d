"""Metrics in marker lines: how their values are read, and how an attempt's metrics add up."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, cast

from runner.model.marker import MetricEntry
from runner.patterns import regex

MAX_SERIES = 10_000
"""So many different metrics are kept of one attempt."""

_Type = Literal["counter", "timer", "gauge"]
_TYPES: dict[str, _Type] = {"counter": "counter", "timer": "timer", "gauge": "gauge"}
_NUMBER = regex(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# As java.time.Duration reads it: signs before any part, at least one part.
_DURATION = regex(
    r"([+-])?P(?=.)(?:([+-]?\d+)D)?(?:T(?=.)(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?"
    r"(?:([+-]?)(\d+)(?:[.,](\d{0,9}))?S)?)?",
    re.IGNORECASE | re.ASCII,
)
_NOT_FINITE = ("NaN", "Infinity", "-Infinity", "INF", "-INF")
_NANOS = 1_000_000_000
_MAX_SECONDS = 1 << 63


class NotReadable(ValueError):
    """A marker line says something that cannot be taken; none of it is.

    `cause` is the bare reason where Kestra logs that once more, else None.
    """

    def __init__(self, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause


class WrittenNumber(float):
    """A number with a point or an exponent, and how it was written: as text it stays `1.50`."""

    def __new__(cls, token: str) -> WrittenNumber:
        """Read a number as JSON writes it."""
        number = super().__new__(cls, token)
        number.token = token
        return number

    token: str


class MetricTotals:
    """The metrics of one attempt, merged as they come: counters and timers add up."""

    def __init__(self) -> None:
        self._entries: dict[object, MetricEntry] = {}
        self.dropped = 0
        """Metrics that were not taken because there are `MAX_SERIES` others."""

    def add(self, entry: MetricEntry) -> bool:
        """Take a metric; False if there are too many different ones already."""
        known = self._entries.get(entry.series)
        if known is None:
            if len(self._entries) >= MAX_SERIES:
                self.dropped += 1
                return False
            self._entries[entry.series] = entry
        elif entry.type == "gauge":
            self._entries[entry.series] = entry
        else:
            self._entries[entry.series] = replace(known, value=known.value + entry.value)
        return True

    def entries(self) -> list[MetricEntry]:
        """One metric for each type, name and tags, in the order in which they first came."""
        return list(self._entries.values())


def merge_metrics(metrics: Iterable[MetricEntry]) -> list[MetricEntry]:
    """The metrics of an attempt with those of the same type, name and tags made one."""
    totals = MetricTotals()
    for metric in metrics:
        totals.add(metric)
    return totals.entries()


def metric_of(raw: Any, where: str) -> MetricEntry | str:
    """A metric as the script sent it; a text says why it is left out, and the rest is kept.

    Raises:
        NotReadable: the whole line is wrong.
    """
    if raw is None:
        return "it is null"
    if not isinstance(raw, dict):
        raise NotReadable(f"{where} must be an object")
    entry = cast("Mapping[str, Any]", raw)
    type_ = _type_of(entry, where)
    name = _scalar_of(entry.get("name"), f"{where}.name")
    _scalar_of(entry.get("description"), f"{where}.description")
    tags, missing = _tags_of(entry.get("tags"), f"{where}.tags")
    read = _milliseconds if type_ == "timer" else _number
    value = read(entry.get("value"), f"{where}.value")
    timestamp = _time_of(entry.get("timestamp"), f"{where}.timestamp")
    if name == "" or "" in (tags or ()):
        return f"its {'name' if name == '' else 'tag'} is empty"
    if missing is not None:
        return f"its tag '{missing}' is null"
    if value is None:
        return "it has no value"
    if not math.isfinite(value):
        return "its value is not finite"
    return MetricEntry(
        name=name,
        type=type_,
        value=value,
        tags=tags,
        timestamp=timestamp,
    )


def _type_of(entry: Mapping[str, Any], where: str) -> _Type:
    given = entry.get("type")
    if isinstance(given, str) and given in _TYPES:
        return _TYPES[given]
    known = f"known type ids = [{', '.join(_TYPES)}] ({where})"
    if "type" not in entry:
        raise NotReadable(f"missing type id property 'type': {known}")
    raise NotReadable(f"Could not resolve type id '{given}': {known}")


def _scalar_of(value: Any, where: str) -> str | None:
    return None if value is None else scalar_text(value, where)


def scalar_text(value: Any, where: str) -> str:
    """A text, number or boolean as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, WrittenNumber):
        return value.token
    if value is None or isinstance(value, dict | list):
        raise NotReadable(f"{where} must be a text, not an object or a list")
    return json.dumps(value)


def _tags_of(raw: Any, where: str) -> tuple[Mapping[str, str] | None, str | None]:
    """The tags as texts, and the name of one that is null."""
    if raw is None:
        return None, None
    if not isinstance(raw, dict):
        raise NotReadable(f"{where} must be an object")
    given = cast("Mapping[str, Any]", raw)
    tags = {k: scalar_text(v, f"{where}.{k}") for k, v in given.items() if v is not None}
    return tags, next((key for key, value in given.items() if value is None), None)


def _number(raw: Any, where: str) -> float | None:
    """A number, also one written as text; None if there is none."""
    if isinstance(raw, str):
        text = raw.strip()
        if not text:
            return None
        if text in _NOT_FINITE:
            return float(text)
        if _NUMBER.fullmatch(text) is None:
            raise NotReadable(f'"{raw}" is not a number ({where})')
        return float(text)
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise NotReadable(f"{json.dumps(raw)[:80]} is not a number ({where})")
    try:
        return float(raw)
    except OverflowError:
        return math.inf


def _milliseconds(raw: Any, where: str) -> float | None:
    """Whole milliseconds of a duration: a number is in seconds, a text ISO 8601 or a number."""
    text = raw.strip() if isinstance(raw, str) else ""
    if text and _NUMBER.fullmatch(text) is None:
        nanos = _iso_nanos(text)
        if nanos is None:
            cause = "Text cannot be parsed to a Duration"
            raise NotReadable(f'Cannot read duration "{raw}": {cause} ({where})', cause)
    else:
        seconds = _number(raw, where)
        if seconds is None or not math.isfinite(seconds):
            return seconds
        nanos = round(seconds * _NANOS) if abs(seconds) < _MAX_SECONDS else _MAX_SECONDS * _NANOS
    if abs(nanos) >= _MAX_SECONDS * _NANOS:
        raise NotReadable(f"the duration is too long ({where})")
    # Towards zero, as Duration.toMillis() does.
    return float(abs(nanos) // 1_000_000 * (1 if nanos >= 0 else -1))


def _iso_nanos(text: str) -> int | None:
    """Nanoseconds of an ISO 8601 duration of days and less; None if it is not one."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    sign, days, hours, minutes, second_sign, seconds, fraction = match.groups()
    nanos = int(seconds or 0) * _NANOS + int((fraction or "").ljust(9, "0"))
    if second_sign == "-":
        nanos = -nanos
    whole = (int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0)
    nanos += whole * 60 * _NANOS
    return -nanos if sign == "-" else nanos


def _time_of(raw: Any, where: str) -> datetime | None:
    """When it was measured: ISO 8601 with a zone, or seconds since 1970; None if not given."""
    if raw is None or raw == "":
        return None
    try:
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return datetime.fromtimestamp(raw, UTC)
        if isinstance(raw, str):
            moment = datetime.fromisoformat(raw)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    cause = f"Text '{scalar_text(raw, where)}' could not be parsed at index 0"
    raise NotReadable(f"{cause} ({where})", cause)

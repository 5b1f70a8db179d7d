"""Dates, times, instants and durations as Java reads and prints them.

Readers raise `ValueError` with Java's own text: `Text '2024-1-2' could not be parsed at index 5`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from runner.patterns import regex

_DATE = (r"\d{4}", "-", r"\d\d", "-", r"\d\d")
_SECONDS = (":", r"\d\d", r"(?:\.\d{0,9})?")
_INSTANT = (*_DATE, "[Tt]", r"\d\d", ":", r"\d\d", *_SECONDS, r"(?:[Zz]|[+-]\d\d:\d\d(?::\d\d)?)")
_TIME = regex(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{0,9}))?)?")
_DURATION = regex(
    r"([+-]?)P(?:([+-]?\d+)D)?"
    r"(T(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?\d+)(?:[.,](\d{0,9}))?S)?)?",
    re.IGNORECASE,
)
_FIELDS = (
    ("MonthOfYear", 1, 12),
    ("DayOfMonth", 1, 31),
    ("HourOfDay", 0, 23),
    ("MinuteOfHour", 0, 59),
    ("SecondOfMinute", 0, 59),
)


@lru_cache(maxsize=64)
def _part(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _check_shape(text: str, parts: tuple[str, ...]) -> None:
    """Raise with the index of the first of `parts` that does not fit."""
    at = 0
    for part in parts:
        found = _part(part).match(text, at)
        if found is None:
            raise ValueError(f"Text '{text}' could not be parsed at index {at}")
        at = found.end()
    if at < len(text):
        raise ValueError(f"Text '{text}' could not be parsed, unparsed text found at index {at}")


def _check_fields(text: str, values: tuple[int, ...], first: int) -> None:
    for (name, low, high), value in zip(_FIELDS[first:], values, strict=False):
        if not low <= value <= high:
            raise ValueError(
                f"Text '{text}' could not be parsed: "
                f"Invalid value for {name} (valid values {low} - {high}): {value}"
            )


def read_date(text: str) -> date:
    """An ISO date: `2024-01-02`."""
    _check_shape(text, _DATE)
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    return _date(text, year, month, day)


def _date(text: str, year: int, month: int, day: int) -> date:
    _check_fields(text, (month, day), 0)
    try:
        return date(year, month, day)
    except ValueError as error:
        raise ValueError(f"Text '{text}' could not be parsed: Invalid date: {error}") from error


def read_time(text: str) -> time:
    """An ISO time of day: `03:04`, `03:04:05.120`; digits below microseconds are cut off."""
    found = _TIME.fullmatch(text)
    if found is None:
        seconds = _SECONDS if text[5:6] == ":" else ()
        _check_shape(text, (r"\d\d", ":", r"\d\d", *seconds))
        raise ValueError(f"Text '{text}' could not be parsed at index {len(text)}")
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    _check_fields(text, (hour, minute, second), 2)
    return time(hour, minute, second, _micros(found[4]))


def read_instant(text: str) -> datetime:
    """A moment with an offset, in UTC: `2024-06-01T10:00:00.5+02:00`; seconds are needed.

    Digits below microseconds are cut off.
    """
    _check_shape(text, _INSTANT)
    day = _date(text, int(text[:4]), int(text[5:7]), int(text[8:10]))
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    _check_fields(text, (hour, minute, second), 2)
    rest = text[19:]
    fraction = re.match(r"(?:\.(\d*))?", rest)
    offset = rest[fraction.end() :] if fraction else rest
    moment = datetime(
        day.year,
        day.month,
        day.day,
        hour,
        minute,
        second,
        _micros(fraction[1] if fraction else None),
        UTC,
    )
    try:
        return moment - _offset(offset)
    except OverflowError as error:
        raise ValueError(f"Text '{text}' could not be parsed: {error}") from error


def _micros(digits: str | None) -> int:
    return int((digits or "0").ljust(6, "0")[:6])


def _offset(text: str) -> timedelta:
    if text in ("Z", "z"):
        return timedelta()
    hours, minutes, *seconds = (int(part) for part in text[1:].split(":"))
    size = timedelta(hours=hours, minutes=minutes, seconds=seconds[0] if seconds else 0)
    return -size if text[0] == "-" else size


def read_duration(text: str) -> timedelta:
    """An ISO duration of days or less: `P1DT2H`, `pt0.5s`, `PT-1M`; no weeks, months, years.

    Digits below microseconds are cut off.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()[1:]) or found[3] in ("T", "t"):
        raise ValueError("Text cannot be parsed to a Duration")
    sign, days, _, hours, minutes, seconds, fraction = found.groups()
    micros = _micros(fraction)
    if seconds and seconds.startswith("-"):
        micros = -micros
    try:
        total = timedelta(
            days=int(days or 0),
            hours=int(hours or 0),
            minutes=int(minutes or 0),
            seconds=int(seconds or 0),
            microseconds=micros,
        )
    except OverflowError as error:
        raise ValueError("Text cannot be parsed to a Duration: overflow") from error
    return -total if sign == "-" else total


def duration_text(duration: timedelta) -> str:
    """`duration` as Java prints it: `PT24H`, `PT1M0.5S`, `PT0S`."""
    micros = duration // timedelta(microseconds=1)
    if micros == 0:
        return "PT0S"
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    seconds, fraction = divmod(micros, 1_000_000)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    text = "PT"
    if hours:
        text += f"{sign}{hours}H"
    if minutes:
        text += f"{sign}{minutes}M"
    if seconds or fraction:
        decimals = f".{fraction:06}".rstrip("0") if fraction else ""
        text += f"{sign}{seconds}{decimals}S"
    return text


def time_text(value: time) -> str:
    """`value` as `03:04:00` or `03:04:05.12`."""
    decimals = f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""
    return f"{value:%H:%M:%S}{decimals}"


def instant_text(moment: datetime) -> str:
    """`moment` as Java prints an instant: UTC, with 0, 3 or 6 digits after the seconds."""
    moment = moment.astimezone(UTC)
    micros = moment.microsecond
    text = f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}"
    if not micros:
        return f"{text}Z"
    return f"{text}.{micros // 1000:03}Z" if micros % 1000 == 0 else f"{text}.{micros:06}Z"

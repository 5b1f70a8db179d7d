"""Checks cron expressions as Kestra does: unix fields, or six with seconds first."""

from __future__ import annotations

import re

NICKNAMES = frozenset(
    {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)


class CronInvalid(ValueError):
    """A cron expression is wrong; the text says where."""


def check_cron(expression: str, *, with_seconds: bool = False) -> None:
    """Accept a valid cron expression.

    Raises:
        CronInvalid: it is not valid.
    """
    if expression.strip() in NICKNAMES:
        return
    parts = expression.split()
    fields = _FIELDS if with_seconds else _FIELDS[1:]
    if len(parts) != len(fields):
        raise CronInvalid(
            f"Cron expression contains {len(parts)} parts but we expect one of [{len(fields)}]"
        )
    for part, (name, low, high, names) in zip(parts, fields, strict=True):
        for item in part.split(","):
            _check_item(item, name, low, high, names)


def _check_item(item: str, name: str, low: int, high: int, names: tuple[str, ...]) -> None:
    match = re.fullmatch(r"(\*|[^-/*?]+)(?:-([^-/*?]+))?(?:/([^-/*?]+))?", item)
    if match is None:
        raise CronInvalid(f"Failed to parse cron expression. Invalid expression: {item}")
    first, last, step = match.groups()
    if first == "*" and last is not None:
        raise CronInvalid(f"Failed to parse cron expression. Invalid expression: {item}")
    begin = low if first == "*" else _number(first, name, low, high, names)
    end = high if last is None else _number(last, name, low, high, names)
    if last is not None and end < begin:
        raise CronInvalid(
            f"Failed to parse cron expression. Invalid range! [{begin},{end}] in {name}"
        )
    if step is not None and (not step.isdigit() or not 1 <= int(step[:9]) <= max(high, 1)):
        raise CronInvalid(f"Failed to parse cron expression. Invalid step {step} in {name}")


def _number(word: str, name: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if word.upper() in names:
        return names.index(word.upper()) + (1 if names is _MONTHS else 0)
    if not word.isascii() or not word.isdigit():
        raise CronInvalid(
            f"Failed to parse cron expression. Invalid chars in expression! "
            f"Expression: {word} in {name}"
        )
    value = int(word[:9])
    if not low <= value <= high:
        raise CronInvalid(
            f"Failed to parse cron expression. Value {value} not in range [{low}, {high}]"
        )
    return value

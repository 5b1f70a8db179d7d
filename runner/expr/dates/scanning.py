"""Patterns of Java's `DateTimeFormatter` read backwards: from text to the fields in it.

Like Java's parser it goes forward only: a part takes what it can, and an optional part that does
not fit is left out. Numbers side by side (`yyyyMMdd`) share their digits by their widths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from runner.expr.dates.locales import Locale
from runner.expr.dates.patterns import Element


class _Number(NamedTuple):
    """How many digits a number has, and which sign it may have."""

    least: int
    most: int
    sign: str = ""
    """`-`: may be negative; `+`: also must have a plus when it is longer than `least`."""


_WIDE = 19
_SIGNED = frozenset("MLQqdhHkKmsFgecwW")


def _number(letter: str, count: int) -> _Number | None:
    """Give the digits of a field, or None when it is no number."""
    if letter in "uyY":
        if count == 2:
            return _Number(2, 2)
        return _Number(count, _WIDE, "-" if count < 4 else "+")
    if letter == "S":
        return _Number(count, count)
    if letter == "D":
        return _Number(count, 3 if count > 1 else _WIDE, "" if count > 1 else "-")
    if letter in "AnN":
        return _Number(count, _WIDE)
    if letter in _SIGNED and count < 3:
        return _Number(2, 2) if count == 2 else _Number(1, _WIDE, "-")
    return None


class _Step(NamedTuple):
    """One element made ready for reading."""

    element: Element
    number: _Number | None = None
    reserved: int = 0
    """Digits that the fixed numbers right behind this one need."""
    names: tuple[str, ...] = ()
    regex: re.Pattern[str] | None = None
    inner: tuple[_Step, ...] = ()
    key: str = ""


@lru_cache(128)
def _steps(parts: tuple[Element, ...], locale: Locale) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    base = -1
    for part in parts:
        number = _number(part.letter, part.repeat)
        if number is None:
            base = -1
        elif base >= 0 and number.least == number.most:
            steps[base] = steps[base]._replace(reserved=steps[base].reserved + number.most)
        else:
            base = len(steps)
        steps.append(
            _Step(
                part,
                number,
                names=_names(part.letter, part.repeat, locale),
                regex=_regex(part.letter, part.repeat),
                inner=_steps(part.inner, locale) if part.letter == "[" else (),
                key=_key(part),
            )
        )
    return tuple(steps)


def _key(part: Element) -> str:
    """Give the name of a field: two-digit years and names have one of their own."""
    if part.letter in "yuY" and part.repeat == 2:
        return part.letter + "2"
    return part.letter + ("name" if part.letter in "MLQqec" and part.repeat > 2 else "")


def scan(text: str, parts: Sequence[Element], locale: Locale) -> dict[str, str] | None:
    """Give the fields of `text` by name, or None when it has another form."""
    values: dict[str, str] = {}
    end = _scan(text, 0, _steps(tuple(parts), locale), values)
    return values if end == len(text) else None


def _scan(text: str, pos: int, steps: Sequence[_Step], values: dict[str, str]) -> int:
    """Read the steps from `pos` on; give where they end, or -1."""
    for step in steps:
        pos = _take(text, pos, step, values)
        if pos < 0:
            return -1
    return pos


def _take(text: str, pos: int, step: _Step, values: dict[str, str]) -> int:
    if step.element.letter == "'":
        literal = step.element.literal
        return pos + len(literal) if text.startswith(literal, pos) else -1
    if step.element.letter == "[":
        found = dict(values)
        end = _scan(text, pos, step.inner, found)
        if end >= 0:
            values.update(found)
        return end if end >= 0 else pos
    if step.element.pad:
        limit = pos + step.element.pad
        start = pos
        while start < min(limit, len(text)) and text[start] == " ":
            start += 1
        pos = start
    end = _end_of(text, pos, step)
    if end >= 0:
        values[step.key] = text[pos:end]
    return end


def _end_of(text: str, pos: int, step: _Step) -> int:
    """Give where the field that starts at `pos` ends, or -1."""
    if step.number is not None:
        return _end_of_number(text, pos, step.number, step.reserved)
    if step.names:
        return next((pos + len(name) for name in step.names if text.startswith(name, pos)), -1)
    found = step.regex.match(text, pos) if step.regex else None
    return found.end() if found else -1


def _end_of_number(text: str, pos: int, number: _Number, reserved: int) -> int:
    signed = text[pos : pos + 1] if number.sign else ""
    plus = signed == "+" and number.sign == "+"
    start = pos + 1 if plus or signed == "-" else pos
    limit = min(len(text), start + number.most + reserved)
    end = start
    while end < limit and text[end] in "0123456789":
        end += 1
    if reserved:
        end = start + max(number.least, end - start - reserved)
    length = end - start
    if length < number.least or end > limit or not text[start:end].isdigit():
        return -1
    if number.sign == "+" and plus != (length > number.least) and signed != "-":
        return -1
    return end


def _names(letter: str, count: int, locale: Locale) -> tuple[str, ...]:
    """Give the names that a field may be, the longest first; none when it is no name."""
    style = {3: "a", 4: "w"}.get(max(count, 3), "n")
    names: list[str] = []
    if letter in "ML" and count > 2:
        names = locale.names(f"months.{'f' if letter == 'M' else 's'}{style}")
    elif letter == "E" or (letter in "ec" and count > 2):
        names = locale.names(f"days.{'s' if letter == 'c' else 'f'}{style}")
    elif letter in "Qq" and count > 2:
        names = locale.names(f"quarters.f{style if style != 'n' else 'a'}")
    elif letter == "G":
        names = locale.names(f"eras.{style}")
    elif letter in "aB":
        names = locale.names("ampm")
    return tuple(sorted(names, key=len, reverse=True))


_HOURS = "[+-][0-9]{2}"
_COLONS = "[+-][0-9]{2}:[0-9]{2}"
_DIGITS = "[+-][0-9]{4}"
_FORMS: dict[str, tuple[str, ...]] = {
    "X": (
        f"Z|{_HOURS}(?:[0-9]{{2}})?",
        f"Z|{_DIGITS}",
        f"Z|{_COLONS}",
        f"Z|{_DIGITS}(?:[0-9]{{2}})?",
        f"Z|{_COLONS}(?::[0-9]{{2}})?",
    ),
    "x": (
        f"{_HOURS}(?:[0-9]{{2}})?",
        _DIGITS,
        _COLONS,
        f"{_DIGITS}(?:[0-9]{{2}})?",
        f"{_COLONS}(?::[0-9]{{2}})?",
    ),
    "Z": (_DIGITS, _DIGITS, _DIGITS, f"GMT(?:{_COLONS})?", f"Z|{_COLONS}(?::[0-9]{{2}})?"),
    "O": ("GMT(?:[+-][0-9]{1,2}(?::[0-9]{2})?)?",) * 3 + (f"GMT(?:{_COLONS})?",),
    "V": (f"[A-Za-z][A-Za-z0-9~/._+-]+|Z|{_COLONS}",),
    "v": ("[A-Za-z][A-Za-z0-9~/._+-]+",),
    "z": ("[A-Za-z][A-Za-z0-9~/._+-]*",),
}


def _regex(letter: str, count: int) -> re.Pattern[str] | None:
    """Give the form of an offset or zone, or None for other fields."""
    forms = _FORMS.get(letter)
    return re.compile(forms[min(count, len(forms)) - 1]) if forms else None

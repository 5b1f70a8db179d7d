"""Patterns of Java's `DateTimeFormatter`, parsed into elements, and formatting with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from runner.expr.dates.locales import Locale, gmt, zone_name
from runner.expr.dates.moment import Moment
from runner.expr.faults import Fault
from runner.expr.values import NANOS


class Element(NamedTuple):
    """One part of a pattern: a letter and how often, a literal (`'`), or brackets (`[`)."""

    letter: str
    repeat: int = 0
    literal: str = ""
    inner: tuple[Element, ...] = ()
    pad: int = 0


# How often a letter may stand in a row.
_COUNTS: dict[str, Sequence[int]] = {
    "G": range(1, 6),
    "u": range(1, 20),
    "y": range(1, 20),
    "Y": range(1, 20),
    "M": range(1, 6),
    "L": range(1, 6),
    "Q": range(1, 6),
    "q": range(1, 6),
    "w": range(1, 3),
    "W": range(1, 2),
    "d": range(1, 3),
    "D": range(1, 4),
    "F": range(1, 2),
    "g": range(1, 20),
    "E": range(1, 6),
    "e": range(1, 6),
    "c": (1, 3, 4, 5),
    "a": range(1, 2),
    "B": (1, 4, 5),
    "h": range(1, 3),
    "H": range(1, 3),
    "k": range(1, 3),
    "K": range(1, 3),
    "m": range(1, 3),
    "s": range(1, 3),
    "S": range(1, 10),
    "A": range(1, 20),
    "n": range(1, 20),
    "N": range(1, 20),
    "V": range(2, 3),
    "v": (1, 4),
    "z": range(1, 5),
    "O": (1, 4),
    "X": range(1, 6),
    "x": range(1, 6),
    "Z": range(1, 6),
}
_MOST_CHARACTERS = 1000


@lru_cache(256)
def elements(pattern: str) -> tuple[Element, ...]:
    """Give the elements of a pattern.

    Raises:
        Fault: the pattern has an unknown letter, or one too often, or brackets that do not match.
    """
    if len(pattern) > _MOST_CHARACTERS:
        raise Fault(f"A date format has at most {_MOST_CHARACTERS} characters")
    stack: list[list[Element]] = [[]]
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char.isascii() and char.isalpha():
            element, index = _letters(pattern, index)
            stack[-1].append(element)
            continue
        index += 1
        if char == "'":
            literal, index = _quoted(pattern, index)
            stack[-1].append(Element("'", literal=literal))
        elif char == "[":
            stack.append([])
            if len(stack) > 50:
                raise Fault("Pattern invalid as it has too many [ inside one another")
        elif char == "]":
            if len(stack) == 1:
                raise Fault("Pattern invalid as it contains ] without previous [")
            inner = tuple(stack.pop())
            stack[-1].append(Element("[", inner=inner))
        elif char in "{}#":
            raise Fault(f"Pattern includes reserved character: '{char}'")
        else:
            stack[-1].append(Element("'", literal=char))
    while len(stack) > 1:  # Java closes brackets at the end by itself
        inner = tuple(stack.pop())
        stack[-1].append(Element("[", inner=inner))
    return tuple(stack[0])


def _letters(pattern: str, index: int) -> tuple[Element, int]:
    letter, start = pattern[index], index
    while index < len(pattern) and pattern[index] == letter:
        index += 1
    count = index - start
    if letter == "p":
        if index >= len(pattern) or not pattern[index].isalpha():
            raise Fault(f"Pad letter 'p' must be followed by valid pad pattern: {pattern}")
        element, index = _letters(pattern, index)
        return element._replace(pad=count), index
    if letter not in _COUNTS:
        raise Fault(f"Unknown pattern letter: {letter}")
    if count not in _COUNTS[letter]:
        few = letter == "V" or (letter in "cBvO" and count < max(_COUNTS[letter]))
        raise Fault(
            f"Pattern letter count must be {_COUNTS[letter][0]}: {letter}"
            if few
            else f"Too many pattern letters: {letter}"
        )
    return Element(letter, count), index


def _quoted(pattern: str, index: int) -> tuple[str, int]:
    """Read a literal from after its quote; two quotes in a row are one."""
    literal = ""
    while index < len(pattern):
        if pattern[index] == "'":
            if pattern[index + 1 : index + 2] != "'":
                return literal or "'", index + 1
            index += 1
        literal += pattern[index]
        index += 1
    raise Fault(f"Pattern ends with an incomplete string literal: {pattern}")


def format_moment(moment: Moment, parts: Sequence[Element], locale: Locale) -> str:
    """Give `moment` in a pattern."""
    return "".join([_format(moment, part, locale) for part in parts])


def _format(moment: Moment, part: Element, locale: Locale) -> str:
    if part.letter == "'":
        return part.literal
    if part.letter == "[":
        return format_moment(moment, part.inner, locale)
    text = _FORMATS[part.letter](moment, part.repeat, locale)
    if part.pad and len(text) > part.pad:
        raise Fault(f"Cannot print as output of {len(text)} characters exceeds pad width")
    return text.rjust(part.pad)


def _number(pick: Callable[[Moment], int]) -> Callable[[Moment, int, Locale], str]:
    return lambda moment, count, locale: str(pick(moment)).rjust(count, "0")


def _hour(moment: Moment) -> int:
    return moment.day_nanos // (3600 * NANOS)


def _year(value: int, count: int) -> str:
    if count == 2:
        return f"{value % 100:02}"
    return str(value).rjust(count, "0")


_STYLES = {3: "a", 4: "w", 5: "n"}


def _named(kind: str, context: str, pick: Callable[[Moment], int]) -> Callable[..., str]:
    """Give a format that is a number with one or two letters and a name with more."""

    def formatted(moment: Moment, count: int, locale: Locale) -> str:
        value = pick(moment)
        if count < 3:
            return str(value).rjust(count, "0")
        if kind == "quarters" and count == 5:
            return str(value)
        return locale.names(f"{kind}.{context}{_STYLES[count]}")[value - 1]

    return formatted


def _weekday_name(moment: Moment, count: int, locale: Locale) -> str:
    return locale.names(f"days.f{_STYLES[max(count, 3)]}")[moment.day.weekday()]


def _weekday_number(context: str) -> Callable[[Moment, int, Locale], str]:
    def formatted(moment: Moment, count: int, locale: Locale) -> str:
        if count < 3:
            number = (moment.day.weekday() - locale.first_day) % 7 + 1
            return str(number).rjust(count, "0")
        return locale.names(f"days.{context}{_STYLES[count]}")[moment.day.weekday()]

    return formatted


def _era(_: Moment, count: int, locale: Locale) -> str:
    return locale.names(f"eras.{_STYLES[max(count, 3)]}")[1]


def _am_pm(moment: Moment, _: int, locale: Locale) -> str:
    return locale.names("ampm")[_hour(moment) // 12]


def _day_period(moment: Moment, _: int, locale: Locale) -> str:
    """Give the English part of the day; other languages have AM and PM only."""
    if not locale.id.startswith("en"):
        return _am_pm(moment, 1, locale)
    if moment.day_nanos in (0, 12 * 3600 * NANOS):
        return "noon" if moment.day_nanos else "midnight"
    hour = _hour(moment)
    if 6 <= hour < 21:
        part = "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
        return f"in the {part}"
    return "at night"


def week_and_year(day: date, first_day: int, least_days: int) -> tuple[int, int]:
    """Give the week number of a day and the year that the week belongs to.

    A week starts on `first_day` (Monday is 0); the first one of a year has at least `least_days`
    days in it.
    """
    for year in (day.year + 1, day.year, day.year - 1):
        start = _first_week(year, first_day, least_days)
        if day.toordinal() >= start:
            return (day.toordinal() - start) // 7 + 1, year
    return 1, day.year


def _first_week(year: int, first_day: int, least_days: int) -> int:
    """Give the ordinal of the first day of a year's first week."""
    new_year = date(min(max(year, 1), 9999), 1, 1)
    days_before = (new_year.weekday() - first_day) % 7
    start = new_year.toordinal() - days_before
    if year > 9999:
        return date.max.toordinal() + 1
    return start if 7 - days_before >= least_days else start + 7


def _week(moment: Moment, count: int, locale: Locale) -> str:
    week, _ = week_and_year(moment.day, locale.first_day, locale.least_days)
    return str(week).rjust(count, "0")


def _week_year(moment: Moment, count: int, locale: Locale) -> str:
    return _year(week_and_year(moment.day, locale.first_day, locale.least_days)[1], count)


def _week_of_month(moment: Moment, _: int, locale: Locale) -> str:
    first = moment.day.replace(day=1)
    before = (first.weekday() - locale.first_day) % 7
    start = 0 if 7 - before >= locale.least_days else -1
    return str((moment.day.day - 1 + before) // 7 + 1 + start)


def _fraction(moment: Moment, count: int, _: Locale) -> str:
    return f"{moment.day_nanos % NANOS:09}"[:count]


def offset_text(seconds: int, count: int, *, zero: str) -> str:
    """Give an offset as the letters `X` and `x` do, `count` in a row."""
    if not seconds:
        return zero
    sign, size = "-" if seconds < 0 else "+", abs(seconds)
    hours, minutes, rest = size // 3600, size % 3600 // 60, size % 60
    colon = ":" if count in (3, 5) else ""
    text = f"{sign}{hours:02}"
    if count > 1 or minutes:
        text += f"{colon}{minutes:02}"
    return text + (f"{colon}{rest:02}" if count > 3 and rest else "")


def _offset_x(moment: Moment, count: int, _: Locale) -> str:
    zero = ("+00", "+0000", "+00:00", "+0000", "+00:00")[count - 1]
    return offset_text(moment.offset, count, zero=zero)


def _offset_z(moment: Moment, count: int, _: Locale) -> str:
    if count < 4:
        return offset_text(moment.offset, 2, zero="+0000")
    return gmt(moment.offset, long=True) if count == 4 else offset_text(moment.offset, 5, zero="Z")


_FORMATS: dict[str, Callable[[Moment, int, Locale], str]] = {
    "G": _era,
    "u": lambda moment, count, _: _year(moment.day.year, count),
    "y": lambda moment, count, _: _year(moment.day.year, count),
    "Y": _week_year,
    "M": _named("months", "f", lambda moment: moment.day.month),
    "L": _named("months", "s", lambda moment: moment.day.month),
    "Q": _named("quarters", "f", lambda moment: (moment.day.month + 2) // 3),
    "q": _named("quarters", "s", lambda moment: (moment.day.month + 2) // 3),
    "w": _week,
    "W": _week_of_month,
    "d": _number(lambda moment: moment.day.day),
    "D": _number(lambda moment: moment.day.timetuple().tm_yday),
    "F": _number(lambda moment: (moment.day.day - 1) // 7 + 1),
    "g": _number(lambda moment: moment.day.toordinal() - 678_576),
    "E": _weekday_name,
    "e": _weekday_number("f"),
    "c": _weekday_number("s"),
    "a": _am_pm,
    "B": _day_period,
    "h": _number(lambda moment: (_hour(moment) + 11) % 12 + 1),
    "H": _number(_hour),
    "k": _number(lambda moment: (_hour(moment) + 23) % 24 + 1),
    "K": _number(lambda moment: _hour(moment) % 12),
    "m": _number(lambda moment: moment.day_nanos // (60 * NANOS) % 60),
    "s": _number(lambda moment: moment.day_nanos // NANOS % 60),
    "S": _fraction,
    "A": _number(lambda moment: moment.day_nanos // 1_000_000),
    "n": _number(lambda moment: moment.day_nanos % NANOS),
    "N": _number(lambda moment: moment.day_nanos),
    "V": lambda moment, _, __: moment.zone.id,
    "v": lambda moment, count, _: zone_name(
        moment.zone, moment.nanos, long=count == 4, generic=True
    ),
    "z": lambda moment, count, _: zone_name(moment.zone, moment.nanos, long=count == 4),
    "O": lambda moment, count, _: gmt(moment.offset, long=count == 4),
    "X": lambda moment, count, _: offset_text(moment.offset, count, zero="Z"),
    "x": _offset_x,
    "Z": _offset_z,
}

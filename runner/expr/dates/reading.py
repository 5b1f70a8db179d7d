"""From text to a date and time: the ISO forms, and patterns read backwards."""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Sequence
from datetime import date, timedelta

from runner.expr.dates.locales import Locale
from runner.expr.dates.moment import Moment, local_moment
from runner.expr.dates.patterns import Element
from runner.expr.dates.presets import pattern_of
from runner.expr.dates.scanning import scan
from runner.expr.dates.zones import Zone, fixed, zone
from runner.expr.faults import Fault
from runner.expr.values import DAY_NANOS, NANOS
from runner.patterns import regex

_ISO = regex(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{0,9}))?)?"
    r"(?:(Z|[+-]\d\d(?::\d\d(?::\d\d)?)?)(?:\[([^\]]+)\])?)?)?",
    re.ASCII | re.IGNORECASE,
)
_RFC_1123 = re.compile(
    r"(?:(mon|tue|wed|thu|fri|sat|sun), )?(\d{1,2}) "
    r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec) (\d{4}) "
    r"(\d\d):(\d\d)(?::(\d\d))? (GMT|[+-]\d{4})",
    re.ASCII | re.IGNORECASE,
)
_RFC_DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_RFC_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def _unreadable(text: str, position: int = 0) -> Fault:
    shown = text if len(text) <= 64 else text[:64] + "..."
    return Fault(f"Text '{shown}' could not be parsed at index {position}")


def read_iso(text: str, default: Zone) -> Moment:
    """Read ISO text: with an offset, a local date and time, or a date alone (its midnight).

    Raises:
        Fault: the text has another form, or there is no such date.
    """
    found = _ISO.fullmatch(text)
    if found is None:
        raise _unreadable(text)
    day_text, hour, minute, second, fraction, offset, region = found.groups()
    try:
        day = date.fromisoformat(day_text)
    except ValueError:
        raise _unreadable(text) from None
    nanos = _time_nanos(text, hour, minute, second, fraction)
    if offset is None:
        return local_moment(day, nanos, default)
    own = _offset_zone(text, offset)
    moment = local_moment(day, nanos, own)
    return moment.in_zone(zone(region)) if region else moment


def _offset_zone(text: str, offset: str) -> Zone:
    try:
        return zone(offset.upper())
    except Fault:
        raise _unreadable(text) from None


def _time_nanos(
    text: str, hour: str | None, minute: str | None, second: str | None, fraction: str | None
) -> int:
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise _unreadable(text)
    nanos = int((fraction or "").ljust(9, "0"))
    return (hours * 3600 + minutes * 60 + seconds) * NANOS + nanos


def read_as(text: str, name: str, default: Zone, locale: Locale) -> Moment:
    """Read text in a preset or pattern; without an offset it is in the zone `default`.

    Raises:
        Fault: the text has another form, or the pattern is wrong.
    """
    if name == "rfc_1123_date_time":
        return _read_rfc_1123(text)
    if name == "iso_instant":
        raise Fault(f"A date can not be read in the format {name}", hint="it is read without one")
    if name == "iso_week_date":
        name = "yyyy-'W'ww-e"
        found = re.fullmatch(r"(\d{4})-W(\d\d)-([1-7])(Z|[+-]\d\d:\d\d)?", text, re.ASCII)
        if found is None:
            raise _unreadable(text)
        try:
            day = date.fromisocalendar(*(int(part) for part in found.groups()[:3]))
        except ValueError:
            raise _unreadable(text) from None
        return local_moment(day, 0, default)
    if name == "iso_ordinal_date":
        name = "yyyy-DDD[XXX]"
    if name == "iso_date":
        name = "yyyy-MM-dd[XXX]"
    parts = pattern_of(name, locale)
    if parts is None:
        return read_iso(text, default)
    return _Fields(text, parts, locale).moment(default)


def _read_rfc_1123(text: str) -> Moment:
    found = _RFC_1123.fullmatch(text)
    if found is None:
        raise _unreadable(text)
    weekday, day, month, year, hour, minute, second, offset = found.groups()
    try:
        date_read = date(int(year), _RFC_MONTHS.index(month.lower()) + 1, int(day))
    except ValueError:
        raise _unreadable(text) from None
    if weekday and _RFC_DAYS[date_read.weekday()] != weekday.lower():
        raise _unreadable(text)
    own = fixed(0) if offset.upper() == "GMT" else _offset_zone(text, offset)
    return local_moment(date_read, _time_nanos(text, hour, minute, second, None), own)


class _Fields:
    """The fields that a text has in a pattern, and the date and time that they make."""

    def __init__(self, text: str, parts: Sequence[Element], locale: Locale) -> None:
        self.text = text
        self.locale = locale
        found = scan(text, parts, locale)
        if found is None:
            raise _unreadable(text)
        self.values = found

    def fail(self) -> Fault:
        """Give the error for a text whose fields make no date."""
        return _unreadable(self.text)

    def number(self, *letters: str) -> int | None:
        """Give the first of these fields that is there, as a number."""
        for letter in letters:
            if letter in self.values:
                return int(self.values[letter])
        return None

    def moment(self, default: Zone) -> Moment:
        """Give the date and time; one of them missing altogether is midnight or an error."""
        day, nanos = self.day(), self.nanos()
        if day and nanos == DAY_NANOS and day < date.max:
            day, nanos = day + timedelta(days=1), 0
        if day is None or (nanos is None and self.has_time()):
            raise self.fail()
        own = self.zone()
        return local_moment(day, nanos or 0, default if own is None or nanos is None else own)

    def has_time(self) -> bool:
        """Tell whether there is a field of the time of day."""
        return any(letter in self.values for letter in "hHkKmsSAnNa")

    def zone(self) -> Zone | None:
        """Give the offset or zone of the text, if it has one."""
        for letter in "XxZO":
            if letter in self.values:
                offset = self.values[letter].removeprefix("GMT")
                return _offset_zone(self.text, offset or "Z")
        for letter in "Vz":
            if letter in self.values:
                name = self.values[letter]
                return zone(_SHORT_ZONES.get(name, name))
        return None

    def day(self) -> date | None:
        """Give the date, its day clipped to the end of the month."""
        year = self.number("u", "y")
        if year is None and (short := self.number("y2", "u2")) is not None:
            year = 2000 + short
        if "G" in self.values and year is not None and self.values["G"] in _BEFORE_CHRIST:
            year = 1 - year
        if year is None:
            return self.week_day()
        if not 1 <= year <= 9999:
            raise self.fail()
        day_of_year = self.number("D")
        month = self.month()
        day = self.number("d")
        if month is None or day is None:
            if day_of_year is None or not 1 <= day_of_year <= 365 + isleap(year):
                return None
            return self.checked(date(year, 1, 1) + timedelta(days=day_of_year - 1))
        if not 1 <= month <= 12 or not 1 <= day <= 31:
            raise self.fail()
        return self.checked(date(year, month, min(day, monthrange(year, month)[1])))

    def month(self) -> int | None:
        """Give the month, from its number or its name."""
        for letter, context in (("M", "f"), ("L", "s")):
            name = self.values.get(f"{letter}name")
            if name is not None:
                for style in "wa":
                    names = self.locale.names(f"months.{context}{style}")
                    if name in names:
                        return names.index(name) + 1
        return self.number("M", "L")

    def week_day(self) -> date | None:
        """Give the date from a week-based year, a week and a day of the week."""
        from runner.expr.dates.patterns import week_and_year

        year = self.number("Y")
        week = self.number("w")
        local_day = self.number("e", "c")
        weekday = self.weekday()
        if year is None or week is None or not 1 <= year <= 9998:
            return None
        if local_day is not None and not 1 <= local_day <= 7:
            raise self.fail()
        first, least = self.locale.first_day, self.locale.least_days
        for candidate in range(-7, 7):
            start = date(year, 1, 1) + timedelta(days=candidate + 7 * (week - 1) + 7)
            offset = (start.weekday() - first) % 7
            fits = local_day == offset + 1 if local_day is not None else weekday == start.weekday()
            if fits and week_and_year(start, first, least) == (week, year):
                return start
        return None

    def weekday(self) -> int | None:
        """Give the named day of the week, Monday being 0."""
        name = self.values.get("E") or self.values.get("ename") or self.values.get("cname")
        for style in "wa" if name else "":
            names = self.locale.names(f"days.f{style}")
            if name in names:
                return names.index(name)
        return None

    def checked(self, day: date) -> date:
        """Give `day`, unless the text names another day of the week."""
        weekday = self.weekday()
        if weekday is not None and weekday != day.weekday():
            raise self.fail()
        return day

    def nanos(self) -> int | None:
        """Give the nanoseconds of the day, or None when the hour is not known."""
        if (nano_of_day := self.number("N")) is not None:
            return nano_of_day
        if (milli_of_day := self.number("A")) is not None:
            return milli_of_day * 1_000_000
        hour = self.hour()
        if hour is None:
            return None
        minute, second = self.number("m") or 0, self.number("s") or 0
        fraction = int(self.values.get("S", "").ljust(9, "0")) or self.number("n") or 0
        if hour == 24 and not (minute or second or fraction):
            return DAY_NANOS  # the end of the day
        if not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59:
            raise self.fail()
        return (hour * 3600 + minute * 60 + second) * NANOS + fraction

    def hour(self) -> int | None:
        """Give the hour of the day."""
        if (hour := self.number("H")) is not None:
            return hour
        if (hour := self.number("k")) is not None:
            return hour % 24 if 1 <= hour <= 24 else -1
        half = self.values.get("a")
        hour = self.number("h", "K")
        if hour is None or half is None:
            return None
        lowest = 1 if "h" in self.values else 0
        if not lowest <= hour <= lowest + 11:
            return -1
        return hour % 12 + 12 * self.locale.names("ampm").index(half)


_BEFORE_CHRIST = ("BC", "Before Christ", "B")
_SHORT_ZONES = {
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "CET": "Europe/Paris",
    "CEST": "Europe/Paris",
    "BST": "Europe/London",
    "JST": "Asia/Tokyo",
    "IST": "Asia/Kolkata",
}

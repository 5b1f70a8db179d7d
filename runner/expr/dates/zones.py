"""Time zones by the ids that Java takes: regions, `Z`, `+05:30`, `UTC+2`."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from runner.expr.faults import Fault
from runner.expr.values import NANOS, date_of
from runner.patterns import regex

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_OFFSET = regex(r"([+-])(\d{1,2})(?::?(\d\d)(?::?(\d\d))?)?")
_REGION = regex(r"[A-Za-z][A-Za-z0-9~/._+-]+")
# In the zone database, but no ids of Java's.
_NOT_IN_JAVA = frozenset(("EST", "MST", "HST", "ROC", "Factory", "localtime", "posixrules"))


class Zone:
    """A time zone. `is_offset` tells that its id is nothing but an offset."""

    __slots__ = ("_info", "_offset", "id", "is_offset")

    def __init__(self, id: str, offset: int, info: ZoneInfo | None, is_offset: bool) -> None:
        self.id = id
        self.is_offset = is_offset
        self._offset = offset
        self._info = info

    def offset_at(self, nanos: int) -> int:
        """Give the offset from UTC, in seconds, at the instant `nanos` after 1970."""
        if self._info is None:
            return self._offset
        try:
            moment = datetime(1970, 1, 1) + timedelta(seconds=nanos // NANOS)  # noqa: DTZ001
            found = self._info.fromutc(moment.replace(tzinfo=self._info)).utcoffset()
        except OverflowError:
            return 0
        return int(found.total_seconds()) if found is not None else 0

    def offset_of_local(self, days: int, nanos: int) -> int:
        """Give the offset for a local date and time: the earlier one where there are two.

        For a time that the clocks skip it is the offset before the change, as in Java: the time
        then moves on by as much as the clocks did.
        """
        if self._info is None:
            return self._offset
        day = date_of(days)
        local = datetime(day.year, day.month, day.day, tzinfo=self._info)
        found = (local + timedelta(seconds=nanos // NANOS)).utcoffset()
        return int(found.total_seconds()) if found is not None else 0

    def is_summer(self, nanos: int) -> bool:
        """Tell whether daylight saving time is in force at an instant."""
        if self._info is None:
            return False
        moment = datetime(1970, 1, 1) + timedelta(seconds=nanos // NANOS)  # noqa: DTZ001
        return bool(self._info.fromutc(moment.replace(tzinfo=self._info)).dst())

    def abbreviation(self, nanos: int) -> str:
        """Give the short name of the zone database at an instant (`CET`, `-03`)."""
        if self._info is None:
            return self.id
        moment = datetime(1970, 1, 1) + timedelta(seconds=nanos // NANOS)  # noqa: DTZ001
        return self._info.fromutc(moment.replace(tzinfo=self._info)).tzname() or self.id


UTC = Zone("UTC", 0, None, False)


def offset_id(seconds: int) -> str:
    """Give the id of an offset: `Z`, `+05:30`."""
    if not seconds:
        return "Z"
    size = abs(seconds)
    text = f"{'-' if seconds < 0 else '+'}{size // 3600:02}:{size % 3600 // 60:02}"
    return text + (f":{size % 60:02}" if size % 60 else "")


def fixed(seconds: int) -> Zone:
    """Give the zone that is an offset of so many seconds."""
    return Zone(offset_id(seconds), seconds, None, True)


def _offset(text: str) -> int | None:
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    total = hours * 3600 + minutes * 60 + seconds
    if minutes > 59 or seconds > 59 or total > 18 * 3600:
        return None
    return -total if found.group(1) == "-" else total


@lru_cache(256)
def zone(id: str) -> Zone:
    """Give the zone with this id.

    Raises:
        Fault: there is none.
    """
    if id == "UTC":
        return UTC
    if id == "Z":
        return fixed(0)
    if id[:1] in ("+", "-"):
        offset = _offset(id)
        if offset is None:
            raise Fault(f"Invalid ID for ZoneOffset, invalid format: {id[:60]}")
        return fixed(offset)
    for prefix in ("UTC", "GMT", "UT"):
        if id == prefix:
            return Zone(id, 0, None, False)
        if id.startswith((prefix + "+", prefix + "-")):
            offset = _offset(id[len(prefix) :])
            if offset is None:
                break
            name = prefix + offset_id(offset) if offset else prefix
            return Zone(name, offset, None, False)
    return _region(id)


def _region(id: str) -> Zone:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    unknown = Fault(f"Unknown time-zone ID: {id[:60]}")
    if not _REGION.fullmatch(id):
        raise Fault(f"Invalid ID for region-based ZoneId, invalid format: {id[:60]}")
    if id in _NOT_IN_JAVA or ".." in id or id.startswith(("posix", "right")):
        raise unknown
    try:
        return Zone(id, 0, ZoneInfo(id), False)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise unknown from None

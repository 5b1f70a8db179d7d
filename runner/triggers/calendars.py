"""The dates of schedules: cron expressions, and lists of dates. All moments are in UTC."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from cronsim import CronSim, CronSimError

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_HOUR, _DAY, _WEEKDAY = 2, 3, 5
_SECOND = timedelta(seconds=1)


class Calendar(Protocol):
    """A sequence of dates, possibly without end."""

    def next(self, after: datetime) -> datetime | None:
        """The first date after that moment, None if there is none."""
        ...

    def previous(self, before: datetime) -> datetime | None:
        """The last date before that moment, None if there is none."""
        ...


class Dates:
    """A list of dates."""

    def __init__(self, dates: Iterable[datetime]) -> None:
        self._dates = sorted({date.astimezone(UTC) for date in dates})

    def next(self, after: datetime) -> datetime | None:
        """The first date after that moment, None if there is none."""
        position = bisect_right(self._dates, after)
        return self._dates[position] if position < len(self._dates) else None

    def previous(self, before: datetime) -> datetime | None:
        """The last date before that moment, None if there is none."""
        position = bisect_left(self._dates, before)
        return self._dates[position - 1] if position else None


class Cron:
    """The dates of a cron expression in a time zone.

    An expression that runs in every hour follows real time, through changes of the clock too. Any
    other names times on the wall: one that occurs twice counts once, the first time; in place of
    one that does not exist comes the moment at which the clock was put forward.
    """

    def __init__(self, expression: str, place: tzinfo, *, with_seconds: bool = False) -> None:
        expression = _NICKNAMES.get(expression.strip(), expression)
        fields = expression.upper().split()
        if len(fields) == 5:
            fields.insert(0, "0")
        # Of two days that both say something, either is enough (as in cron); cronsim takes a
        # field that begins with a star for one that says nothing, be it `*/2`.
        fields[_DAY] = _without_star(fields[_DAY], "1-31")
        fields[_WEEKDAY] = _without_star(fields[_WEEKDAY], "0-6")
        self._expression = " ".join(fields)
        self._zone = place
        self._never = False
        try:
            hours: set[int] = CronSim(self._expression, datetime(2000, 1, 1)).hours  # noqa: DTZ001
        except CronSimError:
            # Checked when the flow was loaded: what is left is 30 February and the like.
            self._never = True
            hours = set()
        self._every_hour = len(hours) == 24
        if self._every_hour:
            fields[_HOUR] = "*"
            self._expression = " ".join(fields)

    def next(self, after: datetime) -> datetime | None:
        """The first date after that moment, None if there is none for decades."""
        return next((date for date in self._dates(after, reverse=False) if date > after), None)

    def previous(self, before: datetime) -> datetime | None:
        """The last date before that moment, None if there is none for decades."""
        found = next((date for date in self._dates(before, reverse=True) if date < before), None)
        if found is None:
            return None
        # Backwards, the second of two equal hours can be passed over.
        while (later := self.next(found)) is not None and later < before:
            found = later
        return found

    def _dates(self, start: datetime, *, reverse: bool) -> Iterator[datetime]:
        """Dates from about `start` on, in order; equal ones may repeat."""
        if self._never:
            return
        local = start.astimezone(self._zone)
        try:
            if self._every_hour:
                for date in CronSim(self._expression, local, reverse):
                    yield date.astimezone(UTC)
            else:
                wall = local.replace(tzinfo=None, fold=0)
                if reverse and local.fold:
                    wall += _repeated(local)
                for slot in CronSim(self._expression, wall, reverse):
                    yield self._moment(slot)
        except OverflowError:
            return  # the end of the calendar

    def _moment(self, slot: datetime) -> datetime:
        """The moment of a time on the wall."""
        before = slot.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        if before.astimezone(self._zone).replace(tzinfo=None, fold=0) == slot:
            return before
        # The clock was put forward over it: look for the second at which that was done.
        early = slot.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        offset = before.astimezone(self._zone).utcoffset()
        low, high = 0, int((before - early).total_seconds())
        while low < high:
            middle = (low + high) // 2
            if (early + middle * _SECOND).astimezone(self._zone).utcoffset() == offset:
                high = middle
            else:
                low = middle + 1
        return early + low * _SECOND


def _without_star(field: str, everything: str) -> str:
    if field == "*":
        return field
    return ",".join(
        everything + item[1:] if item.startswith("*") else item for item in field.split(",")
    )


def _repeated(second: datetime) -> timedelta:
    """How much of the wall's time occurs twice, seen from a moment of the second time."""
    first = second.replace(fold=0).utcoffset() or timedelta()
    return first - (second.utcoffset() or timedelta())

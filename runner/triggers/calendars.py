"""The dates of schedules: cron expressions, and lists of dates. All moments are in UTC."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
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
_DAY, _WEEKDAY = 3, 5
_DAY_LONG = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)


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

    def next(self, after: datetime) -> datetime | None:
        """The first date after that moment, None if there is none for decades."""
        walk = self._elapsed if self._every_hour else self._on_the_wall
        return next((date for date in walk(after, reverse=False) if date > after), None)

    def previous(self, before: datetime) -> datetime | None:
        """The last date before that moment, None if there is none for decades."""
        walk = self._elapsed if self._every_hour else self._on_the_wall
        return next((date for date in walk(before, reverse=True) if date < before), None)

    def _slots(self, wall: datetime, *, reverse: bool) -> Iterator[datetime]:
        """Times on a wall whose clock is never changed, beyond `wall`."""
        if not self._never:
            with suppress(OverflowError):  # the end of the calendar
                yield from CronSim(self._expression, wall, reverse)

    def _on_the_wall(self, start: datetime, *, reverse: bool) -> Iterator[datetime]:
        """The moments of slots from about `start` on, in order; equal ones may repeat."""
        local = start.astimezone(self._zone)
        wall = local.replace(tzinfo=None, fold=0)
        if reverse and local.fold:
            wall += _repeated(local)
        for slot in self._slots(wall, reverse=reverse):
            yield self._moment(slot)

    def _elapsed(self, start: datetime, *, reverse: bool) -> Iterator[datetime]:
        """The first moment beyond `start` whose local time is a slot, if there is one.

        The clock is taken for one that is never changed, up to the next change of it.
        """
        offset = self._offset(start - _TICK if reverse else start)
        while True:
            wall = (start + offset).replace(tzinfo=None)
            slot = next(self._slots(wall, reverse=reverse), None)
            if slot is None:
                return
            date = slot.replace(tzinfo=UTC) - offset
            change = self._change(start, date, offset)
            if change is None:
                yield date
                return
            start = change if reverse else change - _SECOND
            offset = self._offset(change - _TICK if reverse else change)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta()

    def _change(self, start: datetime, end: datetime, offset: timedelta) -> datetime | None:
        """The change of the clock between `start` and `end` that comes first from `start`.

        `offset` holds at the side of `start`. Given is the first moment of the later offset.
        """
        if isinstance(self._zone, timezone):
            return None
        forward = end > start
        step = _DAY_LONG if forward else -_DAY_LONG
        near, far = start, start
        while far != end:
            near, far = far, min(far + step, end) if forward else max(far + step, end)
            if self._offset(far) != offset:
                early, late = (near, far) if forward else (far, near)
                return self._first(early, late, self._offset(far) if forward else offset)
        return None

    def _first(self, early: datetime, late: datetime, offset: timedelta) -> datetime:
        """The first second after `early`, at most `late`, at which `offset` holds until `late`."""
        low, high = 0, int((late - early).total_seconds())
        early = late - high * _SECOND
        while low < high:
            middle = (low + high) // 2
            if self._offset(early + middle * _SECOND) == offset:
                high = middle
            else:
                low = middle + 1
        return early + low * _SECOND

    def _moment(self, slot: datetime) -> datetime:
        """The moment of a time on the wall."""
        late = slot.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        if late.astimezone(self._zone).replace(tzinfo=None, fold=0) == slot:
            return late
        # The clock was put forward over it.
        early = slot.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        return self._first(early, late, self._offset(late))


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

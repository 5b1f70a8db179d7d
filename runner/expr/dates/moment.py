"""A date and time in a zone: what every date filter works on."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

from runner.expr.dates.zones import Zone
from runner.expr.faults import Fault
from runner.expr.values import DAY_NANOS, NANOS, date_of

_EPOCH_ORDINAL = 719_163
_FIRST = -719_162 * DAY_NANOS
_LAST = 2_932_897 * DAY_NANOS


class Moment:
    """An instant (`nanos` since 1970) seen in a zone, with its local date and time."""

    __slots__ = ("day", "day_nanos", "nanos", "offset", "zone")

    def __init__(self, nanos: int, zone: Zone) -> None:
        self.nanos = nanos
        self.zone = zone
        self.offset = zone.offset_at(nanos)
        local = nanos + self.offset * NANOS
        if not _FIRST <= local < _LAST:
            raise Fault("The date is before year 1 or after year 9999")
        days, self.day_nanos = divmod(local, DAY_NANOS)
        self.day = date_of(days)

    def in_zone(self, zone: Zone) -> Moment:
        """Give the same instant in another zone."""
        return Moment(self.nanos, zone)

    def plus_nanos(self, nanos: int) -> Moment:
        """Give the moment so many nanoseconds later."""
        return Moment(self.nanos + nanos, self.zone)

    def plus_days(self, days: int) -> Moment:
        """Give the same time of day so many days later, in this zone."""
        ordinal = self.day.toordinal() + days
        if not 1 <= ordinal <= date.max.toordinal():
            raise Fault("The date is before year 1 or after year 9999")
        return self._at(date.fromordinal(ordinal))

    def plus_months(self, months: int) -> Moment:
        """Give the same day so many months later, or the last day of that month."""
        years, month = divmod(self.day.year * 12 + self.day.month - 1 + months, 12)
        if not 1 <= years <= 9999:
            raise Fault("The date is before year 1 or after year 9999")
        last = monthrange(years, month + 1)[1]
        return self._at(date(years, month + 1, min(self.day.day, last)))

    def _at(self, day: date) -> Moment:
        later = local_moment(day, self.day_nanos, self.zone)
        if later.offset != self.offset:
            # Where the clocks show a time twice, Java keeps the offset that it had.
            same = Moment(later.nanos + (later.offset - self.offset) * NANOS, self.zone)
            if same.offset == self.offset:
                return same
        return later


def local_moment(day: date, day_nanos: int, zone: Zone) -> Moment:
    """Give the moment of a local date and time in a zone."""
    days = day.toordinal() - _EPOCH_ORDINAL
    offset = zone.offset_of_local(days, day_nanos)
    return Moment(days * DAY_NANOS + day_nanos - offset * NANOS, zone)

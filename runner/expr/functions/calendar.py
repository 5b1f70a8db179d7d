"""Functions about the current time, and the date predicates of Kestra 2.0."""

from __future__ import annotations

from runner.expr.context import Arguments
from runner.expr.dates.moment import Moment
from runner.expr.faults import Fault
from runner.expr.filters.times import format_argument, later, moment_of, zone_argument
from runner.expr.registry import function
from runner.expr.values import NANOS, Instant, Long


@function("now", "format timeZone existingFormat locale")
def now(arguments: Arguments) -> object:
    """The current time as text, in a format, zone and locale as `date` has them.

    >>> {{ now('yyyy') | length }}
    4
    """
    instant = Instant.of(arguments.context.services.now())
    return format_argument(Moment(instant.nanos, zone_argument(arguments)), arguments)


def _moment(arguments: Arguments, name: str = "date") -> Moment:
    """Give the moment in an argument, in the zone of `timeZone`; without one the current time."""
    value = arguments.get(name)
    if value is None:
        value = Instant.of(arguments.context.services.now())
    return moment_of(value, arguments).in_zone(zone_argument(arguments))


@function("isWeekend", "date timeZone", since="2.0")
def is_weekend(arguments: Arguments) -> object:
    """True on a Saturday or Sunday.

    >>> {{ isWeekend('2024-03-09') }}
    true
    """
    return _moment(arguments).day.weekday() >= 5


@function("dayOfWeek", "date timeZone", since="2.0")
def day_of_week(arguments: Arguments) -> object:
    """The name of the day of the week.

    >>> {{ dayOfWeek('2024-03-05') }}
    TUESDAY
    """
    return _WEEKDAYS[_moment(arguments).day.weekday()]


_WEEKDAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]


@function("dayOfMonth", "date timeZone", since="2.0")
def day_of_month(arguments: Arguments) -> object:
    """The day of the month.

    >>> {{ dayOfMonth('2024-03-05') }}
    5
    """
    return Long(_moment(arguments).day.day)


@function("monthOfYear", "date timeZone", since="2.0")
def month_of_year(arguments: Arguments) -> object:
    """The number of the month.

    >>> {{ monthOfYear('2024-03-05') }}
    3
    """
    return Long(_moment(arguments).day.month)


@function("hourOfDay", "date timeZone", since="2.0")
def hour_of_day(arguments: Arguments) -> object:
    """The hour, from 0 to 23.

    >>> {{ hourOfDay('2024-03-05T06:07:08Z') }}
    6
    """
    return Long(_moment(arguments).day_nanos // (3600 * NANOS))


@function("isDateBefore", "date before timeZone", since="2.0")
def is_date_before(arguments: Arguments) -> object:
    """True when a date is earlier than another.

    >>> {{ isDateBefore('2024-03-05', '2024-03-06') }}
    true
    """
    return _moment(arguments).nanos < _moment(arguments, "before").nanos


@function("isDateAfter", "date after timeZone", since="2.0")
def is_date_after(arguments: Arguments) -> object:
    """True when a date is later than another.

    >>> {{ isDateAfter('2024-03-05', '2024-03-06') }}
    false
    """
    return _moment(arguments).nanos > _moment(arguments, "after").nanos


@function("isDateBetween", "date after before timeZone", since="2.0")
def is_date_between(arguments: Arguments) -> object:
    """True when a date is later than one date and earlier than another.

    >>> {{ isDateBetween('2024-03-05', '2024-03-01', '2024-03-06') }}
    true
    """
    moment = _moment(arguments).nanos
    return _moment(arguments, "after").nanos < moment < _moment(arguments, "before").nanos


@function("isDayWeekInMonth", "date dayOfWeek dayInMonth timeZone", since="2.0")
def is_day_week_in_month(arguments: Arguments) -> object:
    """True when a date is the `FIRST`, `SECOND`, `THIRD`, `FOURTH` or `LAST` such day of its month.

    >>> {{ isDayWeekInMonth('2024-03-05', 'TUESDAY', 'FIRST') }}
    true
    """
    day = _moment(arguments).day
    weekday = arguments.needed_text("dayOfWeek").upper()
    place = arguments.needed_text("dayInMonth").upper()
    if weekday not in _WEEKDAYS or place not in (*_PLACES, "LAST"):
        raise Fault(f"{arguments.called} needs a day (MONDAY) and a place (FIRST, LAST).")
    if day.weekday() != _WEEKDAYS.index(weekday):
        return False
    if place == "LAST":
        return later(_moment(arguments), 1, "WEEKS").day.month != day.month
    return (day.day - 1) // 7 == _PLACES.index(place)


_PLACES = ("FIRST", "SECOND", "THIRD", "FOURTH")


@function("isLastWorkingDay", "date timeZone", since="2.0")
def is_last_working_day(arguments: Arguments) -> object:
    """True on the last day of a month that is no Saturday or Sunday.

    >>> {{ isLastWorkingDay('2024-03-29') }}
    true
    """
    moment = _moment(arguments)
    if moment.day.weekday() >= 5:
        return False
    ahead = 3 if moment.day.weekday() == 4 else 1
    return later(moment, ahead, "DAYS").day.month != moment.day.month


@function("isPublicHoliday", "date countryCode subDivision timeZone", since="2.0")
def is_public_holiday(_: Arguments) -> object:
    """Always an error: there is no calendar of holidays here.

    >>> {{ isPublicHoliday is defined }}
    false
    """
    raise Fault("The 'isPublicHoliday' function has no calendar of holidays here.")

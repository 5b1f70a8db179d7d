"""Filters on dates and times."""

from __future__ import annotations

import re
from datetime import date

from runner.expr.context import Arguments
from runner.expr.dates.locales import Locale, locale
from runner.expr.dates.moment import Moment, local_moment
from runner.expr.dates.presets import formatted
from runner.expr.dates.reading import read_as, read_iso
from runner.expr.dates.zones import Zone, zone
from runner.expr.faults import Fault
from runner.expr.registry import filter_
from runner.expr.values import (
    NANOS,
    Duration,
    Instant,
    LocalDateTime,
    Long,
    class_name,
    temporal,
)

_NOON = 12 * 3600 * NANOS


def zone_argument(arguments: Arguments) -> Zone:
    """Give the zone in the argument `timeZone`, or the one of the system."""
    return zone(arguments.text("timeZone") or arguments.context.services.time_zone())


def locale_argument(arguments: Arguments) -> Locale:
    """Give the locale in the argument `locale`, or the one of the system."""
    if "locale" in arguments:
        return locale(arguments.needed_text("locale"))
    return locale(arguments.context.services.locale())


def moment_of(value: object, arguments: Arguments) -> Moment:
    """Give the moment that the input of a date filter stands for (specification 13.1).

    Raises:
        Fault: it is no date.
    """
    where = zone_argument(arguments)
    moment = temporal(value)
    if isinstance(moment, Instant):
        return Moment(moment.nanos, where)
    if isinstance(moment, LocalDateTime):
        return local_moment(moment.day, moment.nanos, where)
    if isinstance(moment, date):
        # A date that is one, and not text, is taken at noon.
        return local_moment(moment, _NOON, where)
    if isinstance(value, int) and not isinstance(value, bool):
        kind = class_name(value)
        if kind != "java.lang.Long":
            raise Fault(
                f"{arguments.called} can not be applied to a {kind}.",
                hint="a number out of data becomes one when it is multiplied: (x * 1) | date",
            )
        return Moment(_epoch_nanos(value), where)
    if isinstance(value, str):
        existing = arguments.text("existingFormat")
        if existing is None:
            return read_iso(value, where)
        return read_as(value, existing, where, locale(arguments.context.services.locale()))
    kind = "duration" if isinstance(moment, Duration) else class_name(value)
    raise Fault(f"{arguments.called} can not be applied to a {kind}.")


def _epoch_nanos(number: int) -> int:
    """Kestra goes by the number of digits: 13 are milliseconds, 19 nanoseconds, others seconds."""
    digits = len(str(number))  # a minus counts
    if digits == 13:
        return number * 1_000_000
    return number if digits == 19 else number * NANOS


def format_argument(moment: Moment, arguments: Arguments) -> str:
    """Give `moment` in the zone, format and locale that the arguments name."""
    name = arguments.needed_text("format") if "format" in arguments else "iso"
    return formatted(moment.in_zone(zone_argument(arguments)), name, locale_argument(arguments))


@filter_("date", "format timeZone existingFormat locale")
def date_(value: object, arguments: Arguments) -> object:
    """The date as text, in a pattern or preset (`iso`), a zone and a locale.

    Text that is not ISO is read in `existingFormat`. An integer is seconds since 1970, or
    milliseconds when it has 13 digits.

    >>> {{ '2024-03-05T06:07:08Z' | date('yyyy-MM-dd HH:mm', timeZone='Europe/Paris') }}
    2024-03-05 07:07
    >>> {{ '05/03/2024' | date('EEE, d MMM', existingFormat='dd/MM/yyyy') }}
    Tue, 5 Mar
    """
    if value is None:
        return None
    return format_argument(moment_of(value, arguments), arguments)


_UNITS = {
    "NANOS": 1,
    "MICROS": 1000,
    "MILLIS": 1_000_000,
    "SECONDS": NANOS,
    "MINUTES": 60 * NANOS,
    "HOURS": 3600 * NANOS,
    "HALF_DAYS": 43_200 * NANOS,
}
_DAYS = {"DAYS": 1, "WEEKS": 7}
_MONTHS = {"MONTHS": 1, "YEARS": 12, "DECADES": 120, "CENTURIES": 1200, "MILLENNIA": 12_000}
_MOST = 10**19


@filter_("dateAdd", "amount unit format timeZone existingFormat locale")
def date_add(value: object, arguments: Arguments) -> object:
    """The date so many units later (`DAYS`, `HOURS`, `MONTHS`...), as text like `date`.

    >>> {{ '2024-01-31T00:00:00Z' | dateAdd(1, 'MONTHS', 'yyyy-MM-dd') }}
    2024-02-29
    >>> {{ '2024-01-31T00:00:00Z' | dateAdd(-1, 'DAYS') }}
    2024-01-30T00:00:00.000000Z
    """
    if value is None:
        return None
    amount, unit = _amount(arguments), arguments.needed_text("unit")
    moment = moment_of(value, arguments)
    return format_argument(later(moment, amount, unit), arguments)


def later(moment: Moment, amount: int, unit: str) -> Moment:
    """Give the moment so many units later; days and longer units keep the time of day."""
    if unit in _UNITS:
        return moment.plus_nanos(amount * _UNITS[unit])
    if unit in _DAYS:
        return moment.plus_days(amount * _DAYS[unit])
    if unit in _MONTHS:
        return moment.plus_months(amount * _MONTHS[unit])
    raise Fault(
        f"No enum constant java.time.temporal.ChronoUnit.{unit[:60]}",
        hint=f"units are {', '.join((*_UNITS, *_DAYS, *_MONTHS))}",
    )


def _amount(arguments: Arguments) -> int:
    amount = arguments.get("amount")
    if isinstance(amount, str):
        if not re.fullmatch(r"[+-]?\d{1,19}", amount, re.ASCII):
            raise Fault(f"{amount[:60]} can't be converted to long")
        amount = int(amount)
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount != amount:
        raise Fault("The 'dateAdd' filter expects a number as argument 'amount'.")
    if abs(amount) > _MOST:
        raise Fault("The date is before year 1 or after year 9999")
    return int(amount)


def _timestamp(name: str, nanos: int, example: str) -> None:
    def body(value: object, arguments: Arguments) -> object:
        if value is None:
            return None
        count = moment_of(value, arguments).nanos // nanos
        # On Kestra the two finest are strings: `+ 1` appends, and `>` is an error.
        return str(count) if nanos < 1_000_000 else Long(count)

    unit = {NANOS: "seconds", 1_000_000: "milliseconds", 1000: "microseconds", 1: "nanoseconds"}
    kind = ", as a string" if nanos < 1_000_000 else ""
    body.__doc__ = f"""The number of {unit[nanos]} since 1970{kind}.

    >>> {{{{ '2024-01-31T00:00:00Z' | {name} }}}}
    {example}
    """
    filter_(name, "timeZone existingFormat")(body)


_timestamp("timestamp", NANOS, "1706659200")
_timestamp("timestampMilli", 1_000_000, "1706659200000")
_timestamp("timestampMicro", 1000, "1706659200000000")
_timestamp("timestampNano", 1, "1706659200000000000")

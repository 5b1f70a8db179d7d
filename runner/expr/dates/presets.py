"""The formats that have a name: `iso`, `sql`, `iso_date_time`, `full`..."""

from __future__ import annotations

from collections.abc import Callable

from runner.expr.dates.locales import Locale
from runner.expr.dates.moment import Moment
from runner.expr.dates.patterns import Element, elements, format_moment, week_and_year
from runner.expr.dates.zones import offset_id
from runner.expr.values import Instant, time_text

PATTERNS = {
    "iso": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "iso_milli": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_milli": "yyyy-MM-dd HH:mm:ss.SSS",
    "sql_sec": "yyyy-MM-dd HH:mm:ss",
}
STYLES = ("full", "long", "medium", "short")


def _local_time(moment: Moment) -> str:
    text = time_text(moment.day_nanos, seconds=True)
    # As many digits as needed, not in groups of three.
    return text.rstrip("0") if "." in text else text


def _local(moment: Moment) -> str:
    return f"{moment.day.isoformat()}T{_local_time(moment)}"


def _zoned(moment: Moment) -> str:
    region = "" if moment.zone.is_offset else f"[{moment.zone.id}]"
    return f"{_local(moment)}{offset_id(moment.offset)}{region}"


def _week_date(moment: Moment) -> str:
    week, year = week_and_year(moment.day, 0, 4)
    return f"{year:04}-W{week:02}-{moment.day.isoweekday()}{offset_id(moment.offset)}"


def _rfc_1123(moment: Moment) -> str:
    day = moment.day
    offset = "GMT" if not moment.offset else offset_id(moment.offset).replace(":", "")[:5]
    name = _DAYS[day.weekday()]
    clock = time_text(moment.day_nanos // 10**9 * 10**9, seconds=True)
    return f"{name}, {day.day} {_MONTHS[day.month - 1]} {day.year:04} {clock} {offset}"


_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_FORMATS: dict[str, Callable[[Moment], str]] = {
    "iso_date_time": _zoned,
    "iso_zoned_date_time": _zoned,
    "iso_local_date_time": _local,
    "iso_date": lambda moment: f"{moment.day.isoformat()}{offset_id(moment.offset)}",
    "iso_local_date": lambda moment: moment.day.isoformat(),
    "iso_time": lambda moment: f"{_local_time(moment)}{offset_id(moment.offset)}",
    "iso_offset_time": lambda moment: f"{_local_time(moment)}{offset_id(moment.offset)}",
    "iso_local_time": _local_time,
    "iso_instant": lambda moment: str(Instant(moment.nanos)),
    "iso_ordinal_date": lambda moment: (
        f"{moment.day.year:04}-{moment.day.timetuple().tm_yday:03}{offset_id(moment.offset)}"
    ),
    "iso_week_date": _week_date,
    "rfc_1123_date_time": _rfc_1123,
}
NAMES = frozenset((*PATTERNS, *STYLES, *_FORMATS))


def pattern_of(name: str, locale: Locale) -> tuple[Element, ...] | None:
    """Give the elements of a preset that is a pattern, or of a pattern itself; None for others."""
    if name in STYLES:
        return elements(locale.style(name))
    return None if name in _FORMATS else elements(PATTERNS.get(name, name))


def formatted(moment: Moment, name: str, locale: Locale) -> str:
    """Give `moment` in a preset or a pattern."""
    parts = pattern_of(name, locale)
    return _FORMATS[name](moment) if parts is None else format_moment(moment, parts, locale)

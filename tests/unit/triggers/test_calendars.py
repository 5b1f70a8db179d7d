"""Dates of cron expressions, through changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.triggers.calendars import Cron, Dates
from runner.triggers.zones import local_zone, zone, zoned_text

PARIS, NEW_YORK = "Europe/Paris", "America/New_York"
SANTIAGO, LORD_HOWE, HAVANA = "America/Santiago", "Australia/Lord_Howe", "America/Havana"
MINUTE = timedelta(minutes=1)


def some(
    cron: str, start: str, count: int, place: str = "UTC", *, with_seconds: bool = False
) -> list[str]:
    """The first dates after a time on the wall of `place`, as texts in its zone."""
    where = zone(place)
    calendar = Cron(cron, where, with_seconds=with_seconds)
    moment = datetime.fromisoformat(start).replace(tzinfo=where).astimezone(UTC)
    dates: list[str] = []
    for _ in range(count):
        date = calendar.next(moment)
        if date is None:
            break
        moment = date
        dates.append(zoned_text(date, where))
    return dates


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("15 9 * * *", "2026-01-20T09:15:00Z"),
        ("*/20 * * * *", "2026-01-20T00:20:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
        ("@monthly", "2026-02-01T00:00:00Z"),
        ("@weekly", "2026-01-25T00:00:00Z"),
        ("@daily", "2026-01-21T00:00:00Z"),
        ("@midnight", "2026-01-21T00:00:00Z"),
        ("@hourly", "2026-01-20T01:00:00Z"),
        ("0 0 * * 7", "2026-01-25T00:00:00Z"),
        ("0 0 * * mon", "2026-01-26T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("5/30 * * * *", "2026-01-20T00:05:00Z"),
    ],
)
def test_an_expression_gives_its_next_date(cron: str, expected: str) -> None:
    assert some(cron, "2026-01-20T00:00", 1) == [expected]


def test_of_two_days_that_say_something_either_is_enough() -> None:
    assert some("0 0 21 * MON", "2026-01-20T00:00", 2) == [
        "2026-01-21T00:00:00Z",
        "2026-01-26T00:00:00Z",
    ]
    assert some("0 0 */10 * MON", "2026-01-20T00:00", 3) == [
        "2026-01-21T00:00:00Z",
        "2026-01-26T00:00:00Z",
        "2026-01-31T00:00:00Z",
    ]


def test_seconds_come_first() -> None:
    assert some("*/30 0 9 * * *", "2026-01-20T00:00", 3, with_seconds=True) == [
        "2026-01-20T09:00:00Z",
        "2026-01-20T09:00:30Z",
        "2026-01-21T09:00:00Z",
    ]


def test_a_date_that_never_comes_is_none() -> None:
    assert some("0 0 30 2 *", "2026-01-20T00:00", 1) == []
    assert Cron("0 0 30 2 *", UTC).previous(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_the_end_of_the_calendar_is_none() -> None:
    assert Cron("0 0 1 1 *", UTC).next(datetime(9999, 6, 1, tzinfo=UTC)) is None
    assert Cron("0 0 1 1 *", UTC).previous(datetime(1, 1, 1, tzinfo=UTC)) is None


def test_a_time_that_does_not_exist_fires_when_the_clock_was_put_forward() -> None:
    assert some("30 2 * * *", "2026-03-28T12:00", 2, PARIS) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert some("15 30 2 * * *", "2026-03-28T12:00", 1, PARIS, with_seconds=True) == [
        "2026-03-29T03:00:00+02:00"
    ]
    assert some("0 0 * * *", "2026-09-05T12:00", 2, SANTIAGO) == [
        "2026-09-06T01:00:00-03:00",
        "2026-09-07T00:00:00-03:00",
    ]


def test_several_times_that_do_not_exist_fire_once() -> None:
    assert some("*/20 2-3 * * *", "2026-03-29T00:00", 4, PARIS) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:20:00+02:00",
        "2026-03-29T03:40:00+02:00",
        "2026-03-30T02:00:00+02:00",
    ]


def test_a_time_that_occurs_twice_fires_once() -> None:
    assert some("30 2 * * *", "2026-10-24T12:00", 2, PARIS) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    assert some("0 */2 * * *", "2026-10-25T01:00", 2, PARIS) == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T04:00:00+01:00",
    ]
    assert some("0 30 1 * * *", "2026-10-31T12:00", 2, NEW_YORK, with_seconds=True) == [
        "2026-11-01T01:30:00-04:00",
        "2026-11-02T01:30:00-05:00",
    ]


def test_what_runs_in_every_hour_runs_in_both_equal_ones() -> None:
    assert some("*/30 * * * *", "2026-10-25T02:10", 4, PARIS) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]
    assert some("*/30 * * * *", "2026-03-29T01:40", 2, PARIS) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:30:00+02:00",
    ]


def test_backwards_no_date_of_an_equal_hour_is_passed_over() -> None:
    place = zone(HAVANA)
    calendar = Cron("*/30 * * * *", place)
    # At 1:00 on 2026-11-01 the clock goes back to 0:00.
    moment = datetime(2026, 11, 1, 5, 40, tzinfo=UTC)
    dates: list[str] = []
    for _ in range(4):
        date = calendar.previous(moment)
        assert date is not None
        moment = date
        dates.append(zoned_text(date, place))
    assert dates == [
        "2026-11-01T00:30:00-05:00",
        "2026-11-01T00:00:00-05:00",
        "2026-11-01T00:30:00-04:00",
        "2026-11-01T00:00:00-04:00",
    ]


def test_in_the_second_equal_hour_the_times_of_the_first_are_past() -> None:
    calendar = Cron("15,45 2 * * *", zone(PARIS))
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 for the second time
    assert calendar.previous(second) == datetime(2026, 10, 25, 0, 45, tzinfo=UTC)
    assert calendar.next(second) == datetime(2026, 10, 26, 1, 15, tzinfo=UTC)


Fields = tuple[set[int], set[int], set[int]]
"""Minutes, hours and days of the week, Sunday being 0."""


def _matches(fields: Fields, local: datetime) -> bool:
    minutes, hours, weekdays = fields
    return local.minute in minutes and local.hour in hours and local.isoweekday() % 7 in weekdays


def _by_hand(
    fields: tuple[set[int], set[int], set[int]], place: ZoneInfo, after: datetime
) -> datetime:
    """The next date, found by looking at each minute of time."""
    moment = after.replace(second=0)
    while True:
        moment += MINUTE
        local, before = moment.astimezone(place), (moment - MINUTE).astimezone(place)
        if _matches(fields, local) and (len(fields[1]) == 24 or not local.fold):
            return moment
        if len(fields[1]) == 24:
            continue
        slot = before.replace(tzinfo=None, fold=0) + MINUTE
        while slot < local.replace(tzinfo=None, fold=0):
            if _matches(fields, slot):
                return moment
            slot += MINUTE


NEAR_CHANGES = [
    (place, datetime(2026, month, day, hour, tzinfo=UTC))
    for place, month, day, hour in [
        (PARIS, 3, 28, 22),
        (PARIS, 10, 24, 22),
        (NEW_YORK, 3, 8, 4),
        (NEW_YORK, 11, 1, 3),
        (SANTIAGO, 9, 6, 1),
        (SANTIAGO, 4, 5, 1),
        (LORD_HOWE, 10, 3, 12),
        (LORD_HOWE, 4, 4, 12),
        (HAVANA, 11, 1, 2),
    ]
]


def some_of(*numbers: int) -> st.SearchStrategy[set[int]]:
    """One to three of the numbers."""
    return st.sets(st.sampled_from(numbers), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    where=st.sampled_from(NEAR_CHANGES),
    offset=st.integers(0, 6 * 3600),
    minutes=some_of(0, 1, 15, 30, 45, 59),
    hours=some_of(0, 1, 2, 3, 23) | st.just(set(range(24))),
    weekdays=some_of(0, 1, 6) | st.just(set(range(7))),
)
def test_every_date_is_the_one_found_by_looking_at_each_minute(
    where: tuple[str, datetime],
    offset: int,
    minutes: set[int],
    hours: set[int],
    weekdays: set[int],
) -> None:
    place, start = ZoneInfo(where[0]), where[1]
    after = start + timedelta(seconds=offset)
    texts = [",".join(map(str, sorted(each))) for each in (minutes, hours, weekdays)]
    weekday = "*" if len(weekdays) == 7 else texts[2]
    calendar = Cron(f"{texts[0]} {texts[1]} * * {weekday}", place)

    found = calendar.next(after)

    assert found is not None
    assert found == _by_hand((minutes, hours, weekdays), place, after)
    assert calendar.previous(found + timedelta(seconds=1)) == found
    earlier = calendar.previous(found)
    assert earlier is not None
    assert earlier <= after < found
    assert calendar.next(earlier) == found


@settings(max_examples=100, deadline=None)
@given(
    cron=st.sampled_from(
        ["* * * * * *", "0 0 12 1 * MON", "59 59 23 31 12 *", "*/7 3-5 */5 * 2 *", "0 30 2 29 2 *"]
    ),
    place=st.sampled_from([PARIS, SANTIAGO, LORD_HOWE, "UTC", "+05:45", "Asia/Kolkata"]),
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001
)
def test_dates_always_advance_and_come_back(cron: str, place: str, moment: datetime) -> None:
    calendar = Cron(cron, zone(place), with_seconds=True)
    after = moment.replace(tzinfo=UTC)

    found = calendar.next(after)

    assert found is not None
    assert found > after
    assert found.microsecond == 0
    earlier = calendar.previous(found)
    assert earlier is not None
    assert earlier <= after


def test_a_list_of_dates_is_sorted_and_ends() -> None:
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    dates = Dates([second, first, second])

    assert dates.next(first - MINUTE) == first
    assert dates.next(first) == second
    assert dates.next(second) is None
    assert dates.previous(second) == first
    assert dates.previous(first) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("UTC", "2026-01-20T12:00:00Z"),
        ("Z", "2026-01-20T12:00:00Z"),
        ("GMT", "2026-01-20T12:00:00Z"),
        ("+00:00", "2026-01-20T12:00:00Z"),
        ("+02:00", "2026-01-20T14:00:00+02:00"),
        ("UTC-3", "2026-01-20T09:00:00-03:00"),
        ("+0530", "2026-01-20T17:30:00+05:30"),
        ("Europe/Paris", "2026-01-20T13:00:00+01:00"),
    ],
)
def test_a_zone_is_known_by_the_names_that_java_takes(name: str, text: str) -> None:
    assert zoned_text(datetime(2026, 1, 20, 12, tzinfo=UTC), zone(name)) == text


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(ValueError, match="unknown time zone 'Mars/Base'"):
        zone("Mars/Base")


def test_the_local_zone_is_the_one_in_the_environment() -> None:
    assert local_zone({"TZ": "Asia/Tokyo"}) == zone("Asia/Tokyo")
    assert local_zone({"TZ": ":Europe/Paris"}) == zone("Europe/Paris")

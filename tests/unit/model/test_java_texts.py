"""How Java prints values, times and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.texts import java_text, without_nulls
from runner.model.times import duration_text, instant_text, read_duration, read_instant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (1000.0, "1000.0"),
        (1e-5, "1.0E-5"),
        (0.001, "0.001"),
        (1e7, "1.0E7"),
        (123456789.0, "1.23456789E8"),
        (-0.1, "-0.1"),
        (float("inf"), "Infinity"),
        (float("nan"), "NaN"),
        ([1, "a", None], "[1, a, null]"),
        ({"k": {"v": 1.0}}, "{k={v=1.0}}"),
        (timedelta(seconds=90), "PT1M30S"),
        (datetime(2024, 1, 2, 3, 4, 5, 678000, UTC), "2024-01-02T03:04:05.678Z"),
    ],
)
def test_values_are_printed_as_java_prints_them(value: Any, text: str) -> None:
    assert java_text(value) == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("P1D", "PT24H"),
        ("PT1M30.5S", "PT1M30.5S"),
        ("PT90S", "PT1M30S"),
        ("PT-1M", "PT-1M"),
        ("-PT1.5S", "PT-1.5S"),
        ("PT0S", "PT0S"),
        ("P1DT2H", "PT26H"),
    ],
)
def test_durations_are_printed_in_hours_and_less(text: str, printed: str) -> None:
    assert duration_text(read_duration(text)) == printed


@given(st.timedeltas())
def test_a_printed_duration_is_read_back(duration: timedelta) -> None:
    assert read_duration(duration_text(duration)) == duration


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_printed_moment_is_read_back(moment: datetime) -> None:
    assert read_instant(instant_text(moment)) == moment


def test_null_entries_of_maps_are_left_out_and_lists_stay_whole() -> None:
    value = {"a": None, "b": [None, {"c": None, "d": 1}]}

    assert without_nulls(value) == {"b": [None, {"d": 1}]}

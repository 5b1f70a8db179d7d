from __future__ import annotations

import pytest

from runner.loading.cron import CronInvalid, check_cron
from runner.loading.inputs import is_pattern
from runner.loading.triggers import is_zone


@pytest.mark.parametrize(
    "expression",
    ["* * * * *", "*/5 0-6/2 1,15 JAN-MAR mon-FRI", "0 0 1 1 7", " @daily ", "59 23 31 12 0"],
)
def test_unix_expressions_and_nicknames_are_accepted(expression: str) -> None:
    check_cron(expression)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "contains 0 parts but we expect one of [5]"),
        ("60 * * * *", "Value 60 not in range [0, 59]"),
        ("* 24 * * *", "Value 24 not in range [0, 23]"),
        ("* * 0 * *", "Value 0 not in range [1, 31]"),
        ("* * * 13 *", "Value 13 not in range [1, 12]"),
        ("* * * * 8", "Value 8 not in range [0, 7]"),
        ("* * L * *", "Expression: L"),
        ("* * * * 5#2", "Expression: 5#2"),
        ("5-1 * * * *", "Invalid range! [5,1]"),
        ("*/0 * * * *", "Invalid step 0"),
        ("*-5 * * * *", "Invalid expression: *-5"),
        ("1,,2 * * * *", "Invalid expression"),
        ("² * * * *", "Expression: ²"),
        ("@never", "contains 1 parts"),
    ],
)
def test_what_is_wrong_with_an_expression_is_named(expression: str, told: str) -> None:
    with pytest.raises(CronInvalid) as invalid:
        check_cron(expression)

    assert told in str(invalid.value)


def test_with_seconds_there_are_six_fields() -> None:
    check_cron("*/10 * * * * *", with_seconds=True)
    with pytest.raises(CronInvalid, match=r"contains 5 parts but we expect one of \[6\]"):
        check_cron("* * * * *", with_seconds=True)


def test_a_time_zone_is_a_place_or_an_offset() -> None:
    assert all(map(is_zone, ["Europe/Paris", "UTC", "Z", "+02:00", "GMT+2", "-0530"]))
    assert not any(map(is_zone, ["Mars/Base", "", "../etc/passwd", "Europe", "+2x", "a\0b"]))


def test_patterns_of_java_pass_and_broken_ones_do_not() -> None:
    assert all(map(is_pattern, [r"\p{L}+", r"(?<year>\d{4})", "[a-z&&[^b]]", r"\h*", "a++"]))
    assert not any(map(is_pattern, ["[a-", "(", "*", r"a{2,1}"]))

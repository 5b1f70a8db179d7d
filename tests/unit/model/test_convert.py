from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from runner.model.catalog import type_expression
from runner.model.convert import (
    ConversionFailed,
    boolean,
    convert,
    duration,
    duration_text,
    enum,
    instant,
    integer,
    json_first_value,
    local_date,
    local_time,
    number,
    text,
)

LEVELS = ("ERROR", "INFO")


def converted(value: object, type_: str, values: tuple[str, ...] = ()) -> object:
    return convert(value, type_expression(type_), values)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("PT1M30S", 90),
        ("pt0.5s", 0.5),
        ("P1D", 86400),
        ("PT-1M", -60),
        ("-PT1M", -60),
        ("90", 90),
        ("0.1", 0.1),
        (90, 90),
        (1.5, 1.5),
        (timedelta(seconds=3), 3),
    ],
)
def test_a_duration_is_iso_text_or_a_number_of_seconds(written: object, seconds: float) -> None:
    assert duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["P1W", "P1M", "P1Y", "1h", "PT", "", "soon", True, [1], 1e300])
def test_other_durations_are_refused(written: object) -> None:
    with pytest.raises(ConversionFailed):
        duration(written)


def test_a_duration_prints_as_in_java() -> None:
    assert duration_text(timedelta(days=1)) == "PT24H"
    assert duration_text(timedelta(hours=1, minutes=2, seconds=3.5)) == "PT1H2M3.5S"
    assert duration_text(timedelta()) == "PT0S"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (True, "true"),
        (1.1, "1.1"),
        (1000.0, "1000.0"),
        (1e10, "1.0E10"),
        (7, "7"),
        ([1, "x"], '[1,"x"]'),
        ({"é": None}, '{"é":null}'),
        ("as it is", "as it is"),
        (None, None),
    ],
)
def test_a_value_in_a_text_property_is_printed_as_kestra_does(
    value: object, printed: str | None
) -> None:
    assert text(value) == printed


def test_truth_values_are_words_in_three_casings_or_numbers() -> None:
    assert [boolean(word) for word in (True, "true", "True", "FALSE", 1, 0)] == [
        *(True, True, True, False, True, False)
    ]
    with pytest.raises(ConversionFailed, match='from String "maybe": only "true" or "false"'):
        boolean("maybe")
    with pytest.raises(ConversionFailed, match="Floating-point"):
        boolean(1.0)


def test_integers_are_cut_off_and_stay_in_32_bits() -> None:
    assert [integer(value) for value in (5, 5.7, "5", "+5", "-05")] == [5, 5, 5, 5, -5]
    for wrong in ("5.7", "x", True, 2**31, float("inf"), [5], "9" * 2000):
        with pytest.raises(ConversionFailed):
            integer(wrong)


def test_numbers_are_read_from_text_too() -> None:
    assert number("1.5") == number(1.5) == 1.5
    for wrong in ("x", True, None, b"1"):
        with pytest.raises(ConversionFailed):
            number(wrong)


def test_a_word_of_an_enum_must_match_in_case() -> None:
    assert enum("INFO", LEVELS) == "INFO"
    with pytest.raises(ConversionFailed, match=r'String "info".*\[ERROR, INFO\]'):
        enum("info", LEVELS)
    with pytest.raises(ConversionFailed, match="Boolean value"):
        enum(True, LEVELS)


def test_moments_days_and_times_are_iso_text() -> None:
    moment = datetime(2024, 6, 1, 8, 0, tzinfo=UTC)
    assert instant("2024-06-01T10:00:00+02:00") == instant(moment) == moment
    assert local_date("2024-06-01") == date(2024, 6, 1)
    assert local_time("03:04") == time(3, 4)
    for reader, wrong in ((instant, "2024-06-01"), (local_date, "2024-99-99"), (local_time, 304)):
        with pytest.raises(ConversionFailed):
            reader(wrong)


@pytest.mark.parametrize(
    ("written", "value"),
    [("1 second", 1), ("1 hour", 1), ('"a" b', "a"), ("[1] rest", [1]), ("null", None)],
)
def test_the_first_json_value_counts_and_the_rest_does_not(written: str, value: object) -> None:
    assert json_first_value(written) == value


@pytest.mark.parametrize("written", ["1s", "100ms", "LOUD", "", "  ", "{", "[1,", "NaN", "'a'"])
def test_text_that_begins_with_no_json_is_refused(written: str) -> None:
    with pytest.raises(ConversionFailed):
        json_first_value(written)


def test_a_rendered_scalar_that_does_not_fit_is_read_as_json() -> None:
    assert converted("1 second", "duration|string") == timedelta(seconds=1)
    assert converted("0.1", "duration") == timedelta(milliseconds=100)
    assert converted("5.7", "integer") == 5
    assert converted("1", "boolean") is True
    assert converted('"INFO"', "enum", LEVELS) == "INFO"
    assert converted("", "integer") is None
    assert converted(None, "integer") is None
    assert converted("null", "boolean") is None


@pytest.mark.parametrize(
    ("value", "type_", "token"),
    [("LOUD", "enum", "LOUD"), ("maybe", "boolean", "maybe"), ("P1W", "duration", "P1W")],
)
def test_a_rendered_word_that_fits_nothing_is_named_as_kestra_does(
    value: str, type_: str, token: str
) -> None:
    told = rf"Unrecognized token '{token}': was expecting \(JSON String, Number"
    with pytest.raises(ConversionFailed, match=told):
        converted(value, type_, LEVELS)


def test_a_list_is_given_as_one_or_as_json_text() -> None:
    assert converted(["a", None], "list<string>") == ["a", None]
    assert converted('["a", 5]', "list<string>") == ["a", "5"]
    assert converted("[1.0, 2]", "list<integer>") == [1, 2]
    with pytest.raises(ConversionFailed, match="Unrecognized token 'echo'"):
        converted("echo hi", "list<string>")
    with pytest.raises(ConversionFailed, match="from Object value"):
        converted({"a": 1}, "list<string>")


@pytest.mark.parametrize(
    ("item", "class_name"), [(5, "Integer"), (True, "Boolean"), (1.5, "Double"), ({}, "HashMap")]
)
def test_a_written_list_of_texts_holds_texts_only(item: object, class_name: str) -> None:
    with pytest.raises(ConversionFailed, match=f"{class_name} cannot be cast"):
        converted([item], "list<string>")


def test_a_map_is_given_as_one_or_as_json_text() -> None:
    assert converted({"A": 1.1, "B": True}, "map<string>") == {"A": "1.1", "B": "true"}
    assert converted('{"A": 1}', "map|string") == '{"A": 1}'
    assert converted('{"A": 1}', "map") == {"A": 1}
    for wrong in (["a"], "text", {"A": {"b": 1}}):
        with pytest.raises(ConversionFailed):
            converted(wrong, "map<string>")


def test_a_union_takes_the_option_that_has_the_values_shape() -> None:
    assert converted("text", "string|list<string>") == "text"
    assert converted(["a"], "string|list<string>") == ["a"]
    assert converted({"a": 1}, "string|map") == {"a": 1}
    assert converted(5, "string|list<string>") == 5


@pytest.mark.parametrize("kind", ["integer", "boolean", "number", "duration"])
def test_blank_text_is_no_value_of_a_scalar(kind: str) -> None:
    assert convert("  ", type_expression(kind)) is None


def test_a_duration_may_have_blanks_around_it() -> None:
    assert convert(" PT1M ", type_expression("duration")) == timedelta(minutes=1)


@pytest.mark.parametrize("written", ['[["a"]]', '["x",{"a":1}]'])
def test_a_list_of_texts_read_from_json_has_no_lists_in_it(written: str) -> None:
    with pytest.raises(ConversionFailed, match=r"java\.lang\.String"):
        convert(written, type_expression("list<string>"))


def test_null_in_json_is_a_list_or_map_without_entries() -> None:
    assert convert("null", type_expression("list<string>")) == []
    assert convert("null", type_expression("map")) == {}

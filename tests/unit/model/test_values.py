"""Values of inputs by type: what is taken, and Kestra's words for what is not."""

from __future__ import annotations

from typing import Any

import pytest

from runner.model.jsons import read_json
from runner.model.values import check, check_choice, from_default, parse, plain


def stored(type_: str, raw: Any, item_type: str | None = None) -> Any:
    return plain(parse(type_, raw, read_json, item_type=item_type))


@pytest.mark.parametrize(
    ("type_", "raw", "value"),
    [
        ("STRING", "a", "a"),
        ("STRING", 1.1, "1.1"),
        ("STRING", True, "true"),
        ("STRING", {"k": [1, None]}, "{k=[1, null]}"),
        ("INT", "-2147483648", -(2**31)),
        ("INT", "+7", 7),
        ("INT", "007", 7),
        ("INT", 5, 5),
        ("FLOAT", "1e3", 1000.0),
        ("FLOAT", "3", 3.0),
        ("FLOAT", ".5", 0.5),
        ("FLOAT", "0.1", 0.1),
        ("FLOAT", "16777217", 16777216.0),
        ("FLOAT", "0.00001", 1e-05),
        ("FLOAT", " 2.5 ", 2.5),
        ("BOOL", "TRUE", True),
        ("BOOL", "yes", False),
        ("BOOLEAN", "True ", False),
        ("BOOLEAN", True, True),
        ("DATE", "2024-01-02", "2024-01-02"),
        ("TIME", "03:04", "03:04:00"),
        ("TIME", "03:04:05.120", "03:04:05.12"),
        ("DATETIME", "2024-06-01T10:00:00.5+02:00", "2024-06-01T08:00:00.500000Z"),
        ("DATETIME", "2024-06-01T10:00:00Z", "2024-06-01T10:00:00.000000Z"),
        ("DURATION", "PT5M6S", 306.0),
        ("DURATION", "P1DT1S", 86401.0),
        ("DURATION", "pt0.5s", 0.5),
        ("DURATION", "PT-1M", -60.0),
        ("JSON", '{"b": 1, "a": {"x": null}}', {"b": 1, "a": {"x": None}}),
        ("JSON", "1e2", 100.0),
        ("JSON", "5 and more", 5),
        ("JSON", {"a": 1}, {"a": 1}),
        ("URI", "s3://bucket.name/key?a=b&c=d#frag", "s3://bucket.name/key?a=b&c=d#frag"),
        ("URI", "http://localhost:8080/x", "http://localhost:8080/x"),
    ],
)
def test_a_value_is_kept_as_its_type_has_it(type_: str, raw: Any, value: Any) -> None:
    found = stored(type_, raw)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("type_", "raw", "cause"),
    [
        ("INT", "1.5", 'For input string: "1.5"'),
        ("INT", " 7 ", 'For input string: " 7 "'),
        ("INT", "", 'For input string: ""'),
        ("INT", "2147483648", 'For input string: "2147483648"'),
        ("INT", True, 'For input string: "true"'),
        ("FLOAT", "one", 'For input string: "one"'),
        ("FLOAT", "NaN", 'For input string: "NaN"'),
        ("FLOAT", "", "empty String"),
        ("DATE", "2024-1-2", "Text '2024-1-2' could not be parsed at index 5"),
        ("DATE", "nope", "Text 'nope' could not be parsed at index 0"),
        (
            "DATE",
            "2024-13-01",
            (
                "Text '2024-13-01' could not be parsed: "
                "Invalid value for MonthOfYear (valid values 1 - 12): 13"
            ),
        ),
        (
            "TIME",
            "25:00",
            (
                "Text '25:00' could not be parsed: "
                "Invalid value for HourOfDay (valid values 0 - 23): 25"
            ),
        ),
        (
            "DATETIME",
            "2024-06-01T10:00:00",
            "Text '2024-06-01T10:00:00' could not be parsed at index 19",
        ),
        (
            "DATETIME",
            "2024-06-01T10:00Z",
            "Text '2024-06-01T10:00Z' could not be parsed at index 16",
        ),
        ("DURATION", "1h", "Text cannot be parsed to a Duration"),
        ("DURATION", "P1W", "Text cannot be parsed to a Duration"),
        ("DURATION", "PT", "Text cannot be parsed to a Duration"),
        ("JSON", "", "No content to map due to end-of-input"),
        ("URI", "not a uri", "Illegal character in path at index 3: not a uri"),
        ("URI", "http://h/?a b", "Illegal character in query at index 11: http://h/?a b"),
        ("URI", "http://", "Expected authority at index 7: http://"),
        ("URI", "a%zz", "Malformed escape pair at index 1: a%zz"),
    ],
)
def test_a_wrong_value_is_refused_in_kestras_words(type_: str, raw: Any, cause: str) -> None:
    with pytest.raises(ValueError) as caught:
        stored(type_, raw)

    assert str(caught.value) == cause


@pytest.mark.parametrize("text", ["{a: 1}", "A", "5abc", "[1,", "NaN", '{"a": Infinity}'])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        stored("JSON", text)


@pytest.mark.parametrize(
    ("item_type", "raw", "value"),
    [
        ("INT", '[1, "2"]', [1, 2]),
        ("BOOLEAN", '[true, "false"]', [True, False]),
        ("DATE", '["2024-01-02"]', ["2024-01-02"]),
        ("DURATION", ["PT1M"], [60.0]),
        ("JSON", [{"a": 1}, [2], '{"b": 3}'], [{"a": 1}, [2], {"b": 3}]),
        ("STRING", "[]", []),
        (None, [1, "x"], [1, "x"]),
    ],
)
def test_the_elements_of_an_array_have_its_item_type(
    item_type: str | None, raw: Any, value: Any
) -> None:
    assert stored("ARRAY", raw, item_type) == value


def test_a_wrong_element_of_an_array_is_named() -> None:
    with pytest.raises(ValueError, match="Unable to parse array element as `INT` on `x`"):
        stored("ARRAY", '["x"]', "INT")


@pytest.mark.parametrize(
    ("type_", "raw", "declared", "cause"),
    [
        ("INT", "4", {"min": 5}, "it must be more than `5`"),
        ("INT", "11", {"max": 10}, "it must be less than `10`"),
        ("FLOAT", "2.51", {"min": 0.5, "max": 2.5}, "it must be less than `2.5`"),
        ("DATE", "2023-12-31", {"after": "2024-01-01"}, "it must be after `2024-01-01`"),
        ("TIME", "13:00", {"before": "12:00"}, "it must be before `12:00`"),
        (
            "DATETIME",
            "2024-06-01T00:00:00.001Z",
            {"before": "2024-06-01T00:00:00Z"},
            "it must be before `2024-06-01T00:00:00Z`",
        ),
        ("DURATION", "PT59S", {"min": "PT1M"}, "It must be more than `PT1M`"),
        ("EMAIL", "no-at-sign.example.org", {}, "The input must be a valid email"),
    ],
)
def test_a_value_out_of_bounds_is_refused(
    type_: str, raw: str, declared: dict[str, Any], cause: str
) -> None:
    with pytest.raises(ValueError) as caught:
        check(type_, parse(type_, raw, read_json), declared)

    assert str(caught.value) == cause


@pytest.mark.parametrize(
    ("type_", "raw", "declared"),
    [
        ("INT", "5", {"min": 5, "max": 5}),
        ("DATE", "2024-01-01", {"after": "2024-01-01", "before": "2024-01-01"}),
        ("DURATION", "PT1M", {"min": "PT1M", "max": "PT1M"}),
        ("EMAIL", "", {}),
        ("EMAIL", "a@b", {}),
    ],
)
def test_bounds_belong_to_what_is_allowed(type_: str, raw: str, declared: dict[str, Any]) -> None:
    check(type_, parse(type_, raw, read_json), declared)


def test_a_choice_must_be_among_those_offered() -> None:
    check_choice("SELECT", "a1", ["a1", "b2"])
    check_choice("MULTISELECT", ["b2", "a1", "a1"], ["a1", "b2"])

    with pytest.raises(ValueError, match=r"it must match the values `\[a1, b2\]`"):
        check_choice("SELECT", "c3", ["a1", "b2"])
    with pytest.raises(ValueError, match=r"value `Z` doesn't match the values `\[A, B\]`"):
        check_choice("MULTISELECT", ["A", "Z"], ["A", "B"])
    with pytest.raises(ValueError, match="`itemType` must be STRING"):
        check_choice("MULTISELECT", [1], ["1"])


def test_outputs_show_moments_with_as_many_digits_as_they_have() -> None:
    moment = parse("DATETIME", "2024-01-02T03:04:05Z", read_json)

    assert plain(moment, six_digits=False) == "2024-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("type_", "default", "value"),
    [("INT", "1.5", 1), ("INT", "5 apples", 5), ("STRING", "1.10", "1.10"), ("BOOL", "true", True)],
)
def test_a_default_is_read_as_properties_are(type_: str, default: str, value: Any) -> None:
    assert from_default(type_, default) == value


def test_a_default_of_another_type_is_an_unrecognized_token() -> None:
    with pytest.raises(ValueError, match="Unrecognized token 'twelve'"):
        from_default("INT", "twelve")

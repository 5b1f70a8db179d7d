"""What a ForEach says about `values` that are no JSON array: Kestra's own words."""

from __future__ import annotations

import pytest

from runner.errors import TaskFailed
from runner.tasks.json_array import read_array

SOURCE = "Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
LIST = "`java.util.ArrayList<java.lang.Object>`"


@pytest.mark.parametrize(
    ("text", "items"),
    [("[]", []), (' [1, "a", {"k": null}] and more', [1, "a", {"k": None}]), ("\n[1.5]", [1.5])],
)
def test_an_array_is_read_and_what_follows_it_is_not(text: str, items: list[object]) -> None:
    assert read_array(text) == items


@pytest.mark.parametrize(
    ("text", "start", "place"),
    [
        ("abc, d", "com.fasterxml.jackson.core.JsonParseException: Unrecognized token 'abc'", 4),
        ("[1, oops]", "com.fasterxml.jackson.core.JsonParseException: Unrecognized token", 9),
        ("[1 2]", "com.fasterxml.jackson.core.JsonParseException: Unexpected character ('2'", 4),
        ("[1, 2", "com.fasterxml.jackson.core.io.JsonEOFException: Unexpected end-of-input", 6),
        ("5s", "com.fasterxml.jackson.core.JsonParseException: Unexpected character ('s'", 2),
    ],
)
def test_a_syntax_error_has_its_place(text: str, start: str, place: int) -> None:
    with pytest.raises(TaskFailed) as failure:
        read_array(text)

    assert str(failure.value).startswith(start)
    assert str(failure.value).endswith(f"\n at [{SOURCE}; line: 1, column: {place}]")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a": 1}', "Object value (token `JsonToken.START_OBJECT`)"),
        ('"text"', "String value (token `JsonToken.VALUE_STRING`)"),
        ("5", "Integer value (token `JsonToken.VALUE_NUMBER_INT`)"),
        ("1.5", "Floating-point value (token `JsonToken.VALUE_NUMBER_FLOAT`)"),
        ("true", "Boolean value (token `JsonToken.VALUE_TRUE`)"),
    ],
)
def test_another_kind_of_value_is_named(text: str, kind: str) -> None:
    with pytest.raises(TaskFailed) as failure:
        read_array(text)

    assert str(failure.value) == (
        "com.fasterxml.jackson.databind.exc.MismatchedInputException: Cannot deserialize value of "
        f"type {LIST} from {kind}\n at [{SOURCE}; line: 1, column: 1]"
    )


def test_no_text_at_all_is_an_end_of_input() -> None:
    with pytest.raises(TaskFailed, match="No content to map due to end-of-input"):
        read_array(" \n")

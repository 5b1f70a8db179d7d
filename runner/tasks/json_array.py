"""JSON in a task's property, and Kestra's own words for what is wrong with it."""

from __future__ import annotations

import json
from typing import Any, cast

from runner.errors import TaskFailed
from runner.patterns import regex

_CORE = "com.fasterxml.jackson.core"
_PARSE = f"{_CORE}.JsonParseException"
_MISMATCH = "com.fasterxml.jackson.databind.exc.MismatchedInputException"
_BLANK = " \t\r\n"
_WORD = regex(r"[^\s,\[\]{}:\"'#]+")
_NUMBER = regex(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


class NoJson(ValueError):
    """A text that Jackson does not read; `kind` is the class of its exception."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_array(text: str) -> list[Any]:
    """The JSON array that `text` begins with; what follows it is ignored, as in Kestra.

    Raises:
        TaskFailed: it begins with something else.
    """
    try:
        value = read_value(text)
    except NoJson as error:
        raise TaskFailed(f"{error.kind}: {error}") from error
    if not isinstance(value, list):
        raise TaskFailed(_wrong_kind(value, text, _start(text)))
    return cast("list[Any]", value)


def read_value(text: str) -> Any:
    """The JSON value that `text` begins with; what follows it is ignored, as in Kestra.

    Raises:
        NoJson: it begins with something else.
    """
    start = _start(text)
    if start == len(text):
        raise NoJson(_MISMATCH, f"No content to map due to end-of-input{_SOURCE_ONLY}")
    if text[start] != "[" and not text.startswith("{", start):
        _check_scalar(text, start)
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _syntax(text, error, start) from error
    except RecursionError as error:
        raise TaskFailed("The JSON text is nested too deeply") from error
    return value


def _start(text: str) -> int:
    return len(text) - len(text.lstrip(_BLANK))


def _check_scalar(text: str, start: int) -> None:
    """Raise for a bare word, and for a number with something right behind it."""
    number = _NUMBER.match(text, start)
    if number is not None and text[number.end() : number.end() + 1].strip(_BLANK):
        found = text[number.end()]
        reason = f"Unexpected character ('{found}' (code {ord(found)}))"
        where = _place(text, number.end())
        raise NoJson(_PARSE, f"{reason}: Expected space separating root-level values{where}")


def _syntax(text: str, error: json.JSONDecodeError, start: int) -> NoJson:
    at = error.pos
    if at >= len(text):
        opened = "Array" if text[start] == "[" else "Object"
        marker = f"(start marker at{_source(text, start)})"
        return NoJson(
            f"{_CORE}.io.JsonEOFException",
            "Unexpected end-of-input: "
            f"expected close marker for {opened} {marker}{_place(text, at)}",
        )
    word = _WORD.match(text, at)
    if error.msg == "Expecting value" and word is not None and word[0][0].isalpha():
        where = _place(text, word.end())
        reason = f"Unrecognized token '{word[0]}': was expecting {_EXPECTED}"
        return NoJson(_PARSE, f"{reason}{where}")
    opened = "Object" if text[start] == "{" else "Array"
    wanted = {
        "Expecting ',' delimiter": f"was expecting comma to separate {opened} entries",
        "Expecting property name enclosed in double quotes": (
            "was expecting double-quote to start field name"
        ),
        "Expecting ':' delimiter": "was expecting a colon to separate field name and value",
    }.get(error.msg, "expected a valid value " + _EXPECTED)
    found = text[at]
    return NoJson(
        _PARSE,
        f"Unexpected character ('{found}' (code {ord(found)})): {wanted}{_place(text, at)}",
    )


def _wrong_kind(value: Any, text: str, start: int) -> str:
    if value is None:
        return 'Cannot invoke "java.util.List.stream()" because "values" is null'
    if isinstance(value, bool):
        kind, token = "Boolean", f"VALUE_{str(value).upper()}"
    elif isinstance(value, dict):
        kind, token = "Object", "START_OBJECT"
    elif isinstance(value, str):
        kind, token = "String", "VALUE_STRING"
    elif isinstance(value, int):
        kind, token = "Integer", "VALUE_NUMBER_INT"
    else:
        kind, token = "Floating-point", "VALUE_NUMBER_FLOAT"
    reason = (
        "Cannot deserialize value of type `java.util.ArrayList<java.lang.Object>` from "
        f"{kind} value (token `JsonToken.{token}`)"
    )
    return f"{_MISMATCH}: {reason}{_place(text, start)}"


_REDACTED = "Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
_SOURCE_ONLY = f"\n at [{_REDACTED}; line: 1]"


def _source(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f" [{_REDACTED}; line: {line}, column: {column}]"


def _place(text: str, at: int) -> str:
    return f"\n at{_source(text, at)}"

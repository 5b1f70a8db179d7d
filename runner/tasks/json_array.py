"""JSON arrays in a flowable's property, and Kestra's own words for what is wrong with one."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from runner.errors import TaskFailed

_CORE, _BIND = "com.fasterxml.jackson.core", "com.fasterxml.jackson.databind.exc"
_BLANK = " \t\r\n"
_WORD = re.compile(r"[^\s,\[\]{}:\"'#]+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def read_array(text: str) -> list[Any]:
    """The JSON array that `text` begins with; what follows it is ignored, as in Kestra.

    Raises:
        TaskFailed: it begins with something else.
    """
    start = len(text) - len(text.lstrip(_BLANK))
    if start == len(text):
        raise TaskFailed(_mismatch("No content to map due to end-of-input", ""))
    if text[start] != "[" and not text.startswith("{", start):
        _check_scalar(text, start)
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise TaskFailed(_syntax(text, error, start)) from error
    except RecursionError as error:
        raise TaskFailed("The JSON text is nested too deeply") from error
    if not isinstance(value, list):
        raise TaskFailed(_wrong_kind(value, text, start))
    return cast("list[Any]", value)


def _check_scalar(text: str, start: int) -> None:
    """Raise for a bare word, and for a number with something right behind it."""
    number = _NUMBER.match(text, start)
    if number is not None and text[number.end() : number.end() + 1].strip(_BLANK):
        found = text[number.end()]
        reason = f"Unexpected character ('{found}' (code {ord(found)}))"
        where = _place(text, number.end())
        raise TaskFailed(
            f"{_CORE}.JsonParseException: {reason}: "
            f"Expected space separating root-level values{where}"
        )


def _syntax(text: str, error: json.JSONDecodeError, start: int) -> str:
    at = error.pos
    if at >= len(text):
        opened = "Array" if text[start] == "[" else "Object"
        marker = f"(start marker at{_source(text, start)})"
        return (
            f"{_CORE}.io.JsonEOFException: Unexpected end-of-input: "
            f"expected close marker for {opened} {marker}{_place(text, at)}"
        )
    word = _WORD.match(text, at)
    if error.msg == "Expecting value" and word is not None and word[0][0].isalpha():
        where = _place(text, word.end())
        reason = f"Unrecognized token '{word[0]}': was expecting {_EXPECTED}"
        return f"{_CORE}.JsonParseException: {reason}{where}"
    wanted = {
        "Expecting ',' delimiter": "was expecting comma to separate Array entries",
        "Expecting property name enclosed in double quotes": (
            "was expecting double-quote to start field name"
        ),
        "Expecting ':' delimiter": "was expecting a colon to separate field name and value",
    }.get(error.msg, "expected a valid value " + _EXPECTED)
    found = text[at]
    return (
        f"{_CORE}.JsonParseException: Unexpected character ('{found}' (code {ord(found)})): "
        f"{wanted}{_place(text, at)}"
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
    return _mismatch(reason, _place(text, start))


def _mismatch(reason: str, where: str) -> str:
    return f"{_BIND}.MismatchedInputException: {reason}{where or _SOURCE_ONLY}"


_REDACTED = "Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
_SOURCE_ONLY = f"\n at [{_REDACTED}; line: 1]"


def _source(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f" [{_REDACTED}; line: {line}, column: {column}]"


def _place(text: str, at: int) -> str:
    return f"\n at{_source(text, at)}"

"""JSON text as Jackson reads it."""

from __future__ import annotations

import json
from typing import Any

from runner.patterns import regex

_TOKEN = regex(r"[^\s,\[\]{}:\"]+")


def _no_constant(name: str) -> Any:
    raise ValueError(f"Non-standard token '{name}' in JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def read_json(text: str) -> Any:
    """The first JSON value of `text`; what follows it after a blank is ignored, as in Kestra."""
    trimmed = text.lstrip(" \t\r\n")
    if not trimmed:
        raise ValueError("No content to map due to end-of-input")
    try:
        value, end = _DECODER.raw_decode(trimmed)
    except json.JSONDecodeError as error:
        raise ValueError(_json_error(trimmed, error)) from error
    except RecursionError as error:
        raise ValueError("JSON text is nested too deeply") from error
    if isinstance(value, int | float) and not trimmed[end : end + 1].isspace() and trimmed[end:]:
        raise ValueError(
            f"Unexpected character ('{trimmed[end]}' (code {ord(trimmed[end])})): "
            "Expected space separating root-level values"
        )
    return value


def _json_error(text: str, error: json.JSONDecodeError) -> str:
    where = f"line {error.lineno}, column {error.colno}"
    rest = text[error.pos :]
    if not rest:
        return f"Unexpected end-of-input in JSON ({where})"
    token = _TOKEN.match(rest)
    if error.msg == "Expecting value" and token and token[0][0].isalpha():
        return (
            f"Unrecognized token '{token[0]}': was expecting (JSON String, Number, Array, Object "
            f"or token 'null', 'true' or 'false') at {where}"
        )
    return f"Unexpected character ('{rest[0]}' (code {ord(rest[0])})): {error.msg} at {where}"

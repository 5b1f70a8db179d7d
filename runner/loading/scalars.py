"""What scalars mean in Kestra's YAML: that of YAML 1.1, without dates, and with `1e3` a number."""

from __future__ import annotations

from typing import Any

from runner.patterns import regex
from runner.records import record


@record
class Refused:
    """A scalar that looks like a number and is none."""

    why: str


_BOOLEANS = {
    word: meaning
    for meaning, words in ((True, "true yes on"), (False, "false no off"))
    for lower in words.split()
    for word in (lower, lower.capitalize(), lower.upper())
}
_NULLS = {"~", "null", "Null", "NULL"}
_INTEGER = regex(r"[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)")
_FLOAT = regex(
    r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
    r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
)
_NOT_FINITE = {
    *(sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")),
    ".nan",
    ".NaN",
    ".NAN",
}
_NUMBER_STARTS = frozenset("-+.0123456789")


def resolve(value: str) -> Any:
    """What an unquoted scalar means: text, truth value, number or None."""
    found = resolved(value) if value else value
    return value if isinstance(found, Refused) else found


def resolved(value: str) -> Any:
    """As `resolve`, for text that is not empty; what looks like a number and is none is refused."""
    if value[0] not in _NUMBER_STARTS:
        if value in _BOOLEANS:
            return _BOOLEANS[value]
        return None if value in _NULLS else value
    if _INTEGER.fullmatch(value):
        return _integer(value)
    if _FLOAT.fullmatch(value):
        return _float(value)
    if value in _NOT_FINITE:
        return Refused(f"YAML parsing error: Invalid number: {value}")
    return value


def _integer(value: str) -> Any:
    if len(value) > 1000:
        return Refused(f"Number value length ({len(value)}) exceeds the maximum allowed (1000)")
    digits = value.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if digits.startswith(("0x", "0b")):
        if len(digits) == 2:
            return value
        return sign * int(digits[2:], 16 if digits[1] == "x" else 2)
    if len(digits) > 1 and digits.startswith("0"):
        return sign * int(digits, 8)
    return sign * int(digits) if digits else value


def _float(value: str) -> Any:
    if len(value) > 1000:
        return Refused(f"Number value length ({len(value)}) exceeds the maximum allowed (1000)")
    return float(value.replace("_", ""))


def tagged(tag: str, value: str) -> Any:
    """The value of a scalar with an explicit tag; tags of one's own are ignored."""
    word = tag.removeprefix("tag:yaml.org,2002:")
    if word == "int":
        if _INTEGER.fullmatch(value):
            return _integer(value)
        return Refused(f"YAML parsing error: Invalid number: {value}")
    if word == "float":
        try:
            return float(value)
        except ValueError:
            return Refused(f"YAML parsing error: Invalid number: {value}")
    if word == "bool":
        return _BOOLEANS.get(value, value)
    if word == "null":
        return None
    if word == "binary":
        return "".join(value.split())
    return value

"""From text and JSON-like values to typed ones, by Kestra's rules (flow-model 1.7), and back.

The functions named after a type convert a value that stands in a flow; `convert` one that came
out of rendering, where text that does not fit is read as JSON once more.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NoReturn, TypeVar, cast

from runner.model.catalog import TypeExpression
from runner.model.jsons import read_json
from runner.model.texts import java_text
from runner.model.times import duration_text, read_date, read_duration, read_instant, read_time
from runner.patterns import regex

__all__ = [
    "ConversionFailed",
    "boolean",
    "convert",
    "duration",
    "duration_text",
    "enum",
    "instant",
    "integer",
    "json_first_value",
    "local_date",
    "local_time",
    "number",
    "text",
]


class ConversionFailed(ValueError):
    """A value does not fit its type; the text is the message, worded as Kestra's."""


class CastFailed(ConversionFailed):
    """A value that Kestra takes for text as it is, and is not; the text is Kestra's own."""

    def __init__(self, value: object) -> None:
        have, want = _java_class(value), "java.lang.String"
        super().__init__(
            f"class {have} cannot be cast to class {want} "
            f"({have} and {want} are in module java.base of loader 'bootstrap')"
        )


T = TypeVar("T")

_INT32 = range(-(2**31), 2**31)
_NUMBER = regex(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_JAVA = {
    "boolean": "java.lang.Boolean",
    "integer": "java.lang.Integer",
    "number": "java.lang.Double",
    "string": "java.lang.String",
    "list": "java.util.ArrayList<java.lang.Object>",
    "map": "java.util.LinkedHashMap<java.lang.String,java.lang.Object>",
    "duration": "java.time.Duration",
    "date-time": "java.time.ZonedDateTime",
    "date": "java.time.LocalDate",
    "time": "java.time.LocalTime",
}


def shape(value: object) -> str:
    """What kind of value it is, in the words of Kestra's messages."""
    match value:
        case None:
            return "Null value"
        case bool():
            return f"Boolean value (token `JsonToken.VALUE_{str(value).upper()}`)"
        case int():
            return "Integer value (token `JsonToken.VALUE_NUMBER_INT`)"
        case float():
            return "Floating-point value (token `JsonToken.VALUE_NUMBER_FLOAT`)"
        case str():
            return "String value (token `JsonToken.VALUE_STRING`)"
        case Mapping():
            return "Object value (token `JsonToken.START_OBJECT`)"
        case _:
            return "Array value (token `JsonToken.START_ARRAY`)"


def refuse(value: object, kind: str, why: str = "") -> NoReturn:
    """Raise what Kestra says of a value that cannot become a `kind`; `why` for texts."""
    java = _JAVA.get(kind, kind)
    source = f'String "{value}": {why}' if isinstance(value, str) and why else shape(value)
    raise ConversionFailed(f"Cannot deserialize value of type `{java}` from {source}")


def json_text(value: object) -> str:
    """The value as compact JSON, as Kestra writes lists and maps into text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text(value: object) -> str | None:
    """The value as the text of a string property: numbers as Java prints them, JSON for the rest.

    None stays None.
    """
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return java_text(value)
        case _:
            return json_text(value)


def boolean(value: object) -> bool:
    """A truth value from one, from `true` or `false` in any of the three casings, or a number.

    Raises:
        ConversionFailed: it is none of these.
    """
    match value:
        case bool():
            return value
        case "true" | "True" | "TRUE":
            return True
        case "false" | "False" | "FALSE":
            return False
        case int():
            return value != 0
        case _:
            refuse(value, "boolean", 'only "true" or "false" recognized')


def integer(value: object) -> int:
    """A 32-bit integer from one, from its digits, or from a float, which is cut off.

    Raises:
        ConversionFailed: it is none of these, or out of range.
    """
    number: int
    if isinstance(value, str):
        digits = value.strip()
        if not re.fullmatch(r"[-+]?[0-9]{1,1000}", digits):
            refuse(value, "integer", "not a valid `java.lang.Integer` value")
        number = int(digits)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        refuse(value, "integer")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConversionFailed(f"Numeric value ({java_text(value)}) out of range of `int`")
    else:
        number = int(value)
    if number not in _INT32:
        raise ConversionFailed(
            f"Numeric value ({number}) out of range of `int` (-2147483648 - 2147483647)"
        )
    return number


def number(value: object) -> float:
    """A floating-point number from one or from its text.

    Raises:
        ConversionFailed: it is neither.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        refuse(value, "number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        refuse(value, "number", "not a valid `Double` value")


def enum(value: object, values: Sequence[str]) -> str:
    """One of the words of `values`; upper and lower case count.

    Raises:
        ConversionFailed: it is none of them.
    """
    if isinstance(value, str) and value in values:
        return value
    listed = ", ".join(values)
    why = f"not one of the values accepted for Enum class: [{listed}]"
    if not isinstance(value, str):
        raise ConversionFailed(f"Cannot deserialize value from {shape(value)}: {why}")
    refuse(value, "Enum", why)


def duration(value: object) -> timedelta:
    """A duration from ISO-8601 text (`PT1M30S`, `P1D`) or a number of seconds, also as text.

    Raises:
        ConversionFailed: it is neither; weeks, months and years are not accepted.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        refuse(value, "duration")
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            return read_duration(value.strip())
        return timedelta(seconds=float(value))
    except (OverflowError, ValueError) as error:
        refuse(value, "duration", f"Failed to deserialize java.time.Duration: {error}")


def instant(value: object) -> datetime:
    """A moment from ISO text with `Z` or an offset, in UTC.

    Raises:
        ConversionFailed: it is no such text.
    """
    return value if isinstance(value, datetime) else _read(value, "date-time", read_instant)


def local_date(value: object) -> date:
    """A day from `YYYY-MM-DD`.

    Raises:
        ConversionFailed: it is no such text.
    """
    return _read(value, "date", read_date)


def local_time(value: object) -> time:
    """A time of day from `HH:MM`, `HH:MM:SS` or with a fraction.

    Raises:
        ConversionFailed: it is no such text.
    """
    return _read(value, "time", read_time)


def _read(value: object, kind: str, reader: Callable[[str], T]) -> T:
    if not isinstance(value, str):
        refuse(value, kind)
    try:
        return reader(value)
    except ValueError as error:
        refuse(value, kind, str(error))


def json_first_value(source: str) -> Any:
    """The JSON value that the text begins with; what follows it after a blank is ignored.

    Raises:
        ConversionFailed: it begins with none, or something else follows it directly.
    """
    try:
        return read_json(source)
    except ValueError as error:
        raise ConversionFailed(str(error)) from error


def convert(value: object, type_: TypeExpression, values: Sequence[str] = ()) -> Any:
    """What a rendered property's value means as a `type_`; `values` are the words of an enum.

    `value` has its expressions rendered: text for a scalar, a list or map whose leaves are, or
    the text of one expression, which must be JSON then. None stays None, and so does blank text
    where a number, truth value or duration is expected.

    Raises:
        ConversionFailed: the value does not fit.
    """
    if value is None:
        return None
    match type_.kind:
        case "string" | "uri":
            return text(value)
        case "list":
            return _convert_list(value, type_, values)
        case "map":
            return _convert_map(value, type_, values)
        case "union":
            return _convert_union(value, type_, values)
        case "boolean" | "integer" | "number" | "duration" | "date-time" | "enum" | "date" | "time":
            return _convert_scalar(value, type_, values)
        case _:
            return value


def _scalar(value: object, type_: TypeExpression, values: Sequence[str]) -> Any:
    match type_.kind:
        case "boolean":
            return boolean(value)
        case "integer":
            return integer(value)
        case "number":
            return number(value)
        case "duration":
            return duration(value)
        case "date-time":
            return instant(value)
        case "date":
            return local_date(value)
        case "time":
            return local_time(value)
        case _:
            return enum(value, values)


def _convert_scalar(value: object, type_: TypeExpression, values: Sequence[str]) -> Any:
    if isinstance(value, str) and type_.kind != "enum" and not value.strip():
        return None
    try:
        return _scalar(value, type_, values)
    except ConversionFailed:
        if not isinstance(value, str):
            raise
    again = json_first_value(value)
    return None if again is None else _scalar(again, type_, values)


def _convert_list(value: object, type_: TypeExpression, values: Sequence[str]) -> list[Any]:
    written = not isinstance(value, str)
    items = json_first_value(value) if isinstance(value, str) else value
    if items is None:
        return []
    if not isinstance(items, Sequence) or isinstance(items, str | bytes):
        refuse(items, "list")
    item = type_.item
    found = cast("Sequence[object]", items)
    if item is None:
        return list(found)
    if item.kind == "string":
        for entry in found:
            # Kestra casts the items of a list that stands in the flow to text (script-tasks 1.2),
            # and reads those of a JSON text as text, which lists and objects are not.
            if written and entry is not None and not isinstance(entry, str):
                raise CastFailed(entry)
            if isinstance(entry, Mapping | list):
                refuse(cast("object", entry), "string")
    return [convert(entry, item, values) for entry in found]


def _java_class(value: object) -> str:
    match value:
        case bool():
            return "java.lang.Boolean"
        case int():
            return "java.lang.Integer"
        case float():
            return "java.lang.Double"
        case Mapping():
            return "java.util.LinkedHashMap"
        case _:
            return "java.util.ArrayList"


def _convert_map(value: object, type_: TypeExpression, values: Sequence[str]) -> dict[str, Any]:
    found = json_first_value(value) if isinstance(value, str) else value
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        refuse(found, "map")
    entries = cast("Mapping[str, object]", found)
    item = type_.item
    if item is None:
        return dict(entries)
    if item.kind == "string":
        for entry in entries.values():
            if isinstance(entry, Mapping | list | tuple):
                refuse(cast("object", entry), "string")
    return {key: convert(entry, item, values) for key, entry in entries.items()}


def _convert_union(value: Any, type_: TypeExpression, values: Sequence[str]) -> Any:
    """The first option that is no plain text, where the value fits one; text as it is."""
    kinds = {option.kind for option in type_.options}
    if kinds == {"duration", "string"} or kinds == {"date-time", "string"}:
        return convert(value, type_.options[0], values)
    if isinstance(value, str):
        return value
    wanted = "list" if shape(value).startswith("Array") else "map"
    for option in type_.options:
        if option.kind == wanted:
            return convert(value, option, values)
    return value

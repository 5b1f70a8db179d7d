"""Values as Java prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from runner.model.times import duration_text, instant_text, time_text

BLANKS = "".join(map(chr, range(0x21)))
"""What Java's `trim` cuts off."""


def without_nulls(value: Any) -> Any:
    """`value` without the null entries of its maps, as Kestra keeps outputs; lists stay whole."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return {key: without_nulls(item) for key, item in entries.items() if item is not None}
    if isinstance(value, list | tuple):
        items = cast("Sequence[Any]", value)
        return [without_nulls(item) for item in items]
    return value


def java_text(value: Any) -> str:
    """`value` as Java's `toString` prints it: `true`, `1.0E-5`, `[1, a, null]`, `{k=v}`."""
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return _double_text(value)
        case datetime():
            return instant_text(value)
        case date():
            return value.isoformat()
        case time():
            return value.isoformat("minutes") if not value.second else time_text(value)
        case timedelta():
            return duration_text(value)
        case Mapping():
            entries = cast("Mapping[Any, Any]", value)
            pairs = (f"{java_text(key)}={java_text(item)}" for key, item in entries.items())
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            items = cast("Sequence[Any]", value)
            return f"[{', '.join(map(java_text, items))}]"
        case _:
            return str(value)


def _double_text(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else f"{'-' if value < 0 else ''}Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, exponent = f"{value:.16e}".split("e")
    for digits in range(17):
        short = f"{value:.{digits}e}"
        if float(short) == value:
            mantissa, exponent = short.split("e")
            break
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"

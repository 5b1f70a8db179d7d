"""Filters on numbers."""

from __future__ import annotations

import re
from collections.abc import Callable

from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.limits import MAX_INT_BITS
from runner.expr.registry import filter_
from runner.expr.text import double_text, float32_text
from runner.expr.values import Float32, Long, class_name, is_number, is_text
from runner.patterns import regex


@filter_("abs")
def abs_(value: object, _: Arguments) -> object:
    """The number without its sign; anything but a number is an error.

    >>> {{ -7 | abs }} {{ -1.5 | abs }}
    7 1.5
    """
    if value is None:
        raise Fault('Can not pass null value to "abs" filter.')
    if not is_number(value):
        raise Fault("The 'abs' filter does require as input a number.")
    if isinstance(value, Float32):
        return Float32(abs(value))
    return Long(abs(value)) if isinstance(value, Long) else abs(value)


@filter_("number", "type")
def number(value: object, arguments: Arguments) -> object:
    """The number that a string holds; a number as input is an error.

    `type` is `INT`, `FLOAT`, `LONG`, `DOUBLE`, `BIGDECIMAL` or `BIGINTEGER`, in capitals. Without
    one: an integer (`0x` hex, a leading `0` octal), or a number with a decimal point.

    >>> {{ '12' | number + 1 }} {{ '12.50' | number('BIGDECIMAL') }}
    13 12.50
    """
    if value is None:
        return None
    if not is_text(value):
        raise Fault(
            f"'number' filter can only be applied to String. Actual type was: {class_name(value)}"
        )
    if len(value) > 4000:
        raise Fault("The number has too many digits")
    kind = arguments.needed_text("type") if "type" in arguments else ""
    try:
        return _READERS.get(kind, _any_number)(value)
    except ValueError:
        raise Fault(f'For input string: "{value[:100]}"') from None


_FLOAT = regex(
    r"[\x00-\x20]*[+-]?(?:NaN|Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?)[\x00-\x20]*",
    re.ASCII,
)
_HEX = regex(r"([+-]?)(?:0[xX]|#)([0-9a-fA-F]+)")
_OCTAL = regex(r"([+-]?)0([0-9]+)", re.ASCII)
_DECIMAL = regex(r"[+-]?\d+", re.ASCII)


def _integer(text: str, bits: int = 0) -> int:
    """Read an integer as Java's `decode`: hex, octal or decimal, within so many bits."""
    if found := _HEX.fullmatch(text):
        result = int(found.group(1) + found.group(2), 16)
    elif found := _OCTAL.fullmatch(text):
        result = int(found.group(1) + found.group(2), 8)
    elif _DECIMAL.fullmatch(text):
        result = int(text)
    else:
        raise ValueError(text)
    if bits and not -(2 ** (bits - 1)) <= result < 2 ** (bits - 1):
        raise ValueError(text)
    if result.bit_length() > MAX_INT_BITS:
        raise ValueError(text)
    return result


def _double(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise ValueError(text)
    bare = text.strip("".join(map(chr, range(33))))
    return float(bare if bare[-1] in "Ny" else bare.rstrip("fFdD"))


def _float(text: str) -> Float32:
    return Float32.of(_double(text))


def _decimal(text: str) -> object:
    from decimal import Decimal

    if not re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,5})?", text, re.ASCII):
        raise ValueError(text)
    return Decimal(text) + 0 if text[0] == "-" and not Decimal(text) else Decimal(text)


def _any_number(text: str) -> object:
    """Read a number of the smallest type that holds it, as commons-lang's `createNumber`."""
    if _HEX.fullmatch(text) or _DECIMAL.fullmatch(text):
        return _integer(text)
    if text[-1:] in ("l", "L") and re.fullmatch(r"-?\d+", text[:-1], re.ASCII):
        return Long(text[:-1])
    body = text[:-1] if text[-1:] in ("f", "F", "d", "D") else text
    if not re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", body, re.ASCII):
        raise ValueError(text)
    double, single = float(body), Float32.of(float(body))
    zero = not re.search("[1-9]", re.split("[eE]", body)[0])
    fits_single = abs(single) != float("inf") and (single != 0 or zero)
    fits_double = abs(double) != float("inf") and (double != 0 or zero)
    if body != text:
        if text[-1] in "fF" and fits_single:
            return single
        return double if fits_double else _decimal(body)
    if fits_single and float32_text(single) == double_text(double):
        return single
    exact = _decimal(body)
    return double if fits_double and exact == _decimal(repr(double)) else exact


_READERS: dict[str, Callable[[str], object]] = {
    "INT": lambda text: _integer(text, 32),
    "LONG": lambda text: Long(_integer(text, 64)),
    "BIGINTEGER": _integer,
    "FLOAT": _float,
    "DOUBLE": _double,
    "BIGDECIMAL": _decimal,
}


@filter_("numberFormat", "format")
def number_format(value: object, arguments: Arguments) -> object:
    """The number in a Java `DecimalFormat` pattern; without one grouped, three decimals at most.

    >>> {{ 1234567.891 | numberFormat('#,##0.00') }} {{ 1234.5 | numberFormat }}
    1,234,567.89 1,234.5
    """
    from runner.expr.decimalformat import format_number

    if value is None:
        return None
    if not is_number(value):
        raise Fault("The input for the 'NumberFormat' filter has to be a number.")
    pattern = arguments.text("format")
    return format_number(value, "#,##0.###" if pattern is None else pattern)

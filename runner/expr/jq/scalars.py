"""Functions of jq on numbers and strings."""

from __future__ import annotations

import calendar
import math
import time
from collections.abc import Callable, Iterator
from typing import cast

from runner.expr.jq import formats, values
from runner.expr.jq.natives import (
    NATIVE,
    Arguments,
    native,
    needs,
    one,
    simple,
)
from runner.expr.jq.tree import Env
from runner.expr.jq.values import (
    JqError,
    Json,
    is_number,
    items_of,
    shown,
)
from runner.expr.jsontext import read_json


def _math(name: str, body: Callable[[float], float]) -> None:
    def apply(value: Json, _: Env) -> Json:
        if not is_number(value):
            raise JqError(f"{shown(value)} number required")
        try:
            return float(body(float(cast("float", value))))
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    simple(name, apply)


def _rounded(value: float) -> float:
    if not math.isfinite(value):
        return 0.0 if value != value else math.copysign(2.0**63, value)
    return math.copysign(math.floor(abs(value) + 0.5), value)


def _log(value: float) -> float:
    return -math.inf if value == 0 else math.log(value)


_MATHS: dict[str, Callable[[float], float]] = {
    "floor": lambda value: math.floor(value) if math.isfinite(value) else value,
    "ceil": lambda value: math.ceil(value) if math.isfinite(value) else value,
    "round": _rounded,
    "sqrt": math.sqrt,
    "cbrt": lambda value: math.copysign(abs(value) ** (1 / 3), value),
    "exp": math.exp,
    "exp2": lambda value: 2.0**value,
    "exp10": lambda value: 10.0**value,
    "expm1": math.expm1,
    "log": _log,
    "log2": lambda value: _log(value) / math.log(2),
    "log10": lambda value: -math.inf if value == 0 else math.log10(value),
    "log1p": math.log1p,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
}
for _name, _function in _MATHS.items():
    _math(_name, _function)


def _two_numbers(name: str, body: Callable[[float, float], float]) -> None:
    def native(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        for left in arguments[0].run(env, value):
            for right in arguments[1].run(env, value):
                if not (is_number(left) and is_number(right)):
                    raise JqError(f"{name}() needs numbers")
                try:
                    yield float(body(float(cast("float", left)), float(cast("float", right))))
                except (OverflowError, ZeroDivisionError):
                    yield math.inf
                except (ValueError, TypeError):
                    yield math.nan

    NATIVE[f"{name}/2"] = native


_two_numbers("pow", math.pow)
_two_numbers("atan2", math.atan2)


def _tonumber(value: Json, _: Env) -> Json:
    if is_number(value):
        return value
    if isinstance(value, str):
        import re

        text = value.strip()
        if re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?", text, re.ASCII):
            return values.numeric(float(text.rstrip("fFdD")))
        raise JqError(f'For input string: "{value[:40]}"')
    raise JqError(f"{shown(value)} cannot be parsed as a number")


def _fromjson(value: Json, _: Env) -> Json:
    if not isinstance(value, str):
        raise JqError(f"{shown(value)} cannot be parsed as JSON")
    try:
        return read_json(value)
    except ValueError as error:
        raise JqError(f"{error} (while parsing '{value[:40]}')") from error


def _text_of(value: Json, name: str) -> str:
    if not isinstance(value, str):
        raise JqError(f"{name}() is not applicable to {shown(value)}")
    return value


def _implode(value: Json, _: Env) -> Json:
    needs(value, "implode", "array")
    codes = items_of(value)
    if not all(isinstance(code, int) and 0 <= code <= 0x10FFFF for code in codes):
        raise JqError("input to implode() must be a list of codepoints")
    return "".join(map(chr, cast("list[int]", codes)))


def _case(low: str, high: str, distance: int) -> Callable[[Json, Env], Json]:
    table = {code: code + distance for code in range(ord(low), ord(high) + 1)}
    return lambda value, _: _text_of(value, "explode").translate(table)


def _affix(name: str, test: Callable[[str, str], bool]) -> None:
    def body(value: Json, part: Json, _: Env) -> Json:
        if not isinstance(value, str) or not isinstance(part, str):
            raise JqError(f"{name}() requires string inputs")
        return test(value, part)

    one(name, body)


def _trimmed(change: Callable[[str, str], str]) -> Callable[[Json, Json, Env], Json]:
    def body(value: Json, part: Json, _: Env) -> Json:
        return change(value, part) if isinstance(value, str) and isinstance(part, str) else value

    return body


def _split(value: Json, separator: Json, _: Env) -> Json:
    if not isinstance(value, str) or not isinstance(separator, str):
        raise JqError("split input and separator must be strings")
    return values.split(value, separator)


_ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"


def _time_text(value: Json) -> Json:
    if not is_number(value):
        raise JqError(f"todateiso8601 input must be a number, not {shown(value)}")
    try:
        return time.strftime(_ISO_8601, time.gmtime(math.floor(cast("float", value))))
    except (OverflowError, ValueError, OSError):
        raise JqError(f"{shown(value)} is no time") from None


def _seconds_of(value: Json) -> Json:
    try:
        return calendar.timegm(time.strptime(_text_of(value, "fromdateiso8601"), _ISO_8601))
    except ValueError:
        raise JqError(f"{shown(value)} is no time like 2024-03-05T06:07:08Z") from None


_affix("startswith", str.startswith)
_affix("endswith", str.endswith)
one("ltrimstr", _trimmed(str.removeprefix))
one("rtrimstr", _trimmed(str.removesuffix))
one("split", _split)
_SIMPLE: dict[str, Callable[[Json, Env], Json]] = {
    "tonumber": _tonumber,
    "tostring": lambda value, _: formats.text(value),
    "tojson": lambda value, _: formats.dump(value),
    "fromjson": _fromjson,
    "explode": lambda value, _: [ord(char) for char in _text_of(value, "explode")],
    "implode": _implode,
    "ascii_downcase": _case("A", "Z", 32),
    "ascii_upcase": _case("a", "z", -32),
    "utf8bytelength": lambda value, _: len(
        _text_of(value, "utf8bytelength").encode(errors="replace")
    ),
    "infinite": lambda value, _: math.inf,
    "nan": lambda value, _: math.nan,
    "isinfinite": lambda value, _: is_number(value) and math.isinf(cast("float", value)),
    "isnan": lambda value, _: is_number(value) and math.isnan(cast("float", value)),
    "isnormal": lambda value, _: (
        is_number(value)
        and math.isfinite(cast("float", value))
        and abs(cast("float", value)) >= 2.2250738585072014e-308
    ),
    "isfinite": lambda value, _: is_number(value) and not math.isinf(cast("float", value)),
    "now": lambda value, _: time.time(),
    "todateiso8601": lambda value, _: _time_text(value),
    "fromdateiso8601": lambda value, _: _seconds_of(value),
}
for _name, _single in _SIMPLE.items():
    simple(_name, _single)


def _formatted(form: Callable[[Json], str]) -> Callable[[Json, Env], Json]:
    return lambda value, _: form(value)


for _name, _format in formats.FORMATS.items():
    simple(_name, _formatted(_format))


@native("builtins/0")
def _builtins(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    yield sorted(NATIVE)

"""From value to text as Java writes it: what `{{ }}` prints, and what `~` joins."""

from __future__ import annotations

from runner.expr.faults import Fault
from runner.expr.limits import MAX_DEPTH, Budget
from runner.expr.values import (
    Entry,
    Float32,
    Loop,
    is_decimal,
    is_items,
    is_map,
    temporal,
)


def print_text(value: object, budget: Budget) -> str:
    """Give what `{{ value }}` prints: JSON for lists and maps, the string form for the rest."""
    if value is None:
        return ""
    if is_items(value) or is_map(value):
        from runner.expr.jsontext import write_json

        return write_json(value, budget)
    return string_form(value, budget)


def to_text(value: object) -> str:
    """Give what `{{ value }}` prints; null gives the empty string.

    Raises:
        RenderFailed: the value is too deep or too large to write.
    """
    from runner.errors import RenderFailed

    try:
        return print_text(value, Budget())
    except Fault as fault:
        raise RenderFailed(fault.message) from fault


def string_form(value: object, budget: Budget, depth: int = 0) -> str:
    """Give Java's `toString`: lists as `[1, a, null]`, maps as `{k=v}`, null as `null`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int_text(value)
    if isinstance(value, float):
        return float32_text(value) if isinstance(value, Float32) else double_text(value)
    return _structure_form(value, budget, depth)


def _structure_form(value: object, budget: Budget, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise Fault(f"The value has more than {MAX_DEPTH} lists and maps inside one another")
    if is_items(value):
        budget.spend_items(len(value) + 1)
        text = ", ".join([string_form(item, budget, depth + 1) for item in value])
        budget.spend(len(text))
        return f"[{text}]"
    if is_map(value):
        budget.spend_items(len(value) + 1)
        text = ", ".join(
            [
                f"{string_form(key, budget, depth + 1)}={string_form(item, budget, depth + 1)}"
                for key, item in value.items()
            ]
        )
        budget.spend(len(text))
        return f"{{{text}}}"
    if isinstance(value, Entry):
        key, item = (string_form(part, budget, depth + 1) for part in (value.key, value.value))
        return f"{key}={item}"
    if isinstance(value, Loop):
        return string_form(value.fields(), budget, depth + 1)
    if is_decimal(value):
        return decimal_text(value)
    moment = temporal(value)
    if moment is None:
        raise Fault(f"A value of type {type(value).__name__} has no text")
    return str(moment)


def int_text(value: int) -> str:
    """Give the digits of `value`, however many they are."""
    try:
        return int.__repr__(value)
    except ValueError as error:
        raise Fault("The number has too many digits") from error


def double_text(value: float) -> str:
    """Give a double as Java prints it: `1.0`, `0.001`, `1.0E7`, `1.0E-4`, `NaN`, `Infinity`."""
    text = repr(value) if type(value) is float else float.__repr__(value)
    if 1e-3 <= value < 1e7 or value == 0 or -1e7 < value <= -1e-3:
        return text
    if text[-1] in "nf":
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text]
    return f"-{_scientific(text[1:])}" if value < 0 else _scientific(text)


def float32_text(value: Float32) -> str:
    """Give a 32-bit number as Java prints it: the fewest digits that tell it apart."""
    size = -float(value) if value < 0 else float(value)
    if size != size or size == float("inf") or size == 0:
        return double_text(float(value))
    digits = next(
        (
            text
            for text in (f"{size:.{places}e}" for places in range(9))
            if Float32.of(float(text)) == size
        ),
        float.__repr__(size),
    )
    sign = "-" if value < 0 else ""
    if 1e-3 <= size < 1e7:
        return sign + float.__repr__(float(digits))
    return sign + _scientific(digits)


def _scientific(text: str) -> str:
    """Rewrite the Python number `text`, above 0, with one digit before the point and `E`."""
    mantissa, mark, power = text.partition("e")
    if mark:
        return f"{mantissa}E{int(power)}" if "." in mantissa else f"{mantissa}.0E{int(power)}"
    whole, _, fraction = mantissa.partition(".")
    if whole == "0":
        digits = fraction.lstrip("0")
        exponent = len(digits) - len(fraction) - 1
    else:
        digits = (whole + fraction).rstrip("0")
        exponent = len(whole) - 1
    return f"{digits[0]}.{digits[1:] or '0'}E{exponent}"


def decimal_text(value: object) -> str:
    """Give a `Decimal` without an exponent."""
    return format(value, "f")


def units(text: str) -> int:
    """Give the length of `text` as Java counts it: what lies beyond 16 bits counts twice."""
    if text.isascii() or not text or max(text) < "\U00010000":
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, start: int, end: int) -> str:
    """Give the part of `text` from `start` to `end`, both counted as Java counts."""
    if text.isascii() or not text or max(text) < "\U00010000":
        return text[start:end]
    pieces = text.encode("utf-16-le", "surrogatepass")[2 * start : 2 * end]
    return pieces.decode("utf-16-le", "surrogatepass")

"""What jq does with JSON values: order, arithmetic, indexes, paths."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any, TypeGuard, cast

from runner.expr.jsontext import write_json
from runner.expr.limits import MAX_DEPTH, MAX_INT_BITS, Budget

Json = object
Path = tuple[Json, ...]


class JqError(Exception):
    """An error of a jq program: `value` is what `catch` gets."""

    def __init__(self, value: Json) -> None:
        super().__init__(value if isinstance(value, str) else repr(value)[:200])
        self.value = value


class JqSyntax(ValueError):
    """The text is no jq program."""


def type_name(value: Json) -> str:
    """Give jq's name for the type of `value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if is_array(value) else "object"


def is_array(value: Json) -> TypeGuard[list[Json]]:
    """Tell whether `value` is an array."""
    return isinstance(value, list)


def is_object(value: Json) -> TypeGuard[dict[str, Json]]:
    """Tell whether `value` is an object."""
    return isinstance(value, dict)


def is_container(value: Json) -> bool:
    """Tell whether `value` has values inside."""
    return isinstance(value, (list, dict))


def items_of(value: Json) -> list[Json]:
    """Give a list (a typed border)."""
    return cast("list[Json]", value)


def fields_of(value: Json) -> dict[str, Json]:
    """Give an object (a typed border)."""
    return cast("dict[str, Json]", value)


def is_number(value: Json) -> bool:
    """Tell whether `value` is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def truth(value: Json) -> bool:
    """Tell whether `value` is neither null nor false."""
    return value is not None and value is not False


def shown(value: Json) -> str:
    """Give a value for a message: `number (1)`."""
    text = write_json(value, Budget())
    return f"{type_name(value)} ({text if len(text) <= 14 else text[:11] + '...'})"


def numeric(value: float) -> int | float:
    """Give a result of arithmetic: a whole number is an integer."""
    if value == value and abs(value) < 2**63 and value == int(value):
        return int(value)
    return value


_RANKS = {"null": 0, "boolean": 1, "number": 2, "string": 3, "array": 4, "object": 5}


def compare(one: Json, other: Json, depth: int = 0) -> int:
    """Give -1, 0 or 1 for the order of two values of any types."""
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    kind = type_name(one)
    rank = _RANKS[kind] - _RANKS[type_name(other)]
    if rank:
        return 1 if rank > 0 else -1
    if kind == "null":
        return 0
    if depth > MAX_DEPTH:
        raise JqError("the value is nested too deeply")
    if kind == "array":
        return _compare_items(items_of(one), items_of(other), depth)
    if kind == "object":
        return _compare_fields(fields_of(one), fields_of(other), depth)
    left, right = cast("float", one), cast("float", other)
    if left != left or right != right:
        return -1 if left != left else 1
    return (left > right) - (left < right)


def _compare_items(one: list[Json], other: list[Json], depth: int) -> int:
    for left, right in zip(one, other, strict=False):
        order = compare(left, right, depth + 1)
        if order:
            return order
    return (len(one) > len(other)) - (len(one) < len(other))


def _compare_fields(one: dict[str, Json], other: dict[str, Json], depth: int) -> int:
    names, others = sorted(one), sorted(other)
    if names != others:
        return (names > others) - (names < others)
    for name in names:
        order = compare(one[name], other[name], depth + 1)
        if order:
            return order
    return 0


sort_key: Callable[[Json], Any] = cmp_to_key(compare)


def equal(one: Json, other: Json) -> bool:
    """Tell whether two values are equal."""
    return compare(one, other) == 0


def add(left: Json, right: Json, budget: Budget) -> Json:
    """`+`."""
    if is_number(left) and is_number(right):
        return _calculate(left, right, lambda one, other: one + other)
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, str) and isinstance(right, str):
        budget.spend(len(left) + len(right))
        return left + right
    if is_array(left) and is_array(right):
        budget.spend_items(len(items_of(left)) + len(items_of(right)))
        return items_of(left) + items_of(right)
    if is_object(left) and is_object(right):
        budget.spend_items(len(fields_of(left)) + len(fields_of(right)))
        return {**fields_of(left), **fields_of(right)}
    raise JqError(f"{shown(left)} and {shown(right)} cannot be added")


def subtract(left: Json, right: Json, budget: Budget) -> Json:
    """`-`."""
    if is_number(left) and is_number(right):
        return _calculate(left, right, lambda one, other: one - other)
    if is_array(left) and is_array(right):
        gone = items_of(right)
        budget.spend_items(len(items_of(left)) * max(len(gone), 1))
        return [item for item in items_of(left) if not any(equal(item, one) for one in gone)]
    raise JqError(f"{shown(left)} and {shown(right)} cannot be subtracted")


def multiply(left: Json, right: Json, budget: Budget) -> Json:
    """`*`: numbers, a string repeated, objects merged deeply."""
    if is_number(left) and is_number(right):
        return _calculate(left, right, lambda one, other: one * other)
    if isinstance(right, str) and is_number(left):
        left, right = right, left
    if isinstance(left, str) and is_number(right):
        count = cast("float", right)
        if not count > 0:
            return None
        if count < 2:
            return left
        count = min(count, 1e12)
        budget.spend(int(len(left) * count))
        return left * int(count)
    if is_object(left) and is_object(right):
        return _merged(fields_of(left), fields_of(right), budget, 0)
    raise JqError(f"{shown(left)} and {shown(right)} cannot be multiplied")


def _merged(
    left: dict[str, Json], right: dict[str, Json], budget: Budget, depth: int
) -> dict[str, Json]:
    budget.spend_items(len(left) + len(right))
    if depth > MAX_DEPTH:
        raise JqError("the value is nested too deeply")
    result = dict(left)
    for name, value in right.items():
        own = result.get(name)
        if is_object(own) and is_object(value):
            value = _merged(fields_of(own), fields_of(value), budget, depth + 1)
        result[name] = value
    return result


def divide(left: Json, right: Json, budget: Budget) -> Json:
    """`/`: numbers, or a string split."""
    if is_number(left) and is_number(right):
        if right == 0:
            raise JqError(
                f"{shown(left)} and {shown(right)} cannot be divided because the divisor is zero"
            )
        return _calculate(left, right, lambda one, other: float(one) / other)
    if isinstance(left, str) and isinstance(right, str):
        return split(left, right)
    raise JqError(f"{shown(left)} and {shown(right)} cannot be divided")


def split(text: str, separator: str) -> list[Json]:
    """Split at a literal separator; an empty one gives the characters."""
    if not separator:
        return list(text)
    return cast("list[Json]", text.split(separator)) if text else []


def remainder(left: Json, right: Json, _: Budget) -> Json:
    """`%`, on integers."""
    if not (is_number(left) and is_number(right)):
        raise JqError(f"{shown(left)} and {shown(right)} cannot be divided (remainder)")
    one, other = cast("float", left), cast("float", right)
    if other != other:
        return _whole(one)
    divisor, dividend = _whole(other), _whole(one)
    if not divisor:
        raise JqError(
            f"{shown(left)} and {shown(right)} cannot be divided (remainder) "
            "because the divisor is zero"
        )
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def _whole(value: float) -> int:
    if value != value:
        return 0
    return int(max(min(value, 2.0**63 - 1024), -(2.0**63))) if isinstance(value, float) else value


def _calculate(left: Json, right: Json, operation: Callable[[float, float], float]) -> Json:
    one, other = cast("float", left), cast("float", right)
    try:
        if isinstance(one, float) or isinstance(other, float):
            one, other = float(one), float(other)
        result = operation(one, other)
    except OverflowError:
        raise JqError("the number is too large") from None
    if isinstance(result, int):
        if result.bit_length() > MAX_INT_BITS:
            raise JqError("the number is too large")
        return result
    return numeric(result)

"""What the operators do with values: arithmetic, comparison, equality, truth, membership."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import cast

from runner.expr.faults import Fault
from runner.expr.limits import MAX_DEPTH, MAX_INT_BITS, Budget
from runner.expr.text import string_form
from runner.expr.values import (
    Array,
    Char,
    Entry,
    Float32,
    Long,
    class_name,
    is_collection,
    is_decimal,
    is_items,
    is_list,
    is_map,
    is_number,
    is_text,
    temporal,
)

_INTS = frozenset({int, Long})


def add(left: object, right: object, budget: Budget) -> object:
    """`+`: joins when either side is a string, appends to a list, adds numbers."""
    if is_text(left) or is_text(right):
        text = string_form(left, budget) + string_form(right, budget)
        budget.spend(len(text))
        return text
    if is_list(left):
        more = list(right) if is_collection(right) else [right]
        budget.built = True
        budget.spend_items(len(left) + len(more))
        return [*left, *more]
    return arithmetic("+", left, right)


def subtract(left: object, right: object, budget: Budget) -> object:
    """`-`: takes the first equal item out of a list, or all that a right list has; or subtracts."""
    if not is_list(left):
        return arithmetic("-", left, right)
    budget.spend_items(len(left))
    budget.built = True
    if is_collection(right):
        gone = ItemSet(right, budget)
        return [item for item in left if item not in gone]
    result = list(left)
    for index, item in enumerate(result):
        if same(item, right, budget):
            del result[index]
            break
    return result


def arithmetic(symbol: str, left: object, right: object) -> object:
    """Apply `+ - * / %` to two numbers, as the wider of their Java types."""
    if type(left) in _INTS and type(right) in _INTS:
        result = _INT_OPERATIONS[symbol](cast("int", left), cast("int", right))
        return result if type(left) is int and type(right) is int else Long(result)
    if not is_number(left) or not is_number(right):
        given = left if not is_number(left) else right
        raise Fault(f"invalid operands for mathematical operation: {class_name(given)}")
    if is_decimal(left) or is_decimal(right):
        return _decimal(symbol, left, right)
    if isinstance(left, int) and isinstance(right, int):
        return _INT_OPERATIONS[symbol](left, right)
    try:
        result = _FLOAT_OPERATIONS[symbol](float(left), float(right))
    except OverflowError:  # an integer too large for a double
        raise Fault("The number is too large") from None
    wide = any(isinstance(side, float) and not isinstance(side, Float32) for side in (left, right))
    return result if wide else Float32.of(result)


def _decimal(symbol: str, left: int | float, right: int | float) -> object:
    """Calculate with `Decimal` as Java does: both sides go through a double first."""
    from decimal import Context, Decimal, DecimalException

    context = Context(prec=34 if symbol in "*/%" else 400)
    operations = {
        "+": context.add,
        "-": context.subtract,
        "*": context.multiply,
        "/": context.divide,
        "%": context.remainder,
    }
    try:
        result = operations[symbol](Decimal(repr(float(left))), Decimal(repr(float(right))))
        if not result.is_finite():
            raise Fault("Infinite or NaN")
        return result
    except (DecimalException, OverflowError) as error:
        raise Fault(f"The numbers can not be calculated with: {type(error).__name__}") from error


def _bounded(operation: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def apply(left: int, right: int) -> int:
        result = operation(left, right)
        if result.bit_length() > MAX_INT_BITS:
            raise Fault("The number has too many digits")
        return result

    return apply


def _divide_ints(left: int, right: int) -> int:
    if not right:
        raise Fault("/ by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder_ints(left: int, right: int) -> int:
    if not right:
        raise Fault("/ by zero")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _divide_floats(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or left != left:
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _remainder_floats(left: float, right: float) -> float:
    if not right or math.isinf(left) or left != left or right != right:
        return math.nan
    return math.fmod(left, right)


_INT_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": _bounded(int.__add__),
    "-": _bounded(int.__sub__),
    "*": _bounded(int.__mul__),
    "/": _divide_ints,
    "%": _remainder_ints,
}
_FLOAT_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide_floats,
    "%": _remainder_floats,
}

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda left, right: left > right,
    "<": lambda left, right: left < right,
    ">=": lambda left, right: left >= right,
    "<=": lambda left, right: left <= right,
}


def compare(symbol: str, left: object, right: object) -> bool:
    """Apply `> < >= <=`: numbers only, and false when either side is null."""
    if left is None or right is None:
        return False
    if is_number(left) and is_number(right):
        return _COMPARISONS[symbol](left, right)
    given = left if not is_number(left) else right
    raise Fault(f"invalid operands for mathematical comparison: {class_name(given)}")


def equal(left: object, right: object, budget: Budget) -> bool:
    """`==`: numbers by value, everything else only with its own kind."""
    if type(left) is str and type(right) is str:
        return left == right
    if is_number(left) and is_number(right):
        return left == right
    return same(left, right, budget)


def same(left: object, right: object, budget: Budget, depth: int = 0) -> bool:
    """Java's `equals`, as inside lists and maps: 1 and 1.0 differ, an int and a long do not."""
    if left is right:
        return True
    if isinstance(left, str) or isinstance(right, str):
        return (
            isinstance(left, str)
            and isinstance(right, str)
            and isinstance(left, Char) == isinstance(right, Char)
            and left == right
        )
    if is_number(left) or is_number(right):
        return _same_number(left, right)
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return False
    return _same_structure(left, right, budget, depth)


def _same_number(left: object, right: object) -> bool:
    if not (is_number(left) and is_number(right)):
        return False
    if is_decimal(left) and is_decimal(right):
        return str(left) == str(right)  # Java's BigDecimal: 2.0 and 2.00 differ
    kinds = [int if isinstance(side, int) else type(side) for side in (left, right)]
    return kinds[0] is kinds[1] and left == right


def _same_structure(left: object, right: object, budget: Budget, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise Fault(f"The value has more than {MAX_DEPTH} lists and maps inside one another")
    if is_items(left) and is_items(right):
        if isinstance(left, Array) or isinstance(right, Array) or is_list(left) != is_list(right):
            return False
        budget.spend_items(1 + min(len(left), len(right)))
        return len(left) == len(right) and all(
            same(one, other, budget, depth + 1) for one, other in zip(left, right, strict=True)
        )
    if is_map(left) and is_map(right):
        budget.spend_items(1 + min(len(left), len(right)))
        return len(left) == len(right) and all(
            key in right and same(item, right[key], budget, depth + 1) for key, item in left.items()
        )
    if isinstance(left, Entry) and isinstance(right, Entry):
        return same(left.key, right.key, budget, depth + 1) and same(
            left.value, right.value, budget, depth + 1
        )
    moment = temporal(left)
    return moment is not None and moment == temporal(right)


class ItemSet:
    """Items that can be asked quickly whether one of them equals a value."""

    __slots__ = ("_budget", "_others", "_scalars")

    def __init__(self, items: Iterable[object], budget: Budget) -> None:
        self._budget = budget
        self._scalars: set[tuple[type, object]] = set()
        self._others: list[object] = []
        for item in items:
            self.add(item)

    def add(self, item: object) -> None:
        """Take one more item."""
        self._budget.spend_items(1)
        if isinstance(item, _SCALARS):
            self._scalars.add((kind(item), item))
        else:
            self._others.append(item)

    def __contains__(self, wanted: object) -> bool:
        self._budget.spend_items(1)
        if isinstance(wanted, _SCALARS):
            return (kind(wanted), wanted) in self._scalars
        return contains_item(self._others, wanted, self._budget)


_SCALARS = (str, int, float)


def contains_item(items: list[object] | tuple[object, ...], wanted: object, budget: Budget) -> bool:
    """Tell whether one of `items` equals `wanted`."""
    budget.spend_items(len(items))
    if type(wanted) is str:
        return wanted in items and any(type(item) is str and item == wanted for item in items)
    return any(same(item, wanted, budget) for item in items)


def contains(left: object, right: object, budget: Budget) -> bool:
    """`contains`: an item (or all items of a list), a key of a map, a part of a string."""
    if is_items(left):
        if is_collection(right) and not isinstance(left, Array):
            own = ItemSet(left, budget)
            return all(item in own for item in right)
        return contains_item(left, right, budget)
    if is_map(left):
        return has_key(left, right)
    if is_text(left):
        return string_form(right, budget) in left
    raise Fault(
        "Contains operator can only be used on Collections, Maps and arrays. "
        f"Actual type was: {class_name(left)}"
    )


def has_key(entries: object, key: object) -> bool:
    """Tell whether the map `entries` has `key`: no key equals one of another type."""
    if not is_map(entries) or not is_key(key):
        return False
    if isinstance(key, str) and not isinstance(key, Char):
        return key in entries
    return any(kind(key) == kind(own) and own == key for own in entries)


def is_key(key: object) -> bool:
    """Tell whether `key` is of a type that keys of maps have."""
    return key is None or isinstance(key, (str, int, float)) or temporal(key) is not None


def kind(value: object) -> type:
    """Give the type that decides whether two keys can be equal."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int
    if isinstance(value, str) and not isinstance(value, Char):
        return str
    return type(value)


def is_in(left: object, right: object, budget: Budget) -> bool:
    """`isIn`: string forms among the items of a list, or the keys and values of a map."""
    if left is None or right is None:
        return False
    wanted = string_form(left, budget)
    if is_collection(right):
        budget.spend_items(len(right))
        forms = [_form(item, budget) for item in right]  # each of them, even after a match
        return wanted in forms
    if is_map(right):
        budget.spend_items(len(right))
        return any(
            string_form(key, budget) == wanted or _form(item, budget) == wanted
            for key, item in right.items()
        )
    return False


def _form(value: object, budget: Budget) -> str:
    """Give the string form of something that `isIn` looks at, which null has not."""
    if value is None:
        raise Fault("isIn can not compare with a null in a list or map")
    return string_form(value, budget)


def truth(value: object) -> bool:
    """Give the truth of an operand of `and`, `or`, `not`, `if`, which must not be null."""
    if isinstance(value, bool):
        return value
    if is_number(value):
        return value == value and value != 0
    if is_text(value):
        return value != ""
    if value is None:
        raise Fault("null value used in a condition and strict variables is set to true")
    raise Fault(
        f"Unsupported value type {class_name(value).rpartition('.')[2]}. "
        "Expected Boolean, String, Number in a condition"
    )

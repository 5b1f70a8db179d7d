"""The tests: `x is defined`, `x is not empty`."""

from __future__ import annotations

from runner.expr.access import trimmed
from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.jsontext import read_json
from runner.expr.registry import test
from runner.expr.values import Char, class_name, is_collection, is_items, is_map


@test("defined")
def defined(value: object, _: Arguments) -> bool:
    """True when the value exists and is not null.

    >>> {{ nowhere.x is defined }} {{ null is defined }} {{ 0 is defined }}
    false false true
    """
    return value is not None


@test("null")
def null(value: object, _: Arguments) -> bool:
    """True when the value is null; an undefined one is an error.

    >>> {{ null is null }} {{ '' is null }}
    true false
    """
    return value is None


@test("empty")
def empty(value: object, _: Arguments) -> bool:
    """True for null, a blank string, a list or map without items.

    >>> {{ ' ' is empty }} {{ [] is empty }} {{ 0 is empty }}
    true true false
    """
    return is_empty(value)


def is_empty(value: object) -> bool:
    """Tell whether `value` is empty, as the test and the filter `default` mean it."""
    if value is None:
        return True
    if isinstance(value, str):
        return not isinstance(value, Char) and not trimmed(value)
    return (is_collection(value) or is_map(value)) and not len(value)


@test("even")
def even(value: object, _: Arguments) -> bool:
    """True for an even integer; anything but an integer is an error.

    >>> {{ 4 is even }} {{ 5 is even }}
    true false
    """
    return _integer(value, "even") % 2 == 0


@test("odd")
def odd(value: object, _: Arguments) -> bool:
    """True for an odd integer; anything but an integer is an error.

    >>> {{ 4 is odd }} {{ 5 is not odd }}
    false false
    """
    return _integer(value, "odd") % 2 == 1


def _integer(value: object, name: str) -> int:
    if value is None:
        raise Fault(f'Can not pass null value to "{name}" test.')
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Fault(f'The "{name}" test needs an integer, not {class_name(value)}.')


@test("iterable")
def iterable(value: object, _: Arguments) -> bool:
    """True for what `for` goes through item by item: not for a map or a string.

    >>> {{ [1] is iterable }} {{ {'a': 1} is iterable }} {{ 'abc' is iterable }}
    true false false
    """
    return is_items(value)


@test("map")
def is_a_map(value: object, _: Arguments) -> bool:
    """True for a map.

    >>> {{ {'a': 1} is map }} {{ [1] is map }}
    true false
    """
    return is_map(value)


@test("json")
def json(value: object, _: Arguments) -> bool:
    """True for a string that begins with JSON (or is empty); anything but a string is an error.

    >>> {{ '{"a": 1}' is json }} {{ 'abc' is json }}
    true false
    """
    if not isinstance(value, str):
        raise Fault(f"The 'json' test needs a string, not {class_name(value)}.")
    if not value.strip(" \t\r\n"):
        return True
    try:
        read_json(value)
    except ValueError:
        return False
    return True

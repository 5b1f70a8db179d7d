"""Functions on numbers."""

from __future__ import annotations

from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.limits import MAX_RANGE
from runner.expr.operators import compare
from runner.expr.registry import function
from runner.expr.values import Char, Long, is_number


@function("max", None)
def max_(arguments: Arguments) -> object:
    """The largest of any number of numbers; null when there is none.

    >>> {{ max(3, 9, 4) }}
    9
    """
    return _extreme(arguments, ">")


@function("min", None)
def min_(arguments: Arguments) -> object:
    """The smallest of any number of numbers; null when there is none.

    >>> {{ min(3, 9, 4) }}
    3
    """
    return _extreme(arguments, "<")


def _extreme(arguments: Arguments, symbol: str) -> object:
    best: object = None
    for candidate in arguments.values.values():
        if best is None or compare(symbol, candidate, best):
            best = candidate
    return best


@function("range", "start end increment")
def range_(arguments: Arguments) -> object:
    """The numbers or characters from `start` to `end`, both included.

    >>> {{ range(0, 6, 2) }} {{ range('a', 'c') }} {{ range(3, 1, -1) }}
    [0,2,4,6] ["a","b","c"] [3,2,1]
    """
    start, end = arguments.get("start"), arguments.get("end")
    increment = arguments.get("increment")
    if increment is None:
        increment = 1
    if not is_number(increment):
        raise Fault("The increment of the range function must be a number")
    step = _whole(increment)
    if is_number(start) and is_number(end):
        return [Long(number) for number in _numbers(_whole(start), _whole(end), step)]
    if isinstance(start, str) and isinstance(end, str) and len(start) == len(end) == 1:
        return [Char(chr(code)) for code in _numbers(ord(start), ord(end), step)]
    raise Fault("Arguments of range function must be of type Number or String with a length of 1")


def _whole(number: int | float) -> int:
    if number != number or abs(number) > 2**63:
        raise Fault("Arguments of range function must be whole numbers")
    return int(number)


def _numbers(start: int, end: int, step: int) -> range:
    if not step:
        raise Fault("The increment of the range function must be different than 0")
    numbers = range(start, end + (1 if step > 0 else -1), step)
    if (end - start) // step >= MAX_RANGE:
        raise Fault(f"The range has more than {MAX_RANGE} items")
    return numbers

"""Filters on lists and maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key

from runner.expr import javaregex
from runner.expr.checks import is_empty
from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.filters.strings import only_text
from runner.expr.operators import ItemSet, is_key
from runner.expr.registry import filter_
from runner.expr.text import cut, string_form, units
from runner.expr.values import (
    Array,
    Char,
    Duration,
    Entry,
    Instant,
    LocalDateTime,
    View,
    class_name,
    is_items,
    is_list,
    is_map,
    is_number,
    is_text,
    temporal,
)


def only_list(value: object, message: str) -> Sequence[object]:
    """Give the input of a filter that takes nothing but lists; `message` tells so."""
    if is_list(value):
        return value
    raise Fault(message)


@filter_("default", "default")
def default(value: object, arguments: Arguments) -> object:
    """`default` when the input is undefined, null or empty. 0 and false are kept.

    >>> {{ nowhere | default('d') }} {{ ' ' | default('d') }} {{ 0 | default('d') }}
    d d 0
    """
    return arguments.get("default") if is_empty(value) else value


@filter_("length")
def length(value: object, _: Arguments) -> object:
    """The number of characters, items or entries; 0 for null and for anything else.

    >>> {{ 'abc' | length }} {{ [1, 2] | length }} {{ 7 | length }}
    3 2 0
    """
    if is_text(value):
        return units(value)
    return len(value) if is_items(value) or is_map(value) else 0


@filter_("first")
def first(value: object, arguments: Arguments) -> object:
    """The first item of a list (null when it is empty), or character of a string.

    >>> {{ [5, 6] | first }} {{ 'ab' | first }}
    5 a
    """
    return _end(value, arguments, 0)


@filter_("last")
def last(value: object, arguments: Arguments) -> object:
    """The last item of a list (null when it is empty), or character of a string.

    >>> {{ [5, 6] | last }} {{ 'ab' | last }}
    6 b
    """
    return _end(value, arguments, -1)


def _end(value: object, arguments: Arguments, index: int) -> object:
    if value is None:
        return None
    if is_text(value):
        if not value:
            raise Fault(f"{arguments.called} can not be applied to an empty string.")
        return Char(value[index])
    if is_items(value):
        return value[index] if value else None
    raise Fault(
        f"{arguments.called} can only be applied to lists and strings, not to {class_name(value)}."
    )


@filter_("join", "separator")
def join(value: object, arguments: Arguments) -> object:
    """The string forms of the items, with `separator` between them; null is `null`.

    >>> {{ ['a', 1, null] | join('-') }}
    a-1-null
    """
    if value is None:
        return None
    if not is_items(value):
        raise Fault("The 'join' filter expects that the input is either a collection or an array.")
    separator = arguments.text("separator") or ""
    budget = arguments.context.budget
    budget.spend(len(separator) * len(value))
    return separator.join([string_form(item, budget) for item in value])


@filter_("split", "delimiter limit")
def split(value: object, arguments: Arguments) -> object:
    """The parts between matches of `delimiter`, a Java regular expression (`'\\.'` is a dot).

    With a `limit` above 0 at most so many parts; below 0 empty parts at the end are kept.

    >>> {{ 'a,b,,' | split(',') }} {{ 'a,b,c' | split(',', 2) }}
    ["a","b"] ["a","b,c"]
    """
    if value is None:
        return None
    delimiter = arguments.text("delimiter")
    if delimiter is None:
        raise Fault("missing delimiter parameter in split filter")
    text = only_text(value, arguments)
    return Array(javaregex.split(delimiter, text, arguments.integer("limit") or 0))


@filter_("sort")
def sort(value: object, arguments: Arguments) -> object:
    """The items in ascending order: all numbers of one kind, or all strings.

    >>> {{ [3, 1, 2] | sort }} {{ ['b', 'C', 'a'] | sort }}
    [1,2,3] ["C","a","b"]
    """
    if value is None:
        return None
    if not is_list(value) and not isinstance(value, Array):
        raise Fault("Unsupported input type for sort filter")
    return _sorted(value, arguments, descending=False)


@filter_("rsort")
def rsort(value: object, arguments: Arguments) -> object:
    """The items in descending order.

    >>> {{ [3, 1, 2] | rsort }}
    [3,2,1]
    """
    if value is None:
        return None
    items = only_list(value, "Unsupported input type for rsort filter")
    return _sorted(items, arguments, descending=True)


def _sorted(items: Sequence[object], arguments: Arguments, descending: bool) -> list[object]:
    if len(items) < 2:
        return list(items)
    kinds = {_order_kind(item) for item in items}
    if len(kinds) > 1 or "" in kinds:
        raise Fault(f"{arguments.called} can only be applied to values that can be compared.")
    arguments.context.budget.spend_items(len(items) * max(len(items).bit_length(), 1))
    if kinds == {"str"}:
        # Java compares 16-bit units, which differs only beyond U+FFFF.
        return sorted(items, key=_units_key, reverse=descending)
    return sorted(items, key=cmp_to_key(_compared), reverse=descending)


def _units_key(item: object) -> bytes:
    return str(item).encode("utf-16-be", "surrogatepass")


def _order_kind(item: object) -> str:
    """Give what kind of value this is in an order; '' when it has none."""
    if isinstance(item, bool):
        return "bool"
    if isinstance(item, int):
        return "int"
    if is_number(item) or isinstance(item, (str, Char)):
        return "str" if isinstance(item, str) else type(item).__name__
    moment = temporal(item)
    return type(moment).__name__ if moment is not None else ""


def _compared(left: object, right: object) -> int:
    one, other = _order_key(left), _order_key(right)
    return (one > other) - (one < other)


def _order_key(item: object) -> tuple[float | int, ...]:
    if isinstance(item, (int, float)):
        return (1, 0) if item != item else (0, item)
    moment = temporal(item)
    if isinstance(moment, LocalDateTime):
        return (moment.day.toordinal(), moment.nanos)
    if isinstance(moment, (Instant, Duration)):
        return (moment.nanos,)
    return (moment.toordinal(),) if moment is not None else ()


@filter_("reverse")
def reverse(value: object, _: Arguments) -> object:
    """The items in reverse order.

    >>> {{ [1, 2] | reverse }}
    [2,1]
    """
    if value is None:
        return None
    return list(reversed(only_list(value, "The 'reverse' filter can only be applied to lists.")))


@filter_("slice", "fromIndex toIndex")
def slice_(value: object, arguments: Arguments) -> object:
    """The part from `fromIndex` (0) up to `toIndex` (the end), of a list or a string.

    >>> {{ 'abcdef' | slice(2, 4) }} {{ [1, 2, 3] | slice(1) }}
    cd [2,3]
    """
    if value is None:
        return None
    start = arguments.integer("fromIndex") or 0
    if start < 0:
        raise Fault("fromIndex must be greater than 0")
    end = arguments.integer("toIndex")
    if isinstance(value, str) and not isinstance(value, Char):
        size = units(value)
    elif is_list(value) or isinstance(value, Array):
        size = len(value)
    else:
        raise Fault(
            "Slice filter can only be applied to String, List and array inputs. "
            f"Actual type was: {class_name(value)}"
        )
    if end is None:
        if start > size:
            raise Fault(f"fromIndex must be smaller than input size: {size}")
        end = size
    elif end > size:
        raise Fault(f"toIndex must be smaller than input size: {size}")
    elif start >= end:
        raise Fault("toIndex must be greater than fromIndex")
    if isinstance(value, str):
        return cut(value, start, end)
    part = value[start:end]
    return Array(part) if isinstance(value, Array) else list(part)


@filter_("merge", "items")
def merge(value: object, arguments: Arguments) -> object:
    """The items or entries of both. In a map those on the right win.

    >>> {{ [1] | merge([2, 3]) }} {{ {'a': 1} | merge({'a': 2}) }}
    [1,2,3] {"a":2}
    """
    items = arguments.get("items")
    if value is None and items is None:
        raise Fault("The two arguments to be merged are null")
    if value is None or items is None:
        return items if value is None else value
    if is_map(value):
        return _merged_map(dict(value), items)
    if isinstance(value, Array) and isinstance(items, Array):
        return [*value, *items]
    if not is_list(value):
        raise Fault("The object being filtered is not a Map/List/Array")
    if is_map(items):
        return [*value, *(Entry(key, item) for key, item in items.items())]
    if is_list(items):
        return [*value, *items]
    raise Fault(
        f"Currently, only Maps and Lists can be merged with a List. Arg2: {class_name(items)}"
    )


def _merged_map(result: dict[object, object], items: object) -> object:
    if is_map(items):
        result.update(items)
        return result
    if is_list(items):
        for item in items:
            if not is_key(item):
                raise Fault(f"{class_name(item)} can not be a key of a map")
            result[item] = item
        return result
    raise Fault(
        f"Currently, only Maps and Lists can be merged with a Map. Arg2: {class_name(items)}"
    )


@filter_("chunk", "size")
def chunk(value: object, arguments: Arguments) -> object:
    """A list of lists that have `size` items each, the last one perhaps fewer.

    >>> {{ [1, 2, 3] | chunk(2) }}
    [[1,2],[3]]
    """
    if value is None:
        return None
    size = arguments.integer("size")
    if size is None:
        raise Fault("'chunk' filter expects an argument 'size'.")
    message = f"'chunk' filter can only be applied to List. Actual type was: {class_name(value)}"
    items = list(only_list(value, message))
    if size <= 0:
        raise Fault("'chunk' filter expects a 'size' above 0.")
    return [items[start : start + size] for start in range(0, len(items), size)]


@filter_("flatten", "")
def flatten(value: object, _: Arguments) -> object:
    """The items, and those of lists among them; lists further inside stay.

    >>> {{ [[1, [2]], 3] | flatten }}
    [1,[2],3]
    """
    if value is None:
        return None
    items = only_list(value, "The 'flatten' filter can only be applied to lists.")
    result: list[object] = []
    for item in items:
        if is_list(item):
            result.extend(item)
        else:
            result.append(item)
    return result


@filter_("distinct")
def distinct(value: object, arguments: Arguments) -> object:
    """The items without those that came before; 1 and 1.0 are different.

    >>> {{ ['b', 'a', 'b'] | distinct }}
    ["b","a"]
    """

    if value is None:
        return "null"  # Kestra 1.2.14 prints it
    items = only_list(value, "'distinct' filter can only be applied to List.")
    result: list[object] = []
    seen = ItemSet((), arguments.context.budget)
    for item in items:
        if item not in seen:
            seen.add(item)
            result.append(item)
    return result


@filter_("keys")
def keys(value: object, _: Arguments) -> object:
    """The keys of a map, or the indexes of a list. Those of a map are no list: see `sort`.

    >>> {{ {'x': 1} | keys }} {{ ['p', 'q'] | keys }}
    ["x"] [0,1]
    """
    if value is None:
        return None
    if is_map(value):
        return View(value.keys())
    if is_list(value) or isinstance(value, Array):
        return list(range(len(value)))
    raise Fault(
        "'keys' filter can only be applied to List, Map, Array. "
        f"Actual type was: {class_name(value)}"
    )


@filter_("values")
def values(value: object, _: Arguments) -> object:
    """The values of a map. They are no list: `join`, `first`, `for` and printing work.

    >>> {{ {'x': 1} | values }}
    [1]
    """
    if value is None:
        return None
    if is_map(value):
        return View(value.values())
    raise Fault(f"'values' filter can only be applied to Map. Actual type was: {class_name(value)}")

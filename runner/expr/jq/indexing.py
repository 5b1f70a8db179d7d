"""Looking into JSON values, and changing what is at a path inside them."""

from __future__ import annotations

import math
from typing import cast

from runner.expr.jq.values import (
    JqError,
    Json,
    Path,
    equal,
    fields_of,
    is_array,
    is_number,
    is_object,
    items_of,
    sort_key,
    type_name,
)
from runner.expr.limits import MAX_DEPTH, Budget


def index(value: Json, key: Json) -> Json:
    """Give `value[key]`; a slice is a key with `start` and `end`."""
    if isinstance(key, str):
        if value is None:
            return None
        if is_object(value):
            return fields_of(value).get(key)
        raise JqError(f'Cannot index {type_name(value)} with string "{key}"')
    if is_number(key):
        if value is None:
            return None
        if is_array(value):
            place = position(key, len(items_of(value)))
            return None if place is None else items_of(value)[place]
        raise JqError(f"Cannot index {type_name(value)} with number")
    if is_object(key):
        return _slice(value, fields_of(key))
    if is_array(key) and is_array(value):
        return indices(items_of(value), key)
    if key is None and value is None:
        return None
    raise JqError(f"Cannot index {type_name(value)} with {type_name(key)}")


def position(key: Json, length: int) -> int | None:
    """Give the place in a list that a number means, from the end if negative; None outside."""
    number = cast("float", key)
    if number != number or abs(number) > 2**53:
        return None
    place = math.floor(number)
    place = place + length if place < 0 else place
    return place if 0 <= place < length else None


def _bounds(key: dict[str, Json], length: int) -> tuple[int, int]:
    start, end = key.get("start"), key.get("end")
    for bound in (start, end):
        if bound is not None and not is_number(bound):
            raise JqError("Start and end indices of an array slice must be numbers")
    first = math.floor(_clamped(start, length)) if start is not None else 0
    last = math.ceil(_clamped(end, length)) if end is not None else length
    first = max(first + length, 0) if first < 0 else min(first, length)
    last = max(last + length, 0) if last < 0 else min(last, length)
    return first, max(first, last)


def _clamped(bound: Json, length: int) -> float:
    number = cast("float", bound)
    return 0 if number != number else max(min(number, length + 1), -length - 1)


def _slice(value: Json, key: dict[str, Json]) -> Json:
    if value is None:
        return None
    if is_array(value) or isinstance(value, str):
        first, last = _bounds(key, len(value))
        return value[first:last]
    raise JqError(f"Cannot index {type_name(value)} with object")


def indices(items: list[Json], wanted: Json) -> list[Json]:
    """Give the places where `wanted` (for a list: its items in a row) is found."""
    if not is_array(wanted):
        return [place for place, item in enumerate(items) if equal(item, wanted)]
    row = items_of(wanted)
    if not row:
        return []
    return [
        start
        for start in range(len(items) - len(row) + 1)
        if all(equal(items[start + offset], item) for offset, item in enumerate(row))
    ]


def get_path(value: Json, path: Path) -> Json:
    """Give what is at `path`; null where the way ends early."""
    for key in path:
        if value is None:
            return None
        value = index(value, key)
    return value


def set_path(value: Json, path: Path, new: Json, budget: Budget, place: int = 0) -> Json:
    """Give a copy of `value` with `new` at `path`."""
    if place == len(path):
        return new
    if place > MAX_DEPTH:
        raise JqError("the path is too long")
    key = path[place]
    changed = set_path(index(value, key), path, new, budget, place + 1)
    if isinstance(key, str):
        result = dict(fields_of(value)) if is_object(value) else {}
        budget.spend_items(len(result) + 1)
        result[key] = changed
        return result
    items = list(items_of(value)) if is_array(value) else []
    budget.spend_items(len(items) + 1)
    if is_object(key):
        if not is_array(changed):
            raise JqError("A slice of an array can only be assigned another array")
        first, last = _bounds(fields_of(key), len(items))
        items[first:last] = items_of(changed)
        return items
    if not is_number(key):
        raise JqError(f"Invalid path component {type_name(key)}")
    where = math.floor(cast("float", key)) if abs(cast("float", key)) < 1e7 else None
    if where is not None and where < 0:
        where += len(items)
    if where is None or where < 0:
        raise JqError("Out of bounds negative array index")
    if where >= len(items):
        budget.spend_items(where)
        items.extend([None] * (where + 1 - len(items)))
    items[where] = changed
    return items


def delete_paths(value: Json, paths: list[Path], budget: Budget) -> Json:
    """Give a copy of `value` without what is at the paths."""
    ordered = sorted(paths, key=lambda path: sort_key(list(path)), reverse=True)
    for path in ordered:
        value = _delete(value, path, budget)
    return value


def _delete(value: Json, path: Path, budget: Budget) -> Json:
    if value is None:
        return None
    if not path:
        return None
    key, rest = path[0], path[1:]
    if rest:
        inner = index(value, key)
        return (
            value
            if inner is None
            else set_path(value, (key,), _delete(inner, rest, budget), budget)
        )
    if is_object(value) and isinstance(key, str):
        return {name: item for name, item in fields_of(value).items() if name != key}
    if is_array(value) and is_number(key):
        items = list(items_of(value))
        budget.spend_items(len(items))
        place = position(key, len(items))
        if place is not None:
            del items[place]
        return items
    if is_array(value) and is_object(key):
        items = list(items_of(value))
        first, last = _bounds(fields_of(key), len(items))
        del items[first:last]
        return items
    raise JqError(f"Cannot delete field at {type_name(key)} of {type_name(value)}")

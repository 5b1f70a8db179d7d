"""Functions of jq on arrays and objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from runner.expr.jq import formats, indexing, values
from runner.expr.jq.natives import (
    NATIVE,
    NOTHING,
    Arguments,
    children_of,
    native,
    needs,
    one,
    simple,
)
from runner.expr.jq.tree import Env, Node
from runner.expr.jq.values import (
    JqError,
    Json,
    fields_of,
    is_array,
    is_container,
    is_number,
    is_object,
    items_of,
    shown,
    sort_key,
    truth,
    type_name,
)


def _length(value: Json, _: Env) -> Json:
    if value is None:
        return 0
    if isinstance(value, bool):
        raise JqError(f"{shown(value)} has no length")
    if isinstance(value, (int, float)):
        return values.numeric(abs(float(value))) if isinstance(value, float) else abs(value)
    return len(cast("str", value))


def _keys(value: Json, name: str) -> list[Json]:
    needs(value, name, "object", "array")
    if is_object(value):
        return list(fields_of(value))
    return list(range(len(items_of(value))))


def _sorted_keys(value: Json, _: Env) -> Json:
    keys = _keys(value, "keys")
    return cast("Json", sorted(map(str, keys))) if is_object(value) else keys


def _to_entries(value: Json, _: Env) -> Json:
    return [
        {"key": key, "value": item}
        for key, item in zip(_keys(value, "to_entries"), _values(value), strict=True)
    ]


def _values(value: Json) -> list[Json]:
    return [item for _, item in children_of(value)]


def _from_entries(value: Json, _: Env) -> Json:
    result: dict[str, Json] = {}
    for entry in _values(value):
        if not is_object(entry):
            raise JqError(f'Cannot index {type_name(entry)} with string "key"')
        fields = fields_of(entry)
        key = next(
            (fields[name] for name in ("key", "Key", "name", "Name") if name in fields), None
        )
        if not isinstance(key, str):
            raise JqError(f"Cannot use {shown(key)} as object key")
        result[key] = fields.get("value", fields.get("Value"))
    return result


def _has(value: Json, key: Json, _: Env) -> Json:
    if value is None:
        return False
    if is_object(value):
        if not isinstance(key, str):
            raise JqError("argument 1 of has() must be string for object input")
        return key in fields_of(value)
    if is_array(value):
        if not isinstance(key, int) or isinstance(key, bool):
            raise JqError("argument 1 of has() must be int for array input")
        return 0 <= key < len(items_of(value))
    raise JqError(f"has() is not applicable to {type_name(value)}")


def _contains(value: Json, wanted: Json, env: Env) -> Json:
    if type_name(value) != type_name(wanted) or (isinstance(value, bool) and value is not wanted):
        raise JqError(f"{shown(value)} and {shown(wanted)} cannot have their containment checked")
    return _holds(value, wanted, env)


def _holds(value: Json, wanted: Json, env: Env) -> bool:
    env.step()
    if isinstance(value, str) and isinstance(wanted, str):
        return wanted in value
    if is_array(value) and is_array(wanted):
        return all(
            any(_holds(item, one, env) for item in items_of(value)) for one in items_of(wanted)
        )
    if is_object(value) and is_object(wanted):
        own = fields_of(value)
        return all(
            name in own and _holds(own[name], one, env) for name, one in fields_of(wanted).items()
        )
    return values.equal(value, wanted)


def _sorted_pairs(env: Env, value: Json, key: Node | None) -> list[tuple[Json, Json]]:
    """Give (key, item) pairs of a list in the order of their keys."""
    needs(value, "sort_by", "array")
    items = items_of(value)
    env.budget.spend_items(len(items) * max(len(items).bit_length(), 1))
    keys = [list(key.run(env, item)) if key else item for item in items]
    pairs = list(zip(cast("list[Json]", keys), items, strict=True))
    return sorted(pairs, key=lambda pair: sort_key(pair[0]))


def _by(names: str, body: Callable[[list[tuple[Json, Json]]], Json]) -> None:
    plain, keyed = names.split()

    def native(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        yield body(_sorted_pairs(env, value, arguments[0] if arguments else None))

    if plain != "-":
        NATIVE[f"{plain}/0"] = native
    NATIVE[f"{keyed}/1"] = native


def _grouped(pairs: list[tuple[Json, Json]]) -> list[list[Json]]:
    groups: list[list[Json]] = []
    previous: Json = NOTHING
    for key, item in pairs:
        if previous is not NOTHING and values.equal(key, previous):
            groups[-1].append(item)
        else:
            groups.append([item])
        previous = key
    return groups


def _largest(pairs: list[tuple[Json, Json]]) -> Json:
    return pairs[-1][1] if pairs else None


_by("sort sort_by", lambda pairs: [item for _, item in pairs])
_by("- group_by", lambda pairs: cast("Json", _grouped(pairs)))
_by("unique unique_by", lambda pairs: [group[0] for group in _grouped(pairs)])
_by("min min_by", lambda pairs: pairs[0][1] if pairs else None)
_by("max max_by", _largest)


@native("flatten/0", "flatten/1")
def _flatten(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for depth in arguments[0].run(env, value) if arguments else (1e9,):
        if not is_number(depth) or cast("float", depth) < 0:
            raise JqError("flatten depth must not be negative")
        yield _flat(env, _values(value), cast("float", depth), 0)


def _flat(env: Env, items: list[Json], depth: float, level: int) -> list[Json]:
    env.budget.spend_items(len(items))
    if level > 250:
        raise JqError("the value is nested too deeply")
    result: list[Json] = []
    for item in items:
        if is_array(item) and depth > 0:
            result.extend(_flat(env, items_of(item), depth - 1, level + 1))
        else:
            result.append(item)
    return result


def _add(value: Json, env: Env) -> Json:
    items = _values(value)
    if items and all(isinstance(item, str) for item in items):
        env.budget.spend(sum(len(cast("str", item)) for item in items))
        return "".join(cast("list[str]", items))
    if items and all(is_array(item) for item in items):
        return _flat(env, items, 1, 0)
    total: Json = None
    for item in items:
        total = values.add(total, item, env.budget)
    return total


def _reverse(value: Json, _: Env) -> Json:
    if value is None:
        return []
    if isinstance(value, str):
        return value[::-1]
    needs(value, "reverse", "array")
    return items_of(value)[::-1]


def _join(value: Json, separator: Json, env: Env) -> Json:
    parts: list[str] = []
    for item in _values(value):
        if is_container(item):
            raise JqError(f"{shown(''.join(parts))} and {shown(item)} cannot be added")
        parts.append("" if item is None else formats.text(item))
    if len(parts) > 1 and separator is not None and not isinstance(separator, str):
        raise JqError(f"{shown(parts[0])} and {shown(separator)} cannot be added")
    text = separator if isinstance(separator, str) else ""
    env.budget.spend(len(text) * len(parts) + sum(map(len, parts)))
    return text.join(parts)


def _transpose(value: Json, env: Env) -> Json:
    rows = [items_of(row) for row in _values(value) if is_array(row)]
    if len(rows) < len(list(_values(value))):
        raise JqError("Only a list of lists can be transposed")
    width = max((len(row) for row in rows), default=0)
    env.budget.spend_items(width * len(rows))
    return [[row[column] if column < len(row) else None for row in rows] for column in range(width)]


@native("combinations/0", "combinations/1")
def _combinations(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    from itertools import product

    for count in arguments[0].run(env, value) if arguments else (None,):
        if count is None:
            pools = [_values(pool) for pool in _values(value)]
        else:
            times = int(cast("float", count)) if is_number(count) else 0
            pools = [_values(value)] * min(max(times, 0), 100)
        for row in product(*pools):
            env.budget.spend_items(len(row) + 1)
            yield list(row)


@native("walk/1")
def _walk(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    env.step()
    if is_array(value):
        value = [result for item in items_of(value) for result in _walk(env, item, arguments)]
    elif is_object(value):
        walked: dict[str, Json] = {}
        for name in sorted(fields_of(value)):
            for result in _walk(env, fields_of(value)[name], arguments):
                walked[name] = result
        value = walked
    yield from arguments[0].run(env, value)


def _indices(value: Json, wanted: Json, _: Env) -> Json:
    if value is None:
        return None
    if isinstance(value, str) and isinstance(wanted, str):
        found: list[Json] = []
        place = value.find(wanted) if wanted else -1
        while place >= 0:
            found.append(place)
            place = value.find(wanted, place + 1)
        return found
    if is_array(value):
        return indexing.indices(items_of(value), wanted)
    raise JqError(f"indices() is not applicable to {type_name(value)}")


def _edge(place: int) -> Callable[[Json, Json, Env], Json]:
    def body(value: Json, wanted: Json, env: Env) -> Json:
        found = _indices(value, wanted, env)
        return items_of(found)[place] if found else None

    return body


_SIMPLE: dict[str, Callable[[Json, Env], Json]] = {
    "length": _length,
    "keys": _sorted_keys,
    "keys_unsorted": lambda value, _: _keys(value, "keys_unsorted"),
    "to_entries": _to_entries,
    "from_entries": _from_entries,
    "add": _add,
    "reverse": _reverse,
    "transpose": _transpose,
    "type": lambda value, _: type_name(value),
    "not": lambda value, _: not truth(value),
}
for _name, _body in _SIMPLE.items():
    simple(_name, _body)
_PAIRS: dict[str, Callable[[Json, Json, Env], Json]] = {
    "has": _has,
    "contains": _contains,
    "join": _join,
    "indices": _indices,
    "index": _edge(0),
    "rindex": _edge(-1),
}
for _name, _pair in _PAIRS.items():
    one(_name, _pair)

"""The functions that jq programs have: those that Kestra's jq has, and no others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from runner.expr import javaregex
from runner.expr.faults import LimitFault
from runner.expr.jq import formats, values
from runner.expr.jq.tree import Env, Located, Native, NativePaths, Node, RecurseAll
from runner.expr.jq.values import (
    JqError,
    Json,
    Path,
    fields_of,
    is_number,
    items_of,
    shown,
    sort_key,
    truth,
    type_name,
)
from runner.expr.jsontext import read_json
from runner.expr.limits import MAX_RANGE

Arguments = Sequence[Node]
NATIVE: dict[str, Native] = {}
NATIVE_PATHS: dict[str, NativePaths] = {}


def _native(*names: str) -> Callable[[Native], Native]:
    def register(body: Native) -> Native:
        for name in names:
            NATIVE[name] = body
        return body

    return register


def _simple(name: str, body: Callable[[Json, Env], Json]) -> None:
    """Register a function without arguments that gives one result."""

    def native(env: Env, value: Json, _: Arguments) -> Iterator[Json]:
        yield body(value, env)

    NATIVE[f"{name}/0"] = native


def _one(name: str, body: Callable[[Json, Json, Env], Json]) -> None:
    """Register a function that gives one result for each value of its argument."""

    def native(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        for argument in arguments[0].run(env, value):
            yield body(value, argument, env)

    NATIVE[f"{name}/1"] = native


# --- streams


@_native("empty/0")
def _empty(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    return iter(())


@_native("error/0")
def _error(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    if value is not None:
        raise JqError(value)
    return iter(())


@_native("error/1")
def _error_with(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for message in arguments[0].run(env, value):
        if message is not None:
            raise JqError(message)
    return iter(())


@_native("range/1", "range/2", "range/3")
def _range(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for start in arguments[0].run(env, value) if len(arguments) > 1 else (0,):
        for end in arguments[min(len(arguments) - 1, 1)].run(env, value):
            for step in arguments[2].run(env, value) if len(arguments) > 2 else (1,):
                if not (is_number(start) and is_number(end) and is_number(step)):
                    raise JqError("Range bounds must be numeric")
                yield from _numbers(
                    env, cast("float", start), cast("float", end), cast("float", step)
                )


def _numbers(env: Env, start: float, end: float, step: float) -> Iterator[Json]:
    if not step or step != step:
        return
    if abs(end - start) / abs(step) > MAX_RANGE:
        raise LimitFault(f"The range has more than {MAX_RANGE} items")
    current = start
    while current < end if step > 0 else current > end:
        env.step()
        yield values.numeric(current) if isinstance(current, float) else current
        current += step


@_native("until/2")
def _until(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    condition, update = arguments
    pending: list[Iterator[Json]] = [iter([value])]
    while pending:
        env.step()
        current = next(pending[-1], _NOTHING)
        if current is _NOTHING:
            pending.pop()
            continue
        for result in condition.run(env, current):
            if truth(result):
                yield current
            else:
                pending.append(update.run(env, current))
            _bounded(pending)


_NOTHING = object()


def _bounded(pending: list[Iterator[Json]]) -> None:
    if len(pending) > 100_000:
        raise JqError("the program recurses too deeply")


@_native("while/2")
def _while(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    condition, update = arguments
    pending: list[Iterator[Json]] = [iter([value])]
    while pending:
        env.step()
        current = next(pending[-1], _NOTHING)
        if current is _NOTHING:
            pending.pop()
            continue
        for result in condition.run(env, current):
            if truth(result):
                yield current
                pending.append(update.run(env, current))
                _bounded(pending)


@_native("recurse/0", "recurse/1", "recurse/2", "recurse_down/0")
def _recurse(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for _, found in _recurse_paths(env, (), value, arguments):
        yield found


def _recurse_paths(env: Env, path: Path, value: Json, arguments: Arguments) -> Iterator[Located]:
    if not arguments:
        for where, found in RecurseAll().paths(env, path, value):
            if found is not None or where == path:
                yield where, found
        return
    yield path, value
    pending: list[Iterator[Located]] = [_steps(env, path, value, arguments[0])]
    while pending:
        env.step()
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            continue
        where, found = entry
        if len(arguments) > 1:
            if not any(truth(result) for result in arguments[1].run(env, found)):
                continue
        elif found is None:
            continue
        yield entry
        pending.append(_steps(env, where, found, arguments[0]))
        if len(pending) > 100_000:
            raise JqError("the program recurses too deeply")


def _steps(env: Env, path: Path, value: Json, step: Node) -> Iterator[Located]:
    """Give what `step` makes of a value, with paths where it has them."""
    try:
        yield from step.paths(env, path, value)
        return
    except JqError as error:
        if not str(error.value).startswith("Invalid path expression"):
            raise
    for result in step.run(env, value):
        yield path, result


NATIVE_PATHS.update(
    {f"recurse/{count}": _recurse_paths for count in range(3)}, **{"recurse_down/0": _recurse_paths}
)


@_native("select/1")
def _select(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for result in arguments[0].run(env, value):
        if truth(result):
            yield value


def _select_paths(env: Env, path: Path, value: Json, arguments: Arguments) -> Iterator[Located]:
    for result in arguments[0].run(env, value):
        if truth(result):
            yield path, value


NATIVE_PATHS["select/1"] = _select_paths
NATIVE_PATHS["empty/0"] = lambda env, path, value, arguments: iter(())


@_native("first/1")
def _first(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for result in arguments[0].run(env, value):
        yield result
        return


def _first_path(env: Env, path: Path, value: Json, arguments: Arguments) -> Iterator[Located]:
    for entry in arguments[0].paths(env, path, value):
        yield entry
        return


NATIVE_PATHS["first/1"] = _first_path


@_native("last/1")
def _last(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    result: Json = None
    for result in arguments[0].run(env, value):
        pass
    yield result


@_native("limit/2")
def _limit(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for count in arguments[0].run(env, value):
        left = cast("float", count) if is_number(count) else 0
        if left < 0:
            yield from arguments[1].run(env, value)
        elif left >= 1:
            for result in arguments[1].run(env, value):
                yield result
                left -= 1
                if left < 1:
                    break


@_native("nth/2")
def _nth(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for count in arguments[0].run(env, value):
        if not is_number(count) or cast("float", count) < 0:
            raise JqError("nth doesn't support negative indices")
        result: Json = None
        for place, result in enumerate(arguments[1].run(env, value)):
            if place >= cast("float", count):
                break
        yield result


def _quantifier(name: str, wanted: bool) -> None:
    def over(results: Iterator[Json]) -> Iterator[Json]:
        yield any(truth(result) is wanted for result in results) is wanted

    def plain(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        found = (item for _, item in _children(value))
        if len(arguments) == 1:
            return over(result for item in found for result in arguments[0].run(env, item))
        return over(found)

    def of_stream(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        return over(
            result
            for item in arguments[0].run(env, value)
            for result in arguments[1].run(env, item)
        )

    NATIVE.update({f"{name}/0": plain, f"{name}/1": plain, f"{name}/2": of_stream})


def _children(value: Json) -> Iterator[Located]:
    from runner.expr.jq.tree import children

    return children((), value)


_quantifier("any", True)
_quantifier("all", False)


# --- paths


@_native("path/1")
def _path(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for path, _ in arguments[0].paths(env, (), value):
        yield list(path)


@_native("paths/0", "paths/1", "leaf_paths/0")
def _paths(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for path, found in RecurseAll().paths(env, (), value):
        if not path:
            continue
        if arguments:
            wanted = any(truth(result) for result in arguments[0].run(env, found))
        else:
            wanted = found is not None
        if wanted:
            yield list(path)


def _leaf_paths(env: Env, value: Json, _: Arguments) -> Iterator[Json]:
    for path, found in RecurseAll().paths(env, (), value):
        if path and not isinstance(found, (list, dict)):
            yield list(path)


NATIVE["leaf_paths/0"] = _leaf_paths


def _as_path(value: Json) -> Path:
    if not isinstance(value, list):
        raise JqError("Path must be specified as an array")
    return tuple(items_of(value))


def _getpath(value: Json, path: Json, _: Env) -> Json:
    try:
        return values.get_path(value, _as_path(path))
    except JqError:
        if value is None:
            return None
        raise


_one("getpath", _getpath)


def _getpath_paths(env: Env, path: Path, value: Json, arguments: Arguments) -> Iterator[Located]:
    for more in arguments[0].run(env, value):
        yield (*path, *_as_path(more)), _getpath(value, more, env)


NATIVE_PATHS["getpath/1"] = _getpath_paths


@_native("setpath/2")
def _setpath(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for path in arguments[0].run(env, value):
        for new in arguments[1].run(env, value):
            yield values.set_path(value, _as_path(path), new, env.budget)


def _delpaths(value: Json, paths: Json, env: Env) -> Json:
    if not isinstance(paths, list):
        raise JqError("Paths must be specified as an array")
    return values.delete_paths(value, [_as_path(path) for path in items_of(paths)], env.budget)


_one("delpaths", _delpaths)


# --- objects and arrays


def _needs(value: Json, name: str, *kinds: str) -> None:
    if type_name(value) not in kinds:
        raise JqError(f"{name}() is not applicable to {shown(value)}")


def _length(value: Json, _: Env) -> Json:
    if value is None:
        return 0
    if isinstance(value, bool):
        raise JqError(f"{shown(value)} has no length")
    if isinstance(value, (int, float)):
        return values.numeric(abs(float(value))) if isinstance(value, float) else abs(value)
    return len(cast("str", value))


def _keys(value: Json, name: str) -> list[Json]:
    _needs(value, name, "object", "array")
    if isinstance(value, dict):
        return list(fields_of(value))
    return list(range(len(items_of(value))))


def _to_entries(value: Json, _: Env) -> Json:
    return [
        {"key": key, "value": item}
        for key, item in zip(_keys(value, "to_entries"), _values(value), strict=True)
    ]


def _values(value: Json) -> list[Json]:
    return [item for _, item in _children(value)]


def _from_entries(value: Json, _: Env) -> Json:
    result: dict[str, Json] = {}
    for entry in _values(value):
        if not isinstance(entry, dict):
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
    if isinstance(value, dict):
        if not isinstance(key, str):
            raise JqError("argument 1 of has() must be string for object input")
        return key in fields_of(value)
    if isinstance(value, list):
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
    if isinstance(value, list) and isinstance(wanted, list):
        return all(
            any(_holds(item, one, env) for item in items_of(value)) for one in items_of(wanted)
        )
    if isinstance(value, dict) and isinstance(wanted, dict):
        own = fields_of(value)
        return all(
            name in own and _holds(own[name], one, env) for name, one in fields_of(wanted).items()
        )
    return values.equal(value, wanted)


def _sorted_pairs(env: Env, value: Json, key: Node | None) -> list[tuple[Json, Json]]:
    """Give (key, item) pairs of a list in the order of their keys."""
    _needs(value, "sort_by", "array")
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
    previous: Json = _NOTHING
    for key, item in pairs:
        if previous is not _NOTHING and values.equal(key, previous):
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


@_native("flatten/0", "flatten/1")
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
        if isinstance(item, list) and depth > 0:
            result.extend(_flat(env, items_of(item), depth - 1, level + 1))
        else:
            result.append(item)
    return result


def _add(value: Json, env: Env) -> Json:
    items = _values(value)
    if items and all(isinstance(item, str) for item in items):
        env.budget.spend(sum(len(cast("str", item)) for item in items))
        return "".join(cast("list[str]", items))
    if items and all(isinstance(item, list) for item in items):
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
    _needs(value, "reverse", "array")
    return items_of(value)[::-1]


def _join(value: Json, separator: Json, env: Env) -> Json:
    parts: list[str] = []
    for item in _values(value):
        if isinstance(item, (list, dict)):
            raise JqError(
                f"{shown(''.join(parts))} and {shown(cast('Json', item))} cannot be added"
            )
        parts.append("" if item is None else formats.text(item))
    if len(parts) > 1 and separator is not None and not isinstance(separator, str):
        raise JqError(f"{shown(parts[0])} and {shown(separator)} cannot be added")
    text = separator if isinstance(separator, str) else ""
    env.budget.spend(len(text) * len(parts) + sum(map(len, parts)))
    return text.join(parts)


def _transpose(value: Json, env: Env) -> Json:
    rows = [items_of(row) if isinstance(row, list) else [] for row in _values(value)]
    width = max((len(row) for row in rows), default=0)
    env.budget.spend_items(width * len(rows))
    return [[row[column] if column < len(row) else None for row in rows] for column in range(width)]


@_native("combinations/0", "combinations/1")
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


@_native("walk/1")
def _walk(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    env.step()
    if isinstance(value, list):
        value = [result for item in items_of(value) for result in _walk(env, item, arguments)]
    elif isinstance(value, dict):
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
    if isinstance(value, list):
        return values.indices(items_of(value), wanted)
    raise JqError(f"indices() is not applicable to {type_name(value)}")


def _edge(place: int) -> Callable[[Json, Json, Env], Json]:
    def body(value: Json, wanted: Json, env: Env) -> Json:
        found = _indices(value, wanted, env)
        return items_of(found)[place] if found else None

    return body


for _name, _body in {
    "length": _length,
    "keys": lambda value, _: (
        sorted(_keys(value, "keys"), key=lambda key: key if isinstance(key, str) else 0)
        if isinstance(value, dict)
        else _keys(value, "keys")
    ),
    "keys_unsorted": lambda value, _: _keys(value, "keys_unsorted"),
    "to_entries": _to_entries,
    "from_entries": _from_entries,
    "add": _add,
    "reverse": _reverse,
    "transpose": _transpose,
    "type": lambda value, _: type_name(value),
    "not": lambda value, _: not truth(value),
}.items():
    _simple(_name, cast("Callable[[Json, Env], Json]", _body))
for _name, _pair in {
    "has": _has,
    "contains": _contains,
    "join": _join,
    "indices": _indices,
    "index": _edge(0),
    "rindex": _edge(-1),
}.items():
    _one(_name, _pair)


# --- numbers and strings


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

    _simple(name, apply)


def _rounded(value: float) -> float:
    if not math.isfinite(value):
        return 0.0 if value != value else math.copysign(2.0**63, value)
    return math.copysign(math.floor(abs(value) + 0.5), value)


def _log(value: float) -> float:
    return -math.inf if value == 0 else math.log(value)


for _name, _function in {
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
    "fabs": abs,
}.items():
    _math(_name, cast("Callable[[float], float]", _function))


def _two_numbers(name: str, body: Callable[[float, float], float]) -> None:
    def native(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        for one in arguments[0].run(env, value):
            for other in arguments[1].run(env, value):
                if not (is_number(one) and is_number(other)):
                    raise JqError(f"{name}() needs numbers")
                try:
                    yield float(body(float(cast("float", one)), float(cast("float", other))))
                except (OverflowError, ZeroDivisionError):
                    yield math.inf
                except (ValueError, TypeError):
                    yield math.nan

    NATIVE[f"{name}/2"] = native


_two_numbers("pow", lambda one, other: cast("float", math.pow(one, other)))
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
    _needs(value, "implode", "array")
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

    _one(name, body)


def _trimmed(change: Callable[[str, str], str]) -> Callable[[Json, Json, Env], Json]:
    def body(value: Json, part: Json, _: Env) -> Json:
        return change(value, part) if isinstance(value, str) and isinstance(part, str) else value

    return body


def _split(value: Json, separator: Json, _: Env) -> Json:
    if not isinstance(value, str) or not isinstance(separator, str):
        raise JqError("split input and separator must be strings")
    return values.split(value, separator)


_affix("startswith", str.startswith)
_affix("endswith", str.endswith)
_one("ltrimstr", _trimmed(str.removeprefix))
_one("rtrimstr", _trimmed(str.removesuffix))
_one("split", _split)
for _name, _single in {
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
}.items():
    _simple(_name, cast("Callable[[Json, Env], Json]", _single))
for _name, _format in formats.FORMATS.items():
    _simple(_name, lambda value, _, form=_format: form(value))


@_native("builtins/0")
def _builtins(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    yield sorted(NATIVE)


# --- regular expressions


def _pattern(regex: Json, flags: Json) -> tuple[str, str]:
    """Give the pattern in Java's syntax, and the flags."""
    if not isinstance(regex, str):
        raise JqError(f"{shown(regex)} cannot be matched, as it is not a string")
    modes = flags if isinstance(flags, str) else ""
    if flags is not None and not isinstance(flags, str):
        raise JqError(f"{shown(flags)} is not a string")
    if not set(modes) <= set("gimnpslx"):
        raise JqError(f"{modes} is not a valid modifier string")
    inline = "".join(mode for mode in "ix" if mode in modes)
    inline += "s" if "s" in modes or "p" in modes else ""
    inline += "m"
    return f"(?{inline}){regex}", modes


def _found(env: Env, value: Json, regex: Json, flags: Json, most: int) -> list[javaregex.Match]:
    pattern, modes = _pattern(regex, flags)
    if not isinstance(value, str):
        raise JqError(f"{shown(value)} cannot be matched, as it is not a string")
    matches = javaregex.matches(pattern, value, 0 if "g" in modes else most)
    env.budget.spend_items(len(matches))
    if "n" in modes:
        matches = [match for match in matches if match[0] != match[2]]
    return matches


def _match_object(match: javaregex.Match, names: dict[int, str]) -> Json:
    start, groups, end, spans = match
    captures: list[Json] = []
    for number, text in enumerate(groups[1:] if start != end else (), 1):
        captures.append(
            {
                "offset": spans[number],
                "length": 0 if text is None else len(text),
                "string": text,
                "name": names.get(number),
            }
        )
    return {"offset": start, "length": end - start, "string": groups[0], "captures": captures}


def _group_names(regex: Json) -> dict[int, str]:
    named = javaregex.group_names(str(regex))
    return {number: name for name, number in named.items()}


def _regex_arguments(env: Env, value: Json, arguments: Arguments) -> Iterator[tuple[Json, Json]]:
    for regex in arguments[0].run(env, value):
        if len(arguments) > 1:
            for flags in arguments[1].run(env, value):
                yield regex, flags
        elif isinstance(regex, list) and regex:
            parts = items_of(regex)
            yield parts[0], parts[1] if len(parts) > 1 else None
        else:
            yield regex, None


@_native("test/1", "test/2")
def _test(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        yield bool(_found(env, value, regex, flags, 1))


@_native("match/1", "match/2")
def _match(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        for match in _found(env, value, regex, flags, 1):
            yield _match_object(match, _group_names(regex))


def _captured(match: javaregex.Match, names: dict[int, str]) -> dict[str, Json]:
    return {name: match[1][number] for number, name in sorted(names.items())}


@_native("capture/1", "capture/2")
def _capture(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        for match in _found(env, value, regex, flags, 1):
            yield _captured(match, _group_names(regex))


@_native("scan/1", "scan/2")
def _scan(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        for match in _found(env, value, regex, str(flags or "") + "g", 0):
            groups = match[1][1:]
            yield list(groups) if groups and match[0] != match[2] else match[1][0]


def _parts(env: Env, value: Json, regex: Json, flags: Json) -> list[Json]:
    found = _found(env, value, regex, str(flags or "") + "g", 0)
    parts: list[Json] = []
    position = 0
    for start, _, end, _ in found:
        parts.append(cast("str", value)[position:start])
        position = end
    parts.append(cast("str", value)[position:])
    return parts


@_native("splits/1", "splits/2")
def _splits(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        yield from _parts(env, value, regex, flags)


@_native("split/2")
def _split_by(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        yield _parts(env, value, regex, flags)


def _substitute(env: Env, value: Json, arguments: Arguments, everywhere: bool) -> Iterator[Json]:
    regexes = (arguments[0], *arguments[2:])
    for regex, flags in _regex_arguments(env, value, regexes):
        modes = str(flags or "") + ("g" if everywhere else "")
        names = _group_names(regex)
        results: list[str] = [""]
        position = 0
        for match in _found(env, value, regex, modes, 1):
            before = cast("str", value)[position : match[0]]
            position = match[2]
            texts = list(arguments[1].run(env, _captured(match, names)))
            if not all(isinstance(text, str) for text in texts):
                raise JqError("the replacement is not a string")
            results = [start + before + cast("str", text) for text in texts for start in results]
            env.budget.spend(sum(map(len, results)))
        for result in results:
            yield result + cast("str", value)[position:]


@_native("sub/2", "sub/3")
def _sub(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    return _substitute(env, value, arguments, everywhere=False)


@_native("gsub/2", "gsub/3")
def _gsub(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    return _substitute(env, value, arguments, everywhere=True)

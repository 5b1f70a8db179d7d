"""Functions of jq that give streams, stop them, or go on and on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from runner.expr.faults import LimitFault
from runner.expr.jq import values
from runner.expr.jq.natives import (
    NATIVE,
    NATIVE_PATHS,
    NOTHING,
    Arguments,
    children_of,
    native,
)
from runner.expr.jq.tree import Env, Located, Node, RecurseAll
from runner.expr.jq.values import (
    JqError,
    Json,
    Path,
    is_number,
    truth,
)
from runner.expr.limits import MAX_RANGE


@native("empty/0")
def _empty(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    return iter(())


@native("error/0")
def _error(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    if value is not None:
        raise JqError(value)
    return iter(())


@native("error/1")
def _error_with(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for message in arguments[0].run(env, value):
        if message is not None:
            raise JqError(message)
    return iter(())


@native("range/1", "range/2", "range/3")
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


@native("until/2")
def _until(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    condition, update = arguments
    pending: list[Iterator[Json]] = [iter([value])]
    while pending:
        env.step()
        current = next(pending[-1], NOTHING)
        if current is NOTHING:
            pending.pop()
            continue
        for result in condition.run(env, current):
            if truth(result):
                yield current
            else:
                pending.append(update.run(env, current))
            _bounded(pending)


def _bounded(pending: list[Iterator[Json]]) -> None:
    if len(pending) > 100_000:
        raise JqError("the program recurses too deeply")


@native("while/2")
def _while(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    condition, update = arguments
    pending: list[Iterator[Json]] = [iter([value])]
    while pending:
        env.step()
        current = next(pending[-1], NOTHING)
        if current is NOTHING:
            pending.pop()
            continue
        for result in condition.run(env, current):
            if truth(result):
                yield current
                pending.append(update.run(env, current))
                _bounded(pending)


@native("recurse/0", "recurse/1", "recurse/2", "recurse_down/0")
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


@native("select/1")
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


@native("first/1")
def _first(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for result in arguments[0].run(env, value):
        yield result
        return


def _first_path(env: Env, path: Path, value: Json, arguments: Arguments) -> Iterator[Located]:
    for entry in arguments[0].paths(env, path, value):
        yield entry
        return


NATIVE_PATHS["first/1"] = _first_path


@native("last/1")
def _last(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    last: Json = None
    for result in arguments[0].run(env, value):
        last = result
    yield last


@native("limit/2")
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


@native("nth/2")
def _nth(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for count in arguments[0].run(env, value):
        if not is_number(count) or cast("float", count) < 0:
            raise JqError("nth doesn't support negative indices")
        last: Json = None
        for place, result in enumerate(arguments[1].run(env, value)):
            last = result
            if place >= cast("float", count):
                break
        yield last


def _quantifier(name: str, wanted: bool) -> None:
    def over(results: Iterator[Json]) -> Iterator[Json]:
        yield any(truth(result) is wanted for result in results) is wanted

    def plain(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        found = (item for _, item in children_of(value))
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


_quantifier("any", True)
_quantifier("all", False)

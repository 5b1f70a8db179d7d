"""How functions are built into jq: the tables of them, and the helpers that fill the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from runner.expr.jq.tree import Env, Located, Native, NativePaths, Node, children
from runner.expr.jq.values import JqError, Json, shown, type_name

Arguments = Sequence[Node]
NATIVE: Final[dict[str, Native]] = {}
NATIVE_PATHS: Final[dict[str, NativePaths]] = {}
NOTHING: Final = object()


def native(*names: str) -> Callable[[Native], Native]:
    """Register the decorated function under names such as `range/2`."""

    def register(body: Native) -> Native:
        for name in names:
            NATIVE[name] = body
        return body

    return register


def simple(name: str, body: Callable[[Json, Env], Json]) -> None:
    """Register a function without arguments that gives one result."""

    def run(env: Env, value: Json, _: Arguments) -> Iterator[Json]:
        yield body(value, env)

    NATIVE[f"{name}/0"] = run


def one(name: str, body: Callable[[Json, Json, Env], Json]) -> None:
    """Register a function that gives one result for each value of its argument."""

    def run(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
        for argument in arguments[0].run(env, value):
            yield body(value, argument, env)

    NATIVE[f"{name}/1"] = run


def needs(value: Json, name: str, *kinds: str) -> None:
    """Raise unless `value` is of one of these types."""
    if type_name(value) not in kinds:
        raise JqError(f"{name}() is not applicable to {shown(value)}")


def children_of(value: Json) -> Iterator[Located]:
    """Give the places directly inside `value`."""
    return children((), value)

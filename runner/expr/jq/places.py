"""Functions of jq about paths."""

from __future__ import annotations

from collections.abc import Iterator

from runner.expr.jq import indexing
from runner.expr.jq.natives import (
    NATIVE,
    NATIVE_PATHS,
    Arguments,
    native,
    one,
)
from runner.expr.jq.tree import Env, Located, RecurseAll
from runner.expr.jq.values import (
    JqError,
    Json,
    Path,
    is_array,
    is_container,
    items_of,
    truth,
)


@native("path/1")
def _path(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for path, _ in arguments[0].paths(env, (), value):
        yield list(path)


@native("paths/0", "paths/1", "leaf_paths/0")
def _paths(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for path, found in RecurseAll().paths(env, (), value):
        if not path:
            continue
        # `paths(f)` gives a path once for each result of `f` that is true.
        results = arguments[0].run(env, found) if arguments else (found is not None,)
        for result in results:
            if truth(result):
                yield list(path)


def _leaf_paths(env: Env, value: Json, _: Arguments) -> Iterator[Json]:
    for path, found in RecurseAll().paths(env, (), value):
        if path and found is not None and not is_container(found):
            yield list(path)


NATIVE["leaf_paths/0"] = _leaf_paths


def _as_path(value: Json) -> Path:
    if not is_array(value):
        raise JqError("Path must be specified as an array")
    return tuple(items_of(value))


def _getpath(value: Json, path: Json, _: Env) -> Json:
    try:
        return indexing.get_path(value, _as_path(path))
    except JqError:
        if value is None:
            return None
        raise


one("getpath", _getpath)


def _getpath_paths(env: Env, path: Path, value: Json, arguments: Arguments) -> Iterator[Located]:
    for more in arguments[0].run(env, value):
        yield (*path, *_as_path(more)), _getpath(value, more, env)


NATIVE_PATHS["getpath/1"] = _getpath_paths


@native("setpath/2")
def _setpath(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for path in arguments[0].run(env, value):
        for new in arguments[1].run(env, value):
            yield indexing.set_path(value, _as_path(path), new, env.budget)


def _delpaths(value: Json, paths: Json, env: Env) -> Json:
    if not is_array(paths):
        raise JqError("Paths must be specified as an array")
    return indexing.delete_paths(value, [_as_path(path) for path in items_of(paths)], env.budget)


one("delpaths", _delpaths)

"""Two maps in one, as Kestra merges variables, states and plugin defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Maps are merged, lists joined without what the first has already; else `over` wins.

    A null takes nothing away (MapUtils.java, deepMerge).

    >>> merged({"a": {"x": 1}, "l": [1, 2], "n": 1}, {"a": {"y": 2}, "l": [2, 3], "n": None})
    {'a': {'x': 1, 'y': 2}, 'l': [1, 2, 3], 'n': 1}
    """
    made = dict(under)
    for key, value in over.items():
        old = made.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            made[key] = merged(cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", value))
        elif isinstance(old, list) and isinstance(value, list):
            first = cast("list[Any]", old)
            made[key] = [*first, *(each for each in cast("list[Any]", value) if each not in first)]
        elif value is not None or old is None:
            made[key] = value
    return made

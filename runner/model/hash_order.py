"""The order in which Kestra prints and walks maps that it builds itself: a Java HashMap's."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


EMPTY_TABLE = 16
"""What Java's map has room for when it is made without anything in it."""


def hash_ordered(values: Mapping[_K, _V], size: int = 1) -> dict[_K, _V]:
    """`values` as a HashMap has them that was filled with all of them at once.

    Filled in several steps, Java's table may be of another size and its order another one. `size`
    is what the table has at least: 16 if it was empty when the first value came.
    """
    while size < len(values) / 0.75:
        size *= 2
    # Within one bucket, and so for equal places, the older entry comes first; sorting is stable.
    return dict(sorted(values.items(), key=lambda item: _spread(item[0]) & (size - 1)))


class HashMap(dict[str, Any]):
    """A map that grows key by key and is walked in the order of a HashMap.

    It is put in order when it is walked: a loop over thousands of values fills it and asks it for
    single keys, and hardly ever walks it. `size` is what Java's table has at least.
    """

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self._size = size

    def _ordered(self) -> dict[str, Any]:
        plain = {key: self[key] for key in super().__iter__()}
        return plain if len(plain) < 2 else hash_ordered(plain, self._size)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ordered())

    def keys(self) -> KeysView[str]:  # pyright: ignore[reportIncompatibleMethodOverride] # typeshed's view is of a dict itself
        return self._ordered().keys()

    def values(self) -> ValuesView[Any]:  # pyright: ignore[reportIncompatibleMethodOverride] # as above
        return self._ordered().values()

    def items(self) -> ItemsView[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride] # as above
        return self._ordered().items()


def _spread(key: object) -> int:
    """Java's hash of a key, as HashMap uses it; of one that is no text, number or boolean 0."""
    if isinstance(key, bool):
        return 1231 if key else 1237
    if isinstance(key, int):
        found = (key ^ (key >> 32)) & 0xFFFFFFFF
        return found ^ (found >> 16)
    return _spread_text(key) if isinstance(key, str) else 0


def _spread_text(text: str) -> int:
    """Of a text: the sum over its UTF-16 units."""
    units = text.encode("utf-16-le", "surrogatepass")
    found = 0
    for at in range(0, len(units), 2):
        found = (found * 31 + units[at] + (units[at + 1] << 8)) & 0xFFFFFFFF
    return found ^ (found >> 16)

"""The order in which a Java HashMap gives its keys.

A script's outputs are such a map on Kestra; a template that prints the whole map shows its order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

_FIRST_SIZE = 16


def hash_ordered(entries: Mapping[str, T]) -> dict[str, T]:
    """`entries` in the order of a HashMap into which they were put one after the other."""
    size = _FIRST_SIZE
    while len(entries) > size * 3 // 4:
        size *= 2
    # Within a bucket the older entry stays first, also when the table grows.
    return {key: entries[key] for key in sorted(entries, key=lambda key: _spread(key) % size)}


def _spread(text: str) -> int:
    """`String.hashCode` over UTF-16 units, its high half mixed into the low one."""
    code = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for high, low in zip(units[::2], units[1::2], strict=True):
        code = (code * 31 + (high << 8 | low)) & 0xFFFFFFFF
    return code ^ (code >> 16)

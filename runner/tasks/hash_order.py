"""The order in which Kestra prints and walks the outputs that a script sent: a Java HashMap's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def hash_ordered(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as a HashMap has them that was filled with all of them at once.

    Filled in several steps, Java's table may be of another size and its order another one.
    """
    size = 1
    while size < len(values) / 0.75:
        size *= 2
    # Within one bucket, and so for equal places, the older entry comes first; sorting is stable.
    return dict(sorted(values.items(), key=lambda item: _spread(item[0]) & (size - 1)))


def _spread(text: str) -> int:
    """Java's hash of a text, as HashMap uses it: the sum over its UTF-16 units."""
    units = text.encode("utf-16-le", "surrogatepass")
    found = 0
    for at in range(0, len(units), 2):
        found = (found * 31 + units[at] + (units[at + 1] << 8)) & 0xFFFFFFFF
    return found ^ (found >> 16)

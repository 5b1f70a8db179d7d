"""Regular expressions that are compiled when they are first used.

Compiling one takes as long as importing a small module, and a run uses few of those that its
modules name. So a module has `_WORD = regex(r"\\w+")` at its top and `_WORD.fullmatch(text)` below.
"""

from __future__ import annotations

import re
from typing import Any, cast


def regex(text: str, flags: int = 0) -> re.Pattern[str]:
    """A pattern for its methods; for functions of `re` that take a pattern, use `re.compile`."""
    return cast("re.Pattern[str]", _Regex(text, flags))


class _Regex:
    """Has the attributes of a pattern; those that were used stand in the instance itself."""

    def __init__(self, text: str, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # `re` keeps what it has compiled, so the second attribute costs nothing either.
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found

"""Java's regular expressions, on Python's engine, with an end to those that never end.

The pattern is parsed and rewritten: classes (`\\p{L}`, `[a-z&&[^x]]`), ASCII meanings of `\\w`,
`\\d`, `\\s`, line ends, named groups, quoting. What may take very long runs in a process of its
own that is stopped after `SECONDS` (a running match can not be interrupted otherwise).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from runner.expr.faults import Fault, LimitFault
from runner.expr.regexchars import RegexError
from runner.expr.regexsyntax import translate
from runner.patterns import regex

SECONDS = 2.0
"""How long a regular expression may take."""
STEPS_IN_PROCESS = 20_000_000
"""Up to how many steps are estimated to be quick enough to run here."""


class _Compiled:
    __slots__ = ("cost", "names", "pattern", "text")

    def __init__(self, text: str) -> None:
        translation = translate(text)
        self.text = translation.pattern
        self.cost = translation.cost
        self.pattern = re.compile(self.text)
        self.names = translation.names


@lru_cache(256)
def _compiled(regex: str) -> _Compiled:
    try:
        return _Compiled(regex)
    except (RegexError, re.error, OverflowError, RecursionError) as error:
        reason = str(error) if not isinstance(error, RecursionError) else "nested too deeply"
        raise Fault(f"Invalid regular expression: {reason} in '{regex[:200]}'") from error


def search(regex: str, text: str) -> list[str | None] | None:
    """Give the first match and its groups, or None."""
    found = matches(regex, text, 1)
    return found[0][1] if found else None


Match = tuple[int, list[str | None], int, list[int]]
"""Where a match starts, its groups (the whole of it first), where it ends, where groups start."""


def matches(regex: str, text: str, most: int = 0) -> list[Match]:
    """Give the matches in `text`, at most `most` of them (0: all)."""
    compiled = _compiled(regex)
    if compiled.cost.steps(len(text)) <= STEPS_IN_PROCESS:
        return collect(compiled.pattern, text, most)
    from runner.expr.regexprocess import matches_elsewhere

    found = matches_elsewhere(compiled.text, text, most, SECONDS)
    if found is None:
        raise LimitFault(f"The regular expression '{regex[:200]}' takes more than {SECONDS:g} s")
    return found


def collect(pattern: re.Pattern[str], text: str, most: int) -> list[Match]:
    """Give the matches of a compiled pattern."""
    result: list[Match] = []
    for found in pattern.finditer(text):
        groups: list[str | None] = [found.group(), *found.groups()]
        starts = [found.start(number) for number in range(len(groups))]
        result.append((found.start(), groups, found.end(), starts))
        if len(result) == most:
            break
    return result


def group_names(regex: str) -> dict[str, int]:
    """Give the numbers of the named groups of `regex`."""
    return dict(_compiled(regex).names)


_SPECIAL = regex(r"[\\^$.|?*+()\[\]{}]")


def split(regex: str, text: str, limit: int) -> list[str]:
    """Split like Java's `String.split`: no empty part before a match of nothing at the start.

    `limit` above 0: at most so many parts. 0: empty parts at the end are dropped. Below 0: kept.
    """
    if not _SPECIAL.search(regex) and regex:
        parts = text.split(regex, limit - 1 if limit > 0 else -1)
    else:
        parts = _split_by(matches(regex, text), text, limit)
    if limit == 0 and len(parts) > 1:
        while parts and not parts[-1]:
            parts.pop()
    return parts


def _split_by(found: Sequence[Match], text: str, limit: int) -> list[str]:
    parts: list[str] = []
    position = 0
    for start, _, end, _ in found:
        if 0 < limit <= len(parts) + 1:
            break
        if start == end == position == 0:
            continue
        parts.append(text[position:start])
        position = end
    parts.append(text[position:])
    return parts


def replace_all(regex: str, replacement: str, text: str) -> str:
    """Replace like Java's `replaceAll`: `$1`, `${name}` and `\\` in the replacement are special."""
    if not _SPECIAL.search(regex) and regex and "$" not in replacement and "\\" not in replacement:
        return text.replace(regex, replacement)
    found = matches(regex, text)
    if not found:
        return text
    compiled = _compiled(regex)
    pieces = _replacement(replacement, compiled.pattern.groups, compiled.names)
    parts: list[str] = []
    position = 0
    for start, groups, end, _ in found:
        parts.append(text[position:start])
        parts.extend(piece if isinstance(piece, str) else groups[piece] or "" for piece in pieces)
        position = end
    parts.append(text[position:])
    return "".join(parts)


def _replacement(text: str, groups: int, names: dict[str, int]) -> list[str | int]:
    """Give the replacement as texts and numbers of groups."""
    pieces: list[str | int] = []
    index = 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            if index + 1 == len(text):
                raise Fault("character to be escaped is missing")
            pieces.append(text[index + 1])
            index += 2
        elif char == "$":
            number, index = _group_reference(text, index + 1, groups, names)
            pieces.append(number)
        else:
            pieces.append(char)
            index += 1
    return pieces


def _group_reference(text: str, index: int, groups: int, names: dict[str, int]) -> tuple[int, int]:
    """Give the group that is meant after `$`, and where the text goes on."""
    named = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}").match(text, index)
    if named:
        if named.group(1) not in names:
            raise Fault(f"No group with name {{{named.group(1)}}}")
        return names[named.group(1)], named.end()
    if index >= len(text) or text[index] not in "0123456789":
        raise Fault("Illegal group reference")
    number, index = int(text[index]), index + 1
    if number > groups:
        raise Fault(f"No group {number}")
    while index < len(text) and text[index] in "0123456789":
        longer = number * 10 + int(text[index])
        if longer > groups:
            break
        number, index = longer, index + 1
    return number, index

"""Java's file name patterns, as `outputFiles` and `namespaceFiles` use them (script-tasks 2.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from runner.errors import TaskFailed

Matches = Callable[[str], bool]
"""Whether a path with `/` between its parts is meant."""


def below(folder: str, patterns: Sequence[str]) -> Matches:
    """Match absolute paths against patterns that count from `folder`.

    One leading `/` of a pattern is ignored; `./x` matches nothing, as in Java. A backslash is a
    `/`, as on Kestra. A pattern that begins with `glob:` or `regex:` is taken as it is, for the
    absolute path.

    Raises:
        TaskFailed: a pattern is not well formed.
    """
    prefix = re.escape(folder.rstrip("/") + "/")
    return _any([_explicit(text) or prefix + glob(_from_top(text)) for text in patterns])


def _from_top(text: str) -> str:
    return text.replace("\\", "/").removeprefix("/")


def anywhere(patterns: Sequence[str]) -> Matches:
    """Match namespace file paths, which begin with `/`.

    A pattern that begins with a word character counts from any folder. Another one is for the
    whole path, so that `*.py` matches nothing and `/*.py` what is at the top (script-tasks 2.6).

    Raises:
        TaskFailed: a pattern is not well formed.
    """
    found: list[str] = []
    for text in patterns:
        explicit = _explicit(text)
        if explicit is None:
            start = "**/" if re.match(r"\w", text, re.ASCII) else ""
            explicit = glob(start + text.replace("\\", "/"))
        found.append(explicit)
    return _any(found)


def _any(expressions: Sequence[str]) -> Matches:
    try:
        compiled = [re.compile(expression, re.DOTALL) for expression in expressions]
    except re.error as error:
        raise TaskFailed(f"Invalid pattern '{error.pattern!s}': {error.msg}") from error
    return lambda path: any(expression.fullmatch(path) for expression in compiled)


def _explicit(text: str) -> str | None:
    if text.startswith("regex:"):
        return text.removeprefix("regex:")
    if text.startswith("glob:"):
        return glob(text.removeprefix("glob:"))
    return None


def glob(text: str) -> str:
    """The regular expression of a glob: `*`, `**`, `?`, `[..]`, `{a,b}`, and `\\` before a sign.

    A leading dot is a character like any other.

    Raises:
        TaskFailed: a bracket or brace is not closed, or braces are nested.
    """
    out: list[str] = []
    at, in_group = 0, False
    while at < len(text):
        sign = text[at]
        at += 1
        if sign == "*":
            crosses = text.startswith("*", at)
            at += crosses
            out.append(".*" if crosses else "[^/]*")
        elif sign == "?":
            out.append("[^/]")
        elif sign == "[":
            charset, at = _charset(text, at)
            out.append(charset)
        elif sign == "\\":
            if at == len(text):
                raise _bad(text, "no character to escape")
            out.append(re.escape(text[at]))
            at += 1
        elif sign == "{":
            if in_group:
                raise _bad(text, "a group within a group")
            in_group = True
            out.append("(?:(?:")
        elif sign == "}" and in_group:
            in_group = False
            out.append("))")
        elif sign == "," and in_group:
            out.append(")|(?:")
        else:
            out.append(re.escape(sign))
    if in_group:
        raise _bad(text, "missing '}'")
    return "".join(out)


def _charset(text: str, at: int) -> tuple[str, int]:
    """The expression of the bracket that was opened before `at`, and where it ends."""
    negated = text.startswith("!", at)
    start = at + negated
    end = text.find("]", start)
    if end <= start:
        raise _bad(text, "missing ']'" if end < 0 else "nothing within brackets")
    inner = text[start:end]
    if "/" in inner:
        raise _bad(text, "a '/' within brackets")
    parts: list[str] = []
    place = 0
    while place < len(inner):
        first, last = inner[place], inner[place + 2 : place + 3]
        if first == "-" and place:
            raise _bad(text, f"'-' after a range in '[{inner}]'")
        if last and inner[place + 1] == "-":
            if last < first:
                raise _bad(text, f"'{first}-{last}' is no range")
            parts.append(f"{re.escape(first)}-{re.escape(last)}")
            place += 3
        else:
            trailing = inner[place + 1 :] == "-"
            parts.append(re.escape(first) + "\\-" * trailing)
            place += 2 if trailing else 1
    return f"(?!/)[{'^' if negated else ''}{''.join(parts)}]", end + 1


def _bad(text: str, reason: str) -> TaskFailed:
    return TaskFailed(f"Invalid pattern '{text}': {reason}")

"""Java's file name patterns, as `outputFiles` and `namespaceFiles` use them (script-tasks 2.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from runner.errors import TaskFailed

Matches = Callable[[str], bool]
"""Whether a path with `/` between its parts is meant."""


def below(folder: str, patterns: Sequence[str]) -> Matches:
    """Match absolute paths against patterns that count from `folder`.

    One leading `/` of a pattern is ignored; `./x` matches nothing, as in Java. A pattern that
    begins with `glob:` or `regex:` is taken as it is, for the absolute path.

    Raises:
        TaskFailed: a pattern is not well formed.
    """
    prefix = re.escape(folder.rstrip("/") + "/")
    return _any([_explicit(text) or prefix + glob(text.removeprefix("/")) for text in patterns])


def anywhere(patterns: Sequence[str]) -> Matches:
    """Match namespace file paths, which begin with `/`.

    A pattern that begins with a word character counts from any folder, another one from the top
    (script-tasks 2.6).

    Raises:
        TaskFailed: a pattern is not well formed.
    """
    found: list[str] = []
    for text in patterns:
        explicit = _explicit(text)
        if explicit is not None:
            found.append(explicit)
        elif re.match(r"\w", text):
            found.append(glob(f"**/{text}"))
        else:
            found.append(f"/?(?:{glob(text)})")
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
    end = text.find("]", start + 1)
    if end < 0:
        raise _bad(text, "missing ']'")
    inner = text[start:end]
    if "/" in inner:
        raise _bad(text, "a '/' within brackets")
    inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", inner)
    return f"(?!/)[{'^' if negated else ''}{inner}]", end + 1


def _bad(text: str, reason: str) -> TaskFailed:
    return TaskFailed(f"Invalid pattern '{text}': {reason}")

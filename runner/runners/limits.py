"""What Linux can hand to a new program: checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.errors import RunnerUnavailable
from runner.patterns import regex

ONE_LIMIT_BYTES = 128 * 1024 - 1
"""The largest single argument or `NAME=value` (MAX_ARG_STRLEN, less the NUL at its end)."""

TOTAL_LIMIT_BYTES = 2_000_000
"""Arguments and environment together: a quarter of the usual stack limit, less some room."""

_NAME = regex(r"[^=\0]+")


def check_size(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse a command line or environment that the kernel would refuse, saying which part.

    Raises:
        RunnerUnavailable: an argument, a variable or all together are too large, or a name or
            value is impossible (empty name, NUL byte).
    """
    if not argv:
        raise RunnerUnavailable("Cannot run an empty command: `commands` and `interpreter` are []")
    total = 0
    for number, argument in enumerate(argv):
        total += _checked(argument, f"argument {number} of the command")
    for name, value in env.items():
        if _NAME.fullmatch(name) is None:
            raise RunnerUnavailable(f"Invalid variable name '{name}' in `env`")
        total += _checked(f"{name}={value}", f"env {name}")
    if total > TOTAL_LIMIT_BYTES:
        raise RunnerUnavailable(
            f"Cannot run the command: arguments and environment together are {total} bytes;"
            f" at most {TOTAL_LIMIT_BYTES}: use inputFiles for large data"
        )


def _checked(text: str, what: str) -> int:
    """The size of `text` in bytes, if it may be an argument."""
    if "\0" in text:
        raise RunnerUnavailable(f"Invalid {what}: it holds a NUL character")
    size = len(text.encode("utf-8", "surrogateescape")) if not text.isascii() else len(text)
    if size > ONE_LIMIT_BYTES:
        raise RunnerUnavailable(
            f"Cannot run the command: {what} is {size} bytes; at most {ONE_LIMIT_BYTES}:"
            " use inputFiles for large data"
        )
    return size + 1

"""Problems of texts that are no YAML, with advice for the usual mistakes."""

from __future__ import annotations

from typing import Any

import yaml

from runner.errors import Problem

_ADVICE = (
    ("found character that cannot start any token", "a tab, @ or ` cannot stand here"),
    ("mapping values are not allowed", "a text with a colon and a blank must be in quotes"),
    ("did not find expected key", "check the indentation, and quotes inside quotes"),
    ("did not find expected ',' or ']'", "a [ is not closed"),
    ("did not find expected ',' or '}'", "a { is not closed"),
    ("found unexpected end of stream", "a quote is not closed"),
)


def syntax_problem(error: yaml.MarkedYAMLError, file: str, text: str) -> Problem:
    """The parser's complaint in one line, at the place where it stopped."""
    mark: Any = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    column = mark.column + 1 if mark else 1
    context = f"{error.context}: " if error.context else ""
    what = error.problem or "unreadable"
    rows = text.split("\n")
    row = rows[line - 1] if line <= len(rows) else ""
    while not row.strip() and line > 1:
        # What is not closed shows only at the end: the last line with something on it says more.
        line -= 1
        row = rows[line - 1]
        column = len(row.rstrip()) + 1
    hint = next((advice for sign, advice in _ADVICE if sign in what), "")
    if "cannot start any token" in what and row[column - 1 : column] == "\t":
        what += " '\\t(TAB)'"
        hint = "indent with blanks, not with tabs"
    if error.context_mark is not None and error.context_mark.line + 1 != line:
        hint += f"{', ' if hint else ''}begun on line {error.context_mark.line + 1}"
    return Problem(
        message=f"YAML parsing error: {context}{what} (at line {line})",
        file=file,
        line=line,
        column=column,
        hint=hint,
    )


def surrogate_problem(error: UnicodeEncodeError, file: str, text: str) -> Problem:
    """Half of a surrogate pair: no text can be written with it."""
    before = text[: error.start]
    return Problem(
        message=f"YAML parsing error: character #x{ord(text[error.start]):04x} is half a character",
        file=file,
        line=before.count("\n") + 1,
        column=error.start - (before.rfind("\n") + 1) + 1,
    )


def character_problem(error: yaml.YAMLError, file: str, text: str) -> Problem:
    """A character that YAML does not allow at all."""
    position = getattr(error, "position", None)
    line = column = 1
    if isinstance(position, int):
        # libyaml counts bytes.
        before = text.encode()[:position].decode(errors="ignore")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    what = str(error).strip().splitlines()[0]
    return Problem(
        message=f"YAML parsing error: {what} (at line {line})",
        file=file,
        line=line,
        column=column,
        hint="the file holds a control character, or is no text at all",
    )

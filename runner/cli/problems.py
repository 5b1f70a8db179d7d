"""Problems with flows as a person reads them: place, message, the line with a caret, advice."""

from __future__ import annotations

from pathlib import Path

import click

from runner.errors import FlowInvalid, Problem

_WIDTH = 100
"""How many columns of a source line are shown at most."""

_LABELS = {"invalid": ("error", "red"), "unsupported": ("unsupported", "magenta")}


def show_problems(error: FlowInvalid, file: Path | str) -> None:
    """Say on stderr what is wrong with the flow in `file`, and how many things are."""
    for problem in error.problems:
        click.echo(shown(problem), err=True)
    count = len(error.problems)
    click.echo(f"eyas: {file}: {count} problem{'s' if count != 1 else ''}", err=True)


def shown(problem: Problem) -> str:
    """The problem in up to four lines, with colours (`click.echo` drops them in a pipe)."""
    label, colour = _LABELS.get(problem.kind, ("warning", "yellow"))
    place = printable(problem.file or "<flow>")
    if problem.line:
        place += f":{problem.line}:{problem.column}"
    path = f"{problem.path}: " if problem.path else ""
    head = f"{click.style(place, bold=True)}: {click.style(label, fg=colour, bold=True)}: "
    lines = [head + printable(f"{path}{problem.message}")]
    if problem.source_line:
        lines += _marked(problem, colour)
    if problem.hint:
        lines.append(f"  {click.style('=', fg='cyan')} {printable(problem.hint)}")
    return "\n".join(lines)


def _marked(problem: Problem, colour: str) -> list[str]:
    """The offending line, cut where it is very long, and a caret below the column."""
    row, at = problem.source_line, max(problem.column - 1, 0)
    begin = 0
    if len(row) > _WIDTH:
        begin = max(0, min(at - _WIDTH // 2, len(row) - _WIDTH))
    piece = printable(row[begin : begin + _WIDTH])
    before = "…" if begin else ""
    after = "…" if begin + _WIDTH < len(row) else ""
    number = f"{problem.line:>5} | "
    blank = " " * (len(number) - 2) + "| "
    caret = " " * (len(before) + _columns(piece[: at - begin])) + "^"
    gutter = click.style(number, fg="cyan"), click.style(blank, fg="cyan")
    return [f"{gutter[0]}{before}{piece}{after}", f"{gutter[1]}{click.style(caret, fg=colour)}"]


def printable(text: str) -> str:
    """The text on one line, without what would move a terminal's cursor or change its colours."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else "\\n" if sign == "\n" else " " for sign in text)


def _columns(text: str) -> int:
    """How many columns a terminal needs for the text."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text
    )

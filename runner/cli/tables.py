"""How verbs show things: aligned columns on a terminal, JSON in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import click

from runner.cli.problems import printable
from runner.model.state import History, State

Command = TypeVar("Command", bound=Callable[..., Any])

_WIDEST = 60
_COLOURS: Mapping[str, str] = {
    State.SUCCESS: "green",
    State.WARNING: "yellow",
    State.PAUSED: "yellow",
    State.RETRYING: "yellow",
    State.FAILED: "red",
    State.KILLED: "red",
    State.RUNNING: "blue",
    State.KILLING: "blue",
}


def output_option(
    *formats: str, default: str | None = None, piped: str = "json"
) -> Callable[[Command], Command]:
    """The option `--output`; what is not given is the first of `formats`, or `piped` in a pipe.

    `default`: that one, wherever the output goes.
    """

    def choose(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
        if value is not None:
            return value
        return default or (formats[0] if sys.stdout.isatty() else piped)

    when = f"default: {default}" if default else f"default: {formats[0]}, in a pipe {piped}"
    return click.option(
        "--output",
        type=click.Choice(formats),
        default=None,
        callback=choose,
        help=f"How to show it.  [{when}]",
    )


def print_json(document: Any) -> None:
    """One document."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_jsonl(documents: Iterable[Any]) -> None:
    """A document a line."""
    for document in documents:
        click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows below their heads, in columns as wide as they need to be; nothing if there is no row.

    Long cells are cut, but for those of the last column. What a terminal would obey is replaced.
    """
    if not rows:
        return
    last = len(heads) - 1
    cells = [
        [printable(text) if i == last else _cut(printable(text)) for i, text in enumerate(row)]
        for row in rows
    ]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    click.echo(click.style(_line(heads, widths), bold=True))
    for row in cells:
        click.echo(_line(row, widths))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
    return "  ".join(
        coloured(cell, text) for cell, text in zip([*padded[:-1], row[-1]], row, strict=True)
    ).rstrip()


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def print_facts(facts: Mapping[str, str | None]) -> None:
    """A line for each fact that is known: its name, then what it is."""
    known = {name: text for name, text in facts.items() if text}
    width = max(map(len, known), default=0)
    for name, text in known.items():
        shown = coloured(printable(text), text)
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {shown}")


def coloured(shown: str, text: str) -> str:
    """What is shown for `text`, in the colour of the state if that is what the text is."""
    colour = _COLOURS.get(text)
    return click.style(shown, fg=colour) if colour else shown


def value_lines(name: str, value: Any) -> Iterator[str]:
    """`name = value` for a value, for each entry of a map by its path; without what is empty."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from value_lines(f"{name}.{key}", item)
    elif value not in (None, []):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield printable(f"{name} = {text}")


def local_time(when: datetime | None) -> str:
    """A moment in the time zone of this machine, to the second; `-` for none."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S") if when else "-"


def took(history: History) -> str:
    """How long it took, or has taken so far."""
    return duration_of(history.duration(datetime.now(UTC)))


def duration_of(duration: timedelta) -> str:
    """A length of time in its two largest units: `0.42 s`, `3 m 05 s`, `2 d 07 h`."""
    seconds = max(duration.total_seconds(), 0)
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, seconds = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02} h"

"""`eyas logs`: the log of an execution, as it is or as it comes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.problems import printable
from runner.cli.stored import execution_argument, opened, settings_of, state_dir_option
from runner.cli.tables import output_option, print_json
from runner.model.execution import Level

if TYPE_CHECKING:
    from runner.model.execution import LogLine
    from runner.store.reader import Reader

_COLOURS = {Level.ERROR: "red", Level.WARN: "yellow", Level.DEBUG: "cyan", Level.TRACE: "cyan"}

Chooser = Callable[["LogLine"], bool]


@click.command(name="logs")
@execution_argument
@click.option("-f", "--follow", is_flag=True, help="Show lines as they come, until it has ended.")
@click.option("--task", metavar="TASK", default=None, help="Only lines of this task.")
@click.option(
    "--level",
    type=click.Choice([level.value for level in Level], case_sensitive=False),
    default=Level.TRACE.value,
    help="Only lines of this level and above.",
)
@click.option(
    "-n", "--tail", type=click.IntRange(min=0), default=None, help="Only the last so many lines."
)
@output_option("text", "json", "jsonl", piped="jsonl")
@state_dir_option
def logs_command(
    execution: str,
    follow: bool,
    task: str | None,
    level: str,
    tail: int | None,
    output: str,
    state_dir: Path | None,
) -> None:
    """Show the log of an execution.

    ID may be the beginning of an id. Reads the store, so it works without a daemon too. Following
    ends with the execution; Ctrl-C ends it before, with status 130, and the execution goes on.
    The JSON is that of the HTTP API: one array (json), or an entry a line (jsonl).
    """
    if follow and output == "json":
        raise click.UsageError("--output json is one document: follow with text or jsonl")
    least = Level(level).rank

    def chosen(line: LogLine) -> bool:
        return line.level.rank >= least and task in (None, line.task_id)

    with opened(state_dir) as reader:
        execution_id = reader.execution_id(execution)
        if output == "json":
            from runner.api.shapes import log_json

            print_json([log_json(line) for line in _backlog(reader, execution_id, chosen, tail)])
        elif follow:
            _follow(reader, execution_id, chosen, tail, output, state_dir)
        else:
            _write(_backlog(reader, execution_id, chosen, tail), output)


def _backlog(
    reader: Reader, execution_id: str, chosen: Chooser, tail: int | None
) -> Iterable[LogLine]:
    """The lines that are there, the last `tail` of them if that is given."""
    if tail is None:
        return filter(chosen, reader.lines(execution_id))
    last = [*islice(filter(chosen, reader.lines_backwards(execution_id)), tail)]
    return last[::-1]


def _follow(
    reader: Reader,
    execution_id: str,
    chosen: Chooser,
    tail: int | None,
    output: str,
    state_dir: Path | None,
) -> None:
    """Write lines as they come. Whether it has ended is read first: then all lines are there."""
    after, warned = 0, False
    if tail is not None:
        after = next((line.number for line in reader.lines_backwards(execution_id)), 0)
        last = _backlog(reader, execution_id, lambda x: x.number <= after and chosen(x), tail)
        _write(last, output)
    while True:
        version = reader.version()
        ended = reader.execution(execution_id).state.is_terminal
        after = _write_after(reader, execution_id, after, chosen, output)
        if ended:
            return
        if not warned:
            warned = True
            _warn_without_daemon(state_dir)
        reader.wait_for_change(version)


def _write_after(
    reader: Reader, execution_id: str, after: int, chosen: Chooser, output: str
) -> int:
    """Write what came after that line; returns the number of the last one."""
    for line in reader.lines(execution_id, after):
        after = line.number
        if chosen(line):
            _write([line], output, flush=False)
    sys.stdout.flush()
    return after


def _warn_without_daemon(state_dir: Path | None) -> None:
    from runner.cli.client import answers

    if not answers(settings_of(state_dir)):
        click.echo("eyas: no daemon answers: the log goes on when one is started", err=True)


def _write(lines: Iterable[LogLine], output: str, *, flush: bool = True) -> None:
    from runner.api.shapes import log_json

    colour = sys.stdout.isatty()
    for line in lines:
        if output == "jsonl":
            text = json.dumps(log_json(line), ensure_ascii=False, separators=(",", ":"))
        else:
            text = _text(line, colour)
        sys.stdout.write(f"{text}\n")
    if flush:
        sys.stdout.flush()


def _text(line: LogLine, colour: bool) -> str:
    """`HH:MM:SS.mmm LEVEL [task] message` in local time; further lines stand below the message."""
    when = line.date.astimezone().strftime("%H:%M:%S.%f")[:-3]
    head = f"{when} {line.level:<5} [{line.task_id or '-'}] "
    parts = line.message.split("\n")
    message = "\n    ".join(map(printable, parts) if colour else parts)
    if not colour:
        return head + message
    fg = _COLOURS.get(line.level)
    return click.style(head, dim=True) + (click.style(message, fg=fg) if fg else message)

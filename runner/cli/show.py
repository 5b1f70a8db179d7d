"""`eyas show`: one execution, with its tasks and what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.problems import printable
from runner.cli.stored import (
    StoredFlows,
    execution_argument,
    opened,
    settings_of,
    state_dir_option,
)
from runner.cli.tables import (
    local_time,
    output_option,
    print_facts,
    print_json,
    print_table,
    took,
    value_lines,
)
from runner.model.state import State

if TYPE_CHECKING:
    from runner.model.execution import Execution, TaskRun
    from runner.store.reader import Reader

_ERRORS = 5
_UNINTERESTING = frozenset({"exitCode", "taskRunner"})


@click.command(name="show")
@execution_argument
@output_option("table", "json")
@state_dir_option
def show_command(execution: str, output: str, state_dir: Path | None) -> None:
    """Show an execution: its state, its tasks, outputs, and errors.

    ID may be the beginning of an id. Reads the store, so it works without a daemon too. The JSON
    is the execution as the HTTP API gives it.
    """
    with opened(state_dir) as reader:
        found, runs = reader.found(reader.execution_id(execution))
        if output == "json":
            from runner.api.shapes import execution_json

            flow = StoredFlows(reader, settings_of(state_dir)).of(found)
            print_json(execution_json(found, runs, flow))
            return
        print_facts(_facts(found))
        _print_runs(runs)
        _print_outputs(found, runs)
        _print_errors(reader, found)


def _facts(execution: Execution) -> dict[str, str | None]:
    cause = execution.trigger
    labels = [f"{label.key}:{label.value}" for label in execution.labels]
    return {
        "Execution": execution.id,
        "Flow": f"{execution.namespace}.{execution.flow_id} revision {execution.flow_revision}",
        "State": execution.state,
        "Created": local_time(execution.history.start),
        "Took": took(execution.history),
        "Trigger": f"{cause.id} ({cause.type.rpartition('.')[2]})" if cause else None,
        "Replay of": execution.original_id if execution.original_id != execution.id else None,
        "Labels": ", ".join(text for text in labels if not text.startswith("system.")),
        "Inputs": "; ".join(
            line.removeprefix("inputs.") for line in value_lines("inputs", execution.inputs)
        ),
    }


def _print_runs(runs: Sequence[TaskRun]) -> None:
    rows = [
        [
            f"{'  ' * depth}{_name(run)}",
            run.state,
            local_time(run.history.start),
            took(run.history),
            str(len(run.attempts) or ""),
        ]
        for depth, run in _tree(runs, None, 0)
    ]
    if rows:
        click.echo()
    print_table(["TASK", "STATE", "CREATED", "TOOK", "TRIES"], rows)


def _tree(runs: Sequence[TaskRun], parent: str | None, depth: int) -> Iterator[tuple[int, TaskRun]]:
    """Runs with how deep they stand, each followed by those inside it."""
    for run in runs:
        if run.parent_id == parent:
            yield depth, run
            yield from _tree(runs, run.id, depth + 1)


def _name(run: TaskRun) -> str:
    return run.task_id if run.value is None else f"{run.task_id}[{run.value}]"


def _print_outputs(execution: Execution, runs: Sequence[TaskRun]) -> None:
    lines = [
        line
        for run in runs
        for key, value in (run.outputs or {}).items()
        if key not in _UNINTERESTING
        for line in value_lines(f"{_name(run)}.{key}", value)
    ]
    _print_block("Outputs", lines)
    of_flow = [
        line for key, value in (execution.outputs or {}).items() for line in value_lines(key, value)
    ]
    _print_block("Flow outputs", of_flow)


def _print_errors(reader: Reader, execution: Execution) -> None:
    """The last lines of level ERROR of an execution that failed."""
    if execution.state is not State.FAILED:
        return
    errors = (line for line in reader.lines_backwards(execution.id) if line.level == "ERROR")
    lines = [
        f"{line.task_id or 'flow'}: {printable(line.message)}" for line in islice(errors, _ERRORS)
    ]
    _print_block("Last errors", lines[::-1])


def _print_block(title: str, lines: Sequence[str]) -> None:
    if lines:
        click.echo(f"\n{click.style(title, bold=True)}")
    for line in lines:
        click.echo(f"  {line}")

"""`eyas ps`: the executions that are going on, or all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.stored import (
    StoredFlows,
    flow_name,
    namespace_option,
    offered_flows,
    opened,
    settings_of,
    state_dir_option,
)
from runner.cli.tables import (
    local_time,
    output_option,
    print_json,
    print_jsonl,
    print_table,
    took,
)
from runner.model.state import State

if TYPE_CHECKING:
    from runner.model.execution import Execution, TaskRun
    from runner.store.reader import Reader
    from runner.store.search import Condition

_GOING_ON = [state.value for state in State if not state.is_terminal]
_WORKING = frozenset({State.RUNNING, State.PAUSED, State.KILLING, State.RETRYING})


@click.command(name="ps")
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that have ended.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State], case_sensitive=False),
    help="Only in this state; may be given several times.",
)
@click.option("--flow", metavar="FLOW", shell_complete=offered_flows, help="Only of this flow.")
@namespace_option
@click.option("--label", "labels", multiple=True, metavar="KEY:VALUE", help="Only with this label.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many, newest first.",
)
@click.option("-q", "--quiet", is_flag=True, help="Ids only, one a line.")
@output_option("table", "json", "jsonl")
@state_dir_option
def ps_command(
    everything: bool,
    states: Sequence[str],
    flow: str | None,
    namespace: str | None,
    labels: Sequence[str],
    limit: int,
    quiet: bool,
    output: str,
    state_dir: Path | None,
) -> None:
    """List executions that are going on: created, queued, running or paused.

    Reads the store, so it works without a daemon too. The JSON is a page of executions as the
    HTTP API gives it.
    """
    with opened(state_dir) as reader:
        wanted = _wanted(reader, everything, states, flow, namespace, labels)
        found, total = reader.search(wanted, limit)
        if quiet:
            for execution, _ in found:
                click.echo(execution.id)
        elif output == "table":
            _print_table(found, total, everything or bool(states))
        else:
            _print_documents(reader, found, total, output, state_dir)


def _wanted(
    reader: Reader,
    everything: bool,
    states: Sequence[str],
    flow: str | None,
    namespace: str | None,
    labels: Sequence[str],
) -> list[Condition]:
    from runner.store.search import Condition

    wanted: list[Condition] = []
    if states or not everything:
        wanted.append(Condition("state", "IN", tuple(states or _GOING_ON)))
    if flow is not None:
        of_namespace, flow_id = flow_name(reader, flow)
        wanted.append(Condition("namespace", "EQUALS", (of_namespace,)))
        wanted.append(Condition("flowId", "EQUALS", (flow_id,)))
    if namespace is not None:
        wanted.append(Condition("namespace", "PREFIX", (namespace,)))
    if labels:
        wanted.append(Condition("labels", "EQUALS", tuple(labels)))
    return wanted


def _print_table(
    found: Sequence[tuple[Execution, Sequence[TaskRun]]], total: int, others: bool
) -> None:
    rows = [
        [
            execution.id,
            f"{execution.namespace}.{execution.flow_id}",
            execution.state,
            local_time(execution.history.start),
            took(execution.history),
            _at_work(execution, runs),
        ]
        for execution, runs in found
    ]
    print_table(["ID", "FLOW", "STATE", "CREATED", "TOOK", "TASKS"], rows)
    if not rows:
        where = "No execution is like that" if others else "Nothing is going on"
        click.echo(f"{where}; `eyas ps --all` lists every execution", err=True)
    elif total > len(rows):
        click.echo(f"{len(rows)} of {total}; --limit shows more", err=True)


def _at_work(execution: Execution, runs: Sequence[TaskRun]) -> str:
    """The tasks that an execution is at, without those that only wait for tasks in them."""
    if execution.state.is_terminal:
        return ""
    around = {run.parent_id for run in runs}
    busy = [run for run in runs if run.state in _WORKING and run.id not in around]
    names = [run.task_id if run.value is None else f"{run.task_id}[{run.value}]" for run in busy]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _print_documents(
    reader: Reader,
    found: Sequence[tuple[Execution, Sequence[TaskRun]]],
    total: int,
    output: str,
    state_dir: Path | None,
) -> None:
    from runner.api.shapes import execution_json, page

    flows = StoredFlows(reader, settings_of(state_dir))
    documents = [execution_json(each, runs, flows.of(each)) for each, runs in found]
    if output == "jsonl":
        print_jsonl(documents)
    else:
        print_json(page(documents, total))

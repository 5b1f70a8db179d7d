"""`eyas kill`, `pause`, `resume`, `restart`, `replay`: the verbs that act on an execution.

Each asks the daemon to do it, and shows the execution as it is then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from runner.cli.stored import execution_argument, opened, settings_of, state_dir_option
from runner.cli.tables import output_option, print_json, print_table
from runner.errors import Conflict, NotFound, SettingInvalid
from runner.model.execution import Execution, TaskRun

inputs_option = click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An input; KEY=@PATH gives it the content of a file.",
)
revision_option = click.option(
    "--revision", type=click.IntRange(min=1), default=None, help="Use this revision of the flow."
)


@click.command(name="kill")
@execution_argument
@click.option("--no-cascade", is_flag=True, help="Leave alone what it started as subflows.")
@output_option("table", "json")
@state_dir_option
def kill_command(execution: str, no_cascade: bool, output: str, state_dir: Path | None) -> None:
    """Kill an execution, and those that it started as subflows.

    Returns at once; `eyas logs -f ID` shows how it ends.
    """
    found, _ = _found(execution, state_dir)
    if found.state.is_terminal:
        raise Conflict(f"Execution '{found.id}' has ended already: {found.state}")
    cascade = "false" if no_cascade else "true"
    show_execution(_act(found, "kill", state_dir, isOnKillCascade=cascade), output)


@click.command(name="pause")
@execution_argument
@output_option("table", "json")
@state_dir_option
def pause_command(execution: str, output: str, state_dir: Path | None) -> None:
    """Pause an execution: what runs may end, and nothing new begins until `eyas resume`."""
    found, _ = _found(execution, state_dir)
    show_execution(_act(found, "pause", state_dir), output)


@click.command(name="resume")
@execution_argument
@inputs_option
@output_option("table", "json")
@state_dir_option
def resume_command(
    execution: str, inputs: Sequence[str], output: str, state_dir: Path | None
) -> None:
    """Go on with an execution that is paused, with values for what its Pause task asks for."""
    found, _ = _found(execution, state_dir)
    show_execution(_act(found, "resume", state_dir, form_of(inputs)), output)


@click.command(name="restart")
@execution_argument
@revision_option
@output_option("table", "json")
@state_dir_option
def restart_command(
    execution: str, revision: int | None, output: str, state_dir: Path | None
) -> None:
    """Run a failed execution again from the tasks that failed, as the same execution."""
    found, _ = _found(execution, state_dir)
    show_execution(_act(found, "restart", state_dir, **_revision(revision)), output)


@click.command(name="replay")
@execution_argument
@click.option(
    "--from-task",
    metavar="TASK",
    default=None,
    help="Begin at this task: its id, ID[VALUE] inside a loop, or the id of its task run.",
)
@inputs_option
@revision_option
@output_option("table", "json")
@state_dir_option
def replay_command(
    execution: str,
    from_task: str | None,
    inputs: Sequence[str],
    revision: int | None,
    output: str,
    state_dir: Path | None,
) -> None:
    """Run an execution again as a new one: from the start, from a task on, or with other inputs."""
    found, runs = _found(execution, state_dir)
    query = _revision(revision)
    if inputs and from_task:
        raise click.UsageError("--from-task uses what the tasks before gave: -i has no effect then")
    if inputs:
        document = _act(found, "replay-with-inputs", state_dir, form_of(inputs), **query)
    elif from_task:
        run_id = _run_of(from_task, runs, found)
        document = _act(found, "replay", state_dir, taskRunId=run_id, **query)
    else:
        document = _act(found, "replay", state_dir, **query)
    show_execution(document, output)


def form_of(pairs: Sequence[str]) -> dict[str, str | Path]:
    """Inputs by name: text, or the file of a value that begins with `@`.

    Raises:
        SettingInvalid: one is not written as KEY=VALUE, or there is no such file.
    """
    given: dict[str, str | Path] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingInvalid(f"'-i {pair}': write it as -i KEY=VALUE")
        given[key] = Path(value[1:]) if value.startswith("@") else value
        if value.startswith("@") and not Path(value[1:]).is_file():
            raise SettingInvalid(f"Input '{key}': there is no file '{value[1:]}'")
    return given


def _found(execution: str, state_dir: Path | None) -> tuple[Execution, list[TaskRun]]:
    with opened(state_dir) as reader:
        return reader.found(reader.execution_id(execution))


def _act(
    execution: Execution,
    action: str,
    state_dir: Path | None,
    inputs: dict[str, str | Path] | None = None,
    /,
    **query: str,
) -> dict[str, Any]:
    """Have the daemon do it; returns the document of the execution that it is about then."""
    from runner.cli.client import connected

    path = f"/executions/{execution.id}/actions/{action}"
    with connected(settings_of(state_dir)) as client:
        return client.post(path, **query) if inputs is None else client.form(path, inputs, **query)


def _revision(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"revision": str(revision)}


def _run_of(text: str, runs: Sequence[TaskRun], execution: Execution) -> str:
    """The id of the task run that a person means; of several tries of a task the last."""
    for run in reversed(runs):
        value = f"{run.task_id}[{run.value}]"
        if text in (run.id, value) or (text == run.task_id and run.value is None):
            return run.id
    names = dict.fromkeys(r.task_id if r.value is None else f"{r.task_id}[{r.value}]" for r in runs)
    raise NotFound(
        f"Execution '{execution.id}' has run no task '{text}'; it has {', '.join(names) or 'none'}"
    )


def show_execution(document: dict[str, Any], output: str) -> None:
    """Show the document of an execution: all of it, or which one it is and its state."""
    if output == "json":
        print_json(document)
        return
    flow = f"{document['namespace']}.{document['flowId']}"
    print_table(["ID", "FLOW", "STATE"], [[document["id"], flow, document["state"]["current"]]])

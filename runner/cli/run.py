"""`eyas run`: one execution of one flow, to its end, without a daemon."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from runner.cli.main import CANCELLED, FAILED, INVALID, SUCCESS
from runner.cli.wanted import LAST, Again
from runner.errors import (
    FlowInvalid,
    InputInvalid,
    NotFound,
    RunnerError,
    RunnerUnavailable,
    SettingInvalid,
)
from runner.model.execution import Execution, Label
from runner.model.flow import Flow
from runner.model.state import State
from runner.records import record

if TYPE_CHECKING:
    from anyio import Event

    from runner.cli.display import Display, DisplayedStore
    from runner.engine.engine import Engine
    from runner.engine.reuse import Reuse
    from runner.settings import Settings
    from runner.store.past import Past

_SCRIPTS = "io.kestra.plugin.scripts."
_GIVE_UP_S = 5
_PROCESS = "io.kestra.plugin.core.runner.Process"


@click.command(name="run")
@click.argument("file", metavar="FLOW.yaml", type=click.Path(path_type=Path))
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="An input.")
@click.option(
    "--inputs",
    "inputs_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Inputs as a YAML or JSON map; -i wins.",
)
@click.option("--labels", "labels", multiple=True, metavar="KEY:VALUE", help="A label.")
@click.option(
    "--task-runner",
    type=click.Choice(["auto", "docker", "process"]),
    default=None,
    help="auto: Docker if an engine answers, else local processes.",
)
@click.option(
    "--output",
    type=click.Choice(["pretty", "json", "jsonl", "quiet"]),
    default="pretty",
    show_default=True,
    help="json: the execution as one document; jsonl: a line per event.",
)
@click.option(
    "--set",
    "defaults",
    multiple=True,
    metavar="pluginDefaults.TYPE.PROPERTY=VALUE",
    help="A value for a property of every task of a type.",
)
@click.option(
    "--from-failed",
    metavar="ID",
    default=None,
    help="Go on with an execution where it failed: its id, the beginning of it, or `last`.",
)
@click.option(
    "--from",
    "from_task",
    metavar="TASK",
    default=None,
    help="Begin at this task, with what an execution has done before it.",
)
@click.option(
    "--only-changed",
    is_flag=True,
    help="Run what has changed since an execution, and reuse the results of the rest.",
)
@click.option(
    "--execution",
    metavar="ID",
    default=None,
    help="The execution for --from and --only-changed.  [default: the flow's last]",
)
@click.option("--offline", is_flag=True, default=None, help="Ask no package index and no registry.")
@click.option("--refresh", is_flag=True, default=None, help="Install packages anew that were kept.")
@click.option("--state-dir", type=click.Path(path_type=Path), default=None, help="Where files go.")
def run_command(
    file: Path,
    inputs: Sequence[str],
    inputs_file: Path | None,
    labels: Sequence[str],
    task_runner: Literal["auto", "docker", "process"] | None,
    output: Literal["pretty", "json", "jsonl", "quiet"],
    defaults: Sequence[str],
    from_failed: str | None,
    from_task: str | None,
    only_changed: bool,
    execution: str | None,
    offline: bool | None,
    refresh: bool | None,
    state_dir: Path | None,
) -> None:
    """Run the flow in FLOW.yaml once, and show its log, outputs and metrics.

    Exits with 0 for success or warning, 1 for failure, 2 when the flow or the inputs are wrong, 3
    when something is missing on this machine, 130 when it was cancelled. The first Ctrl-C kills
    the execution in order, the second ends at once.
    """
    again = _again(from_failed, from_task, only_changed, execution)
    if again.keeps_inputs and (inputs or inputs_file):
        raise click.UsageError("it goes on with the inputs of that execution: -i has no effect")
    from runner.cli.display import display_of
    from runner.cli.plugin_defaults import parsed_defaults
    from runner.loading.flow import load_file
    from runner.settings import load_settings

    settings = load_settings(
        state_dir=state_dir,
        task_runner=task_runner,
        offline=offline or None,
        refresh=refresh or None,
        defaults={"task_runner": "auto"},
    )
    if file.is_dir():
        raise NotFound(f"'{file}' is a folder. Name the file of one flow in it")
    if not file.is_file():
        raise NotFound(f"There is no file '{file}'. Name the file of a flow, such as hello.yaml")
    try:
        flow = load_file(file, settings=settings, plugin_values=parsed_defaults(defaults))
    except FlowInvalid as error:
        from runner.cli.problems import show_problems

        show_problems(error, file)
        sys.exit(INVALID)
    given = _inputs(flow, inputs, inputs_file)
    wanted = [_label(text) for text in labels]
    display = display_of(output, flow)
    import anyio

    sys.exit(anyio.run(_run, settings, flow, _Wanted(given, wanted, again), display))


@record
class _Wanted:
    """What the execution begins with."""

    inputs: Mapping[str, Any]
    labels: Sequence[Label]
    again: Again


def _again(
    from_failed: str | None, from_task: str | None, only_changed: bool, execution: str | None
) -> Again:
    given = [from_failed is not None, from_task is not None, only_changed]
    if sum(given) > 1:
        raise click.UsageError("give one of --from-failed, --from and --only-changed")
    if execution is not None and not (from_task or only_changed):
        raise click.UsageError("--execution belongs to --from or --only-changed")
    return Again(from_failed is not None, from_task, only_changed, from_failed or execution or LAST)


def _inputs(flow: Flow, pairs: Sequence[str], file: Path | None) -> dict[str, Any]:
    """What the user gave, by input id; paths for FILE inputs."""
    given: dict[str, Any] = {}
    if file is not None:
        given.update(_inputs_of(file))
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingInvalid(f"'-i {pair}': write it as -i KEY=VALUE")
        given[key] = value
    files = {declared.id for declared in flow.inputs if declared.type == "FILE"}
    for key, value in given.items():
        if key in files and isinstance(value, str) and "://" not in value:
            path = Path(value)
            if not path.is_file():
                raise SettingInvalid(f"Input '{key}': there is no file '{value}'")
            given[key] = path
    return given


def _inputs_of(file: Path) -> dict[str, Any]:
    from runner.loading.flow import read_text
    from runner.loading.source import plain, read

    return plain(read(read_text(file), str(file)))


def _label(text: str) -> Label:
    key, colon, value = text.partition(":")
    if not (colon and key and value):
        raise SettingInvalid(f"'--labels {text}': write it as --labels KEY:VALUE")
    return Label(key, value)


async def _run(settings: Settings, flow: Flow, wanted: _Wanted, display: Display) -> int:
    """Run the flow; returns the exit status."""
    from runner.cli.display import DisplayedStore
    from runner.cli.neighbours import NeighbourFlows
    from runner.engine.engine import Engine
    from runner.engine.reuse import Reuse
    from runner.runners.registry import TaskRunners
    from runner.storage.files import Storage
    from runner.storage.kv import KeyValues

    # Found out before anything runs, not when a task has an output to store.
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    storage = Storage(settings.state_dir / "storage")
    kv = KeyValues(settings.state_dir / "storage")
    past = _past(settings, flow, wanted.again, display)
    settings = await _with_runner(settings, flow, display)
    store = DisplayedStore(display, settings.state_dir)
    reuse = Reuse(past)
    async with (
        TaskRunners(settings, progress=display.progress) as runners,
        Engine(settings, store, NeighbourFlows(flow, settings), storage, kv, runners) as engine,
    ):
        ended = await _started_and_ended(engine, store, flow, wanted, reuse, display)
    if isinstance(ended, InputInvalid):
        from runner.cli.wanted import wanted_inputs

        raise InputInvalid(f"{flow.file}: {ended}\n  = {wanted_inputs(flow)}") from ended
    if isinstance(ended, RunnerError):
        raise ended
    if wanted.again.only_changed:
        from runner.cli.again import say_reused

        say_reused(reuse, display)
    await _show_end(display, store, ended)
    if ended.state in (State.SUCCESS, State.WARNING):
        return SUCCESS
    return CANCELLED if ended.state in (State.KILLED, State.CANCELLED) else FAILED


def _past(settings: Settings, flow: Flow, again: Again, display: Display) -> Past | None:
    """The earlier execution that this one goes on with, or compares with."""
    if again == Again():
        return None
    from runner.cli.again import past_of

    try:
        return past_of(settings, flow, again.execution)
    except NotFound:
        if not again.only_changed or again.execution != LAST:
            raise
    display.note("No earlier run of this flow is kept: all of it runs")
    return None


async def _show_end(display: Display, store: DisplayedStore, ended: Execution) -> None:
    """Show what came of the execution.

    Raises:
        BrokenPipeError: nobody reads the output any more.
        RunnerUnavailable: this output, or an earlier one, could not be written.
    """
    from runner.cli.display import drop_output

    try:
        if store.lost is not None:
            raise store.lost
        display.ended(ended, await store.task_runs(ended.id), await store.metrics(ended.id))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise RunnerUnavailable(f"the output cannot be written: {error.strerror}") from error


async def _started_and_ended(
    engine: Engine,
    store: DisplayedStore,
    flow: Flow,
    wanted: _Wanted,
    reuse: Reuse,
    display: Display,
) -> Execution | RunnerError:
    """The ended execution, or why none was started: raised in a task group it would be wrapped."""
    labels = wanted.labels
    try:
        if wanted.again.keeps_inputs and reuse.past is not None:
            from runner.cli.again import begun

            execution = await begun(engine, flow, wanted.again, reuse.past, labels, display)
        else:
            execution = await engine.start(flow, inputs=wanted.inputs, labels=labels, reuse=reuse)
    except RunnerError as error:
        return error
    return await _until_done(engine, execution, store.stop)


async def _with_runner(settings: Settings, flow: Flow, display: Display) -> Settings:
    """Settings in which `auto` is decided: Docker if an engine answers, else processes.

    Raises:
        RunnerUnavailable: Docker was asked for, the flow needs it, and no engine answers.
    """
    wanted = settings.task_runner != "process" and any(
        task.type.startswith(_SCRIPTS) and _wants_container(task.properties) for task in flow.walk()
    )
    if not wanted:
        runner = "process" if settings.task_runner == "process" else "docker"
        return replace(settings, task_runner=runner)
    from runner.runners.docker_host import find_endpoint
    from runner.runners.registry import TaskRunners

    async with TaskRunners(settings) as runners:
        if await runners.engine_answers():
            return replace(settings, task_runner="docker")
    if settings.task_runner == "docker":
        raise RunnerUnavailable(
            f"No Docker engine answers at {find_endpoint(settings).url}. Start it, name another "
            "one in DOCKER_HOST, or run the scripts as local processes with --task-runner process; "
            "`eyas doctor` says more"
        )
    display.note("No Docker engine answers: script tasks run as local processes")
    return replace(settings, task_runner="process")


def _wants_container(properties: Mapping[str, Any]) -> bool:
    """Whether a script task does not name the Process runner (a legacy `runner` may)."""
    if properties.get("runner") == "PROCESS":
        return False
    runner: Any = properties.get("taskRunner")
    return not isinstance(runner, dict) or cast("dict[str, Any]", runner).get("type") != _PROCESS


async def _until_done(engine: Engine, execution: Execution, stop: Event) -> Execution:
    """Wait for the execution's end; the first signal kills it in order, the second at once.

    `stop` kills it in order as well.
    """
    import anyio

    async with anyio.create_task_group() as group:

        async def obey() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                await anext(signals)
                group.start_soon(_kill, engine, execution.id)
                async for _ in signals:
                    # Containers have no grace by default: what is slow to stop are processes.
                    _kill_processes()
                    with anyio.move_on_after(_GIVE_UP_S):
                        await anext(signals)
                    os._exit(CANCELLED)

        async def give_up() -> None:
            await stop.wait()
            await _kill(engine, execution.id)

        group.start_soon(obey)
        group.start_soon(give_up)
        await engine.wait_until_done(execution.id)
        group.cancel_scope.cancel()
    return await engine.store.execution(execution.id)


def _kill_processes() -> None:
    """End every process below this one now."""
    from runner.runners.process_tree import descendants, signal_each

    signal_each(descendants(os.getpid()), signal.SIGKILL)


async def _kill(engine: Engine, execution_id: str) -> None:
    from runner.errors import Conflict

    try:
        await engine.kill(execution_id)
    except (Conflict, NotFound):
        return  # it ended by itself in this moment

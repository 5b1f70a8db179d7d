"""`eyas pull`: the images of flows, fetched before the flows run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.tables import output_option, print_json

if TYPE_CHECKING:
    from runner.cli.bars import Bars
    from runner.runners.base import PullProgress
    from runner.runners.docker_images import Images
    from runner.runners.docker_options import DockerOptions
    from runner.settings import Settings


@click.command("pull")
@click.argument(
    "flows", nargs=-1, required=True, metavar="FLOW...", type=click.Path(path_type=Path)
)
@click.option("--refresh", is_flag=True, help="Ask the registry also for images that are here.")
@output_option("text", "json")
def pull_command(flows: Sequence[Path], refresh: bool, output: str) -> None:
    """Fetch all images that the script tasks of FLOW... use.

    An image that is here is not asked for again. Exits with 1 if one could not be had.
    """
    import anyio

    from runner.settings import load_settings

    settings = load_settings(defaults={"task_runner": "docker"})
    show = _Progress(quiet=output == "json")
    try:
        results = anyio.run(_pull, settings, flows, refresh, show)
    finally:
        show.stop()
    if output == "json":
        print_json(results)
    else:
        for result in results:
            click.echo(f"{result['image']}: {result['state']}")
            if result["error"]:
                click.echo(f"  {result['error']}", err=True)
    if any(result["state"] in ("failed", "unknown") for result in results):
        sys.exit(1)


class _Progress:
    """Shows how pulls get on: bars on a terminal, else a line when one begins."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bars: Bars | None = None
        self._known: set[str] = set()
        if sys.stderr.isatty() and not quiet:
            try:
                from runner.cli.bars import Bars
            except ImportError:
                return  # without the extra `tty` there are lines
            self._bars = Bars()

    def show(self, progress: PullProgress) -> None:
        """Take note of a report."""
        if self._bars is not None:
            self._bars.show(progress)
        elif not self._quiet and progress.image not in self._known:
            click.echo(f"Pulling image {progress.image}", err=True)
        self._known.add(progress.image)

    def stop(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()


async def _pull(
    settings: Settings, files: Sequence[Path], refresh: bool, show: _Progress
) -> list[dict[str, Any]]:
    """What became of each image, in the order of the flows; the pulls run beside each other."""
    import anyio

    from runner.runners.docker_client import open_engine
    from runner.runners.docker_host import find_endpoint
    from runner.runners.docker_images import Images, PullTiming

    wanted, results = await _wanted(settings, files)
    pulled: dict[str, dict[str, Any]] = {}
    hosts = dict.fromkeys(options.host for options in wanted)
    for host in hosts:
        mine = [options for options in wanted if options.host == host]
        async with (
            open_engine(find_endpoint(settings, host)) as engine,
            anyio.create_task_group() as pulls,
        ):
            images = Images(engine, settings, pulls, show.show, PullTiming())

            async def fetch(options: DockerOptions, images: Images = images) -> None:
                pulled[str(options.image)] = await _fetched(images, options, refresh=refresh)

            async with anyio.create_task_group() as group:
                for options in mine:
                    group.start_soon(fetch, options)
    return [pulled[str(options.image)] for options in wanted] + results


async def _fetched(images: Images, options: DockerOptions, *, refresh: bool) -> dict[str, Any]:
    from runner.errors import RunnerError

    warnings: list[str] = []
    policy = "ALWAYS" if refresh else "IF_NOT_PRESENT"
    try:
        before = await _id_of(images, options, warnings.append)
        found = await images.ensure(replace(options, pull_policy=policy), warnings.append)
    except RunnerError as error:
        return _result(options.image, "failed", error=str(error))
    state = "present" if before == found.id else "pulled"
    return _result(options.image, state, id_=found.id)


async def _id_of(images: Images, options: DockerOptions, warn: Callable[[str], None]) -> str | None:
    from runner.runners.docker_client import EngineError

    try:
        return (await images.ensure(replace(options, pull_policy="NEVER"), warn)).id
    except EngineError as error:
        if error.status != 404:
            raise
        return None


def _result(image: str | None, state: str, *, id_: str = "", error: str = "") -> dict[str, Any]:
    return {"image": image, "state": state, "id": id_ or None, "error": error or None}


async def _wanted(
    settings: Settings, files: Sequence[Path]
) -> tuple[list[DockerOptions], list[dict[str, Any]]]:
    """The images, each once, with the logins that the flows give; and those that are not known."""
    from runner.cli.planned import PlannedContext, script_tasks
    from runner.errors import RunnerError
    from runner.runners.registry import TaskRunners
    from runner.tasks.script_runner import choose_place

    found: dict[tuple[Any, ...], DockerOptions] = {}
    unknown: list[dict[str, Any]] = []
    for flow, task in script_tasks(files, settings):
        context = PlannedContext(flow, task, settings, TaskRunners(settings))
        try:
            place = await choose_place(context, None, {"workingDir": "/"})
        except RunnerError as error:
            name = f"{flow.id}.{task.id}"
            reason = f"task {name}: known only when it runs: {error}"
            unknown.append(
                _result(str(task.properties.get("containerImage")), "unknown", error=reason)
            )
            continue
        if place.docker is not None:
            found.setdefault((place.docker.image, place.docker.host), place.docker)
    return list(found.values()), unknown

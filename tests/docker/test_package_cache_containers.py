"""Packages of the cache in real containers: what scripts see, and that nothing changes them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from runner.model.execution import Level
from runner.model.state import State
from runner.runners.base import Command, Owner, ReadOnly, Stream
from runner.runners.docker_options import DockerOptions
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.tasks.package_cache import PackageCache
from runner.tasks.package_entry import is_whole
from runner.testing import Ended, run_flow

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

PYTHON = "python:3.11-slim"
NON_ROOT = "eyas-test/nonroot:latest"
LINE = 'beforeCommands: ["pip install -q cowsay==6.1"]'
WAYS = {
    "dependencies": "dependencies: [cowsay==6.1]",
    "line": LINE,
    "file": 'inputFiles: {r.txt: "cowsay==6.1"}\n    beforeCommands: ["pip install -r r.txt"]',
}


@pytest.fixture
def settings(docker_engine: docker.DockerClient, tmp_path: Path) -> Settings:
    """Settings with real containers and an empty cache."""
    return Settings(state_dir=tmp_path / "state", task_runner="docker", environ=dict(os.environ))


def task(name: str, way: str, commands: str, image: str = PYTHON, more: str = "") -> str:
    """A task that installs in one way, in containers without a network."""
    runner = "type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER"
    return f"""  - id: {name}
    type: io.kestra.plugin.scripts.python.Commands
    containerImage: {image}
    taskRunner: {{{runner}, networkMode: none{more}}}
    {way}
    commands: {commands}
"""


async def run(settings: Settings, *tasks: str) -> Ended:
    """Run tasks one after the other."""
    flow = "id: flow\nnamespace: demo\ntasks:\n" + "".join(tasks)
    return await run_flow(flow, settings=settings, limit_s=170)


@pytest.mark.parametrize("way", WAYS)
async def test_packages_are_installed_once_for_an_image_and_then_without_any_network(
    settings: Settings, way: str
) -> None:
    listed = '"pip list 2>/dev/null | grep cowsay"'
    look = f"[cowsay -t hi | grep -c hi, {listed}, python -c 'import cowsay']"
    first = await run(settings, task("t", WAYS[way], look))
    again = await run(replace(settings, offline=True), task("t", WAYS[way], look))

    assert (first.state, again.state) == (State.SUCCESS, State.SUCCESS), first.logs(Level.ERROR)
    assert first.logs() == again.logs()
    assert [line.split() for line in again.logs()] == [["1"], ["cowsay", "6.1"]]
    assert any(line.startswith("Packages of ") for line in again.logs(Level.DEBUG))


async def test_no_script_can_change_what_others_get(settings: Settings) -> None:
    spoil = "['rm -rf /.eyas/packages/*/cowsay 2>/dev/null || echo no']"
    ended = await run(settings, task("t", WAYS["dependencies"], spoil))

    (entry,) = PackageCache.of(settings).entries()
    assert ended.logs() == ["no"]
    assert is_whole(entry)


async def test_an_image_with_a_user_of_its_own_has_dependencies_and_runs_lines_as_written(
    settings: Settings,
) -> None:
    show = "['python -c \"import cowsay; print(cowsay.__version__)\"; id -u']"
    line = task("line", LINE, "[echo never]", NON_ROOT)

    ended = await run(settings, task("own", WAYS["dependencies"], show, NON_ROOT), line)

    assert ended.logs(Level.INFO, "own")[1:] == ["6.1", "1000"]
    debug = ended.logs(Level.DEBUG, "line")
    assert any("Installed as it is written: this user may not write" in text for text in debug)
    assert ended.run("line").state is State.FAILED


async def test_images_do_not_share_their_packages(settings: Settings) -> None:
    show = "[python -c 'import cowsay']"
    way = WAYS["dependencies"]

    await run(settings, task("a", way, show), task("b", way, show, NON_ROOT))

    assert len(PackageCache.of(settings).entries()) == 2


async def test_a_container_with_the_packages_of_earlier_tasks_starts_ahead(
    settings: Settings, docker_engine: docker.DockerClient
) -> None:
    engine: Any = docker_engine
    since = int(time.time())
    tasks = [task(f"t{n}", WAYS["dependencies"], "[cowsay -t hi, sleep 1]") for n in range(5)]
    ended = await run(settings, *tasks)
    until = int(time.time()) + 1
    made = engine.events(since=since, until=until, decode=True, filters={"event": "create"})
    names = [each["Actor"]["Attributes"]["name"] for each in made]

    assert ended.state is State.SUCCESS, ended.logs(Level.ERROR)
    # It is known what they need when the second one begins.
    assert len([name for name in names if name.startswith("eyas-standby-")]) == 2


@pytest.fixture
async def runners(settings: Settings) -> AsyncIterator[TaskRunners]:
    """Task runners that are open."""
    async with TaskRunners(settings) as opened:
        yield opened


@pytest.mark.parametrize("seen", [True, False])
async def test_a_folder_to_read_is_mounted_or_copied_in(
    runners: TaskRunners, tmp_path: Path, seen: bool
) -> None:
    work, folder = tmp_path / "work", tmp_path / "kept" / "lib"
    work.mkdir()
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("content")
    # Nothing can be put there, so nobody can tell whether the engine sees it.
    root = folder.parent if seen else tmp_path / "absent"
    printed: list[bytes] = []

    async def emit(stream: Stream, chunk: bytes) -> None:
        printed.append(chunk)

    ids = {"namespace": "n", "flow_id": "f", "execution_id": "e", "task_id": "t"}
    command = Command(
        argv=["/bin/sh", "-c", "cat /.eyas/packages/x/deep/file"],
        workdir=work,
        owner=Owner(task_run_id="packages", attempt=0, **ids),
        reads=[ReadOnly(folder=folder, root=root, target="/.eyas/packages/x")],
    )
    options = DockerOptions(image=PYTHON, pull_policy="NEVER", network_mode="none")
    outcome = await runners.docker(options).run(command, emit)

    assert (outcome.exit_code, b"".join(printed)) == (0, b"content")

"""Script tasks in real containers: files, Python's packages, what a shared folder keeps."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import anyio
import docker
import pytest

from runner.model.execution import Level
from runner.model.state import State
from runner.settings import Settings
from runner.storage.files import Storage
from runner.testing import Ended, bench, run_flow

pytestmark = pytest.mark.docker

DOCKER = "type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER"
ALONE = f"{{{DOCKER}, networkMode: none}}"
"""A task runner whose containers start without waiting for a network."""

WHEEL = "eyas_probe-1.5-py3-none-any.whl"


@pytest.fixture
def settings(docker_engine: docker.DockerClient, tmp_path: Path) -> Settings:
    """Settings with real containers, a place for our files and no package index."""
    environ = {**os.environ, "UV_OFFLINE": "1"}
    found = Settings(state_dir=tmp_path / "state", task_runner="docker", environ=environ)
    Storage(found.state_dir / "storage").namespace_files("demo").write(WHEEL, wheel())
    return found


def wheel() -> bytes:
    """A wheel with the module `eyas_probe`, which has a `VALUE`."""
    info, data = "eyas_probe-1.5.dist-info", io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("eyas_probe.py", "VALUE = 42\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: eyas-probe\nVersion: 1.5\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return data.getvalue()


async def run(settings: Settings, *tasks: str) -> Ended:
    """Run tasks, each the YAML of one, one after the other."""
    listed = "".join(f"  - {task}\n" for task in tasks)
    return await run_flow(
        f"id: flow\nnamespace: demo\ntasks:\n{listed}", settings=settings, limit_s=50
    )


def dependent(name: str, image: str, more: str = "") -> str:
    """A task that needs the wheel, from an image and without an index."""
    return f"""id: {name}
    type: io.kestra.plugin.scripts.python.Commands
    containerImage: {image}
    taskRunner: {{{DOCKER}{more}}}
    env: {{PIP_NO_INDEX: "1"}}
    inputFiles: {{{WHEEL}: "nsfile:///{WHEEL}"}}
    dependencies: [./{WHEEL}]
    commands: ['python3 -c "import eyas_probe; print(eyas_probe.VALUE)"; id -u']
"""


async def test_dependencies_are_installed_in_a_container_of_the_same_image(
    settings: Settings,
) -> None:
    ended = await run(
        settings,
        dependent("root", "python:3.11-slim"),
        dependent(
            "user", "eyas-test/nonroot:latest", ", networkMode: none, memory: {memory: 64MB}"
        ),
    )

    assert ended.logs(Level.INFO, "root") == ["42", "0"]
    assert ended.logs(Level.INFO, "user")[1:] == ["42", "1000"]
    assert "Installed dependencies: eyas_probe==1.5" in ended.logs(Level.DEBUG, "user")


async def test_an_image_with_only_sh_and_python3_runs_scripts_that_talk_back(
    settings: Settings,
) -> None:
    ended = await run(
        settings,
        "{id: t, type: io.kestra.plugin.scripts.python.Script,"
        " containerImage: eyas-test/alpine-like:latest,"
        " script: 'from kestra import Kestra; Kestra.outputs({\"n\": 1})'}",
    )

    assert ended.state is State.SUCCESS, ended.logs(Level.ERROR, "t")
    assert ended.outputs_of("t")["vars"] == {"n": 1}


async def test_an_image_without_an_installer_is_served_by_uv_here(
    settings: Settings, tmp_path: Path
) -> None:
    uv = Path(__file__).parents[2] / ".venv" / "bin" / "uv"
    environ = {**settings.environ, "UV_PATH": str(uv)}
    with_uv = Settings(state_dir=settings.state_dir, task_runner="docker", environ=environ)
    bare = {"PATH": "/nowhere", "HOME": str(tmp_path)}
    without = Settings(state_dir=settings.state_dir, task_runner="docker", environ=bare)
    task = dependent("t", "eyas-test/alpine-like:latest")

    assert (await run(with_uv, task)).logs(Level.INFO, "t")[1:] == ["42", "0"]
    failed = await run(without, task)

    assert failed.state is State.FAILED
    assert "alpine-like:latest has neither pip nor uv" in failed.logs(Level.ERROR, "t")[0]


async def test_an_environment_activated_in_a_container_runs_the_script(settings: Settings) -> None:
    task = f"""id: t
    type: io.kestra.plugin.scripts.python.Script
    containerImage: python:3.11-slim
    taskRunner: {ALONE}
    beforeCommands: [python -m venv --without-pip v, . v/bin/activate]
    script: import sys; print(sys.prefix == "{{{{ workingDir }}}}/v")
"""
    assert (await run(settings, task)).logs() == ["True"]


async def test_scripts_of_any_user_can_read_and_write_their_folder(settings: Settings) -> None:
    task = f"""id: t
    type: io.kestra.plugin.scripts.python.Script
    containerImage: eyas-test/nonroot:latest
    taskRunner: {ALONE}
    pythonVersion: "3.11"
    inputFiles: {{sub/in.txt: text}}
    outputFiles: ["sub/*", out.txt]
    script: |
      open("out.txt", "w").write(open("sub/in.txt").read())
      open("sub/in.txt", "a").write(" more")
      open("sub/new.txt", "w").write("new")
"""
    ended = await run(settings, task)

    assert (ended.state, ended.logs()) == (State.SUCCESS, [])
    files = ended.outputs_of("t")["outputFiles"]
    storage = Storage(settings.state_dir / "storage")
    assert {name: storage.open(uri).read_text() for name, uri in files.items()} == {
        "out.txt": "text",
        "sub/in.txt": "text more",
        "sub/new.txt": "new",
    }


async def test_an_exit_code_of_a_container_names_its_image_or_its_limit(settings: Settings) -> None:
    limits = "memory: {memory: 32MB, memorySwap: 32MB}"
    runner = f"{{{DOCKER}, networkMode: none, {limits}}}"
    image = f"containerImage: python:3.11-slim, taskRunner: {runner}"
    common = f"type: io.kestra.plugin.scripts.shell.Commands, {image}"
    missing = f"{{id: missing, {common}, allowFailure: true, commands: [no-such-program]}}"
    hungry = 'exec python3 -c "b = bytearray(400 * 1024 * 1024)"'
    large = f"{{id: large, {common}, allowFailure: true, commands: ['{hungry}']}}"

    ended = await run(settings, missing, large)

    assert ended.logs(Level.ERROR, "missing")[-1] == (
        "Command failed with exit code 127 "
        "(a program was not found: is it in the image python:3.11-slim?)"
    )
    assert ended.logs(Level.ERROR, "large")[-1] == (
        "Command failed with exit code 137 "
        "(out of memory: the container reached its limit, see `memory`)"
    )
    assert ended.outputs_of("large") == {"vars": {}, "exitCode": 137, "outputFiles": {}}


async def test_what_a_container_deletes_in_a_shared_folder_is_there_for_the_next_task(
    settings: Settings,
) -> None:
    common = "type: io.kestra.plugin.scripts.shell.Commands, containerImage: busybox:latest"
    mount = f"{{{DOCKER}, networkMode: none, fileHandlingStrategy: MOUNT}}"
    task = f"""id: wd
    type: io.kestra.plugin.core.flow.WorkingDirectory
    inputFiles: {{a: a, b: b}}
    tasks:
      - {{id: copied, {common}, taskRunner: {ALONE}, commands: [rm a]}}
      - {{id: mounted, {common}, taskRunner: {mount}, commands: [ls a, rm b]}}
      - {{id: look, {common}, taskRunner: {ALONE}, commands: [ls ?]}}
"""
    ended = await run(settings, task)

    assert (ended.logs(Level.INFO, "mounted"), ended.logs(Level.INFO, "look")) == (["a"], ["a"])


async def test_a_task_that_does_not_come_after_a_failed_one_is_not_waited_for(
    settings: Settings,
) -> None:
    flow = f"""
id: flow
namespace: demo
tasks:
  - id: first
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: busybox
    taskRunner: {ALONE}
    commands: [sleep 1, exit 1]
  - id: second
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: busybox
    taskRunner: {ALONE}
    commands: ["true"]
"""
    with anyio.fail_after(50):
        async with bench(flow, settings=settings) as opened:
            ended = await opened.ended(await opened.start())
            standing = opened.engine.runners.standing()

    assert ended.states == {"first": State.FAILED}
    assert [(each.image, each.wanted) for each in standing] == [("busybox", 0)]

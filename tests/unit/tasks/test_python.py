"""Python tasks: which interpreter runs the script, with which packages (script-tasks 7.3, 8)."""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from script_bench import PROCESS, Bench

from runner.errors import TaskFailed
from runner.model.execution import Level
from runner.tasks.script import run_commands, run_script

SYSTEM = "/usr/bin:/bin"
UV = str(Path(sys.executable).parent / "uv")


def bench(folder: Path, script: str = "print(1)", **properties: Any) -> Bench:
    """A python.Script as a process; `PATH` and other upper case names are variables of ours."""
    environ = {name: properties.pop(name) for name in list(properties) if name.isupper()}
    properties = {"taskRunner": PROCESS, "script": script, **properties}
    return Bench(folder, "python.Script", properties, environ=environ)


def program(path: Path, text: str) -> str:
    """Make an executable shell script; the path of its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path.parent)


def python_of_version(path: Path, version: str) -> str:
    """Make a program that answers as a Python of this version would; the path of its folder."""
    return program(path, f"[ $1 = -c ] && echo {version} && echo {path} || echo {path.name} runs")


async def lines(ctx: Bench) -> list[str]:
    """Run the task; what it printed."""
    async with ctx.leaving:
        await (run_script if ctx.type.endswith("Script") else run_commands)(ctx)
    return ctx.lines()


async def failure(ctx: Bench) -> str:
    """Run the task, which fails; the message."""
    with pytest.raises(TaskFailed) as caught:
        await lines(ctx)
    return str(caught.value)


async def test_the_first_python_of_the_path_runs_the_script(tmp_path: Path) -> None:
    first = program(tmp_path / "one" / "python", "echo first")
    program(tmp_path / "one" / "python3", "echo three")
    second = program(tmp_path / "two" / "python", "echo second")

    assert await lines(bench(tmp_path, PATH=f"{first}:{second}:{SYSTEM}")) == ["first"]


async def test_python3_runs_the_script_where_there_is_no_python(tmp_path: Path) -> None:
    folder = program(tmp_path / "bin" / "python3", "echo three")
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")

    assert await lines(bench(tmp_path, PATH=folder)) == ["three"]
    assert await lines(bench(tmp_path, PATH=folder, interpreter=["sh", "-c"])) == ["three"]


async def test_an_environment_that_is_activated_before_wins(tmp_path: Path) -> None:
    outer = program(tmp_path / "bin" / "python", "echo outer")
    program(tmp_path / "venv" / "bin" / "python", "echo venv")
    activate = f"export VIRTUAL_ENV={tmp_path}/venv"

    ctx = bench(tmp_path, PATH=f"{outer}:{SYSTEM}", beforeCommands=[activate])

    assert await lines(ctx) == ["venv"]


async def test_an_environment_that_was_active_around_us_is_not_preferred(tmp_path: Path) -> None:
    path = program(tmp_path / "bin" / "python", "echo outer") + ":" + SYSTEM
    program(tmp_path / "venv" / "bin" / "python", "echo venv")

    assert await lines(bench(tmp_path, PATH=path, VIRTUAL_ENV=f"{tmp_path}/venv")) == ["outer"]


async def test_without_version_and_dependencies_no_tool_is_asked(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    path = program(tmp_path / "bin" / "uv", f"echo uv >> {log}")
    program(tmp_path / "bin" / "python", f"echo python >> {log}; echo ran")

    assert await lines(bench(tmp_path, PATH=f"{path}:{SYSTEM}")) == ["ran"]
    assert log.read_text() == "python\n"


async def test_a_version_selects_an_interpreter_of_the_path(tmp_path: Path) -> None:
    path = python_of_version(tmp_path / "bin" / "python3.9", "3.9.1")
    python_of_version(tmp_path / "bin" / "python3", "3.8.0")

    for version, expected in ((3.9, "python3.9"), ("3.9.1", "python3.9"), ("3", "python3")):
        ctx = bench(tmp_path, PATH=f"{path}:{SYSTEM}", pythonVersion=version)
        assert await lines(ctx) == [f"{expected} runs"]


async def test_a_version_loses_to_an_environment_that_is_activated_before(tmp_path: Path) -> None:
    path = python_of_version(tmp_path / "bin" / "python3.9", "3.9.1")
    program(tmp_path / "venv" / "bin" / "python", "echo venv")
    activate = [f"export VIRTUAL_ENV={tmp_path}/venv"]
    ctx = bench(tmp_path, PATH=f"{path}:{SYSTEM}", pythonVersion="3.9", beforeCommands=activate)

    assert await lines(ctx) == ["venv"]


async def test_a_version_that_only_uv_has_comes_from_uv(tmp_path: Path) -> None:
    found = tmp_path / "found"
    python_of_version(tmp_path / "managed" / "python3.9", "3.9.2")
    uv = f"""case "$2" in
install) : > {found} ;;
find) [ -e {found} ] && echo {tmp_path}/managed/python3.9 ;;
esac"""
    program(tmp_path / "uv-bin" / "uv", uv)
    path = python_of_version(tmp_path / "bin" / "python3", "3.10.0")

    ctx = bench(tmp_path, PATH=path, UV_PATH=f"{tmp_path}/uv-bin/uv", pythonVersion="3.9")

    assert await lines(ctx) == ["python3.9 runs"]


async def test_a_version_that_nobody_has_fails_the_task(tmp_path: Path) -> None:
    path = python_of_version(tmp_path / "bin" / "python3", "3.10.0")
    program(tmp_path / "uv-bin" / "uv", "echo no such version >&2; exit 2")
    ours = {"PATH": path, "HOME": str(tmp_path)}

    without = await failure(bench(tmp_path, **ours, pythonVersion="3.9"))
    uv = f"{tmp_path}/uv-bin/uv"
    with_uv = await failure(bench(tmp_path, **ours, UV_PATH=uv, pythonVersion="3.9"))

    assert without.splitlines()[0] == "Could not find or install Python '3.9' path"
    assert with_uv == "Could not find or install Python '3.9' path\nno such version"


async def test_an_unknown_package_manager_is_refused(tmp_path: Path) -> None:
    message = "Invalid packageManager 'CONDA': one of UV, PIP is needed"

    assert await failure(bench(tmp_path, packageManager="CONDA")) == message


@pytest.mark.parametrize(
    ("properties", "warned"),
    [
        ({}, False),
        ({"containerImage": "my.registry:5000/python:3"}, False),
        ({"containerImage": "python:1.2"}, True),
        ({"containerImage": "my/image:3.11"}, True),
        ({"containerImage": "my/image", "pythonVersion": "3.11"}, False),
        ({"docker": {"image": "my/image"}}, False),
    ],
)
async def test_an_image_that_does_not_tell_its_version_is_a_warning(
    tmp_path: Path, properties: dict[str, Any], warned: bool
) -> None:
    ctx = Bench(tmp_path, "python.Script", {"script": "print(1)", **properties})

    await lines(ctx)

    warning = "No Python Version found. Using default version: '3.13'"
    assert ctx.lines(Level.WARN) == [warning] * warned
    assert re.search(r"; else python \S+; fi$", ctx.commands[0].argv[2])


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel with the module `eyas_probe`, which has a `VALUE`."""
    path = tmp_path / "eyas_probe-1.5-py3-none-any.whl"
    info = "eyas_probe-1.5.dist-info"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("eyas_probe.py", "VALUE = 42\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: eyas-probe\nVersion: 1.5\n"
        )
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return path


def dependent(folder: Path, wheel: Path, **properties: Any) -> Bench:
    """A script that needs the wheel, on this test's Python and without an index."""
    script = "import eyas_probe, os; print(eyas_probe.VALUE); print(os.environ['PYTHONPATH'])"
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "HOME": str(folder), "PATH": SYSTEM}
    here = {"PATH": f"{Path(sys.executable).parent}:{SYSTEM}"}
    ours = {**offline, **here, "dependencies": [f"eyas-probe @ {wheel.as_uri()}"]}
    return bench(folder, script, **{**ours, **properties})


@pytest.mark.parametrize("manager", ["UV", "PIP"])
async def test_dependencies_are_there_for_the_script(
    tmp_path: Path, wheel: Path, manager: str
) -> None:
    ctx = dependent(tmp_path, wheel, packageManager=manager, UV_PATH=UV)
    ctx.properties["env"] = {"PYTHONPATH": "/own"}

    value, path = await lines(ctx)

    library = f"{ctx.commands[0].workdir}/.kestra_additional_python_lib"
    assert (value, path.endswith(f"{library}:/own")) == ("42", True)
    assert "Installed dependencies: eyas_probe==1.5" in ctx.lines(Level.DEBUG)
    assert ctx.lines(Level.WARN) == []
    assert ctx.left() == []


async def test_commands_have_their_dependencies_too(tmp_path: Path, wheel: Path) -> None:
    script = dependent(tmp_path, wheel, packageManager="PIP")
    code = 'python -c "import eyas_probe; print(eyas_probe.VALUE)"'
    properties = {**script.properties, "commands": [code]}
    del properties["script"]
    ctx = Bench(tmp_path, "python.Commands", properties, environ=dict(script.environ))

    assert await lines(ctx) == ["42"]


async def test_without_uv_pip_installs(tmp_path: Path, wheel: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python").symlink_to(sys.executable)
    ctx = dependent(tmp_path, wheel, PATH=f"{tools}:{SYSTEM}")
    ctx.properties["uvAutoInstallEnabled"] = False

    if shutil.which("uv", path=SYSTEM) is None:
        assert "`uvAutoInstallEnabled` is false: install uv" in await failure(ctx)
        ctx.properties["uvAutoInstallEnabled"] = True
        assert (await lines(ctx))[0] == "42"
        assert "uv was not found; pip installs the dependencies" in ctx.lines(Level.DEBUG)


@pytest.mark.parametrize("manager", ["UV", "PIP"])
async def test_a_failed_installation_fails_the_task_and_says_why(
    tmp_path: Path, wheel: Path, manager: str
) -> None:
    ctx = dependent(tmp_path, wheel, packageManager=manager, UV_PATH=UV)
    ctx.properties["dependencies"] = ["eyas-no-such-package==9"]

    message = await failure(ctx)

    assert message.startswith("Failed to install the dependencies eyas-no-such-package==9: exit")
    assert "eyas-no-such-package" in message.partition("\n")[2]
    assert ctx.lines() == []


async def test_a_python_without_pip_is_served_by_ours(tmp_path: Path, wheel: Path) -> None:
    bare = tmp_path / "bare"
    await anyio.run_process([sys.executable, "-m", "venv", "--without-pip", str(bare)])

    ctx = dependent(tmp_path, wheel, packageManager="PIP", PATH=f"{bare}/bin:{SYSTEM}")

    assert (await lines(ctx))[0] == "42"

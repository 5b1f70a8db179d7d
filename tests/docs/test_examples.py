"""The flows of `flows/` and of the README work as they are written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import pytest

ROOT = Path(__file__).parents[2]
DEVELOPMENT = shutil.ignore_patterns(".git", ".venv", ".test", ".*_cache", "__pycache__")


def run(*arguments: str, cwd: Path = ROOT) -> dict[str, Any]:
    """The execution that `eyas run` prints as JSON."""
    command = [sys.executable, "-m", "runner", "run", *arguments, "--output", "json"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def result(execution: dict[str, Any]) -> tuple[str, Any]:
    """The state in which an execution ended, and its outputs."""
    return execution["state"]["current"], execution["outputs"]


def test_every_example_is_valid() -> None:
    flows = sorted(str(path) for path in (ROOT / "flows").rglob("*.yaml"))

    done = subprocess.run(
        [sys.executable, "-m", "runner", "validate", *flows],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_hello_runs_as_a_process() -> None:
    ended = run("flows/hello.yaml", "-i", "name=Ada", "--task-runner", "process")

    assert result(ended) == ("SUCCESS", {"greeting": "HELLO, ADA!"})


def test_the_local_process_uses_a_python_of_this_machine() -> None:
    state, outputs = result(run("flows/local-process.yaml"))

    assert state == "SUCCESS"
    assert Path(outputs["executable"]).exists()


@pytest.mark.usefixtures("docker_engine")
def test_hello_runs_in_a_container() -> None:
    ended = run("flows/hello.yaml", "--task-runner", "docker")

    assert result(ended) == ("SUCCESS", {"greeting": "HELLO, WORLD!"})


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("docker_engine")
def test_pandas_is_installed_in_the_container() -> None:
    assert result(run("flows/pandas-in-container.yaml")) == ("SUCCESS", {"oslo": 162.0})


@pytest.mark.timeout(300)
def test_an_image_with_pandas_is_built_once_and_used(docker_engine: docker.DockerClient) -> None:
    folder = ROOT / "flows" / "prebuilt-image"
    docker_engine.images.build(path=str(folder), tag="python-with-pandas:latest", rm=True)

    state, outputs = result(run(str(folder / "prebuilt-image.yaml")))

    assert (state, round(outputs["mean"], 2)) == ("SUCCESS", 20.33)


def test_the_first_flow_of_the_readme_runs(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(id: first\n.*?)```", (ROOT / "README.md").read_text(), re.S)
    (tmp_path / "first.yaml").write_text(text)

    ended = run("first.yaml", "--task-runner", "process", cwd=tmp_path)

    assert ended["state"]["current"] == "SUCCESS"
    assert ended["taskRunList"][0]["outputs"]["vars"] == {"answer": 42}


@pytest.mark.timeout(300)
def test_the_quickstart_runs_in_a_fresh_clone_and_is_fast_the_second_time(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=DEVELOPMENT)
    command = ["sh", "deploy/quickstart.sh", "-i", "name=Ada", "--task-runner", "process"]
    # As in the shell of a newcomer: no environment is active.
    path = os.environ["PATH"].split(":")
    environ = os.environ | {"PATH": ":".join(part for part in path if ".venv" not in part)}

    first, second = (
        subprocess.run(command, cwd=clone, env=environ, capture_output=True, text=True, check=False)
        for _ in range(2)
    )

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "HELLO, ADA!" in first.stdout + first.stderr
    assert "Installing" in first.stderr
    assert "Installing" not in second.stderr

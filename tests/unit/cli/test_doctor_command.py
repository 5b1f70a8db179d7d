"""What `eyas doctor` says on machines where things are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FLOW = """
id: f
namespace: a.b
tasks:
  - {id: default, type: io.kestra.plugin.scripts.python.Script, script: print(1)}
  - id: group
    type: io.kestra.plugin.core.flow.Sequential
    tasks:
      - id: never
        type: io.kestra.plugin.scripts.shell.Commands
        containerImage: eyas-test/absent:1
        commands: [x]
        taskRunner: {type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER}
  - {id: late, type: io.kestra.plugin.scripts.shell.Script, containerImage: "{{ x }}", script: x}
  - id: process
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: unused
    commands: [x]
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
"""


def doctor(home: Path, *arguments: str, **environ: str) -> tuple[int, dict[str, Any]]:
    """Exit status of the command, and its findings by name."""
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "EYAS_STATE_DIR": str(home / "state")}
    argv = [sys.executable, "-m", "runner", "doctor", "--output", "json", *arguments]
    done = subprocess.run(argv, env=env | environ, capture_output=True, text=True)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["ok"] == (done.returncode == 0)
    return done.returncode, {finding["name"]: finding for finding in found["findings"]}


def test_a_missing_engine_is_named_with_who_said_where_it_is(tmp_path: Path) -> None:
    status, found = doctor(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/no.sock")

    assert status == 3
    assert found["Docker"]["level"] == "missing"
    assert f"{tmp_path}/no.sock (DOCKER_HOST)" in found["Docker"]["found"]
    assert "No such file or directory" in found["Docker"]["found"]
    assert "Process" in found["Docker"]["advice"]


def test_a_state_folder_that_cannot_be_made_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    status, found = doctor(tmp_path, EYAS_STATE_DIR=str(tmp_path / "file/state"))

    assert status == 3
    assert found["state folder"]["level"] == "missing"


def test_without_python_and_uv_that_is_said_and_no_failure(tmp_path: Path) -> None:
    _, found = doctor(tmp_path, PATH=str(tmp_path))

    assert found["Python"]["level"] == found["uv"]["level"] == "note"


def test_a_login_whose_helper_is_not_installed_is_noted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"credHelpers": {"r.example": "not-here"}}')

    _, found = doctor(tmp_path, DOCKER_CONFIG=str(tmp_path))

    assert found["login"]["level"] == "note"
    assert "docker-credential-not-here" in found["login"]["found"]


def test_a_broken_flow_is_named(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("id: f\n")

    status, found = doctor(tmp_path, str(tmp_path / "f.yaml"))

    assert status == 3
    assert found[f"flow {tmp_path}/f.yaml"]["level"] == "missing"


def test_a_folder_stands_for_the_flows_in_it(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "bad.yaml").write_text("- no flow\n")
    (tmp_path / "flows" / "good.yaml").write_text(FLOW)

    _, found = doctor(tmp_path, str(tmp_path / "flows"))

    named = [name for name in found if name.startswith("flow ")]
    assert named == [f"flow {tmp_path}/flows/bad.yaml"]
    assert found[named[0]]["found"] == "1 problem"


@pytest.mark.usefixtures("docker_engine")
def test_the_images_of_flows_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(FLOW)

    status, found = doctor(tmp_path, str(tmp_path / "f.yaml"))

    levels = {name: finding["level"] for name, finding in found.items() if name.startswith("image")}
    assert status == 3
    assert levels == {
        "image python:3.13-slim": "ok",
        "image eyas-test/absent:1": "missing",
        "image {{ x }}": "note",
    }


@pytest.mark.usefixtures("docker_engine")
def test_an_engine_that_is_there_is_described(tmp_path: Path) -> None:
    status, found = doctor(tmp_path)

    assert status == 0
    assert "API 1." in found["Docker"]["found"]
    assert found["files"]["level"] == "ok"

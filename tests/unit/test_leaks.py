"""The check that tests leave nothing behind, and the rule for tests without a Docker engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import docker
import leaks
import pytest

from runner.settings import INSTANCE_LABEL

TESTS = Path(__file__).parents[1]
ESCAPE = "setsid sleep 60 >/dev/null 2>&1 </dev/null &"


def test_a_process_that_lost_its_parent_is_found_and_ended() -> None:
    processes = leaks.Processes()
    processes.remember()

    subprocess.run(["sh", "-c", ESCAPE], check=True)

    assert len(processes.left()) == 1
    processes.end()
    assert leaks.settle(processes.left) == []


def test_a_folder_of_ours_is_found_and_another_is_not(tmp_path: Path) -> None:
    folders = leaks.TempFolders(tmp_path)
    (tmp_path / "eyas-before").mkdir()
    folders.remember()

    (tmp_path / "eyas-after").mkdir()
    (tmp_path / "other").mkdir()

    assert folders.left() == [f"folder {tmp_path / 'eyas-after'}"]


def test_a_container_with_our_label_is_found_and_that_of_another_session_is_not(
    docker_engine: docker.DockerClient, tmp_path: Path
) -> None:
    def create(folder: Path) -> str:
        container = docker_engine.containers.create(
            "busybox:latest", labels={INSTANCE_LABEL: "test"}, working_dir=str(folder)
        )
        return str(container.id)

    objects = leaks.EngineObjects(docker_engine, [tmp_path], alone=False)
    objects.remember()
    ours, theirs = create(tmp_path / "here"), create(Path("/elsewhere"))
    try:
        assert [line.split()[1] for line in objects.left()] == [ours[:12]]
    finally:
        for container in (ours, theirs):
            docker_engine.containers.get(container).remove(force=True)
    assert objects.left() == []


LEAVES_A_PROCESS = f"""
import subprocess

def test_inner():
    subprocess.run(["sh", "-c", {ESCAPE!r}], check=True)
"""

NEEDS_AN_ENGINE = """
def test_inner(docker_engine):
    pass
"""


def pytest_on(code: str, folder: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    """The exit status and output of Pytest on a test file beside a copy of our conftest."""
    for name in ("conftest.py", "leaks.py"):
        shutil.copy(TESTS / name, folder)
    (folder / "test_inner.py").write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = docker\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rEs", str(folder)],
        env=os.environ | environ,
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_test_that_leaves_a_process_fails(tmp_path: Path) -> None:
    status, output = pytest_on(LEAVES_A_PROCESS, tmp_path, {})

    assert (status, "left behind:" in output, "sleep 60" in output) == (1, True, True), output


@pytest.mark.parametrize(("ci", "status", "said"), [("true", 1, "1 error"), ("", 0, "1 skipped")])
def test_a_test_without_its_engine_fails_in_ci_and_is_skipped_elsewhere(
    tmp_path: Path, ci: str, status: int, said: str
) -> None:
    environ = {"CI": ci, "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}

    ended, output = pytest_on(NEEDS_AN_ENGINE, tmp_path, environ)

    assert (ended, said in output, "no Docker engine: " in output) == (status, True, True), output

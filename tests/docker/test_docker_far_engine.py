"""Files on an engine that does not see our folders, beyond the contract of all runners."""

from __future__ import annotations

import tempfile
import uuid
from binascii import crc32
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from private_engine import PrivateEngine, private_engine

from runner.errors import TaskFailed
from runner.runners.base import Command, Outcome, Owner, Stream
from runner.runners.docker_options import DockerOptions
from runner.runners.registry import TaskRunners
from runner.settings import Settings

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

SHIM_SEEN = "ls /.eyas/shim/site/sitecustomize.py; touch $EYAS_SIDE_FILE"


@pytest.fixture(scope="module")
def far_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    folder = Path(tempfile.mkdtemp(prefix="far-", dir="/var/tmp"))
    with private_engine(folder, hide=tmp_path_factory.getbasetemp()) as engine:
        engine.load("busybox:latest")
        yield engine


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(params=["default", "strict"])
async def runners(
    request: pytest.FixtureRequest, tmp_path: Path, docker_engine: docker.DockerClient
) -> AsyncIterator[TaskRunners]:
    settings = Settings(
        state_dir=tmp_path / "state", tmp_dir=tmp_path, docker_profile=request.param
    )
    async with TaskRunners(settings) as opened:
        yield opened


@pytest.fixture
def options(far_engine: PrivateEngine) -> DockerOptions:
    return DockerOptions(image="busybox:latest", host=far_engine.url, network_mode="none")


async def run(
    runners: TaskRunners, options: DockerOptions, workdir: Path, *lines: str, **more: Any
) -> tuple[Outcome, str]:
    text = ""

    async def emit(_: Stream, chunk: bytes) -> None:
        nonlocal text
        text += chunk.decode()

    owner = Owner(
        namespace="n",
        flow_id="f",
        execution_id="e",
        task_id="t",
        task_run_id=uuid.uuid4().hex,
        attempt=0,
    )
    argv = ["/bin/sh", "-c", "\n".join(("set -e", *lines))]
    command = Command(argv=argv, workdir=workdir, owner=owner, **more)
    return await runners.docker(options).run(command, emit), text


@pytest.mark.parametrize("user", ["", "1000:1000", "1000"])
async def test_any_user_reads_and_writes_copied_files(
    runners: TaskRunners, options: DockerOptions, workdir: Path, user: str
) -> None:
    (workdir / "sub").mkdir()
    (workdir / "sub/in").write_text("data\n")
    (workdir / "sub/in").chmod(0o600)
    lines = ["cat sub/in", "echo more >> sub/in", "echo new > sub/out", "echo top > top", SHIM_SEEN]

    outcome, text = await run(runners, replace(options, user=user or None), workdir, *lines)

    assert outcome.exit_code == 0, text
    assert text == "data\n/.eyas/shim/site/sitecustomize.py\n"
    assert (workdir / "sub/in").read_text() == "data\nmore\n"
    assert (workdir / "sub/out").read_text() == "new\n"
    assert (workdir / "top").read_text() == "top\n"


async def test_markers_come_back_from_a_copied_side_file(
    runners: TaskRunners, options: DockerOptions, workdir: Path
) -> None:
    sum_ = f"{crc32(b'::{}::'):08x}"

    outcome, _ = await run(
        runners, options, workdir, f"printf 'm 1 1 {sum_} ::{{}}::\\n' > $EYAS_SIDE_FILE"
    )

    assert list(outcome.markers) == ["::{}::"]


async def test_a_sparse_bomb_is_refused_and_takes_no_space(
    runners: TaskRunners, options: DockerOptions, workdir: Path
) -> None:
    with pytest.raises(TaskFailed, match="holds more than"):
        await run(
            runners, options, workdir, "dd if=/dev/zero of=bomb bs=1 count=0 seek=1099511627776"
        )

    assert not (workdir / "bomb").exists()


async def test_a_failed_command_is_not_copied_back_if_nobody_needs_it(
    runners: TaskRunners, options: DockerOptions, workdir: Path
) -> None:
    outcome, _ = await run(runners, options, workdir, "touch out", "exit 3", sync_back=False)

    assert outcome.exit_code == 3
    assert not (workdir / "out").exists()


async def test_a_script_that_removes_its_folder_is_told(
    runners: TaskRunners, options: DockerOptions, workdir: Path
) -> None:
    lines = [f'rm -rf {workdir} 2>/dev/null || rm -rf "$PWD"/*', "cd /"]

    try:
        outcome, _ = await run(runners, options, workdir, *lines)
    except TaskFailed as error:
        assert "removed its working directory" in str(error)
    else:
        assert outcome.exit_code == 0


async def test_a_large_file_goes_in_and_out_unchanged(
    runners: TaskRunners, options: DockerOptions, workdir: Path
) -> None:
    (workdir / "in").write_bytes(bytes(range(256)) * 100_000)

    await run(runners, options, workdir, "cp in out")

    assert (workdir / "out").read_bytes() == (workdir / "in").read_bytes()

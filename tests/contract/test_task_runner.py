"""What every task runner promises, whatever it runs commands with."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import docker
import pytest
from private_engine import PrivateEngine, private_engine

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Owner, Stream, TaskRunner
from runner.runners.docker_options import DockerOptions
from runner.runners.registry import TaskRunners
from runner.settings import Settings

IMAGE = "python:3.11-slim"

Workdir = Callable[[], Path]


class Recorder:
    """An emit that keeps all it gets, and tells who waits for a text."""

    def __init__(self) -> None:
        self.data = {Stream.STDOUT: b"", Stream.STDERR: b""}
        self.sizes: list[int] = []
        self._came = anyio.Event()

    async def __call__(self, stream: Stream, chunk: bytes) -> None:
        self.data[stream] += chunk
        self.sizes.append(len(chunk))
        self._came.set()
        self._came = anyio.Event()

    async def until(self, text: bytes) -> None:
        """Return once stdout holds `text`."""
        with anyio.fail_after(30):
            while text not in self.stdout:
                await self._came.wait()

    @property
    def stdout(self) -> bytes:
        return self.data[Stream.STDOUT]

    @property
    def stderr(self) -> bytes:
        return self.data[Stream.STDERR]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path / "state",
        stop_grace=timedelta(seconds=1),
        pipe_grace=timedelta(seconds=1),
        environ={
            **os.environ,
            "SECRET_X": "canary1",
            "EYAS_TOKEN": "canary2",
            "NOTIFY_SOCKET": "canary3",
        },
    )


@pytest.fixture
async def runners(settings: Settings) -> AsyncIterator[TaskRunners]:
    async with TaskRunners(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def far_engine(_engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    """An engine that does not see the folders of the tests, as one on another machine."""
    folder = Path(tempfile.mkdtemp(prefix="far-", dir="/var/tmp"))
    with private_engine(folder, hide=tmp_path_factory.getbasetemp()) as engine:
        engine.load(IMAGE)
        yield engine


def runner_params() -> Sequence[Any]:
    return [
        "process",
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("far docker", marks=pytest.mark.docker),
    ]


@pytest.fixture(params=runner_params())
def runner(request: pytest.FixtureRequest, runners: TaskRunners) -> TaskRunner:
    if request.param == "process":
        return runners.process()
    engine: docker.DockerClient = request.getfixturevalue("docker_engine")
    assert engine.ping()
    options = DockerOptions(image=IMAGE, pull_policy="NEVER", kill_grace=timedelta(seconds=1))
    if request.param == "far docker":
        far: PrivateEngine = request.getfixturevalue("far_engine")
        options = replace(options, host=far.url, network_mode="none")
    return runners.docker(options)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def owner() -> Owner:
    return Owner(
        namespace="company.team",
        flow_id="contract",
        execution_id=uuid.uuid4().hex,
        task_id="t",
        task_run_id=uuid.uuid4().hex,
        attempt=0,
    )


def command(
    workdir: Path, *lines: str, env: Mapping[str, str] | None = None, shim: bool = True
) -> Command:
    """The command that a `shell.Commands` of these lines would run."""
    argv = ["/bin/sh", "-c", "\n".join(("set -e", *lines))]
    return Command(argv=argv, workdir=workdir, owner=owner(), env=dict(env or {}), shim=shim)


def direct(workdir: Path, argv: Sequence[str]) -> Command:
    return Command(argv=argv, workdir=workdir, owner=owner())


async def test_output_arrives_by_stream_and_byte_for_byte(
    runner: TaskRunner, workdir: Path
) -> None:
    recorder = Recorder()

    outcome = await runner.run(
        command(workdir, "echo out", "printf '\\377\\000x'", "echo err >&2"), recorder
    )

    assert outcome.exit_code == 0
    assert recorder.stdout == b"out\n\xff\x00x"
    assert recorder.stderr == b"err\n"


async def test_the_exit_code_is_that_of_the_command(runner: TaskRunner, workdir: Path) -> None:
    recorder = Recorder()

    outcome = await runner.run(command(workdir, "echo a >&2", "exit 66", "echo b"), recorder)

    assert (outcome.exit_code, recorder.stdout, recorder.stderr) == (66, b"", b"a\n")
    assert outcome.reason is None


async def test_a_command_ended_by_a_signal_has_128_and_its_number(
    runner: TaskRunner, workdir: Path
) -> None:
    line = "python3 -c 'import os; os.kill(os.getpid(), 11)' 2>/dev/null; exit $?"

    outcome = await runner.run(direct(workdir, ["/bin/sh", "-c", line]), Recorder())

    assert outcome.exit_code == 139


async def test_a_program_that_is_missing_is_named(runner: TaskRunner, workdir: Path) -> None:
    with pytest.raises(RunnerUnavailable, match="/no/such/shell"):
        await runner.run(direct(workdir, ["/no/such/shell", "-c", "echo"]), Recorder())


async def test_a_file_that_may_not_be_executed_is_named(runner: TaskRunner, workdir: Path) -> None:
    (workdir / "script").write_text("echo no")

    with pytest.raises(RunnerUnavailable, match=r"script.*\n?.*ermission denied"):
        await runner.run(direct(workdir, [str(workdir / "script")]), Recorder())


@pytest.mark.parametrize("size", [131_072, 200_000])
async def test_an_argument_that_is_too_large_is_refused_before_anything_runs(
    runner: TaskRunner, workdir: Path, size: int
) -> None:
    with pytest.raises(RunnerUnavailable, match=f"argument 2 .* {size} bytes; at most 131071"):
        await runner.run(direct(workdir, ["/bin/sh", "-c", "x" * size]), Recorder())


async def test_the_largest_argument_and_variable_are_handed_over(
    runner: TaskRunner, workdir: Path
) -> None:
    recorder = Recorder()
    value = "v" * (131_071 - len("DATA="))
    text = "echo ${#DATA} #"

    outcome = await runner.run(
        Command(
            argv=["/bin/sh", "-c", text + "x" * (131_071 - len(text))],
            workdir=workdir,
            owner=owner(),
            env={"DATA": value},
        ),
        recorder,
    )

    assert (outcome.exit_code, recorder.stdout) == (0, b"131066\n")


async def test_a_variable_that_is_too_large_is_refused_by_name(
    runner: TaskRunner, workdir: Path
) -> None:
    with pytest.raises(RunnerUnavailable, match="env DATA is 200005 bytes"):
        await runner.run(command(workdir, "true", env={"DATA": "x" * 200_000}), Recorder())


async def test_many_variables_that_are_too_large_together_are_refused(
    runner: TaskRunner, workdir: Path
) -> None:
    env = {f"V{number}": "x" * 100_000 for number in range(30)}

    with pytest.raises(RunnerUnavailable, match="together are"):
        await runner.run(command(workdir, "true", env=env), Recorder())


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}])
async def test_an_impossible_variable_is_refused(
    runner: TaskRunner, workdir: Path, env: Mapping[str, str]
) -> None:
    with pytest.raises(RunnerUnavailable, match="Invalid"):
        await runner.run(command(workdir, "true", env=env), Recorder())


async def test_the_command_sees_its_folder_and_its_environment(
    runner: TaskRunner, workdir: Path
) -> None:
    (workdir / "in.txt").write_text("data")
    recorder = Recorder()

    await runner.run(command(workdir, "pwd", 'echo "$A"', "cat in.txt", env={"A": "é b"}), recorder)

    assert recorder.stdout.decode() == f"{workdir}\né b\ndata"


async def test_files_that_the_command_makes_are_in_the_folder_afterwards(
    runner: TaskRunner, workdir: Path
) -> None:
    lines = ["mkdir -p out/sub", "echo made > out/sub/f.txt", "chmod +x out/sub/f.txt", "exit 3"]

    outcome = await runner.run(command(workdir, *lines), Recorder())

    made = workdir / "out/sub/f.txt"
    assert outcome.exit_code == 3
    assert made.read_text() == "made\n"
    assert os.access(made, os.X_OK)


async def test_standard_input_is_empty(runner: TaskRunner, workdir: Path) -> None:
    recorder = Recorder()

    with anyio.fail_after(20):
        await runner.run(command(workdir, "cat", "echo ended"), recorder)

    assert recorder.stdout == b"ended\n"


async def test_a_script_imports_kestra_without_installing_it(
    runner: TaskRunner, workdir: Path
) -> None:
    (workdir / "s.py").write_text(
        "from kestra import Kestra\nKestra.outputs({'a': 1})\nKestra.counter('n', 2)\n"
    )
    recorder = Recorder()

    outcome = await runner.run(command(workdir, "python3 s.py"), recorder)

    assert outcome.exit_code == 0, recorder.stderr
    assert recorder.stdout.decode().splitlines() == list(outcome.markers)
    assert outcome.markers[0] == '::{"outputs": {"a": 1}}::'
    assert len(outcome.markers) == 2


async def test_the_users_own_python_path_comes_after_ours(
    runner: TaskRunner, workdir: Path
) -> None:
    (workdir / "lib").mkdir()
    (workdir / "lib/mine.py").write_text("print('mine')")
    recorder = Recorder()

    await runner.run(
        command(
            workdir, "python3 -c 'import mine, kestra'", env={"PYTHONPATH": str(workdir / "lib")}
        ),
        recorder,
    )

    assert (recorder.stdout, recorder.stderr) == (b"mine\n", b"")


async def test_without_the_shim_there_is_no_kestra(runner: TaskRunner, workdir: Path) -> None:
    lines = ['echo "[$PYTHONPATH]"', "! python3 -c 'import kestra' 2>/dev/null"]
    recorder = Recorder()

    outcome = await runner.run(command(workdir, *lines, shim=False), recorder)

    assert (outcome.exit_code, recorder.stdout) == (0, b"[]\n")


async def test_nothing_of_ours_is_in_the_working_directory(
    runner: TaskRunner, workdir: Path
) -> None:
    recorder = Recorder()

    await runner.run(command(workdir, "ls -A"), recorder)

    assert recorder.stdout == b""
    assert os.listdir(workdir) == []  # noqa: PTH208 - pathlib's is refused in async code


async def test_settings_and_secrets_of_the_host_are_not_handed_on(
    runner: TaskRunner, workdir: Path
) -> None:
    recorder = Recorder()

    await runner.run(command(workdir, "env"), recorder)

    assert b"canary" not in recorder.stdout


async def test_a_cancelled_command_is_gone_when_run_returns(
    runner: TaskRunner, workdir: Path
) -> None:
    recorder = Recorder()
    lines = ["(trap '' TERM; while :; do sleep 1; done) &", "echo started", "wait"]

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(runner.run, command(workdir, *lines), recorder)
            await recorder.until(b"started")
            group.cancel_scope.cancel()

    # What is left behind is looked for after each test.


async def test_a_command_that_ignores_sigterm_is_killed(runner: TaskRunner, workdir: Path) -> None:
    recorder = Recorder()
    lines = ["trap 'echo ignored' TERM", "echo started", "while :; do sleep 0.1; done"]

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(runner.run, command(workdir, *lines), recorder)
            await recorder.until(b"started")
            group.cancel_scope.cancel()


async def test_a_background_child_that_holds_the_output_does_not_hold_the_task(
    runner: TaskRunner, workdir: Path
) -> None:
    recorder = Recorder()

    with anyio.fail_after(20):
        outcome = await runner.run(command(workdir, "sleep 600 &", "echo early"), recorder)

    assert (outcome.exit_code, recorder.stdout) == (0, b"early\n")


async def test_output_is_read_no_faster_than_it_is_taken(runner: TaskRunner, workdir: Path) -> None:
    go = anyio.Event()
    taken = 0
    largest = 0

    async def slow(_: Stream, chunk: bytes) -> None:
        nonlocal taken, largest
        taken += len(chunk)
        largest = max(largest, len(chunk))
        await go.wait()

    async def release() -> None:
        # The script says on disk how far it came: it must be stuck long before its end.
        await anyio.sleep(0.5)
        assert not await anyio.Path(workdir / "done").exists()
        go.set()

    lines = ["head -c 50000000 /dev/zero", "touch done"]
    with anyio.fail_after(40):
        async with anyio.create_task_group() as group:
            group.start_soon(runner.run, command(workdir, *lines), slow)
            await release()

    assert taken == 50_000_000
    assert largest <= 1024 * 1024


async def test_two_commands_run_side_by_side(runner: TaskRunner, workdir: Path) -> None:
    recorders = [Recorder(), Recorder()]

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for recorder in recorders:
                lines = ["echo here", "sleep 60"]
                group.start_soon(runner.run, command(workdir, *lines), recorder)
            for recorder in recorders:
                await recorder.until(b"here")
            group.cancel_scope.cancel()

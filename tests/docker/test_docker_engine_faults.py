"""What becomes of a task whose engine is stopped, killed or frozen while it runs."""

from __future__ import annotations

import signal
import tempfile
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docker
import pytest
from private_engine import PrivateEngine, private_engine

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Outcome, Owner, Stream
from runner.runners.docker_options import DockerOptions
from runner.runners.registry import TaskRunners
from runner.settings import Settings

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

NUMBERS = "i=0; while [ $i -lt {} ]; do i=$((i+1)); echo line $i; sleep 0.1; done"


@pytest.fixture(params=[""])
def own_engine(
    request: pytest.FixtureRequest, docker_engine: docker.DockerClient
) -> Iterator[PrivateEngine]:
    folder = Path(tempfile.mkdtemp(prefix="own-", dir="/var/tmp"))
    with private_engine(folder, options=request.param) as engine:
        engine.load("busybox:latest")
        yield engine


live_restore = pytest.mark.parametrize("own_engine", ["--live-restore"], indirect=True)


class Task:
    """One command on the private engine; `ending` is an outcome or an error."""

    def __init__(self, engine: PrivateEngine, folder: Path, lost_after_s: float = 60) -> None:
        self._engine = engine
        self._folder = folder
        self._lost_after = timedelta(seconds=lost_after_s)
        self.text = ""
        self.warnings: list[str] = []
        self.ending: Outcome | RunnerUnavailable | None = None
        self._came = anyio.Event()

    async def run(self, *lines: str) -> None:
        (self._folder / "work").mkdir(exist_ok=True)
        owner = Owner(
            namespace="n",
            flow_id="f",
            execution_id="e",
            task_id="t",
            task_run_id=uuid.uuid4().hex,
            attempt=0,
        )
        argv = ["/bin/sh", "-c", "\n".join(lines)]
        command = Command(argv=argv, workdir=self._folder / "work", owner=owner)
        options = DockerOptions(image="busybox", network_mode="none", host=self._engine.url)
        settings = Settings(state_dir=self._folder / "state", tmp_dir=self._folder)
        async with TaskRunners(settings, lost_after=self._lost_after) as runners:
            runner = runners.docker(options, self.warnings.append)
            try:
                self.ending = await runner.run(command, self._emit)
            except RunnerUnavailable as error:
                self.ending = error

    async def _emit(self, _: Stream, chunk: bytes) -> None:
        self.text += chunk.decode()
        self._came.set()
        self._came = anyio.Event()

    async def until(self, text: str) -> None:
        with anyio.fail_after(30):
            while text not in self.text:
                await self._came.wait()

    @property
    def outcome(self) -> Outcome:
        assert isinstance(self.ending, Outcome), self.ending
        return self.ending


def lines(count: int) -> str:
    return "".join(f"line {number}\n" for number in range(1, count + 1))


async def signalled(engine: PrivateEngine, number: signal.Signals) -> None:
    await anyio.to_thread.run_sync(engine.signal, number)


async def started(engine: PrivateEngine) -> None:
    await anyio.to_thread.run_sync(engine.start)


@live_restore
async def test_no_line_is_lost_when_an_engine_with_live_restore_is_killed_and_comes_back(
    own_engine: PrivateEngine, tmp_path: Path
) -> None:
    task = Task(own_engine, tmp_path)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(task.run, NUMBERS.format(60), "exit 7")
            await task.until("line 10\n")
            await signalled(own_engine, signal.SIGKILL)
            await started(own_engine)

    assert task.outcome.exit_code == 7
    assert task.text == lines(60)
    assert "does not answer" in task.warnings[0]


async def test_an_engine_that_is_stopped_is_named_as_what_ended_the_task(
    own_engine: PrivateEngine, tmp_path: Path
) -> None:
    task = Task(own_engine, tmp_path)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(task.run, "trap 'exit 143' TERM", "echo up", "sleep 1000 & wait")
            await task.until("up")
            await signalled(own_engine, signal.SIGTERM)
            await started(own_engine)

    assert task.outcome.reason == "engine_stopped"
    assert task.outcome.hint == "Docker was stopped meanwhile"


async def test_an_engine_that_does_not_come_back_is_an_error_that_says_so(
    own_engine: PrivateEngine, tmp_path: Path
) -> None:
    task = Task(own_engine, tmp_path, lost_after_s=1)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(task.run, "echo up", "sleep 1000")
            await task.until("up")
            await signalled(own_engine, signal.SIGKILL)

    assert isinstance(task.ending, RunnerUnavailable)
    assert "Docker was lost while the task ran" in str(task.ending)
    # It stops what it finds running, so nothing is left on this machine.
    await started(own_engine)


async def test_an_engine_that_is_frozen_for_a_while_is_waited_for(
    own_engine: PrivateEngine, tmp_path: Path
) -> None:
    task = Task(own_engine, tmp_path)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(task.run, NUMBERS.format(20), "exit 3")
            await task.until("line 5\n")
            await signalled(own_engine, signal.SIGSTOP)
            await anyio.sleep(1)
            await signalled(own_engine, signal.SIGCONT)

    assert task.outcome.exit_code == 3
    assert task.text == lines(20)


async def test_a_task_on_a_dead_engine_fails_at_once(
    own_engine: PrivateEngine, tmp_path: Path
) -> None:
    own_engine.signal(signal.SIGTERM)
    task = Task(own_engine, tmp_path)

    with anyio.fail_after(5):
        await task.run("echo never")

    assert isinstance(task.ending, RunnerUnavailable)
    assert "Cannot connect to the Docker engine" in str(task.ending)


async def test_what_a_killed_task_leaves_on_a_dead_engine_is_bounded_in_time(
    own_engine: PrivateEngine, tmp_path: Path
) -> None:
    task = Task(own_engine, tmp_path)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(task.run, "echo up", "sleep 1000")
            await task.until("up")
            await signalled(own_engine, signal.SIGKILL)
            group.cancel_scope.cancel()

    await started(own_engine)
    found: Any = await anyio.to_thread.run_sync(_containers, own_engine.url)
    assert all(container["State"] != "running" for container in found)


def _containers(url: str) -> Any:
    client: Any = docker.DockerClient(url)
    try:
        return client.api.containers(all=True)
    finally:
        client.close()


async def test_an_engine_that_goes_away_while_it_starts_a_container_is_given_another_one(
    own_engine: PrivateEngine, tmp_path: Path
) -> None:
    task = Task(own_engine, tmp_path)

    with anyio.fail_after(100):
        async with anyio.create_task_group() as group:
            watching = await anyio.to_thread.run_sync(_attaches, own_engine.url)
            group.start_soon(task.run, "echo once", "exit 7")
            # It is attached to just before it is started, which takes much longer.
            await anyio.to_thread.run_sync(next, watching)
            await signalled(own_engine, signal.SIGSTOP)
            await signalled(own_engine, signal.SIGKILL)
            await started(own_engine)

    assert (task.outcome.exit_code, task.text) == (7, "once\n")
    assert await anyio.to_thread.run_sync(_containers, own_engine.url) == []


def _attaches(url: str) -> Any:
    client: Any = docker.DockerClient(url)
    return client.api.events(filters={"event": "attach"}, decode=True)

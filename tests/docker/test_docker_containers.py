"""Containers on a real engine: users, options, endings, and what other people do to them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docker
import pytest

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Outcome, Owner, Stream
from runner.runners.docker_options import Credentials, DockerOptions
from runner.runners.registry import TaskRunners
from runner.settings import INSTANCE_LABEL, Settings

pytestmark = pytest.mark.docker

BUSYBOX = "busybox:latest"
PYTHON = "python:3.11-slim"
NON_ROOT = "eyas-test/nonroot:latest"
ALPINE_LIKE = "eyas-test/alpine-like:latest"

NONE = DockerOptions(image=BUSYBOX, pull_policy="NEVER", network_mode="none")


@pytest.fixture
def engine(docker_engine: docker.DockerClient) -> Any:
    """A synchronous client, to look from outside."""
    return docker_engine


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", pipe_grace=timedelta(seconds=1), tmp_dir=tmp_path)


@pytest.fixture
async def runners(settings: Settings, engine: Any) -> AsyncIterator[TaskRunners]:
    async with TaskRunners(settings) as opened:
        yield opened


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


class Lines:
    """An emit that keeps the text, and tells when some came."""

    def __init__(self) -> None:
        self.text = ""
        self._came = anyio.Event()

    async def __call__(self, _: Stream, chunk: bytes) -> None:
        self.text += chunk.decode()
        self._came.set()
        self._came = anyio.Event()

    async def until(self, text: str) -> None:
        """Return once `text` has come."""
        with anyio.fail_after(30):
            while text not in self.text:
                await self._came.wait()


def shell(workdir: Path, *lines: str, task_run_id: str | None = None, **more: Any) -> Command:
    owner = Owner(
        namespace="company.team",
        flow_id="f",
        execution_id="e" * 70,
        task_id="t_",
        task_run_id=task_run_id or uuid.uuid4().hex,
        attempt=2,
    )
    argv = ["/bin/sh", "-c", "\n".join(("set -e", *lines))]
    return Command(argv=argv, workdir=workdir, owner=owner, **more)


Ran = Callable[..., Any]


@pytest.fixture
def run(runners: TaskRunners, workdir: Path) -> Ran:
    """Runs lines of shell in a container; gives the outcome and the output."""

    async def run_lines(
        options: DockerOptions, *lines: str, warnings: list[str] | None = None, **more: Any
    ) -> tuple[Outcome, str]:
        emit = Lines()
        warn = (warnings if warnings is not None else []).append
        command = shell(workdir, *lines, **more)
        return await runners.docker(options, warn).run(command, emit), emit.text

    return run_lines


def ours(engine: Any, task_run_id: str) -> Sequence[Any]:
    """The containers of a task run."""
    label = f"kestra.io/taskrun-id={task_run_id}"
    return engine.containers.list(all=True, filters={"label": label})


# Users and files


@pytest.mark.parametrize("user", ["1000:1000", "1000", "0", "root", "nobody", "65534"])
async def test_any_user_reads_and_writes_the_working_directory(
    run: Ran, workdir: Path, user: str
) -> None:
    (workdir / "in").mkdir()
    (workdir / "in/script.sh").write_text("cat in/data; echo more >> in/data; echo x > out.txt")
    (workdir / "in/script.sh").chmod(0o600)
    (workdir / "in/data").write_text("data\n")

    outcome, text = await run(replace(NONE, image=PYTHON, user=user), "sh in/script.sh", "id -u")

    assert outcome.exit_code == 0, text
    assert text.startswith("data\n")
    assert (workdir / "in/data").read_text() == "data\nmore\n"
    assert (workdir / "out.txt").read_text() == "x\n"


async def test_an_image_whose_user_is_not_root_runs_scripts_with_the_shim(
    run: Ran, workdir: Path
) -> None:
    (workdir / "s.py").write_text("from kestra import Kestra\nKestra.outputs({'a': 1})\n")
    (workdir / "s.py").chmod(0o600)

    outcome, text = await run(replace(NONE, image=NON_ROOT), "id -u", "python s.py", "echo > f")

    assert text == '1000\n::{"outputs": {"a": 1}}::\n'
    assert outcome.markers == ('::{"outputs": {"a": 1}}::',)
    assert (workdir / "f").exists()


async def test_an_image_with_nothing_but_sh_and_python3_has_the_shim(
    run: Ran, workdir: Path
) -> None:
    line = "python3 -c 'from kestra import Kestra; Kestra.outputs({\"b\": 2})'"

    outcome, _ = await run(replace(NONE, image=ALPINE_LIKE), line)

    assert outcome.markers == ('::{"outputs": {"b": 2}}::',)


async def test_an_image_without_python_works(run: Ran) -> None:
    outcome, text = await run(NONE, "echo here")

    assert (outcome.exit_code, text, list(outcome.markers)) == (0, "here\n", [])
    assert len(outcome.details["containerId"]) == 64


async def test_the_images_own_python_path_is_kept(run: Ran, engine: Any) -> None:
    made = engine.containers.create(BUSYBOX, "true")
    name = f"eyas-test/path-{uuid.uuid4().hex}"
    made.commit(repository=name, changes='ENV PYTHONPATH="/image/lib"')
    made.remove()
    try:
        _, text = await run(replace(NONE, image=name), 'echo "$PYTHONPATH"')
    finally:
        engine.images.remove(name)

    assert text == "/.eyas/shim/site:/image/lib\n"


@pytest.mark.parametrize("image", [PYTHON, NON_ROOT])
async def test_the_strict_profile_has_a_read_only_root_and_no_capabilities(
    settings: Settings, workdir: Path, engine: Any, image: str
) -> None:
    (workdir / "s.py").write_text(
        "from kestra import Kestra\nKestra.outputs({'a': open('/proc/self/status').read()})\n"
    )
    emit = Lines()
    lines = ["! touch /etc/x 2>/dev/null", "touch /tmp/x f", "python s.py"]
    async with TaskRunners(replace(settings, docker_profile="strict")) as runners:
        runner = runners.docker(replace(NONE, image=image))
        outcome = await runner.run(shell(workdir, *lines), emit)

    assert outcome.exit_code == 0, emit.text
    (marker,) = outcome.markers
    status = json.loads(marker[2:-2])["outputs"]["a"]
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert (workdir / "f").exists()


async def test_no_new_privileges_is_always_set(run: Ran) -> None:
    _, text = await run(NONE, "grep NoNewPrivs /proc/self/status")

    assert text.split() == ["NoNewPrivs:", "1"]


# Options


async def test_limits_and_hosts_are_seen_inside(run: Ran) -> None:
    options = replace(
        NONE,
        network_mode=None,
        shm_size=16 * 1024**2,
        cpus=1.5,
        memory=64 * 1024**2,
        extra_hosts=["conf.example:10.1.2.3"],
    )

    _, text = await run(
        options,
        "df -k /dev/shm | tail -1 | awk '{print $2}'",
        "grep -c '^10.1.2.3.*conf.example' /etc/hosts",
        "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
        " || cat /sys/fs/cgroup/memory.max",
    )

    assert text.split()[:3] == ["16384", "1", "150000"]
    assert text.split()[-1] == "67108864"


async def test_a_container_without_network_has_only_the_loopback(run: Ran) -> None:
    _, text = await run(NONE, "ls /sys/class/net")

    assert text == "lo\n"


async def test_a_fork_bomb_is_held_by_the_limit_of_processes(run: Ran) -> None:
    line = "i=0; while [ $i -lt 600 ]; do sleep 30 & i=$((i+1)); done; echo all"

    outcome, text = await run(NONE, line)

    assert outcome.exit_code != 0
    assert "all" not in text


async def test_the_images_entry_point_is_cleared_or_kept(run: Ran, engine: Any) -> None:
    made = engine.containers.create(BUSYBOX, "true")
    name = f"eyas-test/entry-{uuid.uuid4().hex}"
    made.commit(repository=name, changes='ENTRYPOINT ["echo", "entry"]')
    made.remove()
    try:
        _, cleared = await run(replace(NONE, image=name), "echo plain")
        _, kept = await run(replace(NONE, image=name, entry_point=None), "echo plain")
        _, other = await run(replace(NONE, image=name, entry_point=("echo", "mine")), "x")
    finally:
        engine.images.remove(name)

    assert cleared == "plain\n"
    assert kept.startswith("entry /bin/sh -c")
    assert other.startswith("mine /bin/sh -c")


async def test_labels_say_whose_container_it_is(
    runners: TaskRunners, workdir: Path, engine: Any
) -> None:
    run_id = uuid.uuid4().hex
    emit = Lines()
    found: list[Any] = []
    async with anyio.create_task_group() as group:
        command = shell(workdir, "echo up", "sleep 60", task_run_id=run_id)
        group.start_soon(runners.docker(NONE).run, command, emit)
        await emit.until("up")
        found += ours(engine, run_id)
        group.cancel_scope.cancel()

    (container,) = found
    assert container.labels["kestra.io/namespace"] == "company.team"
    assert container.labels["kestra.io/execution-id"] == "e" * 63
    assert container.labels["kestra.io/task-id"] == "t"
    assert container.labels["kestra.io/taskrun-attempt"] == "2"
    assert len(container.labels[INSTANCE_LABEL]) == 16
    assert container.name == f"eyas-{run_id}-2"
    assert container.attrs["HostConfig"]["AutoRemove"] is False


async def test_credentials_and_config_never_reach_the_container(run: Ran, workdir: Path) -> None:
    config = {"auths": {"example.invalid": {"auth": "Y2FuYXJ5"}}}
    credentials = Credentials(registry="r.invalid", username="u", password="canary")

    _, text = await run(replace(NONE, config=config, credentials=credentials), "ls -A", "env")

    assert "canary" not in text and "Y2FuYXJ5" not in text
    assert os.listdir(workdir) == []  # noqa: PTH208 - async code


# Starts that fail


@pytest.mark.parametrize(
    ("options", "argv", "words"),
    [
        (NONE, ["/no/such/shell", "-c", "x"], "/no/such/shell"),
        (replace(NONE, user="nobody-here"), ["true"], "nobody-here"),
        (replace(NONE, network_mode="no-such-net"), ["true"], "no-such-net"),
        (replace(NONE, memory=1024), ["true"], "(?i)memory"),
        (replace(NONE, image="BAD:name:x"), ["true"], "BAD:name:x|invalid reference"),
        (replace(NONE, image=None), ["true"], "containerImage"),
    ],
)
async def test_a_start_that_fails_says_why_and_leaves_nothing(
    runners: TaskRunners,
    workdir: Path,
    engine: Any,
    options: DockerOptions,
    argv: Sequence[str],
    words: str,
) -> None:
    run_id = uuid.uuid4().hex
    command = replace(shell(workdir, task_run_id=run_id), argv=argv)

    with pytest.raises(RunnerUnavailable, match=words):
        await runners.docker(options).run(command, Lines())

    assert not ours(engine, run_id)


async def test_a_failed_start_is_removed_even_if_the_container_was_to_be_kept(
    runners: TaskRunners, workdir: Path, engine: Any
) -> None:
    run_id = uuid.uuid4().hex
    command = replace(shell(workdir, task_run_id=run_id), argv=["/no/such"])

    with pytest.raises(RunnerUnavailable):
        await runners.docker(replace(NONE, delete=False)).run(command, Lines())

    assert not ours(engine, run_id)


# Endings


async def test_running_out_of_memory_is_named_with_the_limit(run: Ran) -> None:
    memory = 16 * 1024**2
    options = replace(NONE, memory=memory, memory_swap=memory)

    outcome, text = await run(options, "echo start", "exec tail /dev/zero")

    assert (outcome.exit_code, outcome.reason, text) == (137, "oom", "start\n")
    assert outcome.hint == "ran out of memory (limit 16 MB): raise taskRunner.memory.memory"


async def test_a_child_that_ran_out_of_memory_is_a_warning_if_the_script_goes_on(run: Ran) -> None:
    memory = 16 * 1024**2
    warnings: list[str] = []
    options = replace(NONE, memory=memory, memory_swap=memory)

    outcome, _ = await run(options, "(tail /dev/zero) || true", "exit 0", warnings=warnings)

    assert outcome.exit_code == 0
    assert any("ran out of memory" in warning for warning in warnings)


@pytest.mark.parametrize("verb", ["kill", "stop", "remove"])
async def test_a_container_that_somebody_else_ended_says_so(
    runners: TaskRunners, workdir: Path, engine: Any, verb: str
) -> None:
    run_id = uuid.uuid4().hex
    emit = Lines()
    endings: list[Outcome] = []

    async def task() -> None:
        command = shell(workdir, "echo up", "sleep 60", task_run_id=run_id)
        endings.append(await runners.docker(NONE).run(command, emit))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(task)
            await emit.until("up")
            (container,) = ours(engine, run_id)
            arguments = {"kill": {}, "stop": {"timeout": 0}, "remove": {"force": True}}[verb]
            await anyio.to_thread.run_sync(lambda: getattr(container, verb)(**arguments))

    (ending,) = endings
    assert ending.exit_code == 137
    # A container that is being removed is killed first, and may be seen between the two.
    reasons = {"killed_outside", "container_gone"} if verb == "remove" else {"killed_outside"}
    assert ending.reason in reasons
    assert "somebody else" in ending.hint


async def test_a_container_that_somebody_restarted_is_killed(
    runners: TaskRunners, workdir: Path, engine: Any
) -> None:
    run_id = uuid.uuid4().hex
    emit = Lines()
    endings: list[Outcome] = []

    async def task() -> None:
        command = shell(workdir, "echo up", "sleep 60", task_run_id=run_id)
        endings.append(await runners.docker(NONE).run(command, emit))

    with anyio.fail_after(40):
        async with anyio.create_task_group() as group:
            group.start_soon(task)
            await emit.until("up")
            (container,) = ours(engine, run_id)
            await anyio.to_thread.run_sync(lambda: container.restart(timeout=0))

    assert endings[0].reason == "restarted_outside"
    assert not ours(engine, run_id)


async def test_a_script_that_ends_itself_with_137_was_not_killed_by_anybody(run: Ran) -> None:
    outcome, _ = await run(NONE, "exit 137")

    assert (outcome.exit_code, outcome.reason) == (137, None)


async def test_a_command_that_was_not_found_has_a_hint_with_the_image(run: Ran) -> None:
    outcome, _ = await run(NONE, "no-such-program")

    assert outcome.exit_code == 127
    assert "busybox:latest" in outcome.hint


async def test_every_line_printed_right_before_the_end_arrives(run: Ran) -> None:
    _, text = await run(NONE, "seq 1 20000")

    assert text.split() == [str(number) for number in range(1, 20001)]


# wait, delete, kill


async def test_without_wait_the_container_goes_on_alone(
    runners: TaskRunners, workdir: Path, engine: Any
) -> None:
    run_id = uuid.uuid4().hex
    emit = Lines()
    command = shell(workdir, "cat in.txt", "sleep 60", task_run_id=run_id)
    (workdir / "in.txt").write_text("data")

    outcome = await runners.docker(replace(NONE, wait=False)).run(command, emit)

    (container,) = ours(engine, run_id)
    try:
        assert (outcome.exit_code, emit.text) == (0, "")
        assert outcome.details == {"containerId": container.id}
        assert container.status == "running"
        # Its files outlive the working directory.
        assert not container.attrs["Mounts"] or all(
            mount["Source"] != str(workdir) for mount in container.attrs["Mounts"]
        )
    finally:
        container.remove(force=True)


async def test_without_delete_the_container_is_kept(
    runners: TaskRunners, workdir: Path, engine: Any
) -> None:
    run_id = uuid.uuid4().hex

    for _ in range(2):
        command = shell(workdir, "exit 3", task_run_id=run_id)
        outcome = await runners.docker(replace(NONE, delete=False)).run(command, Lines())
        assert outcome.exit_code == 3

    kept = ours(engine, run_id)
    for container in kept:
        container.remove()
    assert [container.status for container in kept] == ["exited", "exited"]


async def test_with_a_grace_period_the_script_may_say_goodbye(
    runners: TaskRunners, workdir: Path
) -> None:
    emit = Lines()
    options = replace(NONE, kill_grace=timedelta(seconds=10))
    lines = ["trap 'echo bye; exit 0' TERM", "echo up", "while :; do sleep 0.1; done"]

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(runners.docker(options).run, shell(workdir, *lines), emit)
            await emit.until("up")
            group.cancel_scope.cancel()

    assert emit.text == "up\nbye\n"


async def test_a_command_cancelled_at_any_moment_leaves_no_container(
    runners: TaskRunners, workdir: Path, engine: Any
) -> None:
    """From before the container is made until it runs; what is left is looked for by name."""
    run_id = uuid.uuid4().hex

    for step in range(12):
        command = shell(workdir, "sleep 60", task_run_id=run_id)
        with anyio.move_on_after(step * 0.02):
            await runners.docker(NONE).run(command, Lines())

    assert not ours(engine, run_id)


# What is not allowed


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (replace(NONE, privileged=True), "docker_privileged_enabled"),
        (replace(NONE, network_mode="host"), "docker_host_namespaces_enabled"),
        (replace(NONE, network_mode="container:x"), "docker_host_namespaces_enabled"),
        (replace(NONE, port_bindings=["8080:80"]), "docker_host_namespaces_enabled"),
        (replace(NONE, extra_hosts=["m:169.254.169.254"]), "docker_host_namespaces_enabled"),
    ],
)
async def test_what_opens_the_host_is_refused_naming_the_setting(
    run: Ran, options: DockerOptions, setting: str
) -> None:
    with pytest.raises(RunnerUnavailable, match=f"EYAS_{setting.upper()}"):
        await run(options, "true")


async def test_volumes_are_left_out_with_a_warning_while_they_are_off(
    run: Ran, tmp_path: Path
) -> None:
    warnings: list[str] = []
    options = replace(NONE, volumes=[f"{tmp_path}:/data"])

    outcome, text = await run(options, "ls -d /data 2>&1 || true", warnings=warnings)

    assert outcome.exit_code == 0
    assert "No such file" in text
    assert "EYAS_DOCKER_VOLUME_ENABLED" in warnings[0]


async def test_volumes_are_mounted_when_they_are_on(
    settings: Settings, workdir: Path, tmp_path: Path, engine: Any
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/f").write_text("mounted")
    emit = Lines()
    options = replace(NONE, volumes=[f"{tmp_path}/data:/data:ro"])

    async with TaskRunners(replace(settings, docker_volume_enabled=True)) as runners:
        await runners.docker(options).run(shell(workdir, "cat /data/f"), emit)

    assert emit.text == "mounted"


@pytest.mark.parametrize("source", ["/", "/etc", "/etc/ssl", "/var/run/docker.sock", "state", "a"])
async def test_some_folders_are_never_mounted(
    settings: Settings, workdir: Path, tmp_path: Path, engine: Any, source: str
) -> None:
    # A link that leads there is as good as the folder.
    (tmp_path / "a").symlink_to("/etc")
    folder = source if source.startswith("/") else f"{tmp_path}/{source}"
    options = replace(NONE, volumes=[f"{folder}:/data"])

    async with TaskRunners(replace(settings, docker_volume_enabled=True)) as runners:
        with pytest.raises(RunnerUnavailable, match="policy"):
            await runners.docker(options).run(shell(workdir, "true"), Lines())


async def test_an_unreachable_engine_is_named_with_what_to_do(
    settings: Settings, workdir: Path, tmp_path: Path
) -> None:
    options = replace(NONE, host=f"unix://{tmp_path}/no.sock")
    async with TaskRunners(settings) as runners:
        with pytest.raises(RunnerUnavailable, match=r"no\.sock.*taskRunner\.host") as caught:
            await runners.docker(options).run(shell(workdir, "true"), Lines())

    assert "Process task runner" in str(caught.value)


async def test_nothing_of_ours_stays_in_the_temporary_directory(run: Ran, tmp_path: Path) -> None:
    await run(NONE, "true")

    assert sorted(os.listdir(tmp_path)) == ["work"]  # noqa: PTH208 - async code

"""Containers that stand by: the same to a script as one that was just started, and used once."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docker
import pytest

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Leavings, Outcome, Owner, ReadOnly, Stream
from runner.runners.docker_client import is_open
from runner.runners.docker_entry import BEGIN, HOLD, Entry, waiting_files
from runner.runners.docker_hold import Hold
from runner.runners.docker_options import DockerOptions
from runner.runners.docker_standby import Standby
from runner.runners.limits import ONE_LIMIT_BYTES
from runner.runners.registry import TaskRunners
from runner.runners.side_file import SideFolder
from runner.runners.work_dirs import new_work_dir
from runner.settings import INSTANCE_LABEL, Settings

pytestmark = pytest.mark.docker

BUSYBOX = "busybox:latest"
PYTHON = "python:3.11-slim"
NON_ROOT = "eyas-test/nonroot:latest"
ALPINE_LIKE = "eyas-test/alpine-like:latest"
SERIES = "t.f.task"


class Printed:
    """An emit that keeps what was printed, by stream, and tells when something came."""

    def __init__(self) -> None:
        self.data = {Stream.STDOUT: b"", Stream.STDERR: b""}
        self._came = anyio.Event()

    async def __call__(self, stream: Stream, chunk: bytes) -> None:
        self.data[stream] += chunk
        self._came.set()
        self._came = anyio.Event()

    async def until(self, text: str) -> None:
        """Return once `text` was printed."""
        with anyio.fail_after(30):
            while text not in self.out:
                await self._came.wait()

    @property
    def out(self) -> str:
        return self.data[Stream.STDOUT].decode()

    @property
    def err(self) -> str:
        return self.data[Stream.STDERR].decode()

    def seen(self) -> list[str]:
        """The lines, without the names of folders, which are new each time."""
        return re.sub(r"eyas-[\w-]+(/\w+)?", "FOLDER", self.out).splitlines()

    def words(self) -> str:
        """What was said of errors, without the numbers of processes."""
        return re.sub(r"\d+ (?=Killed|Terminated)", "PID ", self.err)


class Pool:
    """The containers of one Eyas, and commands that run in them."""

    def __init__(self, runners: TaskRunners, tmp_dir: Path) -> None:
        self.runners = runners
        self._tmp_dir = tmp_dir

    async def cold(
        self, options: DockerOptions, *lines: str, **more: Any
    ) -> tuple[Outcome, Printed]:
        """Run lines in a container that is started for them."""
        printed = Printed()
        work = command(new_work_dir(self._tmp_dir), *lines, **more)
        return await self.runners.docker(options).run(work, printed), printed

    async def warm(
        self, options: DockerOptions, *lines: str, **more: Any
    ) -> tuple[Outcome, Printed, Standby]:
        """Run lines in a container that stands by, after one like it has been run."""
        if not self.runners.standing():
            await self.cold(options, "true", **more)
        await self.until(1)
        printed = Printed()
        async with self.reserved() as standby, Leavings() as leaving:
            more = {"leaving": leaving, **more}
            work = command(standby.place.workdir, *lines, standby=standby, **more)
            outcome = await self.runners.docker(options).run(work, printed)
            return outcome, printed, standby

    async def until(self, count: int) -> None:
        """Return once so many containers stand by or more; for 0, once there are none."""
        with anyio.fail_after(60):
            while self.ready < count or (self.ready and not count):  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.02)

    @property
    def ready(self) -> int:
        """How many stand by."""
        return sum(each.ready for each in self.runners.standing())

    @asynccontextmanager
    async def stood_by(self, image: str, shell: str = "/bin/sh") -> AsyncGenerator[Standby]:
        """A container that stood by after one like it was run."""
        await self.cold(options_of(image), "true", shell=shell)
        await self.until(1)
        async with self.reserved() as standby:
            yield standby

    @asynccontextmanager
    async def reserved(self) -> AsyncGenerator[Standby]:
        """A container that stood by for the next task of the series."""
        standby = await self.runners.reserve(SERIES)
        assert standby is not None
        try:
            yield standby
        finally:
            await standby.stack.aclose()


@pytest.fixture
def engine(docker_engine: docker.DockerClient) -> Any:
    """A synchronous client, to look from outside."""
    return docker_engine


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", pipe_grace=timedelta(seconds=1), tmp_dir=tmp_path)


@asynccontextmanager
async def opened(settings: Settings, *, keeps: bool = True) -> AsyncGenerator[Pool]:
    """A pool with its own task runners."""
    async with TaskRunners(settings, keeps_standbys=keeps) as runners:
        yield Pool(runners, settings.tmp_dir)


@pytest.fixture
async def pool(settings: Settings, engine: Any) -> AsyncGenerator[Pool]:
    async with opened(settings) as found:
        yield found


def options_of(image: str, **more: Any) -> DockerOptions:
    more = {"network_mode": "none", **more}
    return DockerOptions(image=image, pull_policy="NEVER", **more)


def command(workdir: Path, *lines: str, shell: str = "/bin/sh", **more: Any) -> Command:
    owner = Owner(
        namespace="t",
        flow_id="f",
        execution_id=uuid.uuid4().hex,
        task_id="task",
        task_run_id=uuid.uuid4().hex,
        attempt=0,
    )
    argv = [shell, "-c", "\n".join(("set -e", *lines))]
    more = {"series": SERIES, **more}
    return Command(argv=argv, workdir=workdir, owner=owner, **more)


def statuses(engine: Any, standby: Standby, since: int) -> Sequence[str]:
    """With which statuses the engine has seen a container end, since a unix time."""
    until, filters = int(time.time()) + 1, {"container": standby.id, "event": "die"}
    events = engine.events(since=since, until=until, decode=True, filters=filters)
    return [each["Actor"]["Attributes"]["exitCode"] for each in events]


LOOK = (
    "env | grep -v ^HOSTNAME= | sort",
    "pwd | sed 's/.*/cwd/'",
    'echo "$0 $$ $- $#"',
    "umask",
    "ulimit -a",
    "id",
    "cat",
    "ls -l /proc/$$/fd >/tmp/fds",
    "sed 's/.* \\([0-9]* -> [a-z/]*\\).*/\\1/' /tmp/fds",
    "grep -E '^(Sig|Shd|Cap|NoNewPrivs|Seccomp)' /proc/self/status | grep -v SigQ",
    "grep -E '^Sig(Ign|Cgt)' /proc/1/status",
    "cut -d' ' -f5,6 /proc/self/mountinfo | sort",
    "tr '\\0' '\\n' </proc/1/cmdline | head -2",
    "ls /sys/class/net",
    "date +%Z",
    "cat /proc/self/oom_score_adj",
    "ls -a . | sort",
    "ls -ld . | cut -c1-10",
    "[ ${#HOSTNAME} -gt 0 ] || [ -s /etc/hostname ]",
    "echo to-stderr >&2",
)
"""What a script can see of where it runs."""

ENV = {
    "LC_ALL": "xx_XX",
    "A": 'it\'s "$x"\n`y` \\ é',
    "EMPTY": "",
    "HOME": "/somewhere",
    "PATH": "/usr/bin:/bin",
}


@pytest.mark.parametrize(
    ("image", "shell"),
    [(PYTHON, "/bin/sh"), (PYTHON, "/bin/bash"), (ALPINE_LIKE, "/bin/sh"), (NON_ROOT, "/bin/sh")],
)
async def test_a_script_sees_the_same_in_a_container_that_stood_by(
    pool: Pool, image: str, shell: str
) -> None:
    options = options_of(image)
    cold, cold_printed = await pool.cold(options, *LOOK, shell=shell, env=ENV)
    warm, warm_printed, _ = await pool.warm(options, *LOOK, shell=shell, env=ENV)
    # With a grace for its end a container begins with the command itself.
    plain = replace(options, kill_grace=timedelta(seconds=1))
    as_started, plain_printed = await pool.cold(plain, *LOOK, shell=shell, env=ENV)

    assert warm_printed.seen() == cold_printed.seen()
    assert warm_printed.seen() == plain_printed.seen()
    assert warm_printed.err == cold_printed.err == plain_printed.err
    assert warm_printed.err.endswith("to-stderr\n")
    assert warm.exit_code == cold.exit_code == as_started.exit_code == 0


ENDINGS: Sequence[tuple[str, int]] = [
    ("exit 7", 7),
    ("exit 125", 125),
    ("nosuch", 127),
    ("touch x; ./x", 126),
    ("exit 128", 128),
    ("exit 255", 255),
    ("sh -c 'kill -9 $$'; echo no", 137),
    ("sh -c 'kill -15 $$'; echo no", 143),
    ("kill -9 $$; kill -15 $$; echo alive", 0),
    ("if", 2),
    ("exec sh -c 'echo replaced; exit 9'", 9),
    ("exec >written; echo x; exit 3", 3),
    ("exec 2>/dev/null; exit 4", 4),
    ("trap 'echo mine' EXIT; exit 5", 5),
    ("set -x; set -u; exit 6", 6),
    ("printf 'no newline'; exit 8", 8),
    ("printf 'a\\036eyas-end b\\n\\036'; printf '\\036eyas' >&2; exit 9", 9),
    ("(sleep 0.2; echo late) & echo begun; exit 0", 0),
    ("IFS=x; echo() { :; }; exit 11", 11),
    ("IFS=x; readonly IFS; exit 12", 12),
    ("echo() { :; }; command() { :; }; kill() { :; }; exit 14", 14),
    ("for name in HUP PIPE TERM USR1; do kill -$name $$; done; echo alive; exit 13", 13),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
async def test_every_ending_is_the_same(pool: Pool, shell: str) -> None:
    options = options_of(PYTHON)
    plain = replace(options, kill_grace=timedelta(seconds=1))
    for line, code in ENDINGS:
        warm, warm_printed, _ = await pool.warm(options, line, shell=shell)
        as_started, printed = await pool.cold(plain, line, shell=shell)

        assert (line, warm.exit_code) == (line, code)
        assert (line, as_started.exit_code) == (line, code)
        assert (line, warm_printed.out) == (line, printed.out)
        assert (line, warm_printed.words()) == (line, printed.words())


HELD = """
(while :; do date >again; sleep 0.01; done) &
until [ -s again ]; do :; done
exit 7
"""


@pytest.mark.parametrize(
    ("image", "shell"),
    [(BUSYBOX, "/bin/sh"), (PYTHON, "/bin/sh"), (PYTHON, "/bin/bash"), (ALPINE_LIKE, "/bin/sh")],
)
async def test_a_container_is_taken_apart_when_there_is_time(
    pool: Pool, engine: Any, image: str, shell: str
) -> None:
    async with pool.stood_by(image, shell) as standby:
        container = engine.containers.get(standby.id)
        async with Leavings() as leaving:
            work = command(
                standby.place.workdir, HELD, standby=standby, leaving=leaving, shell=shell
            )
            outcome = await pool.runners.docker(options_of(image)).run(work, Printed())
            assert outcome.exit_code == 7
            # Its processes have ended, as they would with it; the shell has not.
            container.reload()
            assert container.status == "running"
            with anyio.fail_after(10):
                while len(container.top()["Processes"]) > 1:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
        # Nobody holds it any more: as when Eyas is killed.
        standby.let_go()
        assert (await anyio.to_thread.run_sync(container.wait))["StatusCode"] == 7


@pytest.mark.parametrize(
    ("image", "shell"), [(BUSYBOX, "/bin/sh"), (PYTHON, "/bin/sh"), (PYTHON, "/bin/bash")]
)
async def test_a_command_begins_when_that_is_recorded_and_not_before(
    pool: Pool, engine: Any, image: str, shell: str
) -> None:
    async with pool.stood_by(image, shell) as standby:
        container = engine.containers.get(standby.id)
        began = standby.place.workdir / "began"
        line = "echo it is >began; echo done"

        async def recorded() -> None:
            with anyio.fail_after(10):  # its shell has come as far as it can
                while "echo done" not in str(container.top()["Processes"]):  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            await anyio.sleep(0.05)
            assert not began.exists()

        async with Leavings() as leaving:
            more: dict[str, Any] = {"standby": standby, "leaving": leaving, "recorded": recorded}
            work = command(standby.place.workdir, line, shell=shell, **more)
            outcome = await pool.runners.docker(options_of(image)).run(work, printed := Printed())

        assert (outcome.exit_code, printed.out, began.exists()) == (0, "done\n", True)


async def test_a_command_whose_beginning_cannot_be_recorded_never_begins(
    pool: Pool, engine: Any
) -> None:
    since = int(time.time())
    async with pool.stood_by(BUSYBOX) as standby:

        async def recorded() -> None:
            raise OSError("no disk")

        more: dict[str, Any] = {"standby": standby, "recorded": recorded}
        work = command(standby.place.workdir, "touch began; sleep 60", **more)
        with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="no disk")):
            await pool.runners.docker(options_of(BUSYBOX)).run(work, Printed())

        assert list(standby.place.workdir.iterdir()) == []
    # It was killed, or has said that it had no command.
    assert statuses(engine, standby, since) in (["125"], ["137"])


async def test_a_command_that_waits_for_its_beginning_ends_without_it_when_eyas_is_gone(
    pool: Pool, engine: Any
) -> None:
    async with pool.stood_by(BUSYBOX) as standby:
        container = engine.containers.get(standby.id)

        async def recorded() -> None:
            # As the end of this process would do it.
            standby.let_go()
            status = await anyio.to_thread.run_sync(container.wait)
            assert status["StatusCode"] == 125
            assert (standby.place.side.path / "unused").exists()
            raise OSError("over")

        more: dict[str, Any] = {"standby": standby, "recorded": recorded}
        work = command(standby.place.workdir, "touch began", **more)
        with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="over")):
            await pool.runners.docker(options_of(BUSYBOX)).run(work, Printed())

        assert list(standby.place.workdir.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"memory": 64 * 1024**2, "memory_swap": 64 * 1024**2}, "exit 7"),
        ({}, "exit 137"),
        ({}, "exec sh -c 'exit 7'"),
        ({}, "exec >written; exit 7"),
    ],
)
async def test_an_end_that_the_engine_has_to_tell_is_not_delayed(
    pool: Pool, engine: Any, more: dict[str, Any], line: str
) -> None:
    options = options_of(PYTHON, **more)
    await pool.cold(options, "true")
    await pool.until(1)
    async with pool.reserved() as standby, Leavings() as leaving:
        work = command(standby.place.workdir, line, standby=standby, leaving=leaving)
        await pool.runners.docker(options).run(work, Printed())

        assert engine.api.inspect_container(standby.id)["State"]["Status"] == "exited"


async def test_the_engine_keeps_the_status_of_a_container_that_was_held(
    pool: Pool, engine: Any
) -> None:
    since = int(time.time())
    _, _, standby = await pool.warm(options_of(BUSYBOX), "exit 7")

    assert statuses(engine, standby, since) == ["7"]


async def test_a_container_is_used_once_and_gone_afterwards(pool: Pool, engine: Any) -> None:
    options = options_of(BUSYBOX)
    names: set[str] = set()
    for _ in range(3):
        outcome, printed, standby = await pool.warm(
            options, "cat /tmp/left || echo nothing; echo was here >/tmp/left"
        )
        assert printed.out == "nothing\n"
        assert outcome.details == {"containerId": standby.id}
        names.add(standby.id)

    left = engine.api.containers(all=True, filters={"label": INSTANCE_LABEL})
    assert len(names) == 3
    assert not names & {each["Id"] for each in left}


async def test_what_stands_by_holds_nothing_of_a_task(pool: Pool, engine: Any) -> None:
    env = {"TOKEN": "secret-of-the-first"}
    await pool.cold(options_of(BUSYBOX), "echo $TOKEN; echo $TOKEN >file", env=env)
    await pool.until(1)
    async with pool.reserved() as standby:
        found: Any = engine.api.inspect_container(standby.id)
        place = standby.place

        assert "secret-of-the-first" not in str(found)
        assert list(place.workdir.iterdir()) == []
        # How its end is told, and which pipes are its own.
        names = {path.name for path in place.side.path.iterdir()}
        assert names == {"done", "end", "hold", "streams"}


async def test_an_image_with_a_new_tag_is_not_taken_for_the_old_one(
    pool: Pool, engine: Any
) -> None:
    name = f"eyas-test/moves-{uuid.uuid4().hex[:8]}:latest"
    engine.images.get(BUSYBOX).tag(name)
    try:
        await pool.cold(options_of(name), "true")
        await pool.until(1)
        engine.images.get(ALPINE_LIKE).tag(name)
        await anyio.sleep(0.1)  # the engine tells of it a moment later
        async with pool.reserved() as standby:
            printed = Printed()
            work = command(standby.place.workdir, "command -v python3", standby=standby)
            outcome = await pool.runners.docker(options_of(name)).run(work, printed)

        assert outcome.exit_code == 0
        assert printed.out.endswith("python3\n")
        assert outcome.details["containerId"] != standby.id
        # What was made of the old image is gone, one of the new image comes.
        await pool.until(1)
    finally:
        engine.images.remove(name, force=True)


async def test_one_that_was_killed_is_not_given_to_a_task(
    pool: Pool, engine: Any, tmp_path: Path
) -> None:
    await pool.cold(options_of(BUSYBOX), "true")
    await pool.until(1)
    for container in engine.containers.list(
        filters={"label": INSTANCE_LABEL, "ancestor": BUSYBOX}, ignore_removed=True
    ):
        if str(tmp_path) in str(container.attrs["Mounts"]):
            container.kill()
    await pool.until(0)
    outcome, printed = await pool.cold(options_of(BUSYBOX), "echo fine")

    assert (outcome.exit_code, printed.out) == (0, "fine\n")


async def test_a_kind_that_ends_by_itself_is_not_started_again_and_again(
    pool: Pool, engine: Any
) -> None:
    await pool.cold(options_of(BUSYBOX), "true")
    await pool.until(1)
    async with pool.reserved() as reserved:
        await pool.until(1)
        mounted = str(reserved.place.workdir.parent.parent)
        for container in engine.containers.list(
            filters={"label": INSTANCE_LABEL, "ancestor": BUSYBOX}, ignore_removed=True
        ):
            if container.id != reserved.id and mounted in str(container.attrs["Mounts"]):
                container.kill()
        await pool.until(0)
        await anyio.wait_all_tasks_blocked()
        assert [each.starting for each in pool.runners.standing()] == [0]

    await pool.cold(options_of(BUSYBOX), "true")
    await pool.until(1)


async def test_the_longest_script_that_fits_is_run(pool: Pool) -> None:
    script = "#".ljust(ONE_LIMIT_BYTES - len("set -e\nexit 3\n"), "x")
    outcome, _ = await pool.cold(options_of(BUSYBOX), "exit 3", script)

    assert outcome.exit_code == 3


async def test_a_folder_that_was_made_anew_is_not_the_one_that_is_mounted(
    pool: Pool, tmp_path: Path
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "version").write_text("1")
    reads = [ReadOnly(folder=packages, root=tmp_path, target="/packages")]
    await pool.cold(options_of(BUSYBOX), "cat /packages/version", reads=reads)
    await pool.until(1)
    packages.rename(tmp_path / "old")
    packages.mkdir()
    (packages / "version").write_text("2")

    assert await pool.runners.reserve(SERIES) is None
    _, printed = await pool.cold(options_of(BUSYBOX), "cat /packages/version", reads=reads)
    assert printed.out == "2"


async def test_the_memory_limit_is_told_as_before(pool: Pool) -> None:
    options = options_of(PYTHON, memory=32 * 1024**2, memory_swap=32 * 1024**2)
    eat = "python3 -c 'x = bytearray(200 * 1024**2)'"
    warm, _, _ = await pool.warm(options, eat)
    cold, _ = await pool.cold(options, eat)

    assert (warm.exit_code, warm.reason) == (cold.exit_code, cold.reason) == (137, "oom")


@pytest.mark.parametrize(
    "more",
    [
        {"port_bindings": ["0:80"], "network_mode": "bridge"},
        {"network_mode": "some-network"},
    ],
)
async def test_what_others_could_want_does_not_stand_by(
    settings: Settings, engine: Any, more: dict[str, Any]
) -> None:
    allowed = replace(settings, docker_host_namespaces_enabled=True)
    async with opened(allowed) as pool:
        network = more.get("network_mode") == "some-network"
        made = engine.networks.create("some-network") if network else None
        try:
            await pool.cold(options_of(BUSYBOX, **more), "true")
            assert pool.runners.standing() == []
        finally:
            if made is not None:
                made.remove()


@pytest.mark.parametrize("count", [0, 2])
async def test_no_more_stand_by_than_the_setting_says(
    settings: Settings, engine: Any, count: int
) -> None:
    async with opened(replace(settings, standbys=count)) as pool:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(pool.cold, options_of(BUSYBOX), "true")
        await pool.until(count)
        standing = pool.runners.standing()

        assert sum(each.ready + each.starting for each in standing) == count


async def test_what_is_about_to_come_starts_before_it_comes(
    settings: Settings, engine: Any, tmp_path: Path
) -> None:
    options = options_of(BUSYBOX)
    async with opened(settings, keeps=False) as pool:
        shared = new_work_dir(tmp_path)
        await pool.runners.expect(options, command(shared, "", series=""))
        await pool.runners.expect(options, command(tmp_path, ""))
        await pool.until(2)
        (shared / "file").write_text("from before")
        printed = Printed()
        await pool.runners.docker(options).run(command(shared, "cat file", series=""), printed)
        outcome, _, standby = await pool.warm(options, "true")

        assert printed.out == "from before"
        assert outcome.details == {"containerId": standby.id}
        assert sum(each.ready + each.starting for each in pool.runners.standing()) == 0


async def test_what_was_expected_of_an_execution_that_has_ended_is_not_any_more(
    settings: Settings, engine: Any, tmp_path: Path
) -> None:
    options = options_of(BUSYBOX)
    async with opened(settings, keeps=False) as pool:
        shared = new_work_dir(tmp_path)
        own, inside = command(tmp_path, ""), command(shared, "", series="")
        for work in (own, inside):
            await pool.runners.expect(options, work)
        await pool.until(2)
        pool.runners.forget("another")
        assert sum(each.wanted for each in pool.runners.standing()) == 2

        pool.runners.forget(inside.owner.execution_id)
        with anyio.fail_after(30):
            while pool.ready > 1:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.02)
        pool.runners.forget(own.owner.execution_id)
        assert sum(each.wanted for each in pool.runners.standing()) == 0
        async with pool.reserved():
            await anyio.wait_all_tasks_blocked()
            assert sum(each.ready + each.starting for each in pool.runners.standing()) == 0


async def test_one_that_nobody_has_an_input_for_ends_by_itself(pool: Pool, engine: Any) -> None:
    await pool.cold(options_of(BUSYBOX), "true")
    await pool.until(1)
    async with pool.reserved() as standby:
        await standby.attached.close()
        answer: Any = engine.api.wait(standby.id, timeout=30)

        assert answer["StatusCode"] == 125
        assert (standby.place.side.path / "unused").exists()


async def test_a_kill_ends_the_command_at_once(pool: Pool) -> None:
    options = options_of(BUSYBOX)
    await pool.cold(options, "true")
    await pool.until(1)
    printed = Printed()
    async with pool.reserved() as standby:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                work = command(standby.place.workdir, "echo begun; sleep 300", standby=standby)
                group.start_soon(pool.runners.docker(options).run, work, printed)
                await printed.until("begun")
                group.cancel_scope.cancel()


async def test_one_that_ended_after_it_was_reserved_is_made_up_for(pool: Pool, engine: Any) -> None:
    await pool.cold(options_of(BUSYBOX), "true")
    await pool.until(1)
    printed = Printed()
    async with pool.reserved() as standby:
        engine.containers.get(standby.id).kill()
        with anyio.fail_after(30):
            while is_open(standby.attached):  # noqa: ASYNC110 - nobody reads from it
                await anyio.sleep(0.02)
        work = command(standby.place.workdir, "echo fine; exit 3", standby=standby)
        outcome = await pool.runners.docker(options_of(BUSYBOX)).run(work, printed)

    assert (outcome.exit_code, printed.out) == (3, "fine\n")


async def test_a_link_that_a_container_makes_in_its_private_folder_is_not_written_through(
    pool: Pool, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    await pool.cold(options_of(BUSYBOX), "true")
    await pool.until(1)
    async with pool.reserved() as standby:
        (standby.place.side.path / "start").symlink_to(outside)
        work = command(standby.place.workdir, "true", standby=standby)
        with pytest.raises(RunnerUnavailable, match=r"have made /\.eyas/side/start"):
            await pool.runners.docker(options_of(BUSYBOX)).run(work, Printed())

    assert outside.read_text() == "as it was"


async def test_another_user_may_read_the_command_whatever_our_umask(pool: Pool) -> None:
    before = os.umask(0o077)
    try:
        outcome, printed = await pool.cold(options_of(NON_ROOT), "echo fine")
    finally:
        os.umask(before)

    assert (outcome.exit_code, printed.data[Stream.STDERR]) == (0, b"")


@pytest.mark.parametrize(
    ("image", "shell"), [(BUSYBOX, "/bin/sh"), (PYTHON, "/bin/sh"), (PYTHON, "/bin/bash")]
)
@pytest.mark.parametrize("pipe", ["ours", "of another kernel", "that cannot be opened"])
async def test_a_shell_waits_only_for_a_pipe_that_is_ours(
    engine: Any, tmp_path: Path, image: str, shell: str, pipe: str
) -> None:
    """Where an engine has a kernel of its own, as on macOS, a pipe in a folder is two pipes."""
    with SideFolder(tmp_path, open_to_all=True) as side:
        hold = Hold.of(side)
        assert hold is not None
        if pipe != "ours":
            (side.path / HOLD).unlink()
            os.mkfifo(side.path / HOLD)
        user = "65534" if pipe == "that cannot be opened" else ""
        (side.path / HOLD).chmod(0o600 if user else 0o666)
        entry = Entry(shell=shell, arguments=["echo began >/.eyas/side/began; exit 7"])
        for name, data in {
            **waiting_files(shell, "token", held=True),
            **entry.files({}, ()),
        }.items():
            (side.path / name).write_bytes(data)
        container = engine.containers.create(
            image,
            list(entry.waiting),
            stdin_open=True,
            user=user,
            labels={INSTANCE_LABEL: "test"},
            volumes=[f"{side.path}:/.eyas/side"],
        )
        stream = container.attach_socket(params={"stdin": 1, "stream": 1})
        line = stream._sock
        try:
            container.start()
            with anyio.fail_after(10):
                while not (side.path / "streams").exists():  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            assert hold.is_known == (pipe == "ours")
            line.sendall(BEGIN)
            if pipe == "ours":
                await anyio.sleep(0.2)
                assert not (side.path / "began").exists()
                hold.begin()
            with anyio.fail_after(10):
                while not (side.path / "began").exists():  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            hold.let_go()
            assert (await anyio.to_thread.run_sync(container.wait))["StatusCode"] == 7
        finally:
            stream.close()
            line.close()
            hold.let_go()
            container.remove(force=True)

"""Local processes: what they see, and that nothing of them stays."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Outcome, Owner, Stream
from runner.runners.process import ProcessRunner
from runner.runners.process_tree import descendants
from runner.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path / "state",
        tmp_dir=tmp_path,
        stop_grace=timedelta(seconds=1),
        pipe_grace=timedelta(seconds=0.3),
    )


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
        with anyio.fail_after(20):
            while text not in self.text:
                await self._came.wait()


def command(tmp_path: Path, *argv: str) -> Command:
    owner = Owner(
        namespace="n", flow_id="f", execution_id="e", task_id="t", task_run_id="r", attempt=0
    )
    return Command(argv=argv, workdir=tmp_path, owner=owner)


def python(tmp_path: Path, code: str) -> Command:
    return command(tmp_path, sys.executable, "-c", code)


async def run(settings: Settings, wanted: Command) -> tuple[Outcome, str]:
    emit = Lines()
    return await ProcessRunner(settings).run(wanted, emit), emit.text


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def until_gone(pid: int) -> None:
    """Return when the process has ended; a signal that was sent takes a moment."""
    with anyio.fail_after(5):
        while is_alive(pid):  # noqa: ASYNC110 - nobody tells about another one's child
            await anyio.sleep(0.01)


async def test_the_script_has_three_descriptors_and_default_signals(
    settings: Settings, tmp_path: Path
) -> None:
    code = "ls -l /proc/self/fd | grep -c ' -> '; grep SigIgn /proc/self/status; umask"
    leaked = os.open(tmp_path, os.O_RDONLY)
    old = os.umask(0o077)
    try:
        _, text = await run(settings, command(tmp_path, "/bin/sh", "-c", code))
    finally:
        os.umask(old)
        os.close(leaked)

    descriptors, ignored, umask = text.splitlines()
    # `ls` has the folder open that it lists.
    assert (descriptors, umask) == ("4", "0022")
    assert int(ignored.split()[1], 16) == 0


async def test_the_script_leads_a_session_of_its_own(settings: Settings, tmp_path: Path) -> None:
    _, text = await run(settings, python(tmp_path, "import os; print(os.getsid(0) == os.getpid())"))

    assert text == "True\n"


async def test_a_program_killed_by_a_signal_has_128_and_its_number(
    settings: Settings, tmp_path: Path
) -> None:
    outcome, _ = await run(settings, python(tmp_path, "import os; os.kill(os.getpid(), 11)"))

    assert outcome == Outcome(exit_code=139)


async def test_a_missing_program_is_told_in_kestras_words(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(RunnerUnavailable) as caught:
        await run(settings, command(tmp_path, "no-such-program"))

    assert str(caught.value).startswith(
        f'Cannot run program "no-such-program" (in directory "{tmp_path}"): error=2, No such file'
    )


async def test_a_working_directory_that_vanished_is_told_from_a_missing_program(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(RunnerUnavailable, match="working directory has vanished"):
        await run(settings, command(tmp_path / "gone", "true"))


async def test_a_temporary_directory_that_cannot_be_written_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    wrong = Settings(state_dir=tmp_path, tmp_dir=tmp_path / "none")

    with pytest.raises(RunnerUnavailable, match="temporary directory"):
        await run(wrong, command(tmp_path, "true"))


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
"""


async def test_a_daemon_that_left_session_and_group_is_found_when_the_task_is_killed(
    settings: Settings, tmp_path: Path
) -> None:
    emit = Lines()
    code = DAEMON + "time.sleep(600)"

    async with anyio.create_task_group() as group:
        group.start_soon(ProcessRunner(settings).run, python(tmp_path, code), emit)
        await emit.until("\n")
        group.cancel_scope.cancel()

    await until_gone(int(emit.text))


async def test_a_daemon_that_holds_the_output_is_ended_after_the_grace(
    settings: Settings, tmp_path: Path
) -> None:
    with anyio.fail_after(10):
        outcome, text = await run(settings, python(tmp_path, DAEMON))

    assert outcome.exit_code == 0
    await until_gone(int(text))


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Path]:
    """A program that leaves a child with its output behind, which nothing leads to any more."""
    program = tmp_path / "forgetful"
    pid_file = tmp_path / "pid"
    child = f"echo $$ > {pid_file}; echo last; exec sleep 600"
    program.write_text(
        f"#!/bin/sh\nsetsid -f env -i PATH=/usr/bin:/bin sh -c '{child}'\nsleep 0.1\n"
    )
    program.chmod(0o755)
    yield program
    os.kill(int(pid_file.read_text()), 9)


async def test_a_child_that_nothing_leads_to_does_not_hold_the_task_and_no_line_is_lost(
    settings: Settings, tmp_path: Path, forgetful: Path
) -> None:
    with anyio.fail_after(10):
        outcome, text = await run(settings, command(tmp_path, str(forgetful)))

    assert (outcome.exit_code, text) == (0, "last\n")


async def test_last_words_after_sigterm_are_kept(settings: Settings, tmp_path: Path) -> None:
    emit = Lines()
    code = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"

    async with anyio.create_task_group() as group:
        wanted = command(tmp_path, "/bin/sh", "-c", code)
        group.start_soon(ProcessRunner(settings).run, wanted, emit)
        await emit.until("up")
        group.cancel_scope.cancel()

    assert emit.text.endswith("bye\n")


async def test_a_group_member_that_ignores_sigterm_dies_though_its_leader_has_gone(
    settings: Settings, tmp_path: Path
) -> None:
    emit = Lines()
    child = 'trap "" TERM; echo $$; while :; do sleep 0.05; done'
    code = f"sh -c '{child}' & wait"

    started = time.monotonic()
    async with anyio.create_task_group() as group:
        wanted = command(tmp_path, "/bin/sh", "-c", code)
        group.start_soon(ProcessRunner(settings).run, wanted, emit)
        await emit.until("\n")
        group.cancel_scope.cancel()

    assert time.monotonic() - started < 5
    await until_gone(int(emit.text))


async def test_what_an_emit_that_is_stuck_holds_up_is_killed_all_the_same(
    settings: Settings, tmp_path: Path
) -> None:
    stuck = anyio.Event()

    async def emit(_: Stream, __: bytes) -> None:
        stuck.set()
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(ProcessRunner(settings).run, command(tmp_path, "yes"), emit)
            await stuck.wait()
            group.cancel_scope.cancel()


async def test_slow_taking_of_the_last_output_loses_nothing_after_the_grace(
    settings: Settings, tmp_path: Path
) -> None:
    taken = 0

    async def slow(_: Stream, chunk: bytes) -> None:
        nonlocal taken
        await anyio.sleep(settings.pipe_grace.total_seconds() * 1.5)
        taken += len(chunk)

    await ProcessRunner(settings).run(
        command(tmp_path, "/bin/sh", "-c", "head -c 100000 /dev/zero"), slow
    )

    assert taken == 100_000


async def test_a_side_file_that_is_no_file_has_no_markers(
    settings: Settings, tmp_path: Path
) -> None:
    for line in ("mkfifo", "mkdir", "ln -s /etc/passwd"):
        code = f'{line} "$EYAS_SIDE_FILE"'
        outcome, _ = await run(settings, command(tmp_path, "/bin/sh", "-c", code))
        assert (outcome.exit_code, list(outcome.markers)) == (0, [])


async def test_a_disk_that_is_full_is_the_scripts_own_error(
    settings: Settings, small_disk: Path
) -> None:
    code = "head -c 1000000 /dev/zero > big"

    outcome, text = await run(settings, command(small_disk, "/bin/sh", "-c", code))

    assert outcome.exit_code != 0
    assert "No space left on device" in text


async def test_while_many_begin_others_have_their_turn(settings: Settings, tmp_path: Path) -> None:
    runner, lines = ProcessRunner(settings), Lines()
    seen = [0]

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(runner.run, command(tmp_path, "sleep", "60"), lines)
        with anyio.fail_after(20):
            while seen[-1] < 8:
                await anyio.lowlevel.checkpoint()
                seen.append(len(descendants(os.getpid())))
        group.cancel_scope.cancel()

    assert all(now - before <= 1 for before, now in pairwise(seen))

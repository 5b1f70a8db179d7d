"""What systemd is told, at a socket like its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from runner.notify import keep_watchdog, notify, watchdog_interval_s


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"@eyas-{uuid.uuid4().hex}" if request.param == "abstract" else str(tmp_path / "notify")


@pytest.fixture
def systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.setblocking(False)
        yield listener


def test_a_message_arrives(systemd: socket.socket, address: str) -> None:
    notify("READY=1", {"NOTIFY_SOCKET": address})

    assert systemd.recv(100) == b"READY=1"


def test_without_systemd_nobody_is_told() -> None:
    with capture_logs() as logs:
        notify("READY=1", {})
        notify("READY=1", {"NOTIFY_SOCKET": ""})

    assert logs == []


def test_a_socket_that_has_vanished_is_a_warning(tmp_path: Path) -> None:
    with capture_logs() as logs:
        notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})

    assert [(each["event"], each["log_level"]) for each in logs] == [
        ("systemd.not_told", "warning")
    ]


@pytest.mark.parametrize("address", ["path"], indirect=True)
def test_a_full_queue_holds_nothing_up(systemd: socket.socket, address: str) -> None:
    told = 0
    with capture_logs() as logs:
        while not logs:
            notify("WATCHDOG=1", {"NOTIFY_SOCKET": address})
            told += 1

    assert told > 1
    assert systemd.recv(100) == b"WATCHDOG=1"


async def test_the_watchdog_is_fed_until_the_daemon_ends(
    systemd: socket.socket, address: str
) -> None:
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"}
    told: list[bytes] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(keep_watchdog, environ)
            while len(told) < 3:
                await anyio.wait_readable(systemd)
                told.append(systemd.recv(100))
            group.cancel_scope.cancel()

    assert told == [b"WATCHDOG=1"] * 3


async def test_nobody_waits_for_a_watchdog_that_is_not_wanted() -> None:
    with anyio.fail_after(5):
        await keep_watchdog({})


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_it_is_fed_twice_as_often_as_needed(
    environ: dict[str, str], interval_s: float | None
) -> None:
    assert watchdog_interval_s(environ) == interval_s


@pytest.mark.parametrize("address", ["path"], indirect=True)
def test_the_daemon_says_that_it_is_ready_alive_and_stopping(
    systemd: socket.socket, address: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "runner", "serve", "--port", "0"]
    environ = {"EYAS_STATE_DIR": str(tmp_path / "state"), "WATCHDOG_USEC": "50000"}
    systemd.settimeout(20)
    with subprocess.Popen(
        command, env={**os.environ, **environ, "NOTIFY_SOCKET": address}, stderr=subprocess.DEVNULL
    ) as daemon:
        try:
            told: list[bytes] = []
            while told.count(b"WATCHDOG=1") < 3 or b"READY=1" not in told:
                told.append(systemd.recv(100))
            daemon.terminate()
            while told[-1] != b"STOPPING=1":
                told.append(systemd.recv(100))
            status = daemon.wait(20)
        finally:
            daemon.kill()

    assert status == 0
    assert set(told) == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}

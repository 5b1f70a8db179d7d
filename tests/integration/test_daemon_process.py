"""The daemon as people start it: a process, its signals, its exit statuses, its state folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

FLOW = """\
id: hello
namespace: t
tasks:
  - id: say
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: ["echo hello"]
"""


def command(root: Path, *more: str) -> list[str]:
    """The command line of a daemon with its folders below `root`."""
    folders = [str(root / "flows"), "--state-dir", str(root / "state")]
    return [sys.executable, "-m", "runner", "serve", *folders, "--port", "0", *more]


@contextmanager
def process(root: Path, **environ: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A daemon that is ready, and its address; it is killed afterwards if it still runs."""
    (root / "flows").mkdir(exist_ok=True)
    notify = root / "notify"
    notify.unlink(missing_ok=True)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
        (root / "log").open("w") as log,
        subprocess.Popen(
            command(root),
            stderr=log,
            text=True,
            env={**os.environ, **environ, "NOTIFY_SOCKET": str(notify)},
        ) as started,
    ):
        try:
            told.bind(str(notify))
        except OSError:
            started.kill()
            raise
        told.settimeout(20)
        try:
            yield started, ready(told, root)
        finally:
            started.kill()


def ready(told: socket.socket, root: Path) -> str:
    """The address that the daemon's log names, once it has said that it is ready."""
    import json

    assert told.recv(100) == b"READY=1"
    lines = (json.loads(line) for line in (root / "log").read_text().splitlines())
    return next(line["address"] for line in lines if line["event"] == "daemon.ready")


def stop(started: subprocess.Popen[str]) -> int:
    """Ask the daemon to stop and return its exit status."""
    started.send_signal(signal.SIGTERM)
    return started.wait(20)


def api(method: str, url: str, **more: Any) -> Any:
    """The JSON answer to a request."""
    answer = requests.request(method, url, timeout=20, **more)
    answer.raise_for_status()
    return answer.json()


def test_it_runs_flows_of_its_folder_and_remembers_them_after_a_stop(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "hello.yml").write_text(FLOW)
    with process(tmp_path) as (started, address):
        assert requests.get(f"{address}/ping", timeout=5).text == "pong"
        url = f"{address}/api/v1/main/executions/t/hello?wait=true"
        execution = api("POST", url)
        assert execution["state"]["current"] == "SUCCESS"
        assert stop(started) == 0

    with process(tmp_path) as (started, address):
        kept = api("GET", f"{address}/api/v1/main/executions/{execution['id']}")
        lines = api("GET", f"{address}/api/v1/main/logs/{execution['id']}")
        assert stop(started) == 0

    assert kept == {key: value for key, value in execution.items() if key != "url"}
    assert "hello" in [line["message"] for line in lines]


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "hello.yml").write_text(FLOW)
    with process(tmp_path) as (started, address):
        execution = api("POST", f"{address}/api/v1/main/executions/t/hello?wait=true")
        started.kill()
        started.wait(20)

    with process(tmp_path) as (started, address):
        kept = api("GET", f"{address}/api/v1/main/executions/{execution['id']}")
        assert stop(started) == 0

    assert kept["state"] == execution["state"]


def test_what_was_accepted_ends_although_the_daemon_was_killed_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    text = FLOW.replace('"echo hello"', f'"read line < {gate}", "echo got it"')
    (tmp_path / "flows" / "hello.yml").write_text(text)
    with process(tmp_path) as (started, address):
        execution = api("POST", f"{address}/api/v1/main/executions/t/hello")
        with gate.open("w"):  # opens when the script reads: it runs now
            started.kill()
            started.wait(20)

    with process(tmp_path) as (started, address):
        with gate.open("w") as stream:
            stream.write("go\n")
        ended = follow(f"{address}/api/v1/main/executions/{execution['id']}/follow")
        assert stop(started) == 0

    assert ended["state"]["current"] == "SUCCESS"
    states = [change["state"] for change in ended["taskRunList"][0]["state"]["histories"]]
    assert "RESUBMITTED" in states


def follow(url: str) -> Any:
    """The execution as it ended."""
    import json

    with requests.get(url, stream=True, timeout=20) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith(b"data: ")]
    return json.loads(lines[-1][6:])


def test_a_second_daemon_on_the_same_state_refuses(tmp_path: Path) -> None:
    with process(tmp_path) as (started, _):
        second = subprocess.run(
            command(tmp_path), capture_output=True, text=True, timeout=20, check=False
        )
        assert (second.returncode, f"pid {started.pid}" in second.stderr) == (73, True)
        assert stop(started) == 0


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = subprocess.run(
            command(tmp_path, "--port", port),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    assert (run.returncode, f"127.0.0.1:{port}" in run.stderr) == (69, True)
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("content", [b"rubbish " * 1000, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_damaged_store_is_said_so_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").write_bytes(content)

    run = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=20, check=False)

    assert (run.returncode, "state.db" in run.stderr) == (65, True)
    assert "Traceback" not in run.stderr
    assert (tmp_path / "state" / "state.db").read_bytes() == content


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    run = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=20, check=False)

    assert (run.returncode, "no folder" in run.stderr) == (2, True)


def test_nobody_else_can_read_the_state(tmp_path: Path) -> None:
    with process(tmp_path) as (started, _):
        modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()}
        folder = (tmp_path / "state").stat().st_mode & 0o077
        assert stop(started) == 0

    assert folder == 0
    assert modes["token"] == modes["state.db"] == modes["logs.db"] == 0

"""The disk fills, or gives errors, while the daemon works: nothing that was accepted is lost."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from kill_sweep import Sweep
from test_daemon_faults import kill, line_came, messages, start, sweep_in, until

pytestmark = pytest.mark.timeout(120)

FLOW = """\
id: f
namespace: t
tasks:
  - id: s
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands:
      - for i in $(seq 20); do echo line $i; sleep 0.1; done
      - echo '::{"outputs":{"last":20}}::'
  - {id: after, type: io.kestra.plugin.core.log.Log, message: "{{ outputs.s.vars.last }}"}
"""
LINES = [f"line {number}" for number in range(1, 21)]
LITTLE = {"EYAS_MIN_FREE_BYTES": str(64 * 1024)}


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    """Daemons with a state folder on a disk of 4 MB."""
    sweep = sweep_in(tmp_path, FLOW)
    argv = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(sweep.state)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a file system")
    yield sweep
    subprocess.run(["umount", str(sweep.state)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room that its disk has."""
    file = folder / "ballast"
    with file.open("wb", 0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 4096)
        except OSError:
            return file


def storage(api: str) -> Any:
    """What the daemon says of its disk."""
    health = requests.get(f"{api.partition('/api/')[0]}/health", timeout=20).json()
    return health["details"]["storage"]


def is_full(api: str) -> None:
    """Wait until the daemon could not write something."""
    deadline = time.monotonic() + 60
    while "disk is full" not in str(storage(api)):
        assert time.monotonic() < deadline, storage(api)
        time.sleep(0.02)


def own_lines(api: str, id_: str) -> list[str]:
    """What the script has printed."""
    return [text for text in messages(api, id_) if text.startswith("line ")]


def test_what_runs_goes_on_when_there_is_room_again(sweep: Sweep) -> None:
    with sweep.daemon(**LITTLE) as (process, api):
        id_ = start(api)
        line_came(api, id_, "line 1")
        ballast = fill(sweep.state)
        is_full(api)
        refused = requests.post(f"{api}/executions/t/f", timeout=20)
        seen = requests.get(f"{api}/executions/{id_}", timeout=20).json()
        ballast.unlink()
        ended = until(api, id_, "SUCCESS", "FAILED")
        well = storage(api)
        assert requests.post(f"{api}/executions/t/f?wait=true", timeout=60).status_code == 200
        lines = own_lines(api, id_)
        found = requests.get(f"{api}/executions/search?size=9", timeout=20).json()["total"]
        kill(process, signal.SIGTERM)

    assert refused.status_code == 507
    assert "make space" in refused.json()["message"]
    assert seen["state"]["current"] == "RUNNING"
    assert ended["state"]["current"] == "SUCCESS"
    assert (lines, well, found) == (LINES, {"status": "UP"}, 2)
    assert process.returncode == 0, (sweep.root / "log").read_text()[-6000:]


def test_a_daemon_can_be_stopped_while_the_disk_is_full(sweep: Sweep) -> None:
    with sweep.daemon(**LITTLE) as (process, api):
        id_ = start(api)
        line_came(api, id_, "line 1")
        ballast = fill(sweep.state)
        is_full(api)
        kill(process, signal.SIGTERM)
    assert process.returncode == 0, (sweep.root / "log").read_text()[-6000:]
    ballast.unlink()
    with sweep.daemon(**LITTLE) as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        kill(process, signal.SIGTERM)

    attempts = [each["state"]["current"] for each in ended["taskRunList"][0]["attempts"]]
    assert (ended["state"]["current"], attempts) == ("SUCCESS", ["FAILED", "SUCCESS"])


def test_a_disk_that_gives_errors_ends_the_daemon_and_nothing_is_lost(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, FLOW)
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "line 1")
        # Every write beyond that fails from now on, as on a broken disk.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        process.wait(30)
    log = (sweep.root / "log").read_text()
    with sweep.daemon() as (after, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        kill(after, signal.SIGTERM)

    assert process.returncode == 74, log
    assert "gives errors or is read-only" in log
    assert ended["state"]["current"] == "SUCCESS"

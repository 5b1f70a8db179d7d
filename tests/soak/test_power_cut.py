"""The power is cut while the daemon works: whatever it had answered is there afterwards.

    ROUNDS=100 .venv/bin/python -m pytest tests/soak/test_power_cut.py

State is on a file system of its own, which is shut down at a random moment: what was not forced to
the disk by then is gone.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from kill_sweep import Sweep
from test_daemon_faults import kill, sweep_in

ROUNDS = int(os.environ.get("ROUNDS", "3"))

pytestmark = pytest.mark.timeout(60 + 20 * ROUNDS)

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_WITHOUT_FLUSH = 2

CORE = "io.kestra.plugin.core"
FLOW = f"""\
id: f
namespace: t
tasks:
  - {{id: one, type: {CORE}.log.Log, message: one}}
  - id: two
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: {CORE}.runner.Process}}
    outputFiles: [file.txt]
    commands: ["echo two > file.txt", "echo two"]
  - {{id: three, type: {CORE}.kv.Set, key: "{{{{ execution.id }}}}", value: three}}
afterExecution:
  - {{id: last, type: {CORE}.log.Log, message: last}}
"""
LISTENS = f"""\
id: g
namespace: t
tasks: [{{id: s, type: {CORE}.log.Log, message: g}}]
triggers:
  - id: ends
    type: {CORE}.trigger.Flow
    states: [SUCCESS]
    conditions: [{{type: {CORE}.condition.ExecutionFlow, namespace: t, flowId: f}}]
"""


class Disk:
    """A file system in a file, mounted at `folder`."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image, self.folder = image, folder

    def mount(self) -> bool:
        """Whether it could be mounted."""
        argv = ["mount", "-o", "loop", str(self._image), str(self.folder)]
        return subprocess.run(argv, capture_output=True).returncode == 0

    def cut(self) -> None:
        """Cut the power: nothing reaches the disk from now on."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(handle)

    def unmount(self) -> None:
        """Take it away, for good or to mount it anew."""
        deadline = time.monotonic() + 30
        # A process that was just being started when its daemon was killed may still be there.
        while subprocess.run(["umount", str(self.folder)], capture_output=True).returncode:
            assert time.monotonic() < deadline, "the disk is in use"
            time.sleep(0.02)
        # A container that is just being made somewhere may have a copy of all mounts.
        while subprocess.check_output(["losetup", "-j", str(self._image)]):
            assert time.monotonic() < deadline, "the disk is still in use"
            time.sleep(0.02)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 48 MB."""
    image, folder = tmp_path / "image", tmp_path / "state"
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("only root can mount a disk, and mkfs.ext4 must be there")
    with image.open("wb") as file:
        file.truncate(48 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    folder.mkdir()
    disk = Disk(image, folder)
    if not disk.mount():
        pytest.skip("there is no loop device to be had")
    yield disk
    disk.unmount()


def works(sweep: Sweep, disk: Disk, chance: random.Random, told: dict[str, Any]) -> None:
    """Have a daemon work until the power is cut; `told` is what was said of which execution."""
    with sweep.daemon(EYAS_MIN_FREE_BYTES="1") as (process, api):
        moment = time.monotonic() + chance.uniform(0.05, 1.5)
        with suppress(requests.ConnectionError, requests.Timeout):
            while (left := moment - time.monotonic()) > 0:
                wait = chance.choice(["true", "false"])
                url = f"{api}/executions/t/f?wait={wait}"
                answer = requests.post(url, timeout=left + 0.01)
                if answer.status_code == 200:
                    told[answer.json()["id"]] = answer.json()["state"]
        disk.cut()
        process.kill()
        process.wait(30)
    disk.unmount()
    assert disk.mount()


def test_what_was_answered_before_the_power_was_cut_is_there(tmp_path: Path, disk: Disk) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 # to repeat a failure with
    chance, told = random.Random(seed), dict[str, Any]()
    sweep = sweep_in(tmp_path, FLOW)
    (tmp_path / "flows" / "g.yaml").write_text(LISTENS)

    for _ in range(ROUNDS):
        works(sweep, disk, chance, told)
        with sqlite3.connect(disk.folder / "state.db") as state:
            stored = dict(state.execute("SELECT id, state FROM executions").fetchall())
        state.close()
        assert told.keys() <= stored.keys()
        ended = {id_ for id_, state in told.items() if state["current"] == "SUCCESS"}
        assert {stored[id_] for id_ in ended} <= {"SUCCESS"}

    with sweep.daemon(EYAS_MIN_FREE_BYTES="1") as (process, api):
        executions = sweep.ended(api)
        problems = [text for each in executions for text in wrong_with(api, each)]
        kill(process, signal.SIGTERM)
    causes = [
        each["trigger"]["variables"]["executionId"] for each in executions if "trigger" in each
    ]
    assert sorted(causes) == sorted(each["id"] for each in executions if each["flowId"] == "f")
    assert not problems
    assert not sweep.damage()


def wrong_with(api: str, execution: Any) -> list[str]:
    """What is wrong with an execution that has ended."""
    id_ = execution["id"]
    if execution["state"]["current"] != "SUCCESS":
        return [f"{id_} is {execution['state']['current']}"]
    runs = {run["taskId"]: run for run in execution["taskRunList"]}
    if execution["flowId"] == "g":
        return []
    states = {name: run["state"]["current"] for name, run in runs.items()}
    if states != dict.fromkeys(("one", "two", "three", "last"), "SUCCESS"):
        return [f"{id_} has {states}"]
    lines = [line["message"] for line in requests.get(f"{api}/logs/{id_}", timeout=20).json()]
    uri = runs["two"]["outputs"]["outputFiles"]["file.txt"]
    file = requests.get(f"{api}/executions/{id_}/file", params={"path": uri}, timeout=20).text
    key = requests.get(f"{api}/namespaces/t/kv/{id_}", timeout=20).json()
    # A task whose end was not on the disk yet is done again, and says again what it says.
    missing = {"one", "two", "last"} - set(lines)
    found = (missing, file, key.get("value"))
    return [] if found == (set(), "two\n", "three") else [f"{id_}: {found}"]

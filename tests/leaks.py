"""What a test may not leave behind: processes, temporary folders, containers and volumes.

The checks are made after every test, so they are cheap where a test touched none of it: reading
/proc in full waits for a sign that there were child processes, and the engine is asked only after
tests that are marked `docker`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import docker
from docker.errors import NotFound

from runner.settings import INSTANCE_LABEL, TEMP_PREFIX

MARK = "PYTEST_SESSION_MARK"
"""Environment variable by which descendants of this test session are told from other processes."""

PATIENCE_S = 5.0
"""How long something may still take to go after its test has ended."""


class Processes:
    """The descendants of this process, also those that have lost their parent."""

    def __init__(self) -> None:
        self._entry = f"{MARK}={os.environ[MARK]}".encode()
        self._known: frozenset[int] = frozenset()
        self._quiet_at = -1

    def remember(self) -> None:
        """Take what runs now as belonging to someone else than the next test."""
        self._known = self._running()

    def left(self) -> list[str]:
        """One line for each process that was not there at the last `remember()`."""
        return [describe(pid) for pid in sorted(self._running() - self._known)]

    def end(self) -> None:
        """Kill what was not there at the last `remember()`."""
        for pid in self._running() - self._known:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _running(self) -> frozenset[int]:
        # A child that was waited for has left its page faults with us.
        faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        if faults == self._quiet_at and not has_children():
            return self._known
        found = frozenset(pid for pid in all_pids() if self._is_ours(pid))
        self._quiet_at = faults if found <= self._known else -1
        return found

    def _is_ours(self, pid: int) -> bool:
        state, parent = status(pid)
        if pid == os.getpid() or state in ("", "Z", "X"):
            return False
        return parent == os.getpid() or self._entry in environment(pid)


def has_children() -> bool:
    """Whether this process has children, living or not yet waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def all_pids() -> list[int]:
    """Every process of the machine."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environment(pid: int) -> list[bytes]:
    """The environment that a process was started with; empty when it cannot be read."""
    path = Path(f"/proc/{pid}/environ")
    found = read(path)
    for _ in range(5):
        # A process of ours without any is becoming another program at this moment (exec).
        if found or not is_ours_and_alive(pid):
            break
        time.sleep(0.002)
        found = read(path)
    return found.split(b"\0")


def is_ours_and_alive(pid: int) -> bool:
    """Whether a process runs as this user and is no thread of the kernel."""
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return False
    return owner == os.getuid() and status(pid)[1] not in (0, 2)


def status(pid: int) -> tuple[str, int]:
    """The state (`Z` has ended) and the parent of a process; `("", 0)` when there is none."""
    fields = read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
    return (fields[0].decode(), int(fields[1])) if fields else ("", 0)


def describe(pid: int) -> str:
    """A process in words."""
    command = read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode(errors="replace")
    return f"process {pid}: {command.strip()[:200]}"


def read(path: Path) -> bytes:
    """What a file of /proc holds; nothing when its process has gone or belongs to someone else."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


class TempFolders:
    """Folders of Eyas in the temporary directory of this test session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: frozenset[str] = frozenset()

    def remember(self) -> None:
        """Take what is there now as belonging to someone else than the next test."""
        self._known = self._present()

    def left(self) -> list[str]:
        """One line for each entry that was not there at the last `remember()`."""
        return [f"folder {self._folder / name}" for name in sorted(self._present() - self._known)]

    def _present(self) -> frozenset[str]:
        return frozenset(path.name for path in self._folder.glob(f"{TEMP_PREFIX}*"))


class EngineObjects:
    """Containers and volumes that carry Eyas's label.

    A container that stands by is none that was left: it runs only as long as somebody holds its
    input.
    Others may use the same engine. In CI nobody does, and every labelled thing counts; elsewhere a
    container counts when one of the `folders` of this test session occurs in its definition.
    """

    def __init__(
        self, client: docker.DockerClient, folders: Sequence[Path], *, alone: bool
    ) -> None:
        self._api = cast(Any, client.api)  # the stubs leave its types open
        self._folders = [str(folder) for folder in folders]
        self._alone = alone
        self._known: frozenset[str] = frozenset()

    def remember(self) -> None:
        """Take what is there now as belonging to someone else than the next test."""
        self._known = frozenset(self._present(standing_by=True))

    def left(self) -> list[str]:
        """One line for each thing that was not there at the last `remember()`."""
        found = self._present(standing_by=False)
        return sorted(line for name, line in found.items() if name not in self._known)

    def _present(self, *, standing_by: bool) -> dict[str, str]:
        """A line for each thing, by what does not change of it."""
        filters = {"label": INSTANCE_LABEL}
        containers: list[dict[str, Any]] = self._api.containers(all=True, filters=filters)
        found = {
            str(each["Id"]): f"container {each['Id'][:12]} ({each['Image']}, {each['Status']})"
            for each in containers
            if standing_by or not _stands_by(each)
            if self._alone or self._is_ours(each["Id"])
        }
        if self._alone:
            volumes: list[dict[str, str]] | None = self._api.volumes(filters=filters)["Volumes"]
            found |= {each["Name"]: f"volume {each['Name']}" for each in volumes or ()}
        return found

    def _is_ours(self, container_id: str) -> bool:
        try:
            definition = json.dumps(self._api.inspect_container(container_id))
        except NotFound:
            return False
        return any(folder in definition for folder in self._folders)


def _stands_by(container: dict[str, Any]) -> bool:
    """Whether a container waits for a task of an Eyas that lives."""
    named = any(name.startswith("/eyas-standby-") for name in container["Names"])
    return named and container["State"] == "running"


def settle(left: Callable[[], list[str]]) -> list[str]:
    """What is still there after `PATIENCE_S`; returns at once when nothing is."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found

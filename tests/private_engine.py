"""A Docker engine of a test's own: one that may be killed, or that does not see our folders."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import leaks
import pytest

START_S = 30.0


class PrivateEngine:
    """A dockerd with everything in `folder`, without networks.

    `hide` is a folder that it does not see, `options` are more words for its command line.
    """

    def __init__(self, folder: Path, hide: Path | None, options: str) -> None:
        self._folder = folder
        self._hide = hide
        self._options = options
        self.url = f"unix://{folder}/docker.sock"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = [
            "exec dockerd --bridge none --iptables=false --ip6tables=false",
            f"--data-root {self._folder}/data --exec-root {self._folder}/exec",
            f"-p {self._folder}/pid -H {self.url} {self._options} >>{self._folder}/log 2>&1",
        ]
        hide = f"mount -t tmpfs none {self._hide} && " if self._hide else ""
        # It outlives the test that happens to need it first, so it is no child of ours. An engine
        # removes another one's bridge, whatever it is told, unless it cannot see it.
        apart = ["unshare", "-n", *(["-m"] if hide else [])]
        argv = ["setsid", "-f", *apart, "sh", "-c", hide + " ".join(words)]
        env = {name: value for name, value in os.environ.items() if name != leaks.MARK}
        subprocess.run(argv, env=env, check=True, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while not self.answers():
            if time.monotonic() > deadline:
                log = (self._folder / "log").read_text()[-2000:]
                raise AssertionError(f"the private engine does not answer:\n{log}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it answers now."""
        argv = ["docker", "-H", self.url, "version"]
        with suppress(subprocess.TimeoutExpired):
            return subprocess.run(argv, capture_output=True, timeout=5).returncode == 0
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send dockerd a signal; waits for its end if it is one that ends it."""
        pid = int((self._folder / "pid").read_text())
        os.kill(pid, number)
        deadline = time.monotonic() + START_S
        while number in (signal.SIGTERM, signal.SIGKILL) and leaks.status(pid)[0] not in ("", "Z"):
            assert time.monotonic() < deadline, "the private engine does not end"
            time.sleep(0.02)
        if number is signal.SIGKILL:
            # Its containerd dies with it. Where nobody reaps it, its pid still looks alive.
            (self._folder / "pid").unlink(missing_ok=True)
            (self._folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """End it, and whatever it left."""
        with suppress(FileNotFoundError, ProcessLookupError):
            # Asked to stop it would wait for many things, for up to 20 s.
            self.signal(signal.SIGKILL)
        # What was running when it was killed; the folder's name is nobody else's.
        mine = f"{self._folder}/exec/containerd/containerd.sock".encode()
        pids = leaks.all_pids()
        for shim in pids:
            if mine in leaks.read(Path(f"/proc/{shim}/cmdline")).split(b"\0"):
                for pid in [*(pid for pid in pids if leaks.status(pid)[1] == shim), shim]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def load(self, *images: str) -> None:
        """Copy images of the shared engine into this one."""
        save = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        with save:
            subprocess.run(["docker", "-H", self.url, "load", "-q"], stdin=save.stdout, check=True)
        assert save.returncode == 0


@contextmanager
def private_engine(
    folder: Path, hide: Path | None = None, options: str = ""
) -> Generator[PrivateEngine]:
    """A private engine that runs; skips the test where none can be started."""
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        pytest.skip("only root can start an engine of its own, and dockerd must be installed")
    engine = PrivateEngine(folder, hide, options)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
        # An engine that was killed has left its mounts.
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
            subprocess.run(["umount", "-l", mount], check=True)
        shutil.rmtree(folder)

"""The real command `eyas`, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


class Eyas:
    """Runs the command in a folder of the test, with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            **os.environ,
            "EYAS_STATE_DIR": str(folder / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._running: list[subprocess.Popen[str]] = []

    def flow(self, name: str, tasks: str, rest: str = "") -> Path:
        """A file with a flow of that id."""
        path = self.folder / f"{name}.yaml"
        path.write_text(f"id: {name}\nnamespace: test.acceptance\n{rest}tasks:\n{tasks}")
        return path

    def __call__(self, *args: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            self._command(args),
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        """Start the command; it is killed with the test at the latest."""
        process = subprocess.Popen(
            self._command(args),
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    @staticmethod
    def _command(args: tuple[str | Path, ...]) -> list[str]:
        return [sys.executable, "-m", "runner", *map(str, args)]

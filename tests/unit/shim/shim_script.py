"""Running scripts as a task runner does: with the shim's folder on PYTHONPATH, nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kestra_shim import SIDE_FILE_VARIABLE, site_path


@dataclass
class Script:
    """An interpreter, and the environment in which it runs scripts."""

    python: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def side_file(self) -> Path:
        """Where the markers go as well."""
        return self.folder / "side"

    def run(
        self, source: str, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `source` to its end, whatever its exit status is."""
        path = self.folder / "script.py"
        path.write_text(source)
        return subprocess.run(
            [self.python, *arguments, str(path)],
            env={**self.env, **(env or {})},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def lines(self, source: str, env: dict[str, str] | None = None) -> list[str]:
        """The lines that a script prints, which must end well and say nothing on stderr."""
        done = self.run(source, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()


def _interpreters(names: tuple[str, ...]) -> Iterator[str]:
    """Those interpreters of `names` that are installed and work."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for name in names:
        found = [shutil.which(name), *sorted(versions.glob(f"*/bin/{name}"))]
        for path in filter(None, found):
            done = subprocess.run([path, "-c", ""], capture_output=True, check=False)
            if done.returncode == 0:
                yield str(path)
                break


OTHERS = tuple(_interpreters(("python3.8", "python3.9", "python3.10", "python3.12", "python3.13")))
"""Interpreters of other versions, as far as this machine has them."""

TOO_OLD = tuple(_interpreters(("python2.7", "python3.6", "python3.7")))
"""Interpreters that cannot use the shim, but may be started where it is."""


def script_for(python: str, folder: Path) -> Script:
    """A script with the environment of a task."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(site_path),
        # What is measured is the shim; and nothing is written beside its sources.
        "PYTHONDONTWRITEBYTECODE": "1",
        SIDE_FILE_VARIABLE: str(folder / "side"),
    }
    return Script(python, folder, env)

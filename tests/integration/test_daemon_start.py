"""What the daemon does not need it does not load: it is to be ready in half a second."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_daemon_does_not_load_what_only_terminals_need(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "runner", "serve", str(tmp_path)]
    more = ["--host", "0.0.0.0", "--state-dir", str(tmp_path / "state")]

    run = subprocess.run([*command, *more], capture_output=True, text=True, timeout=30, check=False)

    assert "EYAS_API_TOKEN" in run.stderr  # everything was loaded, then it refused
    loaded = {line.split("|")[-1].strip() for line in run.stderr.splitlines() if "|" in line}
    assert "runner.api.app" in loaded
    assert loaded & {"rich.console", "rich.traceback", "docker", "aiodocker"} == set()

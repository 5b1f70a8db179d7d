"""What was about to be run, noted before the container is made (reliability D1).

The note stands in the private folder of the command, so that it goes when the command's result is
stored. A next Eyas finds by it what a killed one has left.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.records import record
from runner.runners.base import Command
from runner.settings import KEEP_LABEL, TEMP_PREFIX

_INTENT, _STARTING, _STARTED = "intent", "starting", "started"


@record(kw_only=True)
class Intent:
    """One container that was to be made, or process that was to be started.

    `run` is the value of its label `eyas.run`, empty for a process; `host` what the flow says of
    the engine. `main`: it runs the task's own command. `starting`: the engine was asked to start
    the container. `started`: unix time by which it was known to run; None: not known.
    """

    run: str
    task_run_id: str
    attempt: int
    host: str | None
    main: bool
    workdir: Path
    output_dir: Path | None
    folder: Path
    starting: bool = False
    started: float | None = None


@record(kw_only=True)
class Left:
    """A container that an earlier Eyas has left: what it was for, and what the engine says.

    `unused`: it waited for its command until that Eyas was gone.
    """

    intent: Intent
    container: Mapping[str, Any]
    unused: bool = False

    @property
    def id(self) -> str:
        """The container's id."""
        return str(self.container["Id"])

    @property
    def status(self) -> str:
        """`created`, `running`, `paused`, `exited`..."""
        return str(self.container["State"]["Status"])

    @property
    def stays(self) -> bool:
        """Whether its flow wants it to stay when its task has ended."""
        return KEEP_LABEL in (self.container["Config"].get("Labels") or {})

    @property
    def shares_folder(self) -> bool:
        """Whether the working directory is mounted, and not copied."""
        mounts: list[Mapping[str, Any]] = self.container.get("Mounts") or []
        workdir = str(self.intent.workdir)
        return any(m.get("Type") == "bind" and m.get("Destination") == workdir for m in mounts)


def note(folder: Path, command: Command, run: str = "", host: str | None = None) -> None:
    """Note in `folder` that a container with label `run` is about to be made for `command`.

    Without `run` it is a local process that is about to be started.
    """
    owner = command.owner
    data = {
        "run": run,
        "task_run_id": owner.task_run_id,
        "attempt": owner.attempt,
        "host": host,
        "main": command.main,
        "workdir": str(command.workdir),
        "output_dir": str(command.output_dir) if command.output_dir else None,
    }
    # One that is half written counts as none: nothing was made before it was whole.
    (folder / _INTENT).write_text(json.dumps(data))


def forget(folder: Path) -> None:
    """Take back what was noted: it did not begin, and is about to be tried in another way."""
    (folder / _INTENT).unlink(missing_ok=True)


def note_starting(folder: Path) -> None:
    """Note that the container is about to be started: from now on it may have run."""
    (folder / _STARTING).touch()


def note_started(folder: Path) -> None:
    """Note that the container has started."""
    (folder / _STARTED).touch()


def read_intents(tmp_dir: Path) -> list[Intent]:
    """Every note below the folder for temporary files, the newest first.

    An attempt that begins anew after a crash is noted anew: only its newest note counts.
    """
    folders = list(tmp_dir.glob(f"{TEMP_PREFIX}side-*"))
    folders.sort(key=lambda folder: _time_of(folder / _INTENT) or 0, reverse=True)
    found = (_read(folder) for folder in folders)
    return [intent for intent in found if intent is not None]


def _read(folder: Path) -> Intent | None:
    try:
        data: dict[str, Any] = json.loads((folder / _INTENT).read_text())
        output_dir = data["output_dir"]
        return Intent(
            run=data["run"],
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            host=data["host"],
            main=data["main"],
            workdir=Path(data["workdir"]),
            output_dir=Path(output_dir) if output_dir else None,
            folder=folder,
            starting=(folder / _STARTING).exists(),
            started=_time_of(folder / _STARTED),
        )
    except (OSError, ValueError, KeyError, TypeError):
        # None was written: nothing was made.
        return None


def _time_of(file: Path) -> float | None:
    try:
        return os.stat(file).st_mtime  # noqa: PTH116
    except FileNotFoundError:
        return None

"""Removing what a killed Eyas has left and nothing goes on with (reliability 0.1, D13)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread

from runner.engine.adoption import Leftovers
from runner.errors import RunnerError, RunnerUnavailable
from runner.runners.intents import read_intents
from runner.runners.process_tree import carriers, signal_each
from runner.runners.registry import TaskRunners
from runner.tasks.work_folder import delete

ORPHAN_AGE = timedelta(minutes=1)
"""A container that this start of Eyas has made, and nobody knows of, is removed when it is older.

One that an earlier start has made is removed at once.
"""

ORPHAN_PAUSES_S = (1, 2, 5, 15, 60)
"""The pauses between the first looks: what a killed Eyas asked for may still be in the making."""

ORPHAN_INTERVAL_S = 600
"""How often such containers are looked for later."""

_PROCESS_GRACE_S = 2


async def end_processes(folder: Path) -> int:
    """End the processes whose side file is below `folder`; gives how many there were.

    Their output has nowhere to go and nobody waits for them: their tasks are run again.
    """
    return await anyio.to_thread.run_sync(_end_processes, f"EYAS_SIDE_FILE={folder}/")


def _end_processes(variable: str) -> int:
    found = carriers(variable, prefix=True)
    signal_each(found, signal.SIGTERM)
    deadline = time.monotonic() + _PROCESS_GRACE_S
    while (left := carriers(variable, prefix=True)) and time.monotonic() < deadline:
        time.sleep(0.02)
    signal_each(left, signal.SIGKILL)
    return len(found)


async def clear(leftovers: Leftovers, runners: TaskRunners) -> list[str]:
    """Remove the containers and folders that nothing goes on with; gives what could not be."""
    problems: list[str] = []
    for intent in leftovers.intents:
        if intent.folder in leftovers.kept or not intent.run:
            continue
        try:
            with anyio.move_on_after(30):
                left = await runners.left_container(intent)
                if left is not None and not left.stays:
                    await runners.remove_container(left)
        except RunnerError as error:
            problems.append(str(error).partition("\n")[0])
    gone = [folder for folder in leftovers.folders if folder not in leftovers.kept]
    await anyio.to_thread.run_sync(_delete, gone)
    return problems


def _delete(folders: Iterable[Path]) -> None:
    for folder in folders:
        delete(folder)


async def remove_orphans(tmp_dir: Path, runners: TaskRunners) -> list[str]:
    """Remove containers of this Eyas that no note tells of; gives their names."""
    try:
        known = {intent.run for intent in await anyio.to_thread.run_sync(read_intents, tmp_dir)}
        return await runners.remove_orphans(known, ORPHAN_AGE)
    except RunnerUnavailable:
        return []

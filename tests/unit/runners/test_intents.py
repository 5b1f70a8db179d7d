"""Notes of what was about to be run."""

from __future__ import annotations

import os
from pathlib import Path

from runner.runners.base import Command, Owner
from runner.runners.intents import note, note_starting, read_intents

OWNER = Owner(namespace="n", flow_id="f", execution_id="e", task_id="t", task_run_id="r", attempt=0)


def test_the_newest_note_of_an_attempt_comes_first(tmp_path: Path) -> None:
    command = Command(argv=["true"], workdir=tmp_path, owner=OWNER)
    for when, name in enumerate(("b", "a", "c")):
        folder = tmp_path / f"eyas-side-{name}"
        folder.mkdir()
        note(folder, command, name)
        os.utime(folder / "intent", (when, when))
    note_starting(tmp_path / "eyas-side-a")

    found = read_intents(tmp_path)

    assert [(intent.run, intent.starting) for intent in found] == [
        ("c", False),
        ("a", True),
        ("b", False),
    ]

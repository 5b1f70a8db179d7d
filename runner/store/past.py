"""Executions of `eyas run`, kept in files for a run that goes on with them.

One file for each execution, `runs/<namespace>/<flow>/<begin>-<id>.jsonl` below the state folder: a
line for each version of the execution, and one for each task run that has ended. Lines are added as
things happen, so what a killed run has done is there. A daemon that has the state folder is not
asked and not disturbed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from runner.model.execution import Execution, TaskRun
from runner.records import record

FOLDER = "runs"
KEPT = 10
"""So many executions of a flow are kept."""


@record
class Past:
    """An execution that went before, and its task runs in the order of their creation."""

    execution: Execution
    runs: Sequence[TaskRun]


class Recorder:
    """Writes the record of one execution as it goes on. The file is made when a task has ended."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / FOLDER
        self._path: Path | None = None
        self._file: IO[str] | None = None
        self._open: dict[str, TaskRun] = {}
        self._execution: Execution | None = None

    def _opened(self, execution: Execution) -> IO[str]:
        """The file, to be written at its end; the first time, the flow's oldest ones go."""
        from runner.store.rows import stamp

        if self._path is None:
            folder = self._root / execution.namespace / execution.flow_id
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            begin = stamp(execution.history.changes[-1].date).replace("-", "").replace(":", "")
            self._path = folder / f"{begin}-{execution.id}.jsonl"
            for old in sorted(folder.glob("*.jsonl"))[: -KEPT + 1]:
                old.unlink(missing_ok=True)
        # Outputs may hold secrets: they are for this user only, as in the daemon's store.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.fdopen(os.open(self._path, flags, 0o600), "a", encoding="utf-8")

    def write(self, execution: Execution, runs: Sequence[TaskRun]) -> None:
        """Add what has changed; of task runs those that have ended, and those around them."""
        lines: list[dict[str, Any]] = []
        for run in runs:
            if run.state.is_terminal:
                from runner.store.rows import task_run_row

                self._open.pop(run.id, None)
                lines += [{"run": task_run_row(each)} for each in (*self._around(run), run)]
            else:
                self._open[run.id] = run
        if not lines and not execution.state.is_terminal:
            return
        if execution is not self._execution:
            from runner.store.rows import execution_row

            self._execution = execution
            lines.insert(0, {"execution": execution_row(execution)})
        if self._file is None:
            self._file = self._opened(execution)
        self._file.write("".join(f"{json.dumps(line)}\n" for line in lines))
        self._file.flush()
        if execution.state.is_terminal and not self._open:
            self._file.close()
            self._file = None

    def forget(self, run_ids: Sequence[str]) -> None:
        """Take note of task runs that were dropped."""
        for run_id in run_ids:
            self._open.pop(run_id, None)
        if self._file is not None:
            self._file.write(json.dumps({"dropped": list(run_ids)}) + "\n")

    def _around(self, run: TaskRun) -> Iterator[TaskRun]:
        """The runs around it that have not ended and are not written yet, outermost first."""
        parent = self._open.pop(run.parent_id, None) if run.parent_id else None
        if parent is not None:
            yield from self._around(parent)
            yield parent


def past_files(state_dir: Path, namespace: str, flow_id: str) -> list[Path]:
    """The records of a flow's executions, newest first."""
    folder = state_dir / FOLDER / namespace / flow_id
    return sorted(folder.glob("*.jsonl"), reverse=True)


def id_of(file: Path) -> str:
    """The id of the execution that a record is about."""
    return file.stem.rpartition("-")[2]


def read_past(file: Path) -> Past | None:
    """What a record says; None if it says nothing yet. A line that was cut short ends it."""
    execution: dict[str, Any] | None = None
    runs: dict[str, dict[str, Any]] = {}
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if "execution" in entry:
                execution = entry["execution"]
            elif "run" in entry:
                runs[entry["run"]["id"]] = entry["run"]
            else:
                for run_id in entry["dropped"]:
                    runs.pop(run_id, None)
    if execution is None:
        return None
    from runner.store.rows import execution_from, task_run_from

    names = ("id", "namespace", "flow_id", "flow_revision", "body")
    found = [task_run_from(row["id"], row["execution_id"], row["body"]) for row in runs.values()]
    # Lines are in the order in which runs ended.
    found.sort(key=lambda run: run.history.start)
    return Past(execution_from(*(execution[name] for name in names)), found)

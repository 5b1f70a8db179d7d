"""What a killed Eyas has left of its attempts, and which of it can go on (reliability 0.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import anyio

from runner.errors import RunnerUnavailable
from runner.model.execution import Execution, Level, LogLine, Metric, TaskRun
from runner.model.state import State
from runner.model.times import read_instant
from runner.records import record
from runner.runners.intents import Intent, Left, read_intents
from runner.runners.registry import TaskRunners
from runner.tasks.languages import COMMANDS_TYPES, SCRIPT_TYPES
from runner.tasks.work_folder import left_folder

_CLOCK_MARGIN_S = 2
"""So much later than noted a container may have started; more, and it was started again."""

DIRECTORY = "io.kestra.plugin.core.flow.WorkingDirectory"
"""The type of the task whose children share a folder."""

ENGINE_LOST_AFTER = timedelta(minutes=10)
"""So long executions wait for an engine that has their containers (reliability B4)."""

_SCRIPTS = frozenset((*SCRIPT_TYPES, *COMMANDS_TYPES))

Verdict = Literal["follow", "begin", "lost"]


@record(kw_only=True)
class Rest:
    """What is left of one attempt that was at work.

    `follow`: its container `left` runs or has ended, it is followed to its end. `begin`: nothing
    has run yet, the same attempt begins. `lost`: for `reason`, which is for people.
    """

    verdict: Verdict
    left: Left | None = None
    reason: str = ""


@record(frozen=False)
class Leftovers:
    """Notes and folders of an earlier Eyas below the folder for temporary files.

    `kept` are the folders that attempts go on with; the others may be deleted.
    """

    folders: list[Path] = field(default_factory=list[Path])
    intents: list[Intent] = field(default_factory=list[Intent])
    kept: set[Path] = field(default_factory=set[Path])

    @classmethod
    def below(cls, tmp_dir: Path) -> Leftovers:
        """What is in the folder now; call it before anything is started."""
        return cls(list(tmp_dir.iterdir()), read_intents(tmp_dir))

    def intent_of(self, run: TaskRun) -> Intent | None:
        """The note about the last attempt of a task run; None if there is none."""
        for intent in self.intents:
            here = intent.main and intent.task_run_id == run.id
            if here and intent.attempt == len(run.attempts) - 1:
                return intent
        return None

    def intents_of(self, runs: Sequence[TaskRun]) -> list[Intent]:
        """The notes about the attempts of task runs that were at work."""
        found = (self.intent_of(run) for run in runs if run.state is State.RUNNING)
        return [intent for intent in found if intent is not None]

    def folder_of(self, run: TaskRun) -> Path | None:
        """The folder of a WorkingDirectory that was at work; None if it is gone."""
        return left_folder(self.folders, run)

    def keep(self, rest: Rest) -> None:
        """Have the folders of an attempt that goes on stay."""
        if rest.left is not None:
            self.keep_all([rest.left.intent])

    def keep_all(self, intents: Iterable[Intent]) -> None:
        """Have the folders of these attempts stay."""
        for intent in intents:
            self.kept |= {intent.folder, intent.workdir.parent}

    async def rest_of(self, run: TaskRun, runners: TaskRunners) -> Rest | None:
        """What is left of the last attempt of a run that was at work; None: nothing is known.

        Raises:
            RunnerUnavailable: its engine does not answer.
        """
        intent = self.intent_of(run)
        if intent is None or not intent.run:
            return None
        left = await runners.left_container(intent)
        if left is not None and left.status == "created" and intent.starting:
            # The engine may be starting it just now, as it was asked to: it must not run twice.
            left = await runners.start_container(left)
        return _judged(intent, left)


def _judged(intent: Intent, left: Left | None) -> Rest:
    """The recovery table for an attempt whose container was to be made."""
    if not intent.starting and intent.started is None:
        return Rest(verdict="begin")
    if left is None:
        return Rest(verdict="lost", reason="its container is gone")
    if left.status == "created" or left.unused:
        return Rest(verdict="begin")
    if left.status not in ("running", "paused", "exited", "restarting"):
        return Rest(verdict="lost", reason=f"its container is {left.status}")
    began = _instant(left.container["State"].get("StartedAt"))
    noted_s = intent.started
    if noted_s is not None and began is not None and began.timestamp() > noted_s + _CLOCK_MARGIN_S:
        return Rest(verdict="lost", reason="its container was restarted by somebody else")
    if not intent.workdir.is_dir():
        return Rest(verdict="lost", reason="its working directory is gone")
    return Rest(verdict="follow", left=left)


def _instant(text: str | None) -> datetime | None:
    try:
        return read_instant(text or "")
    except ValueError:
        return None


@record(frozen=False)
class Known:
    """What is stored already of an attempt whose output is read a second time."""

    lines: Counter[tuple[Level, str]]
    metrics: Counter[tuple[str | None, float, frozenset[tuple[str, str]]]]

    @classmethod
    def of(
        cls, run: TaskRun, attempt: int, lines: Sequence[LogLine], metrics: Sequence[Metric]
    ) -> Known:
        """What of the execution's `lines` and `metrics` belongs to the attempt."""
        since = run.attempts[attempt].history.start
        return cls(
            Counter(
                (line.level, line.message)
                for line in lines
                if line.task_run_id == run.id and line.attempt == attempt
            ),
            Counter(
                _key(metric)
                for metric in metrics
                if metric.task_run_id == run.id and metric.date >= since
            ),
        )

    def new_lines(self, level: Level, lines: Sequence[str]) -> list[str]:
        """Those of the lines that are not stored yet; a line counts once for each time it is."""
        found: list[str] = []
        for line in lines:
            if self.lines[level, line] > 0:
                self.lines[level, line] -= 1
            else:
                found.append(line)
        return found

    def is_new(self, metric: Metric) -> bool:
        """Whether the metric is not stored yet."""
        key = _key(metric)
        if self.metrics[key] > 0:
            self.metrics[key] -= 1
            return False
        return True


def _key(metric: Metric) -> tuple[str | None, float, frozenset[tuple[str, str]]]:
    return metric.name, metric.value, frozenset((metric.tags or {}).items())


@record(frozen=False)
class Adopted:
    """What an execution goes on with: the rest of each attempt at work, by task run.

    `folders` are those of WorkingDirectory tasks that go on where they were.
    """

    rests: dict[str, Rest] = field(default_factory=dict[str, Rest])
    folders: dict[str, Path] = field(default_factory=dict[str, Path])

    def forget_lost(self) -> None:
        """Leave only what goes on."""
        self.rests = {id_: rest for id_, rest in self.rests.items() if rest.verdict != "lost"}

    def forget(self, run_id: str) -> None:
        """The attempt has ended: the next one begins anew."""
        self.rests.pop(run_id, None)
        self.folders.pop(run_id, None)


async def adopt(
    leftovers: Leftovers,
    execution: Execution,
    runs: Sequence[TaskRun],
    types: Mapping[str, str],
    runners: TaskRunners,
) -> Adopted:
    """What of an execution can go on; `types` are those of its tasks.

    Raises:
        RunnerUnavailable: an engine that has to be asked does not answer.
    """
    if execution.state is State.KILLING:
        return Adopted()
    rests: dict[str, Rest] = {}
    for run in runs:
        if run.state is State.RUNNING:
            rest = await leftovers.rest_of(run, runners)
            if rest is not None:
                rests[run.id] = rest
    folders: dict[str, Path] = {}
    for run in runs:
        if types.get(run.task_id) == DIRECTORY and not run.state.is_terminal:
            children = [child for child in runs if child.parent_id == run.id]
            folder = _whole(leftovers, run, children, types, rests)
            if folder is not None:
                folders[run.id] = folder
                leftovers.kept.add(folder.parent)
            else:
                # They begin anew with all of it.
                rests = {id_: rests[id_] for id_ in rests.keys() - {each.id for each in children}}
    for rest in rests.values():
        leftovers.keep(rest)
    return Adopted(rests, folders)


def _whole(
    leftovers: Leftovers,
    run: TaskRun,
    children: Sequence[TaskRun],
    types: Mapping[str, str],
    rests: dict[str, Rest],
) -> Path | None:
    """The folder of a WorkingDirectory if its tasks can go on in it; adds to their `rests`."""
    folder = leftovers.folder_of(run)
    if folder is None or not children:
        return None
    for child in children:
        if child.state not in (State.RUNNING, State.SUBMITTED, State.RESUBMITTED):
            continue
        if child.id not in rests:
            if leftovers.intent_of(child) is not None or types.get(child.task_id) not in _SCRIPTS:
                return None
            # It was not noted yet, so its command has not begun to change the folder.
            if child.state is State.RUNNING:
                rests[child.id] = Rest(verdict="begin")
        elif rests[child.id].verdict == "lost":
            return None
    return folder


async def adopt_later(
    leftovers: Leftovers,
    execution: Execution,
    runs: Sequence[TaskRun],
    types: Mapping[str, str],
    runners: TaskRunners,
) -> Adopted:
    """The same, as soon as the engine answers; after a while what is in it is lost."""
    pause_s = 0.5
    with anyio.move_on_after(ENGINE_LOST_AFTER.total_seconds()):
        while True:
            with suppress(RunnerUnavailable):
                return await adopt(leftovers, execution, runs, types, runners)
            await anyio.sleep(pause_s)
            pause_s = min(pause_s * 2, 30)
    reason = "Docker did not come back"
    lost = {intent.task_run_id for intent in leftovers.intents_of(runs)}
    return Adopted({run_id: Rest(verdict="lost", reason=reason) for run_id in lost})


def remaining(run: TaskRun, limit: timedelta, now: datetime, left: Left) -> timedelta:
    """How much of its timeout an attempt that goes on has left.

    One whose container has ended keeps what it came to: it only has to be collected.
    """
    if left.status == "exited":
        return limit
    # It is counted from the stored start; a moment is needed to find the container and stop it.
    return max(limit - (now - run.attempts[-1].history.start), timedelta(seconds=1))

"""Looking at the tasks that come next, so that what they need is ready when they begin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from runner.engine.context import Context
from runner.engine.frame import Frame
from runner.errors import RunnerError
from runner.model.execution import Level, TaskRun
from runner.model.flow import Task
from runner.tasks.languages import COMMANDS_TYPES, SCRIPT_TYPES
from runner.tasks.modules import load

if TYPE_CHECKING:
    from runner.engine.driver import Driver

TASKS_AHEAD = 2
"""So many tasks after the one that begins are looked at."""

_PROCESS = "io.kestra.plugin.core.runner.Process"
_SCRIPTS = frozenset((*SCRIPT_TYPES, *COMMANDS_TYPES))


class Ahead(Context):
    """A task that has not begun, as far as it is known before; it writes nothing to the log."""

    def __init__(self, driver: Driver, frame: Frame, task: Task) -> None:
        self._ahead = driver.journal.new_run(task, frame.run_id)
        super().__init__(driver, frame, task, self._ahead.id)

    @property
    def task_run(self) -> TaskRun:
        return self._ahead

    def log(self, level: Level, message: str) -> None:
        """Nothing is written: the task will say it."""


def look_ahead(driver: Driver, frame: Frame, tasks: Iterable[Task]) -> None:
    """Have those of the next tasks that can prepare something do so, once each, beside."""
    settings = driver.engine.settings
    if not settings.standbys or settings.task_runner == "process":
        return
    for task in tasks:
        key = (frame.run_id, task.id)
        if task.disabled or key in driver.foreseen or not _may_need_container(task):
            continue
        driver.foreseen.add(key)
        registered = load(task.type)
        if registered is not None and registered.foresee is not None:
            context = Ahead(driver, frame, task)
            driver.engine.beside(_foresee, registered.foresee, context, name="look ahead")


def _may_need_container(task: Task) -> bool:
    """Whether it is worth a look: other tasks should cost nothing, not even their module."""
    runner: Any = task.properties.get("taskRunner")
    kind = cast("Mapping[str, Any]", runner).get("type") if isinstance(runner, Mapping) else None
    return task.type in _SCRIPTS and kind != _PROCESS


async def _foresee(work: Callable[[Context], Awaitable[None]], context: Context) -> None:
    # What is wrong will be said when the task runs.
    with suppress(RunnerError, OSError):
        await work(context)

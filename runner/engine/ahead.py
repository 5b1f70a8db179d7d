"""Looking at the tasks that come next, so that what they need is ready when they begin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from runner.engine.context import Context
from runner.engine.frame import Frame
from runner.errors import RunnerError
from runner.model.execution import Level, TaskRun, new_id
from runner.model.flow import Task
from runner.model.state import History, State
from runner.tasks.modules import load

if TYPE_CHECKING:
    from runner.engine.driver import Driver

TASKS_AHEAD = 2
"""So many tasks after the one that begins are looked at."""


class Ahead(Context):
    """A task that has not begun, as far as it is known before; it writes nothing to the log."""

    def __init__(self, driver: Driver, frame: Frame, task: Task) -> None:
        execution = driver.journal.execution
        self._ahead = TaskRun(
            id=new_id(),
            execution_id=execution.id,
            namespace=execution.namespace,
            flow_id=execution.flow_id,
            task_id=task.id,
            history=History.begin(State.CREATED, driver.journal.now()),
            parent_id=frame.run_id,
        )
        super().__init__(driver, frame, task, self._ahead.id)

    @property
    def task_run(self) -> TaskRun:
        return self._ahead

    def log(self, level: Level, message: str) -> None:
        """Nothing is written: the task will say it."""


def look_ahead(driver: Driver, frame: Frame, tasks: Iterable[Task]) -> None:
    """Have those of the next tasks that can prepare something do so, once each, beside."""
    if not driver.engine.settings.standbys:
        return
    for task in tasks:
        key = (frame.run_id, task.id)
        if task.disabled or key in driver.foreseen:
            continue
        driver.foreseen.add(key)
        registered = load(task.type)
        if registered is not None and registered.foresee is not None:
            context = Ahead(driver, frame, task)
            driver.engine.beside(_foresee, registered.foresee, context, name="look ahead")


async def _foresee(work: Callable[[Context], Awaitable[None]], context: Context) -> None:
    # What is wrong will be said when the task runs.
    with suppress(RunnerError, OSError):
        await work(context)

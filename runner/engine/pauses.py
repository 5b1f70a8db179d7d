"""Pausing an execution and letting it go on: Pause, LoopUntil, and people (flow-model 4.11)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runner.engine.frame import Frame
from runner.engine.taskrun import run_task
from runner.model.execution import TaskRun
from runner.model.flow import Task
from runner.model.state import State
from runner.tasks.context import Resumption

if TYPE_CHECKING:
    from runner.engine.driver import Driver


class Pauses:
    """The pauses of one execution. While it is paused no task starts; those that run, run on."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._resumed: dict[str, Mapping[str, Any]] = {}
        self.rests = 0

    async def pause(
        self, frame: Frame, run: TaskRun, until: datetime | None, task: Task, *, cancels: bool
    ) -> Resumption:
        """Pause the execution and the run of the Pause `task`; see `FlowContext.pause`."""
        on_pause: Task | None = task.properties.get("onPause")
        journal = self._driver.journal
        if run.state is not State.PAUSED:
            await journal.move_run(run.id, State.PAUSED)
        await self._rest_execution()
        self._driver.pulse()
        if on_pause is not None:
            self._driver.group.start_soon(
                *(run_task, self._driver, frame, on_pause, frame.trail), name="onPause"
            )
        why = Resumption(why="ended")
        while self._driver.ending is None or frame.is_after:
            if run.id in self._resumed:
                why = Resumption(why="resumed", inputs=self._resumed.pop(run.id))
                break
            if until is not None and journal.now() >= until:
                why = Resumption(why="elapsed")
                break
            await self._driver.next_pulse(until)
        if self._driver.ending is None and not (cancels and why.why == "elapsed"):
            if any(task.children(name) for name in ("tasks", "errors", "finally")):
                # What it holds is run now.
                await journal.move_run(run.id, State.RUNNING)
            await self._go_on(State.RESTARTED, State.RUNNING, besides=run)
        return why

    async def rest(self, until: datetime) -> bool:
        """Pause the execution alone until `until`; False if it is being ended."""
        resting = await self._rest_execution()
        self.rests += 1
        alive = await self._driver.wait_until(until)
        self.rests -= 1
        if alive and resting:
            await self._go_on(State.RUNNING)
        return alive

    async def _rest_execution(self) -> bool:
        """Pause the execution; False if it is paused already, or has ended."""
        state = self._driver.journal.execution.state
        if state is State.PAUSED or state.is_terminal:
            return False
        await self._driver.journal.move(State.PAUSED)
        return True

    def resume(self, run: TaskRun, inputs: Mapping[str, Any]) -> None:
        """Let a paused task run go on, with what the person gave."""
        self._resumed[run.id] = inputs
        self._driver.pulse()

    async def resume_all(self) -> None:
        """Let an execution go on that was paused as a whole."""
        await self._go_on(State.RUNNING)

    async def _go_on(self, *states: State, besides: TaskRun | None = None) -> None:
        """Leave the state PAUSED through `states`, unless another task run is still paused."""
        journal = self._driver.journal
        paused = any(
            run.state is State.PAUSED and (besides is None or run.id != besides.id)
            for run in journal.runs.values()
        )
        if paused or journal.execution.state is not State.PAUSED:
            return
        await journal.move(*states)
        self._driver.pulse()

"""Driving one execution: its levels, branches and endings.

Nesting in the YAML is nesting on the call stack. A level (the flow, a flowable) runs its tasks,
then `errors` if one failed, then `finally`; what the level ends in follows from the runs of its
tasks alone (flow-model 3.2, 3.3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from runner.engine.context import scope_of_flow
from runner.engine.endings import guess
from runner.engine.flow_outputs import render_outputs
from runner.engine.frame import Frame
from runner.engine.journal import Journal
from runner.engine.taskrun import run_task
from runner.model.execution import Label, Level, TaskRun
from runner.model.flow import Task
from runner.model.state import State
from runner.tasks.context import Group, Resumption

if TYPE_CHECKING:
    from runner.engine.engine import Engine


class Driver:
    """Runs one execution to its end, once.

    `ending` is set when the execution is to end in a state that does not follow from its tasks:
    killed, ended by Exit, by a broken SLA, retried as a new execution.
    """

    def __init__(self, engine: Engine, journal: Journal, group: anyio.abc.TaskGroup) -> None:
        self.engine = engine
        self.journal = journal
        self.group = group
        self.ending: State | None = None
        self.root = Frame()
        self.scopes: dict[str, anyio.CancelScope] = {}
        self._resumed: dict[str, Mapping[str, Any]] = {}
        self.retrying = 0
        self.after_end = False
        self._earlier = {
            (run.parent_id, run.task_id, run.value): run.id for run in journal.runs.values()
        }
        self._pulse = anyio.Event()

    async def drive(self) -> None:
        """Run the execution to its end and its `afterExecution` tasks after that."""
        flow, journal = self.journal.flow, self.journal
        await journal.move(State.RUNNING)
        await self.run_level(
            self.root, lambda: self.in_order(self.root, flow.tasks), flow.errors, flow.finally_
        )
        await self._end()
        await journal.flush()

    async def run_after_execution(self) -> None:
        """Run the tasks of `afterExecution`; they change nothing about how the execution ended."""
        self.after_end = True
        frame = Frame(keeps_going=True)
        await self.in_order(frame, self.journal.flow.after_execution)

    async def _end(self) -> None:
        state = self.ending or guess(run.state for run in self.main_runs(self.root))
        journal = self.journal
        if self.ending is None and journal.flow.outputs:
            rendered = await render_outputs(
                journal.flow, scope_of_flow(self.engine, journal, ended=False)
            )
            for warning in rendered.warnings:
                journal.log(Level.WARN, warning)
            if rendered.error is not None:
                journal.log(Level.ERROR, rendered.error)
                await journal.flush()
                await journal.move(state)
                state = State.FAILED
            elif rendered.outputs is not None:
                await journal.flush()
                await journal.move(state, outputs=rendered.outputs)
                return
        await journal.flush()
        await journal.move(state)

    def main_runs(self, frame: Frame) -> list[TaskRun]:
        """The runs of the level's own tasks, without those of its other branches."""
        flow = self.journal.flow
        if frame.task is None:
            aside = {task.id for task in (*flow.errors, *flow.finally_, *flow.after_execution)}
        else:
            aside = {
                task.id
                for branch in ("errors", "finally")
                for task in frame.task.properties.get(branch) or ()
            }
        return [run for run in self.journal.children(frame.run_id) if run.task_id not in aside]

    async def run_level(
        self,
        frame: Frame,
        work: Callable[[], Awaitable[Any]],
        errors: Sequence[Task],
        finally_: Sequence[Task],
    ) -> None:
        """Do the level's own `work`, then its `errors` if a task failed, then its `finally`."""
        await work()
        if any(run.state is State.FAILED for run in self.main_runs(frame)):
            frame.closed = True
            await self.in_order(self._aside(frame), errors)
        await self.in_order(self._aside(frame), finally_)

    def _aside(self, frame: Frame) -> Frame:
        """A level beside `frame`, for its `errors` or `finally`: a failed task stops nothing."""
        return Frame(parent=frame.parent, task=frame.task, run=frame.run, keeps_going=True)

    async def in_order(
        self,
        frame: Frame,
        tasks: Iterable[Task],
        *,
        value: str | None = None,
        iteration: int | None = None,
    ) -> bool:
        """Run tasks one after the other; False if one failed or nothing more may start."""
        for task in tasks:
            if task.disabled:
                continue
            if not await self.may_start(frame):
                return False
            run = await run_task(self, frame, task, value=value, iteration=iteration)
            if run is None:
                return False
            if run.state in (State.FAILED, State.KILLED, State.RETRIED) and not frame.keeps_going:
                # A killed subflow does not stop its parent (flow-model 4.8).
                if run.state is State.KILLED and self.ending is None:
                    continue
                return False
        return True

    async def run_groups(self, frame: Frame, groups: Sequence[Group], limit: int) -> bool:
        """Run groups beside each other; see `FlowContext.run_groups`."""
        waiting = list(range(len(groups)))
        active: set[int] = set()
        ended: set[int] = set()
        failed = False

        async def run_one(number: int) -> None:
            nonlocal failed
            group = groups[number]
            fine = await self.in_order(
                frame, group.tasks, value=group.value, iteration=group.iteration
            )
            active.discard(number)
            ended.add(number)
            failed = failed or not fine
            self.pulse()

        while frame.is_open and not failed:
            startable = [n for n in waiting if groups[n].after <= ended]
            for number in startable[: limit - len(active) if limit else None]:
                waiting.remove(number)
                active.add(number)
                self.group.start_soon(run_one, number, name=f"group {number}")
            if not active:
                return True
            await self.next_pulse()
        frame.closed = True
        while active and self.ending is State.KILLED:
            await self.next_pulse()
        return False

    async def may_start(self, frame: Frame) -> bool:
        """Wait while the execution is paused; True if a task may start in `frame` then."""
        while True:
            if self.after_end:
                return True
            if not frame.is_open or self.ending is not None:
                return False
            if self.journal.execution.state is not State.PAUSED:
                return True
            await self.next_pulse()

    def earlier(self, frame: Frame, task: Task, value: str | None) -> TaskRun | None:
        """The run of the same place that was there before this drive (restart, recovery)."""
        run_id = self._earlier.pop((frame.run_id, task.id, value), None)
        return self.journal.runs.get(run_id) if run_id else None

    def pulse(self) -> None:
        """Wake everything that waits for something to change."""
        pulse, self._pulse = self._pulse, anyio.Event()
        pulse.set()

    async def next_pulse(self, until: datetime | None = None) -> None:
        """Wait for a change, no longer than `until`."""
        if until is None:
            await self._pulse.wait()
            return
        left = (until - self.journal.now()).total_seconds()
        with anyio.move_on_after(max(left, 0)):
            await self._pulse.wait()

    async def wait_until(self, date: datetime) -> bool:
        """Wait until `date`; False if the execution is being ended before."""
        while self.ending is None:
            if self.journal.now() >= date:
                return True
            await self.next_pulse(date)
        return False

    async def end(self, state: State, *, stop: bool, from_: Frame | None = None) -> None:
        """End the execution in `state` as soon as what runs has come back.

        `stop`: running tasks are stopped and end KILLED, waiting ones too. `from_`: the level of
        the task that ends it; the runs around it take the state.
        """
        if self.ending is not None:
            return
        self.ending = state
        self.root.closed = True
        if stop:
            for scope in list(self.scopes.values()):
                scope.cancel()
        for around in from_.outward() if from_ else ():
            if around.run_id and not self.journal.runs[around.run_id].state.is_terminal:
                await self.journal.move_run(around.run_id, state)
        self.pulse()

    async def kill(self) -> None:
        """Stop everything; the execution goes KILLING and, when all has ended, KILLED."""
        if self.ending is not None or self.journal.execution.state.is_terminal:
            return
        if self.journal.execution.state is State.PAUSED:
            await self.journal.move(State.RESTARTED)
        await self.journal.move(State.KILLING)
        await self.end(State.KILLED, stop=True)

    async def pause(
        self, frame: Frame, run: TaskRun, until: datetime | None, on_pause: Task | None
    ) -> Resumption:
        """Pause the execution and `run`; see `FlowContext.pause`."""
        journal = self.journal
        await journal.move_run(run.id, State.PAUSED)
        await journal.move(State.PAUSED)
        self.pulse()
        if on_pause is not None:
            self.group.start_soon(run_task, self, frame, on_pause, name="onPause")
        why = Resumption(why="ended")
        while self.ending is None:
            if run.id in self._resumed:
                why = Resumption(why="resumed", inputs=self._resumed.pop(run.id))
                break
            if until is not None and journal.now() >= until:
                why = Resumption(why="elapsed")
                break
            await self.next_pulse(until)
        if self.ending is None:
            await self._go_on(State.RESTARTED, State.RUNNING, besides=run)
        return why

    async def rest(self, until: datetime) -> bool:
        """Pause the execution alone until `until`; False if it is being ended."""
        await self.journal.move(State.PAUSED)
        alive = await self.wait_until(until)
        if alive:
            await self._go_on(State.RUNNING)
        return alive

    def resume(self, run: TaskRun, inputs: Mapping[str, Any]) -> None:
        """Let a paused task run go on, with what the person gave."""
        self._resumed[run.id] = inputs
        self.pulse()

    async def resume_all(self) -> None:
        """Let an execution go on that was paused as a whole."""
        await self._go_on(State.RUNNING)

    async def _go_on(self, *states: State, besides: TaskRun | None = None) -> None:
        """Leave the state PAUSED through `states`, unless another task run is still paused."""
        journal = self.journal
        paused = any(
            run.state is State.PAUSED and (besides is None or run.id != besides.id)
            for run in journal.runs.values()
        )
        if paused or journal.execution.state is not State.PAUSED:
            return
        for state in states:
            await journal.move(state)
        self.pulse()

    async def add_labels(self, labels: Sequence[Label]) -> None:
        """Add labels to the execution; a key that is there gets the new value."""
        kept = {label.key: label for label in (*self.journal.execution.labels, *labels)}
        await self.journal.save(
            execution=replace(self.journal.execution, labels=tuple(kept.values()))
        )

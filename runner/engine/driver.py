"""Driving one execution: its levels, branches and endings.

Nesting in the YAML is nesting on the call stack. A level (the flow, a flowable) runs its tasks,
then `errors` if one failed, then `finally`; what the level ends in follows from the runs of its
tasks alone (flow-model 3.2, 3.3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from runner.engine.adoption import Adopted
from runner.engine.ahead import TASKS_AHEAD, look_ahead
from runner.engine.bell import Bell
from runner.engine.context import scope_of_flow
from runner.engine.frame import Frame, Trail
from runner.engine.groups import Groups
from runner.engine.journal import NEXT_S, Journal
from runner.engine.pauses import Pauses
from runner.engine.sla import Promises
from runner.engine.taskrun import run_task
from runner.model.execution import Breakpoint, Label, Level, TaskRun
from runner.model.flow import Task
from runner.model.state import State
from runner.runners.base import Leavings
from runner.tasks.context import Group, Result
from runner.tasks.endings import guess

if TYPE_CHECKING:
    from runner.engine.engine import Engine
    from runner.engine.reuse import Reuse

_BEFORE = (State.CREATED, State.QUEUED, State.RESTARTED)
"""States of an execution in which none of its tasks runs yet."""


class Driver:
    """Runs one execution to its end, once.

    `admitted`: it has its place among the executions that the flow's `concurrency` lets run.
    `ending` is set when the execution is to end in a state that does not follow from its tasks:
    killed, ended by Exit, by a broken SLA, retried as a new execution. `stopping`: its running
    tasks are stopped, too. `silent` are failed runs that start no `errors`. `foreseen` are tasks
    that were looked at before they begin. `adopted` is what an earlier Eyas has begun, `reuse` what
    an earlier execution of the flow gives.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        adopted: Adopted | None = None,
        reuse: Reuse | None = None,
    ) -> None:
        self.engine = engine
        self.reuse = reuse
        self.adopted = adopted or Adopted()
        self._leaving: dict[str, Leavings] = {}
        self.journal = journal
        self.group: anyio.abc.TaskGroup
        self.whole = anyio.CancelScope()
        self.admitted = journal.execution.state not in (State.CREATED, State.QUEUED)
        self.ending: State | None = None
        self.stopping = False
        self.kills_children = False
        self.after_end = False
        self.root = Frame()
        self.scopes: dict[str, anyio.CancelScope] = {}
        self.silent: set[str] = set()
        self.foreseen: set[tuple[str | None, str]] = set()
        self.retrying = 0
        self.pauses = Pauses(self)
        self.promises = Promises(self)
        self._earlier = {
            (run.parent_id, run.task_id, run.value): run.id for run in journal.runs.values()
        }
        self._on_pause = frozenset(
            task.properties["onPause"].id
            for task in journal.flow.walk()
            if "onPause" in task.properties
        )
        self._before_end: tuple[State, ...] = ()
        self._bell = Bell()

    async def drive(self) -> bool:
        """Wait for the execution's turn and run it to its end; False if it never began."""
        flow, journal = self.journal.flow, self.journal
        if journal.execution.closing:
            return True  # an earlier Eyas has done all of that
        began = await self._turn()
        if began:
            await self.promises.check()
        if began and self.ending is None and not self._is_empty():
            if journal.execution.state in _BEFORE:
                await journal.move(State.RUNNING, within_s=NEXT_S)
            await self.run_level(
                self.root, lambda: self.in_order(self.root, flow.tasks), flow.errors, flow.finally_
            )
        await self._end(began)
        return began

    def _is_empty(self) -> bool:
        """Whether there is nothing to do: such an execution is over before it runs."""
        flow = self.journal.flow
        if any(not task.disabled for task in flow.tasks):
            return False
        return not any(not task.disabled for task in flow.finally_)

    async def _turn(self) -> bool:
        """Wait for the date it is scheduled for and for its place; False if it ends before."""
        execution = self.journal.execution
        if not self.admitted:
            for date in (execution.history.start, execution.schedule_date):
                while date is not None and not self.admitted and not await self._has_come(date):
                    if self.ending is not None:
                        return False
            await self.engine.live.enter(self)
        while not self.admitted and self.ending is None:
            await self.next_pulse()
        return self.ending is None

    async def _has_come(self, date: datetime) -> bool:
        if self.journal.now() >= date:
            return True
        await self.next_pulse(date)
        return False

    def leaving_of(self, run_id: str) -> Leavings:
        """Takes what is to be cleaned up when the end of a task run's attempt is stored."""
        return self._leaving.setdefault(run_id, Leavings())

    async def leave(self, run_id: str) -> None:
        """Have an attempt whose end is stored, or which is given up, cleaned up after."""
        self.adopted.forget(run_id)
        stack = self._leaving.pop(run_id, None)
        if stack is not None:
            await self.engine.leaving.close(stack, self.journal)

    def admit(self) -> None:
        """Give the execution its place; it begins if it was waiting."""
        self.admitted = True
        self.pulse()

    async def run_after_execution(self) -> None:
        """Run the tasks of listeners and of `afterExecution`; the execution stays as it ended."""
        self.after_end = True
        frame = Frame(keeps_going=True, after=True, trail=self.root.trail)
        if self.journal.flow.listeners:
            from runner.engine.listeners import called  # few flows have them

            await self.in_order(frame, called(self.engine, self.journal))
        await self.in_order(frame, self.journal.flow.after_execution)
        if self.journal.execution.closing:
            await self.journal.save(execution=replace(self.journal.execution, closing=False))

    async def _end(self, began: bool) -> None:
        await self.promises.check()
        state = self.ending or guess(run.state for run in self.main_runs(self.root))
        journal = self.journal
        for run_id in self._earlier.values():
            # Left over from before a crash, in a branch that is not taken any more.
            run = journal.runs.get(run_id)
            if run is not None and not run.state.is_terminal:
                await journal.move_run(run_id, State.KILLED)
        states = (*self._before_end, state)
        outputs = None
        if self.ending is None and journal.flow.outputs:
            from runner.engine.flow_outputs import render_outputs

            rendered = await render_outputs(
                journal.flow, scope_of_flow(self.engine, journal, ended=False)
            )
            for warning in rendered.warnings:
                journal.log(Level.WARN, warning)
            outputs = rendered.outputs
            if rendered.error is not None:
                journal.log(Level.ERROR, f"Failed to render output values: {rendered.error}")
                states = (*states, State.FAILED)
        changes: dict[str, Any] = {} if outputs is None else {"outputs": outputs}
        if began and journal.flow.after_execution:
            changes["closing"] = True
        await journal.move(*states, **changes)

    def main_runs(self, frame: Frame) -> list[TaskRun]:
        """The runs of the level's own tasks, without those of its other branches."""
        aside = {task.id for branch in self._branches(frame) for task in branch}
        aside |= self._on_pause
        return [run for run in self.journal.children(frame.run_id) if run.task_id not in aside]

    def _branches(self, frame: Frame) -> tuple[Sequence[Task], ...]:
        flow = self.journal.flow
        if frame.task is None:
            return flow.errors, flow.finally_, flow.listener_tasks, flow.after_execution
        properties = frame.task.properties
        return properties.get("errors") or (), properties.get("finally") or ()

    async def run_level(
        self,
        frame: Frame,
        work: Callable[[], Awaitable[Result | bool]],
        errors: Sequence[Task],
        finally_: Sequence[Task],
    ) -> None:
        """Do the level's own `work`, then its `errors` if a task failed, then its `finally`.

        Work may have failed by itself, without any of its tasks, or be all that there is to do.
        What has begun before stays begun: a level in whose `errors` there are runs goes on there,
        whatever its tasks' states were changed to (flow-model 3.2, 3.12).
        """
        begun = {run.task_id for run in self.journal.children(frame.run_id)}
        in_errors = any(task.id in begun for task in errors)
        if any(task.id in begun for task in finally_):
            await self._run_aside(frame, finally_)
            return
        given = Result() if in_errors else await work()
        result = given if isinstance(given, Result) else Result()
        if result.alone:
            return
        failed = [run.id for run in self.main_runs(frame) if run.state is State.FAILED]
        if failed or in_errors or result.forced:
            self.close(frame)
            if failed and self.silent.issuperset(failed):
                return
            await self._run_aside(frame, errors)
        await self._run_aside(frame, finally_)

    async def _run_aside(self, frame: Frame, tasks: Sequence[Task]) -> None:
        """Run the level's `errors` or `finally`; in a loop that counts rounds, in its last one."""
        iteration = None
        if frame.counts and frame.run is not None:
            iteration = self.journal.runs[frame.run.id].iteration or 0
        await self.in_order(self._aside(frame), tasks, iteration=iteration)

    def _aside(self, frame: Frame) -> Frame:
        """A level beside `frame`, for its `errors` or `finally`: a failed task stops nothing."""
        around = frame.parent
        return Frame(around, frame.task, frame.run, keeps_going=True, trail=frame.trail)

    async def in_order(
        self,
        frame: Frame,
        tasks: Sequence[Task],
        *,
        value: str | None = None,
        iteration: int | None = None,
        trail: Trail | None = None,
    ) -> bool:
        """Run tasks one after the other; False if one failed or nothing more may start.

        `trail` is what came before them, if not what came before in `frame`.
        """
        trail = trail or frame.trail
        for place, task in enumerate(tasks):
            if task.disabled:
                continue
            begun = (frame.run_id, task.id, value) in self._earlier
            if not begun and not await self.may_start(frame):
                return False
            look_ahead(self, frame, tasks[place + 1 : place + 1 + TASKS_AHEAD])
            run = await run_task(self, frame, task, trail, value=value, iteration=iteration)
            if run is None:
                return False
            if run.state in (State.FAILED, State.RETRIED) and not frame.keeps_going:
                return False
            # A killed subflow does not stop its parent (flow-model 4.8).
            if run.state is State.KILLED and self.ending is not None:
                return False
        return True

    async def run_groups(self, frame: Frame, groups: Sequence[Group], limit: int) -> bool:
        """Run groups beside each other; see `FlowContext.run_groups`."""
        if limit == 1 and not any(group.after for group in groups):
            for group in groups:
                if not await self._run_group(frame, group):
                    return False
            return True
        return await Groups(self, frame, groups, limit).run()

    async def _run_group(self, frame: Frame, group: Group) -> bool:
        return await self.in_order(frame, group.tasks, value=group.value, iteration=group.iteration)

    async def may_start(self, frame: Frame) -> bool:
        """Wait while the execution is paused; True if a task may start in `frame` then."""
        if frame.shared_dir is not None:
            # One job with the tasks before: it goes on whatever happens around it.
            return not self.stopping or frame.is_after
        while True:
            await self.promises.check()
            if not self.goes_on(frame):
                return False
            if self.journal.execution.state not in (State.PAUSED, State.BREAKPOINT):
                return True
            await self.next_pulse()

    async def pass_breakpoint(self, frame: Frame, run: TaskRun) -> TaskRun:
        """The run when it may begin; before, the execution stops if it has a breakpoint there."""
        journal = self.journal
        if run.state is State.CREATED:
            if not any(each.matches(run) for each in journal.execution.breakpoints):
                return run
            now = journal.now()
            journal.log(Level.INFO, "Flow is suspended at a breakpoint.")
            stopped = journal.execution.moved(State.BREAKPOINT, now)
            await journal.save(run.moved(State.BREAKPOINT, now), execution=stopped)
        while journal.runs[run.id].state is State.BREAKPOINT and self.goes_on(frame):
            await self.next_pulse()
        return journal.runs[run.id]

    async def leave_breakpoint(self, breakpoints: Sequence[Breakpoint] | None) -> None:
        """Let the execution go on; `breakpoints` are its new ones, None: those not come to yet."""
        journal, now = self.journal, self.journal.now()
        stopped = [run for run in journal.runs.values() if run.state is State.BREAKPOINT]
        if breakpoints is None:
            breakpoints = [
                each
                for each in journal.execution.breakpoints
                if not any(each.matches(run) for run in stopped)
            ]
        execution = replace(journal.execution, breakpoints=tuple(breakpoints))
        await journal.save(
            *(run.moved(State.CREATED, now) for run in stopped),
            execution=execution.moved(State.RUNNING, now),
        )
        self.pulse()

    def goes_on(self, frame: Frame) -> bool:
        """Whether tasks may still start in `frame`, now or after a pause."""
        return frame.is_open and (self.ending is None or frame.is_after)

    def earlier(self, frame: Frame, task: Task, value: str | None) -> TaskRun | None:
        """The run of the same place that was there before this drive (restart, recovery)."""
        run_id = self._earlier.pop((frame.run_id, task.id, value), None)
        return self.journal.runs.get(run_id) if run_id else None

    async def close_below(self, run: TaskRun, state: State) -> None:
        """End flowables still open below a run that ends, in its state (flow-model 4.3)."""
        for child in self.journal.children(run.id):
            if not child.state.is_terminal and self.journal.children(child.id):
                await self.close_below(child, state)
                await self.journal.move_run(child.id, state, attempt=False)

    def pulse(self) -> None:
        """Wake everything that waits for something to change."""
        self._bell.ring()

    async def next_pulse(self, until: datetime | None = None) -> None:
        """Wait for a change, no longer than `until`."""
        if until is None:
            await self._bell.next.wait()
            return
        left = (until - self.journal.now()).total_seconds()
        with anyio.move_on_after(max(left, 0)):
            await self._bell.next.wait()

    async def wait_until(self, date: datetime, frame: Frame | None = None) -> bool:
        """Wait until `date`; False if the execution is being ended, or `frame` closed, before."""
        while self.goes_on(frame or self.root):
            if self.journal.now() >= date:
                return True
            await self.next_pulse(date)
        return False

    def close(self, frame: Frame) -> None:
        """Let nothing more start in `frame` and below it."""
        frame.closed = True
        self.pulse()

    async def end(
        self,
        state: State,
        *,
        stop: bool,
        from_: Frame | None = None,
        before: tuple[State, ...] = (),
    ) -> None:
        """End the execution in `state` as soon as what runs has come back.

        `stop`: running tasks are stopped and end KILLED, waiting ones too. `from_`: the level of
        the task that ends it; the runs around it take the state. `before`: states that the
        execution passes through then.
        """
        if self.ending is not None or self.after_end:
            return
        self.ending = state
        self.stopping = stop
        self._before_end = before
        self.root.closed = True
        if stop:
            for scope in list(self.scopes.values()):
                scope.cancel()
        for around in from_.outward() if from_ else ():
            if around.run_id and not self.journal.runs[around.run_id].state.is_terminal:
                # On Kestra the attempt of what is retried as a whole stays as it was.
                attempt = state is not State.RETRIED
                await self.journal.move_run(around.run_id, state, attempt=attempt)
        self.pulse()

    async def kill(self, *, cascade: bool) -> None:
        """Stop everything; the execution goes KILLING and, when all has ended, KILLED."""
        state = self.journal.execution.state
        if self.ending is not None or state.is_terminal:
            return
        self.kills_children = cascade
        if state is State.PAUSED:
            waiting = self._has_paused_run()
            await self.journal.move(*([State.RESTARTED] if waiting else []), State.KILLING)
        elif state is not State.QUEUED:
            await self.journal.move(State.KILLING)
        await self.end(State.KILLED, stop=True)

    def _has_paused_run(self) -> bool:
        """Whether a task waits: a Pause, or a LoopUntil for its next round."""
        journal = self.journal
        if any(run.state is State.PAUSED for run in journal.runs.values()):
            return True
        return self.pauses.rests > 0

    async def add_labels(self, labels: Sequence[Label]) -> None:
        """Add labels to the execution; a key that is there gets the new value."""
        kept = {label.key: label for label in (*self.journal.execution.labels, *labels)}
        await self.journal.save(
            execution=replace(self.journal.execution, labels=tuple(kept.values()))
        )

"""Executions that a task of another execution starts: Subflow and ForEachItem (4.6, 4.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from runner.engine.context import scope_of_flow
from runner.engine.creation import id_for
from runner.engine.journal import Journal
from runner.errors import Conflict, NotFound, TaskFailed
from runner.model.execution import Execution, TaskRun, TriggerCause
from runner.model.flow import Flow, Task
from runner.model.state import State
from runner.tasks.context import Child, Finished

if TYPE_CHECKING:
    from runner.engine.driver import Driver
    from runner.engine.engine import Engine

MAX_DEPTH = 50
"""So many executions may have started each other; one more is taken for an endless recursion."""

_AGAIN = (State.FAILED, State.PAUSED, State.KILLED)
"""States in which a child is restarted with its parent."""


class Children:
    """Starts, restarts and awaits the executions that tasks start.

    The id of a child follows from the task run and its attempt. What was started just before a
    crash is found again, and never started twice.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(
        self, children: Sequence[Child], driver: Driver, run: TaskRun, task: Task
    ) -> list[Execution]:
        """Start what a task asks for: all of it, or nothing if one of them cannot be.

        Raises:
            NotFound: there is no such flow.
            Conflict: it is disabled.
            InputInvalid: an input is missing or wrong.
        """
        ready: list[Journal | Execution] = []
        for child in children:
            execution_id = _child_id(run, len(run.attempts), child.number)
            there = await self._find(execution_id)
            ready.append(there or await self._prepared(child, execution_id, driver, run, task))
        started = [
            each if isinstance(each, Execution) else await self._engine.begin(each)
            for each in ready
        ]
        if driver.kills_children:
            # The kill came while they were being started, too late to find them.
            with anyio.CancelScope(shield=True):
                for execution in started:
                    await self._engine.kill_if_running(execution.id)
        return started

    async def _find(self, execution_id: str) -> Execution | None:
        try:
            return await self._engine.store.execution(execution_id)
        except NotFound:
            return None

    async def _prepared(
        self, child: Child, execution_id: str, driver: Driver, run: TaskRun, task: Task
    ) -> Journal:
        try:
            flow = self._engine.flows.find(child.namespace, child.flow_id, child.revision)
        except NotFound as error:
            name = f"'{child.namespace}'.'{child.flow_id}' with revision '{child.revision or 0}'"
            raise NotFound(f"Unable to find flow {name}") from error
        if flow.disabled:
            raise Conflict("Cannot execute a flow which is disabled")
        parent = driver.journal.execution
        await self._check_depth(parent, flow)
        inherited = [
            label
            for label in parent.labels
            if child.inherit_labels or label.key.startswith("system.")
        ]
        own = {label.key: label for label in (*inherited, *flow.labels, *child.labels)}
        cause = TriggerCause(
            id=run.task_id,
            type=task.type_as_written,
            variables={
                "executionId": parent.id,
                "namespace": parent.namespace,
                "flowId": parent.flow_id,
                "flowRevision": parent.flow_revision,
                "taskRunId": run.id,
                "taskId": run.task_id,
                **({} if run.value is None else {"taskRunValue": run.value}),
                **({} if run.iteration is None else {"taskRunIteration": run.iteration}),
                **(child.variables or {}),
            },
        )
        return await self._engine.prepare(
            flow,
            inputs=child.inputs,
            labels=tuple(own.values()),
            trigger=cause,
            schedule_date=child.schedule_date,
            execution_id=execution_id,
        )

    async def _check_depth(self, parent: Execution, flow: Flow) -> None:
        """Raise if too many executions have started each other already."""
        names = [f"{flow.namespace}.{flow.id}"]
        above: Execution | None = parent
        while above is not None:
            names.append(f"{above.namespace}.{above.flow_id}")
            if len(names) > MAX_DEPTH:
                chain = " < ".join(list(dict.fromkeys(names)))
                raise TaskFailed(
                    f"More than {MAX_DEPTH} executions have started each other: {chain}"
                )
            cause = above.trigger
            if cause is None or "taskRunId" not in cause.variables:
                return
            above = await self._find(str(cause.variables["executionId"]))

    async def restart(self, run: TaskRun, number: int | None) -> Execution | None:
        """The newest child of a task run, restarted if it has failed; None if there is none."""
        for attempt in range(len(run.attempts), 0, -1):
            found = await self._find(_child_id(run, attempt, number))
            if found is not None:
                return await self._restarted(found)
        return None

    async def _restarted(self, found: Execution) -> Execution | None:
        if found.state not in _AGAIN or found.id in self._engine.live:
            return found
        try:
            return await self._engine.restart(found.id)
        except Conflict:
            return None  # nothing in it can be restarted: start it anew

    async def ended(self, execution_id: str, wanted: Mapping[str, Any], *, typed: bool) -> Finished:
        """The execution when it has ended, with the outputs of its flow, or else those `wanted`.

        Whatever it ended in, its parent gets them: Kestra renders them once more for it.
        """
        execution = await self._engine.wait(execution_id)
        if typed and execution.outputs is not None:
            return Finished(execution=execution, outputs=execution.outputs)
        flow = self._engine.flows.find(
            execution.namespace, execution.flow_id, execution.flow_revision
        )
        if not flow.outputs and not wanted:
            return Finished(execution=execution)
        from runner.engine.flow_outputs import render_outputs, render_wanted

        runs = await self._engine.store.task_runs(execution_id)
        journal = Journal(flow, execution, self._engine.store, runs=runs)
        scope = scope_of_flow(self._engine, journal, ended=False)
        if flow.outputs:
            rendered = await render_outputs(flow, scope, typed=typed)
        else:
            rendered = render_wanted(wanted, scope)
        return Finished(execution=execution, outputs=rendered.outputs, output_error=rendered.error)


def _child_id(run: TaskRun, attempt: int, number: int | None) -> str:
    return id_for(f"{run.id}:{attempt}:{number}")

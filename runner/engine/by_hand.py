"""What a person does to an execution beside running it: look into it, and set its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from runner.engine.context import scope_of_flow
from runner.engine.engine import Engine
from runner.engine.frame import Frame
from runner.engine.input_tree import secrets_in, shown_inputs
from runner.engine.inputs import Checked, check_inputs
from runner.engine.journal import Journal, utc_now
from runner.engine.services import EngineServices
from runner.engine.variables import Variables, of_task, root
from runner.errors import Conflict, NotFound
from runner.expr import Scope, render
from runner.model.execution import Execution, TaskRun, new_id
from runner.model.flow import Flow, Input, Task
from runner.model.state import History, State
from runner.tasks.hidden import all_tasks

HIDDEN = "******"
"""What an expression sees in place of a secret when a person evaluates it."""


class _Hiding(EngineServices):
    """The services of an execution, but for its secrets."""

    def secret(self, key: str, namespace: str | None) -> str:
        super().secret(key, namespace)  # a secret that is not there is an error all the same
        return HIDDEN


async def check_start(engine: Engine, flow: Flow, given: Mapping[str, Any]) -> list[Checked]:
    """What the flow's inputs would be if it was started with these values."""
    execution = Execution(
        id=new_id(),
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        history=History.begin(State.CREATED, utc_now()),
    )
    journal = Journal(flow, execution, engine.store)
    return await _checked(engine, journal, flow.inputs, given)


async def check_resume(
    engine: Engine, flow: Flow, execution: Execution, given: Mapping[str, Any]
) -> list[Checked]:
    """What the `onResume` inputs of the Pause task would be at which the execution stands.

    Raises:
        Conflict: it is not paused.
    """
    if execution.state is not State.PAUSED:
        raise Conflict(f"Execution '{execution.id}' is not paused")
    runs = await engine.store.task_runs(execution.id)
    paused = {run.task_id for run in runs if run.state is State.PAUSED}
    asked = [task.properties.get("onResume") for task in flow.walk() if task.id in paused]
    declared = [cast("Input", each) for entries in asked for each in entries or ()]
    journal = Journal(flow, execution, engine.store, runs=runs)
    return await _checked(engine, journal, declared, given)


async def _checked(
    engine: Engine, journal: Journal, declared: Sequence[Input], given: Mapping[str, Any]
) -> list[Checked]:
    return await check_inputs(
        declared,
        given,
        scope_of_flow(engine, journal, ended=False),
        storage=engine.storage,
        execution=journal.execution,
    )


def evaluate(
    engine: Engine,
    flow: Flow,
    execution: Execution,
    runs: Sequence[TaskRun],
    expression: str,
    task_run_id: str | None = None,
) -> str:
    """What an expression gives, as one task run of the execution sees it, or the flow (None).

    Secrets are `HIDDEN`, whatever the expression does to them.

    Raises:
        NotFound: the execution has no such task run.
        RenderFailed: the expression cannot be evaluated.
    """
    journal = Journal(flow, _without_secrets(flow, execution), engine.store, runs=runs)
    for secret in secrets_in(flow.inputs, execution.inputs):
        journal.masker.add(secret)
    settings = engine.settings
    ended = execution.state.is_terminal
    makers = root(journal, settings.environ, settings.env_prefix, ended=ended)
    if task_run_id is not None:
        by_id = {run.id: run for run in runs}
        if task_run_id not in by_id:
            raise NotFound(f"Task run '{task_run_id}' not found")
        run = by_id[task_run_id]
        tasks = {task.id: task for task in all_tasks(flow)}
        task = tasks.get(run.task_id) or Task(id=run.task_id, type="")
        makers.update(of_task(journal, _frame(run, by_id, tasks), task, run))
    scope = Scope(variables=Variables(makers), services=_Hiding(engine, journal))
    return journal.masker.mask(render(expression, scope))


def _without_secrets(flow: Flow, execution: Execution) -> Execution:
    return replace(execution, inputs=shown_inputs(flow.inputs, execution.inputs))


def _frame(run: TaskRun, by_id: Mapping[str, TaskRun], tasks: Mapping[str, Task]) -> Frame:
    """Where in the flow a task run stands."""
    around = by_id.get(run.parent_id or "")
    if around is None:
        return Frame()
    outer = _frame(around, by_id, tasks)
    return Frame(parent=outer, task=tasks.get(around.task_id), run=around)


async def change_status(engine: Engine, execution_id: str, state: State) -> Execution:
    """Say that an execution that has ended ended otherwise.

    Raises:
        NotFound: there is no such execution, or its flow is gone.
        Conflict: it has not ended.
    """
    execution = await engine.store.execution(execution_id)
    if not execution.state.is_terminal:
        raise Conflict(f"Illegal state: execution '{execution_id}' has not ended")
    execution = await engine.wait_until_done(execution_id)
    flow = engine.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)
    runs = await engine.store.task_runs(execution_id)
    journal = Journal(flow, execution, engine.store, runs=runs, on_state=engine.on_state)
    await journal.move(state)
    return journal.execution


async def unqueue(engine: Engine, execution_id: str, state: State) -> Execution:
    """Take an execution out of the queue: to run, or to end in `state` without having run.

    Raises:
        Conflict: it does not wait in a queue.
    """
    driver = engine.live.get(execution_id)
    execution = await engine.store.execution(execution_id)
    if driver is None or execution.state is not State.QUEUED:
        raise Conflict(f"Execution '{execution_id}' is not queued")
    if state.is_terminal:
        await driver.end(state, stop=False)
    else:
        driver.admit()
    return driver.journal.execution

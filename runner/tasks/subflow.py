"""Subflow: run another flow as a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from runner.errors import TaskFailed
from runner.model import convert
from runner.model.execution import Execution, Label, Level, Outputs
from runner.model.state import State
from runner.tasks.context import Child, FlowContext, Result
from runner.tasks.endings import softened
from runner.tasks.registry import starting

_TRANSMITTED = (State.FAILED, State.PAUSED, State.KILLED, State.WARNING)


def link(execution: Execution) -> str:
    """How a log line names another execution."""
    return (
        f'[[link execution="{execution.id}" flowId="{execution.flow_id}" '
        f'namespace="{execution.namespace}"]]'
    )


async def child_of(ctx: FlowContext, **more: object) -> Child:
    """The execution that a task's `namespace`, `flowId`, `inputs`... ask for.

    `more` are variables that only the inputs see.
    """
    properties = ctx.task.properties
    date = await ctx.text("scheduleDate")
    inputs: Mapping[str, Any] | None = properties.get("inputs")
    return Child(
        namespace=await ctx.text("namespace") or "",
        flow_id=await ctx.text("flowId") or "",
        revision=properties.get("revision"),
        inputs=None if inputs is None else await ctx.render_typed(inputs, **more),
        labels=await _labels(ctx),
        inherit_labels=await ctx.flag("inheritLabels"),
        schedule_date=None if date is None else _instant(date),
    )


def _instant(text: str) -> datetime:
    try:
        return convert.instant(text)
    except ValueError as error:
        raise TaskFailed(f"{error} (property 'scheduleDate')") from error


async def _labels(ctx: FlowContext) -> Sequence[Label]:
    given: Any = ctx.task.properties.get("labels")
    if isinstance(given, Mapping):
        pairs = list(cast("Mapping[str, Any]", given).items())
    else:
        entries = cast("Sequence[Mapping[str, Any]]", given or ())
        pairs = [(entry["key"], entry["value"]) for entry in entries]
    return [Label(str(await ctx.render(key)), str(await ctx.render(value))) for key, value in pairs]


async def starts_anew(ctx: FlowContext) -> bool:
    """Whether a restart of the task makes a new execution instead of restarting the old one."""
    return await ctx.text("restartBehavior") == "NEW_EXECUTION"


@starting("io.kestra.plugin.core.flow.Subflow")
async def subflow(ctx: FlowContext) -> Result:
    """Start an execution of another flow and, with `wait`, take over how it ends."""
    execution = await _child(ctx)
    outputs: dict[str, Any] = {"executionId": execution.id}
    if ctx.task.properties.get("wait") is False:
        return Result(outputs={**outputs, "state": str(State.CREATED)})
    await ctx.set_outputs(outputs)
    finished = await ctx.ended(execution.id, ctx.task.properties.get("outputs"))
    ended = finished.execution
    outputs["state"] = str(ended.state)
    if finished.output_error is not None:
        ctx.log(Level.ERROR, f"Failed to extract outputs with the error: '{finished.output_error}'")
        return Result(outputs=outputs, state=State.FAILED)
    if finished.outputs:
        outputs["outputs"] = finished.outputs
    return _result(ctx, ended, outputs)


async def _child(ctx: FlowContext) -> Execution:
    """The task's execution: a new one, or that of before a restart of ours or of Eyas."""
    run = ctx.task_run
    if run.state is State.RESTARTED and not await starts_anew(ctx):
        again = await ctx.restart()
        if again is not None:
            ctx.log(Level.INFO, f"Created new execution {link(again)}")
            return again
    child = await child_of(ctx)
    if run.outputs and run.state is not State.RUNNING:
        child = replace(child, variables={"taskRunOutputs": run.outputs})
    [execution] = await ctx.start([child])
    if run.state is not State.RUNNING:
        ctx.log(Level.INFO, f"Created new execution {link(execution)}")
    return execution


def _result(ctx: FlowContext, ended: Execution, outputs: Outputs) -> Result:
    """What the task makes of how its execution ended (flow-model 4.8)."""
    transmits = ctx.task.properties.get("transmitFailed") is not False
    state = ended.state if transmits and ended.state in _TRANSMITTED else State.SUCCESS
    final = softened(state, ctx.task)
    level = {State.FAILED: Level.ERROR, State.WARNING: Level.WARN}.get(final)
    if level is not None:
        # Kestra names what the task makes of it, and says nothing of a kill (Subflow.java).
        ctx.log(level, f"Subflow execution {link(ended)} ends in {final} state")
    passed = ended.state if ended.state is not state else None
    return Result(outputs=outputs, state=state, passed=passed)

"""Subflow: run another flow as a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from runner.errors import RunnerError, TaskFailed
from runner.model import convert
from runner.model.execution import Execution, Label, Level
from runner.model.state import State
from runner.tasks.context import Child, FlowContext, Result
from runner.tasks.registry import updating

_TRANSMITTED = (State.FAILED, State.PAUSED, State.KILLED, State.WARNING)


def link(execution: Execution) -> str:
    """How a log line names another execution."""
    return (
        f'[[link execution="{execution.id}" flowId="{execution.flow_id}" '
        f'namespace="{execution.namespace}"]]'
    )


async def child_of(ctx: FlowContext, **more: object) -> Child:
    """The execution that a task's `namespace`, `flowId`, `inputs`... ask for."""
    properties = ctx.task.properties
    date = await ctx.text("scheduleDate", **more)
    inputs: Mapping[str, Any] | None = properties.get("inputs")
    return Child(
        namespace=await ctx.text("namespace", **more) or "",
        flow_id=await ctx.text("flowId", **more) or "",
        revision=properties.get("revision"),
        inputs=None if inputs is None else await ctx.render_typed(inputs, **more),
        labels=await _labels(ctx, more),
        inherit_labels=await ctx.flag("inheritLabels"),
        schedule_date=None if date is None else _instant(date),
    )


def _instant(text: str) -> datetime:
    try:
        return convert.instant(text)
    except ValueError as error:
        raise TaskFailed(f"{error} (property 'scheduleDate')") from error


async def _labels(ctx: FlowContext, more: Mapping[str, object]) -> Sequence[Label]:
    given: Any = ctx.task.properties.get("labels")
    if isinstance(given, Mapping):
        pairs = list(cast("Mapping[str, Any]", given).items())
    else:
        entries = cast("Sequence[Mapping[str, Any]]", given or ())
        pairs = [(entry["key"], entry["value"]) for entry in entries]
    return [Label(key, str(await ctx.render(value, **more))) for key, value in pairs]


@updating("io.kestra.plugin.core.flow.Subflow")
async def subflow(ctx: FlowContext) -> Result:
    """Start an execution of another flow and, with `wait`, take over how it ends."""
    child = await child_of(ctx)
    execution = await ctx.start(child)
    ctx.log(Level.INFO, f"Created new execution {link(execution)}")
    outputs: dict[str, Any] = {"executionId": execution.id}
    if ctx.task.properties.get("wait") is False:
        return Result(outputs={**outputs, "state": str(State.CREATED)})
    await ctx.set_outputs(outputs)
    ended = await ctx.ended(execution.id)
    outputs["state"] = str(ended.state)
    if ended.outputs:
        outputs["outputs"] = ended.outputs
    outputs.update(await _own_outputs(ctx, ended))
    transmit = ctx.task.properties.get("transmitFailed") is not False
    state = ended.state if ended.state in _TRANSMITTED else State.SUCCESS
    if state is not State.SUCCESS:
        level = Level.ERROR if state in (State.FAILED, State.KILLED) and transmit else Level.WARN
        ctx.log(level, f"Subflow execution {link(ended)} ends in {ended.state} state")
    return Result(outputs=outputs, state=state if transmit else State.SUCCESS)


async def _own_outputs(ctx: FlowContext, ended: Execution) -> Mapping[str, Any]:
    """The deprecated property `outputs`, rendered over the ended execution's outputs."""
    wanted = ctx.task.properties.get("outputs")
    if not wanted:
        return {}
    try:
        return {"outputs": await ctx.render(wanted, outputs=ended.outputs or {})}
    except RunnerError as error:
        raise TaskFailed(f"Failed to extract outputs with the error: '{error}'") from error

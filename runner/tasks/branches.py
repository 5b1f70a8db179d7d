"""Flowables that choose or group tasks: Sequential, Parallel, AllowFailure, If, Switch, Dag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.errors import TaskFailed
from runner.model.execution import Level, Outputs
from runner.model.flow import Task
from runner.model.state import State
from runner.tasks.condition import is_met
from runner.tasks.context import FlowContext, Group, Result
from runner.tasks.registry import flowable

_FLOW = "io.kestra.plugin.core.flow"


async def _most(ctx: FlowContext) -> int:
    """How many tasks may run at a time; 0: all."""
    return await ctx.integer("concurrent") or 0


@flowable(f"{_FLOW}.Sequential", pure=True)
async def sequential(ctx: FlowContext) -> None:
    """Run `tasks` in order."""
    await ctx.run(ctx.task.children())


@flowable(f"{_FLOW}.Parallel", pure=True)
async def parallel(ctx: FlowContext) -> None:
    """Run `tasks` beside each other, at most `concurrent` at a time."""
    groups = [Group(tasks=[task]) for task in ctx.task.children()]
    await ctx.run_groups(groups, await _most(ctx))


@flowable(f"{_FLOW}.AllowFailure", lenient=True, pure=True)
async def allow_failure(ctx: FlowContext) -> None:
    """Run `tasks` in order; a failure among them is a warning to what is around."""
    await ctx.run(ctx.task.children())


async def _holds(ctx: FlowContext) -> bool:
    return is_met(await ctx.text("condition"))


async def _skipped_if(ctx: FlowContext) -> Outputs:
    # Kestra renders the condition of a skipped If all the same (flow-model 3.5).
    return {"evaluationResult": await _holds(ctx)}


@flowable(f"{_FLOW}.If", skipped=_skipped_if, chooses=True, pure=True)
async def if_(ctx: FlowContext) -> Result | None:
    """Run `then` or `else`; the condition is evaluated once and stays as it was.

    Without an `else` to run, it is over: its `finally` does not run either.
    """
    before = ctx.task_run.outputs or {}
    holds = before["evaluationResult"] if "evaluationResult" in before else await _holds(ctx)
    await ctx.set_outputs({"evaluationResult": holds})
    branch = "then" if holds else "else"
    if branch not in ctx.task.properties:
        return Result(alone=True)
    await ctx.run(ctx.task.children(branch))
    return None


async def _skipped_switch(ctx: FlowContext) -> Outputs:
    value = await ctx.text("value")
    cases: Mapping[str, Sequence[Task]] = ctx.task.properties.get("cases") or {}
    return {"value": value, "defaults": (value or "") not in cases}


@flowable(f"{_FLOW}.Switch", skipped=_skipped_switch, chooses=True, pure=True)
async def switch(ctx: FlowContext) -> Result | None:
    """Run the tasks of the case that `value` names, or `defaults`."""
    if "cases" not in ctx.task.properties:
        raise TaskFailed('Cannot invoke "java.util.Map.entrySet()" because "this.cases" is null')
    before = ctx.task_run.outputs or {}
    value = before["value"] if "value" in before else await ctx.text("value")
    cases: Mapping[str, Sequence[Task]] = ctx.task.properties.get("cases") or {}
    tasks = cases.get(value or "")
    await ctx.set_outputs({"value": value, "defaults": tasks is None})
    if tasks is None:
        tasks = ctx.task.properties.get("defaults")
    if tasks is None and ctx.task.properties.get("finally") is not None:
        # Kestra stumbles over it then, and nothing softens that.
        text = 'Cannot invoke "java.util.List.size()" because "resolvedTasks" is null'
        ctx.log(Level.ERROR, f"Unable to resolve state from the Flowable task: {text}")
        ctx.log(Level.DEBUG, f"Neither a case nor `defaults` has tasks for '{value}'")
        return Result(state=State.FAILED, hard=True, alone=True)
    if tasks is None:
        where = f"flow '{ctx.flow.namespace}.{ctx.flow.id}', task '{ctx.task.id}'"
        text = f"No task found on {where}, execution '{ctx.execution.id}'"
        ctx.log(Level.WARN, text)
        return Result(state=State.FAILED)
    await ctx.run([task for task in tasks if not task.disabled])
    return None


@flowable(f"{_FLOW}.Dag", pure=True)
async def dag(ctx: FlowContext) -> None:
    """Run each task as soon as those it depends on have ended.

    A dependency on a disabled task is taken as satisfied; Kestra waits for it for ever.
    """
    nodes: Sequence[Mapping[str, Any]] = ctx.task.properties.get("tasks") or ()
    nodes = [node for node in nodes if not node["task"].disabled]
    number = {node["task"].id: index for index, node in enumerate(nodes)}
    groups = [
        Group(
            tasks=[node["task"]],
            after=frozenset(number[name] for name in node.get("dependsOn") or () if name in number),
        )
        for node in nodes
    ]
    await ctx.run_groups(groups, await _most(ctx))

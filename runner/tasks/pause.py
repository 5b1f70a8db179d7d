"""Pause: wait for a person, or for a time (flow-model 4.11)."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from runner.model.state import State
from runner.tasks.context import FlowContext, Result, Resumption
from runner.tasks.registry import flowable

_AFTER = {
    "RESUME": State.SUCCESS,
    "WARN": State.WARNING,
    "FAIL": State.FAILED,
    "CANCEL": State.CANCELLED,
}


@flowable("io.kestra.plugin.core.flow.Pause")
async def pause(ctx: FlowContext) -> Result | None:
    """Pause until resumed, or until `pauseDuration` (then `behavior`) or `timeout` is over."""
    state = _earlier(ctx) or await _paused(ctx)
    if state is State.CANCELLED:
        await ctx.end_execution(State.CANCELLED)
        return None
    if state is State.SUCCESS and ctx.task.children():
        await ctx.run(ctx.task.children())
        return None
    return None if state is State.KILLED else Result(state=state, forced=state is State.FAILED)


def _earlier(ctx: FlowContext) -> State | None:
    """What it ended in before Eyas was restarted, in the middle of the tasks that it holds."""
    states = [change.state for change in ctx.task_run.history.changes[-2:]]
    resumed = (ctx.task_run.outputs or {}).get("resumed")
    if resumed is None or states != [State.PAUSED, State.RUNNING]:
        return None
    return State(resumed["to"])


async def _paused(ctx: FlowContext) -> State:
    """Pause, and say in the outputs why it is over; KILLED: the execution is being ended."""
    duration = await ctx.duration("pauseDuration")
    if duration is None:
        duration = await ctx.duration("delay")
    limit = duration if duration is not None else await ctx.timeout()
    # Paused already: Eyas was restarted meanwhile, and the time goes on from where it began.
    waits = ctx.task_run.state is State.PAUSED
    began = ctx.task_run.history.changes[-1].date if waits else ctx.now()
    until = began + limit if limit is not None else None
    resumption = await ctx.pause(until)
    state = await _state_after(ctx, resumption, timed_out=duration is None)
    word = "KILLING" if resumption.why == "ended" else str(state)
    on = ctx.now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    outputs: dict[str, Any] = {"resumed": {"on": on, "to": word}}
    if resumption.why == "resumed":
        outputs["onResume"] = resumption.inputs
    await ctx.set_outputs(outputs)
    return State.KILLED if resumption.why == "ended" else state


async def _state_after(ctx: FlowContext, resumption: Resumption, *, timed_out: bool) -> State:
    if resumption.why != "elapsed":
        return State.SUCCESS
    if timed_out:
        return State.FAILED
    return _AFTER[await ctx.text("behavior") or "RESUME"]

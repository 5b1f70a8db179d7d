"""Pause: wait for a person, or for a time (flow-model 4.11)."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from runner.errors import RunnerError, TaskFailed
from runner.model.state import State
from runner.tasks.context import FlowContext, Result
from runner.tasks.endings import softened
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
    if state is None:
        return Result(state=State.FAILED, hard=True, alone=True)
    if state is State.SUCCESS and ctx.task.children():
        await ctx.run(ctx.task.children())
        return None
    if state is State.KILLED:
        return None
    # What `behavior` says is not softened by `allowFailure` and `allowWarning`; a timeout has been.
    return Result(state=state, forced=state is State.FAILED, hard=True)


def _earlier(ctx: FlowContext) -> State | None:
    """What it ended in before Eyas was restarted, in the middle of the tasks that it holds."""
    states = [change.state for change in ctx.task_run.history.changes[-2:]]
    resumed = (ctx.task_run.outputs or {}).get("resumed")
    if resumed is None or states != [State.PAUSED, State.RUNNING]:
        return None
    return State(resumed["to"])


async def _behavior(ctx: FlowContext) -> State:
    """What follows when the time is over."""
    word = await ctx.text("behavior") or "RESUME"
    if word not in _AFTER:
        raise TaskFailed(f"Invalid behavior '{word}': one of {', '.join(_AFTER)} is needed")
    return _AFTER[word]


async def _paused(ctx: FlowContext) -> State | None:
    """Pause, and say in the outputs why it is over.

    KILLED: the execution is being ended. None: it never paused, and the log says why.
    """
    try:
        duration = await ctx.duration("pauseDuration")
        if duration is None:
            duration = await ctx.duration("delay")
        timeout = await ctx.timeout()
        behavior = await _behavior(ctx)
    except RunnerError as error:
        ctx.complain(error)
        return None
    limit = duration if duration is not None else timeout
    after = softened(State.FAILED, ctx.task) if duration is None else behavior
    # Paused already: Eyas was restarted meanwhile, and the time goes on from where it began.
    waits = ctx.task_run.state is State.PAUSED
    began = ctx.task_run.history.changes[-1].date if waits else ctx.now()
    until = began + limit if limit is not None else None
    resumption = await ctx.pause(until, cancels=after is State.CANCELLED)
    state = after if resumption.why == "elapsed" else State.SUCCESS
    word = "KILLING" if resumption.why == "ended" else str(state)
    on = ctx.now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    outputs: dict[str, Any] = {"resumed": {"on": on, "to": word}}
    if resumption.why == "resumed":
        outputs["onResume"] = dict(sorted(resumption.inputs.items()))  # a TreeMap on Kestra
    await ctx.set_outputs(outputs)
    return State.KILLED if resumption.why == "ended" else state

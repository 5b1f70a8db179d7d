"""Flowables that repeat tasks: ForEach, EachSequential, EachParallel, LoopUntil."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from runner.errors import TaskFailed
from runner.model import convert
from runner.model.execution import Level, Outputs
from runner.model.state import State
from runner.tasks.condition import is_met
from runner.tasks.context import FlowContext, Group, Result
from runner.tasks.json_array import read_array
from runner.tasks.registry import flowable

_FLOW = "io.kestra.plugin.core.flow"
_INTERVAL = timedelta(minutes=1)
_JAVA = {float: "java.lang.Double", bool: "java.lang.Boolean", list: "java.util.ArrayList"}


@flowable(f"{_FLOW}.ForEach", pure=True)
async def for_each(ctx: FlowContext) -> None:
    """Run `tasks` for every value, `concurrencyLimit` values at a time."""
    limit = ctx.task.properties.get("concurrencyLimit")
    await _repeat(ctx, await _values(ctx, "values"), 1 if limit is None else limit)


@flowable(f"{_FLOW}.EachSequential", pure=True)
async def each_sequential(ctx: FlowContext) -> None:
    """Run `tasks` for one value after the other."""
    await _repeat(ctx, await _values(ctx, "value"), 1)


@flowable(f"{_FLOW}.EachParallel", pure=True)
async def each_parallel(ctx: FlowContext) -> None:
    """Run every task for every value, all beside each other."""
    groups = [
        Group(tasks=[task], value=value, iteration=number)
        for number, value in enumerate(await _values(ctx, "value"))
        for task in ctx.task.children()
    ]
    await ctx.run_groups(groups, await ctx.integer("concurrent") or 0)


async def _repeat(ctx: FlowContext, values: Sequence[str], limit: int) -> None:
    groups = [
        Group(tasks=ctx.task.children(), value=value, iteration=number)
        for number, value in enumerate(values)
    ]
    await ctx.run_groups(groups, limit)


async def _values(ctx: FlowContext, name: str) -> list[str]:
    """The texts of the values to loop over, each once (flow-model 4.4)."""
    given = ctx.task.properties.get(name)
    if isinstance(given, dict):
        raise TaskFailed("Unknown value type: class java.util.LinkedHashMap")
    if isinstance(given, list):
        texts = [await _literal(ctx, item) for item in given]  # pyright: ignore[reportUnknownVariableType] # YAML border
    else:
        texts = _parsed(await ctx.text(name) or "")
    return list(dict.fromkeys(texts))


async def _literal(ctx: FlowContext, item: Any) -> str:
    """The text of one element of a YAML list."""
    if item is None:
        raise TaskFailed('Cannot invoke "Object.getClass()" because "obj" is null')
    if isinstance(item, str):
        return await ctx.render(item)
    if type(item) in _JAVA:
        raise TaskFailed(f"Unknown value element type: class {_JAVA[type(item)]}")
    if isinstance(item, int):
        return str(item)
    return _compact(await ctx.render(item))


def _parsed(text: str) -> list[str]:
    """The texts of the elements of a JSON array."""
    texts: list[str] = []
    for item in read_array(text):
        if item is None:
            raise TaskFailed(f"Found a null value inside the iteration values={text}")
        texts.append(item if isinstance(item, str) else _compact(item))
    return texts


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def _skipped_loop(ctx: FlowContext) -> Outputs:
    return {"iterationCount": 1}


@flowable(f"{_FLOW}.LoopUntil", skipped=_skipped_loop, counts=True)
async def loop_until(ctx: FlowContext) -> Result | None:
    """Run `tasks` again and again until `condition` is true (flow-model 4.10).

    There is one round, whatever the condition, if one of them is disabled.
    """
    frequency: Mapping[str, Any] = ctx.task.properties.get("checkFrequency") or {}
    most = await _option(ctx, frequency, "maxIterations", convert.integer)
    longest = await _option(ctx, frequency, "maxDuration", convert.duration)
    started = ctx.task_run.history.start
    number = ctx.task_run.iteration or 0
    count = number + 1
    await ctx.set_outputs({"iterationCount": count})
    tasks = ctx.task.children()
    repeats = len(tasks) == len(ctx.task.properties.get("tasks") or ())
    while await ctx.run(tasks, iteration=number):
        if not repeats or await _satisfied(ctx, count):
            return None
        count += 1
        reached = None
        if most is not None and count > most:
            reached = "Max iterations reached"
        elif longest is not None and ctx.now() - started > longest:
            reached = "Max duration reached"
        if reached is not None:
            ctx.log(Level.WARN, reached)
            return (
                Result(state=State.FAILED, hard=True)
                if await ctx.flag("failOnMaxReached")
                else None
            )
        interval = await _option(ctx, frequency, "interval", convert.duration)
        if not await ctx.rest(ctx.now() + (interval if interval is not None else _INTERVAL)):
            return None
        number += 1
        await ctx.discard_children(number)
    return None


async def _satisfied(ctx: FlowContext, count: int) -> bool:
    """Whether the loop may end: the condition sees the count of this round, then of the next one.

    The count stays at the one with which it is true.
    """
    if is_met(await ctx.text("condition")):
        return True
    await ctx.set_outputs({"iterationCount": count + 1})
    return is_met(await ctx.text("condition"))


async def _option(ctx: FlowContext, options: Any, name: str, type_: Any) -> Any:
    value = options.get(name)
    if value is None:
        return None
    try:
        return type_(await ctx.render(value))
    except ValueError as error:
        raise TaskFailed(f"{error} (property 'checkFrequency.{name}')") from error

"""Loop, which Kestra has since 2.0: tasks for every item, whose results are gathered.

Kestra runs an execution of its own for each item. Here each is a hidden flowable below the loop,
so that all of it stands in one execution. Its tasks see `item`, and address `outputs` of the tasks
beside them without the loop's value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anyio.to_thread

from runner.errors import TaskFailed
from runner.model import values
from runner.model.execution import new_id
from runner.model.jsons import read_json
from runner.model.texts import java_text
from runner.tasks.context import FlowContext, Group, Result
from runner.tasks.hidden import ITERATION, LOOP, iteration_task
from runner.tasks.registry import flowable
from runner.tasks.storage import store, stored

_Item = dict[str, Any]
"""`value`, and for items of a map `key`."""


@flowable(LOOP)
async def loop(ctx: FlowContext) -> Result | None:
    """Run `tasks` for every item, `concurrencyLimit` items at a time, and gather `outputs`."""
    items, from_file = await _items(ctx)
    limit = ctx.task.properties.get("concurrencyLimit")
    groups = [
        Group(
            tasks=[iteration_task(ctx.task, {**item, "index": number})],
            value=str(number),
            iteration=number,
        )
        for number, item in enumerate(items)
    ]
    await ctx.set_outputs({"iterationCount": len(items)})
    await ctx.run_groups(groups, 1 if limit is None else limit)
    await ctx.set_outputs({"iterationCount": len(items), **await _gathered(ctx, from_file)})
    return None


@flowable(ITERATION)
async def iteration(ctx: FlowContext) -> Result | None:
    """Run the loop's tasks for one item, and render what it gives."""
    item = ctx.task.properties["item"]
    await ctx.set_outputs({"item": item})
    declared: Sequence[Mapping[str, Any]] = ctx.task.properties.get("outputs") or ()
    if await ctx.run(ctx.task.children()) and declared:
        outputs = {each["id"]: await _output(ctx, each) for each in declared}
        await ctx.set_outputs({"item": item, "outputs": outputs})
    return None


async def _output(ctx: FlowContext, declared: Mapping[str, Any]) -> Any:
    """The value of one output, by its type."""
    name, type_ = declared["id"], str(declared.get("type") or "STRING")
    value = await ctx.render(declared.get("value"))
    if type_ == "FILE":
        return java_text(value)
    if type_ == "YAML" and isinstance(value, str):
        value = await ctx.render_typed("{{ yaml(text) }}", text=value)
    try:
        parsed = values.parse(type_, "" if value is None else value, lambda text: text)
    except ValueError as error:
        raise TaskFailed(f"Invalid value for output `{name}`. Cause: {error}") from error
    return values.plain(parsed, six_digits=False)


async def _gathered(ctx: FlowContext, from_file: bool) -> dict[str, Any]:
    """What the iterations gave, in their order: as a list, or as a file with a line for each."""
    runs = sorted(ctx.children(), key=lambda run: run.iteration or 0)
    given = [
        {"index": run.iteration, "outputs": run.outputs["outputs"]}
        for run in runs
        if run.outputs and "outputs" in run.outputs
    ]
    if not ctx.task.properties.get("outputs"):
        return {}
    fetch = await ctx.text("fetchType") or "AUTO"
    if fetch == "FETCH" or (fetch == "AUTO" and not from_file):
        return {"outputs": given}
    lines = "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in given)
    return {"uri": await store(ctx, f"{new_id()}.jsonl", lines.encode())}


async def _items(ctx: FlowContext) -> tuple[list[_Item], bool]:
    """The items, and whether they are the lines of a file."""
    given = ctx.task.properties.get("values")
    if isinstance(given, str):
        text = (await ctx.render(given) or "").strip()
        if text.startswith("kestra://"):
            path = await stored(ctx, text)
            lines = await anyio.to_thread.run_sync(path.read_text)
            return [{"value": line} for line in lines.splitlines()], True
        try:
            found: Any = read_json(text)
        except ValueError as error:
            raise TaskFailed(
                f"The values of a Loop are a list, a map, or the URI of a file: {error}"
            ) from error
    else:
        found = await ctx.render(given)
    if isinstance(found, Mapping):
        entries = cast("Mapping[str, Any]", found)
        return [{"key": key, "value": _text(value)} for key, value in entries.items()], False
    if not isinstance(found, list | tuple):
        raise TaskFailed("The values of a Loop are a list, a map, or the URI of a file")
    return [{"value": _text(value)} for value in cast("Sequence[Any]", found)], False


def _text(value: Any) -> str:
    if value is None:
        raise TaskFailed("Found a null value among the values of the Loop")
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

"""ForEachItem: a flow for each batch of a file's items, in three hidden steps (flow-model 4.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from runner.errors import TaskFailed
from runner.model.execution import Execution, Level, new_id
from runner.model.state import State
from runner.runners.properties import parse_size
from runner.tasks.context import Child, Finished, FlowContext, Result, RunContext
from runner.tasks.hidden import ITEMS, MERGE, SPLIT, TYPE, hidden_task
from runner.tasks.registry import flowable, starting, task
from runner.tasks.splitting import Cut, split_file
from runner.tasks.storage import store, stored
from runner.tasks.subflow import child_of, link, starts_anew
from runner.tasks.work_folder import work_folder

_WORST_FIRST = (State.FAILED, State.KILLED, State.WARNING)


@flowable(TYPE)
async def for_each_item(ctx: FlowContext) -> None:
    """Split the items, run a flow for each batch, and gather what those gave."""
    more: dict[str, Any] = {}
    for step, type_ in (("split", SPLIT), ("items", ITEMS), ("merge", MERGE)):
        hidden = hidden_task(ctx.task, step, type_, **more)
        if not await ctx.run([hidden]):
            return
        given = [run.outputs for run in ctx.children() if run.task_id == hidden.id]
        more.update(given[-1] or {})


@task(SPLIT)
async def split(ctx: RunContext) -> Result:
    """Store the batches as files; `splits` is a file that lists them."""
    uri = await ctx.text("items") or ""
    if not uri.startswith("kestra://"):
        message = f"Unable to split the items from {uri}, this is not an internal storage URI!"
        ctx.log(Level.ERROR, message)
        raise TaskFailed(message)
    source = await stored(ctx, uri)
    cut = _cut(await ctx.render(ctx.task.properties.get("batch") or {}))
    async with work_folder(ctx) as folder:
        parts = await anyio.to_thread.run_sync(partial(split_file, source, folder, cut))
        uris = [await store(ctx, f"{number}{part.suffix}", part) for number, part in _named(parts)]
    listing = "".join(f"{each}\n" for each in uris)
    return Result(outputs={"splits": await store(ctx, f"{new_id()}.txt", listing.encode())})


def _named(parts: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for number, part in enumerate(parts):
        yield f"{number:06}-{new_id()}", part


def _cut(batch: Mapping[str, Any]) -> Cut:
    """How the items are cut: one row a batch unless `batch` says otherwise."""
    size, partitions, pattern = (batch.get(key) for key in ("bytes", "partitions", "regexPattern"))
    rows = batch.get("rows", 1 if pattern is None else None)
    return Cut(
        bytes=None if size is None else parse_size(str(size)),
        partitions=None if partitions is None else int(partitions),
        rows=None if rows is None else int(rows),
        pattern=pattern,
        separator=batch.get("separator", "\n"),
    )


@starting(ITEMS)
async def items(ctx: FlowContext) -> Result:
    """Start an execution for each batch, and wait for them all unless `wait` is false."""
    batches = await _batches(ctx)
    if not batches:
        return Result(attempted=False)
    base = await _base(ctx)
    outputs: dict[str, Any] = {"numberOfBatches": len(batches), "subflowOutputsBaseUri": base}
    started = await _started(ctx, batches, base)
    if ctx.task.properties.get("wait") is False:
        return Result(outputs={**outputs, "iterations": {"RUNNING": 0, "SUCCESS": len(batches)}})
    await ctx.set_outputs(
        {**outputs, "iterations": {"CREATED": 0, "RUNNING": len(batches), "SUCCESS": 0}}
    )
    counts: Counter[State] = Counter()
    for number, execution in enumerate(started):
        ended = await ctx.ended(execution.id, typed=False)
        await _keep_outputs(ctx, number, ended)
        counts[ended.execution.state] += 1
    named = {str(state): counts[state] for state in sorted(counts)}
    iterations = {"CREATED": 0, "RUNNING": 0, **named}
    return Result(outputs={**outputs, "iterations": iterations}, state=_state(ctx, counts))


async def _batches(ctx: FlowContext) -> list[str]:
    """The URIs of the batches, as the first step left them."""
    path = await stored(ctx, ctx.task.properties["splits"])
    text = await anyio.to_thread.run_sync(path.read_text)
    return text.split()


async def _base(ctx: FlowContext) -> str:
    """Where the outputs of the batches are kept: the path of this run's files."""
    uri = await store(ctx, "batches.txt", b"")
    return uri.removeprefix("kestra://").rpartition("/")[0]


async def _started(ctx: FlowContext, batches: Sequence[str], base: str) -> Sequence[Execution]:
    """The executions, one for each batch; those of before are kept when the task is restarted."""
    taskrun = cast("dict[str, Any]", await ctx.render_typed("{{ taskrun }}"))
    again = ctx.task_run.state is State.RESTARTED and not await starts_anew(ctx)
    started: list[Execution] = []
    children: list[Child] = []
    for number, uri in enumerate(batches):
        before = await ctx.restart(number) if again else None
        if before is not None:
            started.append(before)
            continue
        child = await child_of(ctx, taskrun={**taskrun, "items": uri, "iteration": number})
        variables = {
            "taskRunIteration": number,
            "taskRunOutputs": {"numberOfBatches": len(batches), "uri": base},
        }
        children.append(replace(child, number=number, variables=variables))
    created = await ctx.start(children)
    for execution in created:
        ctx.log(Level.INFO, f"Created new execution {link(execution)}")
    return [*started, *created]


async def _keep_outputs(ctx: FlowContext, number: int, ended: Finished) -> None:
    """Store what a batch's execution gave, for the last step."""
    if ended.output_error is not None:
        ctx.log(Level.WARN, f"Failed to extract outputs with the error: '{ended.output_error}'")
    elif ended.outputs:
        line = await ctx.render("{{ value | toIon }}", value=dict(ended.outputs))
        await store(ctx, _outputs_name(number), line.encode())


def _outputs_name(number: int) -> str:
    return f"outputs-{number}.ion"


def _state(ctx: FlowContext, states: Collection[State]) -> State:
    if ctx.task.properties.get("transmitFailed") is False:
        return State.SUCCESS
    return next((state for state in _WORST_FIRST if state in states), State.SUCCESS)


@task(MERGE)
async def merge(ctx: RunContext) -> Result:
    """Store the outputs of all executions as one file, a line each, if there are any."""
    base = ctx.task.properties.get("subflowOutputsBaseUri")
    count = ctx.task.properties.get("numberOfBatches") or 0
    uris = [f"kestra://{base}/{_outputs_name(number)}" for number in range(count)]
    given = [await stored(ctx, uri) for uri in uris if ctx.storage.exists(uri)]
    if not given:
        return Result(outputs={})
    async with work_folder(ctx) as folder:
        whole = folder / f"{new_id()}.ion"
        await anyio.to_thread.run_sync(_join_lines, given, whole)
        return Result(outputs={"subflowOutputs": await store(ctx, whole.name, whole)})


def _join_lines(sources: Sequence[Path], target: Path) -> None:
    with target.open("wb") as writing:
        for source in sources:
            writing.write(source.read_bytes().rstrip(b"\n") + b"\n")

"""Files of items, one JSON or Ion value a line: `storage.DeduplicateItems` and `FilterItems`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from anyio.lowlevel import checkpoint

from runner.errors import RenderFailed, TaskFailed
from runner.expr import is_truthy
from runner.model.execution import new_id
from runner.tasks.context import Result, RunContext
from runner.tasks.needed import needed_text
from runner.tasks.registry import task
from runner.tasks.storage import store, stored
from runner.tasks.work_folder import work_folder


@task("io.kestra.plugin.core.storage.DeduplicateItems")
async def deduplicate(ctx: RunContext) -> Result | None:
    """Store a file with the last item of each key that `expr` gives, in their order."""
    source = await stored(ctx, await needed_text(ctx, "from"))
    expression = ctx.task.properties["expr"]
    last: dict[str, int] = {}
    total = 0
    for line in _lines(source):
        last[await ctx.render(expression, **await _item(ctx, line))] = total
        total += 1
    wanted = frozenset(last.values())
    async with work_folder(ctx) as folder:
        target = folder / f"{new_id()}.ion"
        with target.open("w", encoding="utf-8", newline="") as writing:
            for number, line in enumerate(_lines(source)):
                if number in wanted:
                    writing.write(f"{line}\n")
        uri = await store(ctx, target.name, target)
    counts = {"numKeys": len(last), "processedItemsTotal": total}
    return Result(outputs={"uri": uri, **counts, "droppedItemsTotal": total - len(last)})


@task("io.kestra.plugin.core.storage.FilterItems")
async def filter_(ctx: RunContext) -> Result | None:
    """Store a file with the items for which `filterCondition` holds (or does not: EXCLUDE)."""
    source = await stored(ctx, await needed_text(ctx, "from"))
    excluding = await ctx.text("filterType") == "EXCLUDE"
    on_error = await ctx.text("errorOrNullBehavior") or "FAIL"
    total = kept = 0
    async with work_folder(ctx) as folder:
        target = folder / f"{new_id()}.ion"
        with target.open("w", encoding="utf-8", newline="") as writing:
            for line in _lines(source):
                total += 1
                if await _keeps(ctx, await _item(ctx, line), excluding, on_error):
                    kept += 1
                    writing.write(f"{line}\n")
        uri = await store(ctx, target.name, target)
    return Result(
        outputs={"uri": uri, "processedItemsTotal": total, "droppedItemsTotal": total - kept}
    )


async def _keeps(ctx: RunContext, item: Mapping[str, Any], excluding: bool, on_error: str) -> bool:
    condition = ctx.task.properties["filterCondition"]
    try:
        text = await ctx.render(condition, **item)
    except RenderFailed:
        if on_error == "FAIL":
            raise
        text = ""
    if not text.strip():
        if on_error == "FAIL":
            raise TaskFailed(f"Expression `{condition}` return `null` on item `{item}`")
        return on_error == "INCLUDE"
    return is_truthy(text) is not excluding


def _lines(source: Path) -> Iterator[str]:
    """The lines of the file that hold something."""
    with source.open(encoding="utf-8") as reading:
        for line in reading:
            if line.strip():
                yield line.rstrip("\n")


async def _item(ctx: RunContext, line: str) -> dict[str, Any]:
    """The map that a line holds; JSON is Ion, but faster to read."""
    # Nothing else here waits for anything: let other tasks of this process have their turn.
    await checkpoint()
    try:
        item: Any = json.loads(line)
    except ValueError:
        item = await ctx.render_typed("{{ fromIon(line) }}", line=line)
    if not isinstance(item, dict):
        raise TaskFailed(f"Each item must be a map of fields, this one is not: {line[:200]}")
    return cast("dict[str, Any]", item)

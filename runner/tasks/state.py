"""The state store (deprecated, gone in 2.0): maps that outlive executions, kept as keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import anyio.to_thread

from runner.errors import TaskFailed
from runner.expr import to_json
from runner.model.merging import merged
from runner.model.texts import without_nulls
from runner.storage.files import slug
from runner.storage.kv import KvType
from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task


@task("io.kestra.plugin.core.state.Set")
async def set_(ctx: RunContext) -> Result | None:
    """Merge `data` into the state."""
    key = await _key(ctx)
    data = json.loads(to_json(await ctx.mapping("data")))
    made = await anyio.to_thread.run_sync(_merge, ctx, key, data)
    return Result(outputs={"count": len(made), "key": key})


def _merge(ctx: RunContext, key: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    made = merged(_stored(ctx, key) or {}, data)
    ctx.kv.set(ctx.flow.namespace, key, made, type=KvType.JSON)
    return made


@task("io.kestra.plugin.core.state.Get")
async def get(ctx: RunContext) -> Result | None:
    """Give the state as the output `data`."""
    key = await _key(ctx)
    data = await anyio.to_thread.run_sync(_stored, ctx, key)
    if data is None and await ctx.flag("errorOnMissing"):
        raise TaskFailed(f"State {key} not found")
    return Result(outputs={"count": len(data or {}), "data": without_nulls(data or {})})


@task("io.kestra.plugin.core.state.Delete")
async def delete(ctx: RunContext) -> Result | None:
    """Delete the state, and say whether it was there."""
    key = await _key(ctx)
    deleted = await anyio.to_thread.run_sync(ctx.kv.delete, ctx.flow.namespace, key)
    if not deleted and await ctx.flag("errorOnMissing"):
        raise TaskFailed(f"Unable to find the state file '{await ctx.text('name')}'")
    return Result(outputs={"deleted": deleted})


def _stored(ctx: RunContext, key: str) -> Mapping[str, Any] | None:
    entry = ctx.kv.find(ctx.flow.namespace, ctx.flow.namespace, key)
    return entry.value if entry is not None else None


async def _key(ctx: RunContext) -> str:
    """The key of the state: the flow's own unless `namespace`, and each loop value's own."""
    parts = ["" if await ctx.flag("namespace") else f"{slug(ctx.flow.id)}_", "states_tasks-states_"]
    parts.append(await ctx.text("name") or "default")
    value = ctx.task_run.value
    if value is not None and await ctx.flag("taskrunValue"):
        parts.append(f"_{sha256(value.encode()).hexdigest()[:16]}")
    return "".join(parts)

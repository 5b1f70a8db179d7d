"""`flow.Sleep`: wait."""

from __future__ import annotations

from datetime import timedelta

import anyio

from runner.errors import TaskFailed
from runner.model.execution import Level
from runner.model.times import duration_text
from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task


@task("io.kestra.plugin.core.flow.Sleep")
async def sleep(ctx: RunContext) -> Result | None:
    """Wait for `duration`."""
    duration = await ctx.duration("duration")
    if duration is None:
        raise TaskFailed("`duration` must not be null")
    ctx.log(Level.INFO, f"Waiting for {duration_text(duration)}")
    await anyio.sleep(max(duration, timedelta()).total_seconds())
    return None

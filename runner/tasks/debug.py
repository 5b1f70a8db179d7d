"""`debug.Return`: a text as an output."""

from __future__ import annotations

import time
from datetime import timedelta

from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task


@task("io.kestra.plugin.core.debug.Return", pure=True)
async def return_(ctx: RunContext) -> Result | None:
    """Give `format` as the output `value`; none if it is absent."""
    begin_s = time.monotonic()
    value = await ctx.text("format")
    ctx.count("length", len(value or ""))
    ctx.time("duration", timedelta(seconds=time.monotonic() - begin_s))
    return None if value is None else Result(outputs={"value": value})

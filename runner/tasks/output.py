"""`output.OutputValues`: any values as outputs."""

from __future__ import annotations

from runner.model.texts import without_nulls
from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task


@task("io.kestra.plugin.core.output.OutputValues", pure=True)
async def output_values(ctx: RunContext) -> Result | None:
    """Give the map `values`, rendered, as the output `values`."""
    if ctx.task.properties.get("values") is None:
        return None
    return Result(outputs={"values": without_nulls(await ctx.mapping("values"))})

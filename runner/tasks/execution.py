"""Tasks that decide whether an execution goes on: `execution.Fail`, `execution.Assert`."""

from __future__ import annotations

from typing import Any, cast

from runner.errors import RenderFailed, TaskFailed
from runner.expr import is_truthy
from runner.model.execution import Level
from runner.model.texts import java_text
from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task


@task("io.kestra.plugin.core.execution.Fail")
async def fail(ctx: RunContext) -> Result | None:
    """Fail with `errorMessage`; with a `condition`, only if it is true."""
    message = await ctx.text("errorMessage")
    if message is None:
        message = "Task failure"
    if ctx.task.properties.get("condition") is None:
        raise TaskFailed(message)
    if is_truthy(await ctx.text("condition")):
        ctx.log(Level.ERROR, message)
        raise TaskFailed("Fail on a condition")
    return None


@task("io.kestra.plugin.core.execution.Assert")
async def assert_(ctx: RunContext) -> Result | None:
    """Fail unless every condition is true; each one that is not is named in the log."""
    conditions = await _conditions(ctx)
    failed = 0
    for condition in conditions:
        try:
            holds = is_truthy(await ctx.render(condition))
        except RenderFailed as error:
            holds = False
            message = f"Assertion `{condition}` failed, failed to render `{error.reason}`"
        else:
            message = f"Assertion `{condition}` failed!"
        if not holds:
            failed += 1
            ctx.log(Level.ERROR, message)
    ctx.count("failed", failed)
    ctx.count("success", len(conditions) - failed)
    if failed:
        reason = await ctx.text("errorMessage")
        text = f"{failed} assertion{'s' if failed > 1 else ''} failed!"
        raise TaskFailed(f"{text}\n{reason}" if reason else text)
    return None


async def _conditions(ctx: RunContext) -> list[str]:
    """The conditions unrendered, or those of the JSON list that one template gives."""
    given: Any = ctx.task.properties.get("conditions")
    if isinstance(given, list):
        items = cast("list[Any]", given)
        return [java_text(item) for item in items]
    return list(await ctx.texts("conditions"))

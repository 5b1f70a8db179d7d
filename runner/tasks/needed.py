"""Properties that a task cannot do without, whatever they rendered to."""

from __future__ import annotations

from runner.errors import TaskFailed
from runner.tasks.context import RunContext


async def needed_text(ctx: RunContext, name: str) -> str:
    """Property `name` of the task, rendered.

    Raises:
        TaskFailed: it is absent or null.
    """
    value = await ctx.text(name)
    if value is None:
        raise TaskFailed(f"{ctx.task.id}.{name}: must not be null")
    return value

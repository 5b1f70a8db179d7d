"""`templating.TemplatedTask`: a task that is known only when it runs."""

from __future__ import annotations

from runner.errors import FlowInvalid, TaskFailed
from runner.tasks.context import Result, RunContext
from runner.tasks.host import host_of
from runner.tasks.needed import needed_text
from runner.tasks.registry import task

_OWN_TYPE = "io.kestra.plugin.core.templating.TemplatedTask"


@task(_OWN_TYPE)
async def templated_task(ctx: RunContext) -> Result | None:
    """Do what the task does that the rendered text `spec` describes; its outputs are ours."""
    host = host_of(ctx)
    text = await needed_text(ctx, "spec")
    try:
        inner = host.read_task(text)
    except FlowInvalid as error:
        raise TaskFailed(f"Invalid spec: {error}") from error
    if inner.type == _OWN_TYPE:
        raise TaskFailed(f"The templated task cannot be of type '{_OWN_TYPE}'")
    return await host.run_task(ctx, inner)

"""`storage.LocalFiles` (deprecated, gone in 2.0): files into and out of a working directory."""

from __future__ import annotations

from contextlib import AsyncExitStack

from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task
from runner.tasks.work_folder import work_folder
from runner.tasks.working_directory_files import collect_outputs, stage_inputs


@task("io.kestra.plugin.core.storage.LocalFiles")
async def local_files(ctx: RunContext) -> Result | None:
    """Write `inputs` into the shared working directory and store files that match `outputs`."""
    async with AsyncExitStack() as stack:
        folder = ctx.shared_dir or await stack.enter_async_context(work_folder(ctx))
        await stage_inputs(ctx, folder, ctx.task.properties.get("inputs"), None)
        uris = await collect_outputs(ctx, folder, await ctx.texts("outputs"))
    return Result(outputs={"uris": uris})

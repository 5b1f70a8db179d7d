"""WorkingDirectory: script tasks that share one folder (flow-model 4.7)."""

from __future__ import annotations

from runner.errors import NotDecided, RunnerError
from runner.model.execution import Level
from runner.model.state import State
from runner.tasks.context import FlowContext, Result
from runner.tasks.registry import flowable
from runner.tasks.work_folder import work_folder
from runner.tasks.working_directory_files import collect_outputs, stage_inputs


@flowable("io.kestra.plugin.core.flow.WorkingDirectory")
async def working_directory(ctx: FlowContext) -> Result | None:
    """Run `tasks` in order in one folder, as one job; keep its `outputFiles`."""
    properties = ctx.task.properties
    left = ctx.left_folder
    # It goes when the task's end is stored: its containers may be found in it after a crash.
    folder = await ctx.leaving.enter_async_context(work_folder(ctx, left))
    never_ran = Result(state=State.FAILED, alone=True, unbegun=True)
    if left is None:
        try:
            await stage_inputs(
                ctx, folder, properties.get("inputFiles"), properties.get("namespaceFiles")
            )
        except RunnerError as error:
            ctx.complain(error, "Failed preExecuteTasks on WorkingDirectory: ")
            return never_ran
    try:
        await ctx.run_in(folder, ctx.task.children())
        patterns = await ctx.texts("outputFiles")
        if patterns:
            # Its own `errors` and `finally` do not see them yet (flow-model 4.7).
            return Result(outputs={"outputFiles": await collect_outputs(ctx, folder, patterns)})
    except NotDecided:
        # Kestra's worker reports it as it got it, whatever has run in it.
        return never_ran
    except RunnerError as error:
        ctx.log(Level.ERROR, str(error))
        return Result(state=State.FAILED)
    return None

"""Tasks about executions, logs and triggers beside their own; all but Fetch need the daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from runner.errors import Conflict, TaskFailed
from runner.expr import is_truthy, to_json
from runner.model.execution import Execution, Level, new_id
from runner.model.state import State
from runner.model.times import instant_text, read_date, read_instant
from runner.tasks.context import Result, RunContext
from runner.tasks.host import host_of
from runner.tasks.needed import needed_text
from runner.tasks.registry import task
from runner.tasks.storage import store


@task("io.kestra.plugin.core.log.Fetch")
async def fetch(ctx: RunContext) -> Result | None:
    """Store the lines of an execution's log, by default its own, as a file of items."""
    execution_id = await ctx.text("executionId") or ctx.execution.id
    level = Level(await ctx.text("level") or Level.INFO)
    tasks = await ctx.texts("tasksId")
    lines = [
        line
        for line in await host_of(ctx).logs(execution_id)
        if line.level.rank >= level.rank and (not tasks or line.task_id in tasks)
    ]
    text = "".join(
        to_json(
            {
                "namespace": line.namespace,
                "flowId": line.flow_id,
                "taskId": line.task_id,
                "executionId": line.execution_id,
                "taskRunId": line.task_run_id,
                "attemptNumber": line.attempt,
                "triggerId": line.trigger_id,
                "timestamp": instant_text(line.date),
                "level": str(line.level),
                "message": line.message,
            }
        )
        + "\n"
        for line in lines
    )
    uri = await store(ctx, f"{new_id()}.ion", text.encode())
    return Result(outputs={"size": len(lines), "uri": uri})


@task("io.kestra.plugin.core.execution.Count")
async def count(ctx: RunContext) -> Result | None:
    """Count the executions of flows or of whole namespaces.

    `results` are the counts for which `expression` holds, which sees `count`, `namespace` and
    `flowId`; `total` is the sum of all.
    """
    since, until = await _moment(ctx, "startDate"), await _moment(ctx, "endDate")
    states = await _states(ctx)
    results: list[dict[str, Any]] = []
    total = 0
    for namespace, flow_id in await _counted(ctx):
        found = await host_of(ctx).executions(
            namespace=namespace, flow_id=flow_id, states=states, since=since, until=until
        )
        one = {"namespace": namespace, "flowId": flow_id, "count": len(found)}
        total += len(found)
        if is_truthy(await ctx.text("expression", **one)):
            results.append({key: value for key, value in one.items() if value is not None})
    return Result(outputs={"results": results, "total": total})


async def _counted(ctx: RunContext) -> list[tuple[str, str | None]]:
    """Namespaces, and flows in them, whose executions are counted; the own namespace if none."""
    flows: Any = await ctx.render(ctx.task.properties.get("flows") or [])
    named = [
        (str(flow["namespace"]), str(flow["flowId"]))
        for flow in cast("Sequence[Mapping[str, Any]]", flows)
    ]
    spaces = [(namespace, None) for namespace in await ctx.texts("namespaces")]
    return [*named, *spaces] or [(ctx.flow.namespace, None)]


async def _states(ctx: RunContext) -> list[State]:
    try:
        return [State(name) for name in await ctx.texts("states")]
    except ValueError as error:
        raise TaskFailed(f"states: {error}") from error


async def _moment(ctx: RunContext, name: str) -> datetime | None:
    """A property that is a moment or a day."""
    text = await ctx.text(name)
    if not text:
        return None
    try:
        if "T" in text:
            return read_instant(text)
        day = read_date(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError as error:
        raise TaskFailed(f"{name}: {error}") from error


@task("io.kestra.plugin.core.execution.Resume")
async def resume(ctx: RunContext) -> Result | None:
    """Resume a paused execution."""
    execution_id = await needed_text(ctx, "executionId")
    try:
        await host_of(ctx).resume(execution_id, await ctx.mapping("inputs"))
    except Conflict as error:
        ctx.log(Level.DEBUG, str(error))
        raise TaskFailed("The execution is not paused") from error
    return None


@task("io.kestra.plugin.core.trigger.Toggle")
async def toggle(ctx: RunContext) -> Result | None:
    """Enable or disable a trigger, by default one of the own flow."""
    await host_of(ctx).toggle(
        await ctx.text("namespace") or ctx.flow.namespace,
        await ctx.text("flowId") or ctx.flow.id,
        await needed_text(ctx, "trigger"),
        await ctx.flag("enabled"),
    )
    return None


@task("io.kestra.plugin.core.execution.PurgeExecutions")
async def purge_executions(ctx: RunContext) -> Result | None:
    """Delete executions that ended before `endDate`, with what belongs to them."""
    counts = {"executions": 0, "logs": 0, "metrics": 0, "files": 0}
    for execution in await _old(ctx, await _states(ctx)):
        purged = await host_of(ctx).purge(
            execution,
            execution_too=await ctx.flag("purgeExecution"),
            logs=await ctx.flag("purgeLog"),
            metrics=await ctx.flag("purgeMetric"),
            files=await ctx.flag("purgeStorage"),
        )
        counts = {name: number + purged.get(name, 0) for name, number in counts.items()}
    return Result(
        outputs={
            "executionsCount": counts["executions"],
            "logsCount": counts["logs"],
            "metricsCount": counts["metrics"],
            "storagesCount": counts["files"],
        }
    )


@task("io.kestra.plugin.core.log.PurgeLogs")
async def purge_logs(ctx: RunContext) -> Result | None:
    """Delete the logs of executions that ended before `endDate`; all levels at once."""
    if await ctx.texts("logLevels"):
        raise TaskFailed("`logLevels` is not supported: an execution's log is deleted as a whole")
    only = await ctx.text("executionId")
    deleted = 0
    for execution in await _old(ctx, ()):
        if only is None or execution.id == only:
            purged = await host_of(ctx).purge(
                execution, execution_too=False, logs=True, metrics=False, files=False
            )
            deleted += purged.get("logs", 0)
    return Result(outputs={"count": deleted})


async def _old(ctx: RunContext, states: Sequence[State]) -> list[Execution]:
    """Executions that have ended, of the flows and the time that the task names."""
    namespace, flow_id = await ctx.text("namespace"), await ctx.text("flowId")
    if flow_id and not namespace:
        raise TaskFailed("`flowId` needs `namespace` beside it")
    found = await host_of(ctx).executions(
        namespace=namespace,
        flow_id=flow_id,
        states=states,
        since=await _moment(ctx, "startDate"),
        until=await _moment(ctx, "endDate"),
    )
    return [
        execution
        for execution in found
        if execution.state.is_terminal and execution.id != ctx.execution.id
    ]

"""Lines of the execution's log: `log.Log`, and the deprecated `debug.Echo`."""

from __future__ import annotations

from typing import Any, cast

from runner.errors import TaskFailed
from runner.model.execution import Level
from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task

_JAVA_CLASSES = (
    (bool, "java.lang.Boolean"),
    (int, "java.lang.Integer"),
    (float, "java.lang.Double"),
    (dict, "java.util.LinkedHashMap"),
    (list, "java.util.ArrayList"),
)


@task("io.kestra.plugin.core.log.Log", pure=True)
async def log(ctx: RunContext) -> Result | None:
    """Write the message, or each message of a list, as a line of the log."""
    message = ctx.task.properties.get("message")
    level = await level_of(ctx)
    if isinstance(message, str):
        ctx.log(level, await ctx.render(message))
    elif isinstance(message, list):
        items = cast("list[Any]", message)
        for item in items:
            if not isinstance(item, str):
                raise _not_text(item)
            ctx.log(level, await ctx.render(item))
    else:
        # Kestra takes texts only (flow-model 5.1): a flow that works here must work there.
        raise TaskFailed(
            f"Invalid message type 'class {_java_class(message)}' "
            f"(in task {ctx.task.id}: put the value of `message` in quotes)"
        )
    return None


@task("io.kestra.plugin.core.debug.Echo", pure=True)
async def echo(ctx: RunContext) -> Result | None:
    """Write `format` as a line of the log."""
    text = await ctx.text("format")
    if text is None:
        raise TaskFailed(f"Cannot log nothing: give task {ctx.task.id} a `format`")
    ctx.log(await level_of(ctx), text)
    return None


async def level_of(ctx: RunContext) -> Level:
    """The task's property `level`, INFO if it has none."""
    name = await ctx.text("level")
    try:
        return Level(name or Level.INFO)
    except ValueError as error:
        known = ", ".join(Level)
        raise TaskFailed(f"Invalid value '{name}' of `level`: it is none of {known}") from error


def _java_class(value: Any) -> str:
    for kind, name in _JAVA_CLASSES:
        if isinstance(value, kind):
            return name
    return "java.lang.Object"


def _not_text(item: Any) -> TaskFailed:
    name = _java_class(item)
    return TaskFailed(
        f"class {name} cannot be cast to class java.lang.String ({name} and java.lang.String "
        "are in module java.base of loader 'bootstrap')"
    )

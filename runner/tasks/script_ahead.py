"""What the container of a script task will be, told before the task begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.model.convert import json_text
from runner.model.flow import Task
from runner.patterns import regex
from runner.runners.base import Command, Owner
from runner.tasks.context import RunContext
from runner.tasks.languages import language_of
from runner.tasks.python import may_install
from runner.tasks.script_runner import choose_place

_PLACE = ("taskRunner", "runner", "docker", "containerImage", "interpreter")
"""The properties that say where and how a script runs."""

_PACKAGES = ("dependencies", "beforeCommands", "pythonVersion", "packageManager", "env")
"""The properties that say which packages a script is given."""

_TEMPLATE = regex(r"\{[{%#]")
_KNOWN = regex(r"\{\{\s*(inputs|vars|globals|envs|flow|namespace)\.[\w.]+\s*\}\}")
"""Expressions that have the same value for every task of an execution."""


async def expect(ctx: RunContext, series: str) -> None:
    """Have a container stand by for the task, if what it needs is known; see `Command.series`.

    Raises:
        RunnerError: it cannot be told, or there is no engine.
    """
    properties = ctx.task.properties
    before = properties.get("beforeCommands")
    installs = properties.get("dependencies") or (before and _may_install(before))
    reads = ctx.runners.reads_of(wish_of(ctx.task)) if installs else ()
    if reads is None or not _is_known([properties.get(name) for name in _PLACE]):
        return
    _, language = language_of(ctx.task.type)
    place = await choose_place(ctx, language.user, {})
    interpreter = await ctx.texts("interpreter")
    if place.docker is None or not interpreter:
        return
    execution = ctx.execution
    command = Command(
        argv=[*interpreter, ""],
        workdir=ctx.shared_dir or ctx.settings.tmp_dir,
        owner=Owner(
            namespace=execution.namespace,
            flow_id=execution.flow_id,
            execution_id=execution.id,
            task_id=ctx.task.id,
            task_run_id="",
            attempt=0,
        ),
        series=series,
        reads=reads,
    )
    await ctx.runners.expect(place.docker, command)


def wish_of(task: Task) -> str:
    """A text that is the same for tasks that ask for the same packages, in the same words."""
    wished = [task.properties.get(name) for name in (*_PLACE, *_PACKAGES)]
    return json_text([task.type, *wished])


def _may_install(before: Any) -> bool:
    return not isinstance(before, list) or may_install([str(line) for line in before])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _is_known(value: Any) -> bool:
    """Whether a value depends on nothing that an execution's tasks give."""
    return all(not _TEMPLATE.search(_KNOWN.sub("", text)) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list() | tuple():
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                yield from _texts(item)
        case dict():
            for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
                yield from _texts(key)
                yield from _texts(item)
        case _:
            return

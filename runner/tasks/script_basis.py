"""What the result of a script follows from, beside its rendered properties."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import anyio.to_thread

from runner.errors import TaskFailed
from runner.tasks.context import RunContext
from runner.tasks.languages import language_of
from runner.tasks.script_runner import choose_place

_OF_THE_SHELL = frozenset(
    ("_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES", "TERM", "WINDOWID", "TTY", "GPG_TTY")
)
_OF_THE_SESSION = ("SSH_", "XDG_SESSION", "DBUS_SESSION", "EYAS_")


async def script_basis(ctx: RunContext) -> object:
    """What a script sees: its place, its image or environment, and the namespace files.

    Raises:
        RunnerError: it cannot be known beforehand.
    """
    properties = ctx.task.properties
    if properties.get("executionContext") or ctx.settings.refresh:
        raise TaskFailed("It sees all of the execution, or its packages are installed anew")
    _, language = language_of(ctx.task.type)
    place = await choose_place(ctx, language.user, {"workingDir": "-", "outputDir": "-"})
    named = await _namespaces(ctx)
    files = await anyio.to_thread.run_sync(_namespace_files, ctx, named) if named else []
    if place.docker is None:
        return [_environment(ctx.settings.environ), files]
    if place.docker.pull_policy == "ALWAYS":
        raise TaskFailed("Its image is pulled each time")
    # Only the image that is there: getting one is the task's own affair.
    local = replace(place.docker, pull_policy="NEVER")
    return [(await ctx.runners.image(local)).id, files]


def _environment(environ: Mapping[str, str]) -> list[list[str]]:
    """The variables that a process inherits, without those that each shell has its own of."""
    return [
        [name, value]
        for name, value in sorted(environ.items())
        if name not in _OF_THE_SHELL and not name.startswith(_OF_THE_SESSION)
    ]


async def _namespaces(ctx: RunContext) -> Sequence[str]:
    """The namespaces whose files the script gets."""
    raw = ctx.task.properties.get("namespaceFiles")
    if not isinstance(raw, Mapping):
        return ()
    read = cast("Mapping[str, Any]", await ctx.render(raw))
    named = read.get("namespaces")
    return [str(each) for each in named] if isinstance(named, list) else [ctx.execution.namespace]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # YAML border


def _namespace_files(ctx: RunContext, namespaces: Sequence[str]) -> list[list[str]]:
    """Every file of the namespaces, with what stands for its content."""
    found: list[list[str]] = []
    for namespace in namespaces:
        files = ctx.storage.namespace_files(namespace)
        for path in files.list():
            with files.path(path).open("rb") as file:
                found.append([namespace, path, hashlib.file_digest(file, "sha256").hexdigest()])
    return found

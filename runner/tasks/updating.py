"""Tasks that change their execution: SetVariables, UnsetVariables, Labels, Exit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from runner.errors import TaskFailed
from runner.model.convert import CastFailed
from runner.model.execution import Label, Level
from runner.model.jsons import read_json
from runner.model.merging import merged
from runner.model.state import State
from runner.tasks.context import FlowContext, Result
from runner.tasks.registry import updating

_EXECUTION = "io.kestra.plugin.core.execution"

_EXITS = {
    "SUCCESS": State.SUCCESS,
    "WARNING": State.WARNING,
    "FAILED": State.FAILED,
    "KILLED": State.KILLED,
    "CANCELED": State.CANCELLED,
    "CANCELLED": State.CANCELLED,
}
"""The states in which an Exit ends an execution."""


def _variables(ctx: FlowContext) -> Mapping[str, Any]:
    current = ctx.execution.variables
    return current if current is not None else ctx.flow.variables or {}


@updating(f"{_EXECUTION}.SetVariables")
async def set_variables(ctx: FlowContext) -> None:
    """Merge `variables` into those of the execution."""
    given = await _given_variables(ctx)
    current = _variables(ctx)
    overwrite = await ctx.flag("overwrite")
    there = [key for key in given if key in current]
    if there and not overwrite:
        raise TaskFailed(
            "`overwrite` is set to false and the following variables already exist: "
            + ",".join(there)
        )
    await ctx.update(variables=merged(current, given))


async def _given_variables(ctx: FlowContext) -> Mapping[str, Any]:
    """The property `variables`: a map, or a text that is one in JSON."""
    given: Any = await ctx.render(ctx.task.properties.get("variables") or {})
    if not isinstance(given, str):
        return given
    try:
        read: Any = read_json(given)
    except ValueError as error:
        raise TaskFailed(f"Invalid JSON in 'variables': {error}") from error
    if not isinstance(read, dict):
        raise TaskFailed("variables: a map, or the JSON text of one, is needed")
    return cast("Mapping[str, Any]", read)


def _copied(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value
        for key, value in variables.items()
    }


@updating(f"{_EXECUTION}.UnsetVariables")
async def unset_variables(ctx: FlowContext) -> None:
    """Remove variables by name or dotted path."""
    variables = _copied(_variables(ctx))
    for path in await ctx.texts("variables"):
        *parents, last = path.split(".")
        node: Any = variables
        for name in parents:
            inner = node.get(name) if isinstance(node, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # a tree of maps
            if not isinstance(inner, dict):
                # Kestra fails here whatever `ignoreMissing` says (flow-model 5.1).
                raise TaskFailed(f"Cannot unset '{path}': there is no variable '{name}' with keys")
            node[name] = node = dict(inner)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # a tree of maps
        node.pop(last, None)  # pyright: ignore[reportUnknownMemberType] # a tree of maps
    await ctx.update(variables=variables)


@updating(f"{_EXECUTION}.Labels")
async def labels(ctx: FlowContext) -> None:
    """Add labels to the execution."""
    await ctx.update(labels=await _labels(ctx))


async def _labels(ctx: FlowContext) -> list[Label]:
    given: Any = ctx.task.properties.get("labels")
    pairs: list[tuple[Any, Any]]
    if isinstance(given, str):
        try:
            parsed: Any = json.loads(await ctx.render(given))
        except ValueError as error:
            raise TaskFailed(f"Invalid JSON in 'labels': {error}") from error
        given = parsed
        pairs = list(cast("dict[Any, Any]", given).items()) if isinstance(given, dict) else []
    elif isinstance(given, Mapping):
        pairs = list(cast("Mapping[Any, Any]", given).items())
    else:
        entries = cast("list[Mapping[str, Any]]", given or [])
        pairs = [(entry.get("key"), entry.get("value")) for entry in entries]
    found: list[Label] = []
    for key, value in pairs:
        if not isinstance(value, str) or not isinstance(key, str):
            ctx.log(Level.DEBUG, f"Label '{key}' must be a text: put its value in quotes")
            raise TaskFailed(str(CastFailed(value)))
        found.append(Label(await ctx.render(key), await ctx.render(value)))
    empty = next((label for label in found if not label.value), None)
    if empty is not None:
        raise TaskFailed(f"Label values cannot be empty, offending label: {empty.key}")
    system = [label for label in found if label.key.startswith("system.")]
    if system:
        offending = ", ".join(f"{label.key}={label.value}" for label in system)
        raise TaskFailed(
            f"System labels can only be set by Kestra itself, offending label: {offending}"
        )
    return found


@updating(f"{_EXECUTION}.Exit")
async def exit_(ctx: FlowContext) -> Result:
    """End the execution at once in `state`."""
    word = await ctx.text("state") or "SUCCESS"
    state = _EXITS.get(word)
    if state is None:
        raise TaskFailed(f"Invalid state '{word}' for Exit: one of {', '.join(_EXITS)} is needed")
    await ctx.end_execution(state)
    return Result(state=state)

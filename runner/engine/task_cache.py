"""`taskCache`: a task that would do the same as before is not run again (flow-model 1.4)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio.to_thread

from runner.engine.creation import id_for
from runner.errors import NotFound, RunnerError
from runner.expr import to_json
from runner.model import convert
from runner.model.execution import Level, Outputs
from runner.model.state import State
from runner.storage.atomic import publish
from runner.tasks.context import Result

if TYPE_CHECKING:
    from runner.engine.context import Context

_SCHEME = "kestra:///"


async def cached(context: Context, work: Callable[[], Awaitable[Result | None]]) -> Result | None:
    """The result kept from an earlier run with the same rendered properties, or that of `work`."""
    options = context.task.task_cache or {}
    if options.get("enabled") is not True:
        return await work()
    file = await _file(context)
    if file is None:
        return await work()
    kept = await anyio.to_thread.run_sync(_read, file)
    if kept is not None and not _is_old(context, file, options):
        outputs = await _restored(context, kept)
        if outputs is not None:
            context.log(
                Level.INFO,
                f"Skipping task execution for task '{context.task.id}' as there is an existing "
                "cache entry for it",
            )
            return Result(outputs=outputs)
    result = await work()
    if result is None or result.state in (None, State.SUCCESS):
        context.log(Level.INFO, f"Uploading a cache entry for task '{context.task.id}'")
        data = to_json(dict(result.outputs or {}) if result else {}).encode()
        temps = context.storage.root / ".tmp"
        await anyio.to_thread.run_sync(publish, file, data, temps)
    return result


async def _file(context: Context) -> Path | None:
    """Where the entry of these properties is kept; None if they cannot be rendered."""
    task, run = context.task, context.task_run
    try:
        rendered = await context.render(dict(task.properties))
    except RunnerError:
        return None  # the task itself will say what is wrong
    key = id_for(to_json({"type": task.type, "properties": rendered}))
    home = context.storage.task_cache(run.namespace, run.flow_id, run.task_id, run.value)
    return home.with_name(f"outputs-{key}.json")


def _read(file: Path) -> Outputs | None:
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        return None


def _is_old(context: Context, file: Path, options: Mapping[str, Any]) -> bool:
    ttl = options.get("ttl")
    if ttl is None:
        return False
    age_s = context.now().timestamp() - file.stat().st_mtime
    return age_s > convert.duration(ttl).total_seconds()


async def _restored(context: Context, kept: Any) -> Any:
    """The outputs with their files stored again for this run; None if a file is gone."""
    try:
        return await anyio.to_thread.run_sync(_copied, context, kept)
    except NotFound:
        return None


def _copied(context: Context, value: Any) -> Any:
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return {key: _copied(context, item) for key, item in entries.items()}
    if isinstance(value, list):
        return [_copied(context, item) for item in cast("list[Any]", value)]
    if isinstance(value, str) and value.startswith(_SCHEME):
        source = context.storage.open(value)
        return context.storage.put(context.execution, context.task_run, source.name, source)
    return value

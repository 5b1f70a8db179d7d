"""The key-value store: `kv.Set`, `kv.Get`, `kv.GetKeys`, `kv.Delete`, `kv.PurgeKV`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, cast

import anyio.to_thread

from runner.errors import NotFound, TaskFailed
from runner.expr import to_json
from runner.model.jsons import read_json
from runner.model.texts import java_text
from runner.model.times import duration_text, instant_text, read_duration, read_instant
from runner.storage.kv import KvType
from runner.tasks.context import Result, RunContext
from runner.tasks.globs import Matches, glob
from runner.tasks.host import host_of
from runner.tasks.json_array import read_value
from runner.tasks.needed import needed_text
from runner.tasks.registry import task


@task("io.kestra.plugin.core.kv.Set")
async def set_(ctx: RunContext) -> Result | None:
    """Give a key a value; a value that is one lone expression keeps its type."""
    key, namespace = await needed_text(ctx, "key"), await _namespace(ctx)
    kind = await _kind(ctx)
    await anyio.to_thread.run_sync(
        partial(
            ctx.kv.set,
            namespace,
            key,
            _converted(await _value(ctx), kind),
            type=kind,
            ttl=await ctx.duration("ttl"),
            description=await ctx.text("kvDescription"),
            overwrite=await ctx.flag("overwrite"),
        )
    )
    return None


@task("io.kestra.plugin.core.kv.Get")
async def get(ctx: RunContext) -> Result | None:
    """Give the value of a key; from the flow's namespace on, those above are searched too."""
    key, namespace = await needed_text(ctx, "key"), await _namespace(ctx)
    named = namespace if namespace != ctx.flow.namespace else None
    entry = await anyio.to_thread.run_sync(ctx.kv.find_living, named, ctx.flow.namespace, key)
    if entry is None and await ctx.flag("errorOnMissing"):
        raise _missing(key, namespace)
    if entry is None or entry.value is None:
        return None
    value = entry.value
    if entry.type is KvType.DURATION:
        # As an output Kestra writes a duration as a number of seconds.
        value = read_duration(value).total_seconds()
    return Result(outputs={"value": value})


@task("io.kestra.plugin.core.kv.GetKeys")
async def get_keys(ctx: RunContext) -> Result | None:
    """Give the keys that begin with a prefix."""
    namespace, prefix = await _namespace(ctx), await ctx.text("prefix") or ""
    keys = await anyio.to_thread.run_sync(ctx.kv.keys, namespace, prefix)
    return Result(outputs={"keys": keys})


@task("io.kestra.plugin.core.kv.Delete")
async def delete(ctx: RunContext) -> Result | None:
    """Delete a key, and say whether it was there."""
    key, namespace = await needed_text(ctx, "key"), await _namespace(ctx)
    deleted = await anyio.to_thread.run_sync(ctx.kv.delete, namespace, key)
    if not deleted and await ctx.flag("errorOnMissing"):
        raise _missing(key, namespace)
    return Result(outputs={"deleted": deleted})


@task("io.kestra.plugin.core.kv.PurgeKV")
async def purge(ctx: RunContext) -> Result | None:
    """Delete keys of whole namespaces, only expired ones unless it says otherwise."""
    behavior = ctx.task.properties.get("behavior")
    if behavior is None:
        flag = ctx.task.properties.get("expiredOnly")
        expired_only = flag is None or await ctx.flag("expiredOnly")
    else:
        given: Any = await ctx.render(behavior)
        options = cast("Mapping[str, Any]", read_json(given) if isinstance(given, str) else given)
        if options.get("type", "key") != "key":
            raise TaskFailed("behavior: only `type: key` is supported; keys have one version here")
        expired_only = java_text(options.get("expiredOnly", True)) == "true"
    pattern = await ctx.text("keyPattern")
    matches = _glob(pattern) if pattern else None
    namespaces = await purged_namespaces(ctx, await anyio.to_thread.run_sync(ctx.kv.namespaces))
    size = await anyio.to_thread.run_sync(_purge, ctx, namespaces, expired_only, matches)
    return Result(outputs={"size": size})


def _purge(
    ctx: RunContext, namespaces: Sequence[str], expired_only: bool, matches: Matches | None
) -> int:
    purged = 0
    for namespace in namespaces:
        for entry in ctx.kv.entries(namespace, expired=True):
            if expired_only and not entry.is_expired(ctx.now()):
                continue
            if matches is None or matches(entry.key):
                ctx.kv.delete(namespace, entry.key)
                purged += 1
    return purged


async def purged_namespaces(ctx: RunContext, known: Sequence[str]) -> list[str]:
    """Which of the namespaces `known` the properties of a purge task mean; all if none is named."""
    named = await ctx.texts("namespaces")
    pattern = await ctx.text("namespacePattern")
    if pattern:
        return list(filter(_glob(pattern), known))
    if not named:
        return list(known)
    below = await ctx.flag("includeChildNamespaces")
    return [
        namespace
        for namespace in known
        if namespace in named
        or (below and any(namespace.startswith(f"{above}.") for above in named))
    ]


def _missing(key: str, namespace: str) -> TaskFailed:
    return TaskFailed(
        f"No value found for key '{key}' in namespace '{namespace}' "
        "and `errorOnMissing` is set to true"
    )


async def _namespace(ctx: RunContext) -> str:
    """The namespace whose keys are meant; it must have a flow, or one below it must."""
    namespace = await needed_text(ctx, "namespace")
    own = ctx.flow.namespace
    if namespace == own or own.startswith(f"{namespace}."):
        return namespace
    known = host_of(ctx).namespaces()
    if not any(name == namespace or name.startswith(f"{namespace}.") for name in known):
        raise NotFound(f"Cannot access the KV store. The namespace '{namespace}' does not exist.")
    return namespace


async def _kind(ctx: RunContext) -> KvType | None:
    name = await ctx.text("kvType")
    return None if not name else KvType(name)


async def _value(ctx: RunContext) -> Any:
    """The rendered `value`, JSON-like; one that is no text in the flow becomes JSON text."""
    given: Any = ctx.task.properties.get("value")
    if not isinstance(given, str):
        # Kestra keeps such a property as text (flow-model 1.7): 5 is stored as "5".
        given = to_json(given)
    value: Any = await ctx.render_typed(given)
    if value is None or isinstance(value, str | int | float):
        return value
    return json.loads(to_json(value))


def _converted(value: Any, kind: KvType | None) -> Any:
    """A text as the type that the task names; values that are no text stay."""
    if kind is None or not isinstance(value, str):
        return value
    try:
        return _read(value, kind)
    except ValueError as error:
        raise TaskFailed(str(error)) from error


def _read(text: str, kind: KvType) -> Any:
    match kind:
        case KvType.NUMBER:
            number = read_value(text)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError(f"Cannot deserialize value of type number from `{text}`")
            return number
        case KvType.BOOLEAN:
            return text.lower() == "true"
        case KvType.DATETIME | KvType.DATE:
            # Kestra reads a DATE as an instant too, so a plain date fails.
            return instant_text(read_instant(text))
        case KvType.DURATION:
            duration: timedelta = read_duration(text)
            return duration_text(duration)
        case KvType.JSON:
            return read_value(text)
        case KvType.STRING:
            return text


def _glob(pattern: str) -> Matches:
    """Match whole names against a glob."""
    expression = re.compile(glob(pattern), re.DOTALL)
    return lambda name: expression.fullmatch(name) is not None

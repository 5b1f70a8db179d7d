"""`metric.Publish`: metrics that a flow states itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from runner.errors import TaskFailed
from runner.expr import to_json
from runner.model import convert
from runner.model.jsons import read_json
from runner.tasks.context import Result, RunContext
from runner.tasks.registry import task


@task("io.kestra.plugin.core.metric.Publish")
async def publish(ctx: RunContext) -> Result | None:
    """Record each of the metrics: counters add up, timers and gauges are values of their own."""
    given: Any = await ctx.render(ctx.task.properties.get("metrics") or [])
    if isinstance(given, str):
        given = read_json(given)
    for metric in cast("list[Mapping[str, Any]]", given):
        _record(ctx, metric)
    return None


def _record(ctx: RunContext, metric: Mapping[str, Any]) -> None:
    name, kind, value = metric.get("name"), metric.get("type"), metric.get("value")
    tags = cast("Mapping[str, Any]", metric.get("tags") or {})
    texts = {key: convert.text(tag) or "" for key, tag in tags.items()}
    if not isinstance(name, str) or value is None:
        raise TaskFailed(f"A metric needs `name` and `value`: {to_json(metric)}")
    try:
        if kind == "timer":
            ctx.time(name, convert.duration(value), **texts)
        elif kind == "counter":
            ctx.count(name, convert.number(value), **texts)
        elif kind == "gauge":
            ctx.gauge(name, convert.number(value), **texts)
        else:
            raise TaskFailed(f"Metric '{name}': `{kind}` is none of counter, timer, gauge")
    except ValueError as error:
        raise TaskFailed(f"Metric '{name}': {error}") from error

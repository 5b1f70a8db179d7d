"""Figures for Prometheus, under Kestra's names where it has one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
from aiohttp import web

from runner.api.services import services
from runner.api.shapes import TENANT
from runner.store.figures import Figures
from runner.store.sqlite import SqliteStore

ROOT = web.RouteTableDef()

_REST = 20
"""Counting takes one part in so many of the time at most."""


class Counts:
    """What was counted last. Counting again waits longer the longer it took.

    With a hundred thousand executions it takes half a second, and the figures may be ten seconds
    old; with a few they are always new.
    """

    def __init__(self) -> None:
        self._figures: Figures | None = None
        self._until = 0.0
        self._turn = anyio.Lock()

    async def figures(self, store: SqliteStore) -> Figures:
        """Figures of what is stored, or was a moment ago."""
        async with self._turn:
            begin = time.monotonic()
            if self._figures is None or begin >= self._until:
                self._figures = await store.figures()
                took = time.monotonic() - begin
                self._until = begin + took * _REST if took > _NOTHING_S else 0.0
            return self._figures


_NOTHING_S = 0.02
"""Counting that takes no longer is done each time."""

COUNTS = web.AppKey("counts", Counts)


@ROOT.get("/metrics")
@ROOT.get("/prometheus")
async def metrics(request: web.Request) -> web.Response:
    """Figures as Prometheus reads them, counted from what is stored."""
    api = services(request)
    figures = await request.app[COUNTS].figures(api.store)
    triggers = len(api.triggers.all())
    flows = sum(1 for _ in api.flows.all())
    lines = [*_executions(figures), *_gauges(figures, triggers, flows)]
    return web.Response(
        text="\n".join([*lines, ""]),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


def _executions(figures: Figures) -> Iterator[str]:
    yield from _head("kestra_executor_execution_started_count_total", "counter", "Executions")
    for (namespace, flow_id), count in sorted(figures.started.items()):
        labels = _labels(namespace_id=namespace, flow_id=flow_id, tenant_id=TENANT)
        yield f"kestra_executor_execution_started_count_total{labels} {count}"
    yield from _head("kestra_executor_execution_end_count_total", "counter", "Ended executions")
    for ended in figures.ended:
        yield f"kestra_executor_execution_end_count_total{_labels(**ended.labels)} {ended.count}"
    yield from _head("kestra_executor_execution_duration_seconds", "summary", "Their duration")
    for ended in figures.ended:
        labels = _labels(**ended.labels)
        yield f"kestra_executor_execution_duration_seconds_count{labels} {ended.count}"
        yield f"kestra_executor_execution_duration_seconds_sum{labels} {ended.seconds:.6f}"


def _gauges(figures: Figures, triggers: int, flows: int) -> Iterator[str]:
    for name, text, value in (
        ("kestra_worker_job_running", "Executions that run", figures.running),
        ("kestra_worker_job_pending", "Executions that wait to begin", figures.waiting),
        ("kestra_scheduler_trigger_count", "Triggers in service", triggers),
        ("eyas_flows", "Flows in service", flows),
        ("eyas_store_bytes", "Size of the store's files", figures.store_bytes),
    ):
        yield from _head(name, "gauge", text)
        yield f"{name} {value}"


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}.", f"# TYPE {name} {kind}"


def _labels(**labels: str) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

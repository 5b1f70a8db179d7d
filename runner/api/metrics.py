"""Metrics of executions, and what they come to over days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from runner.api.answers import json_response
from runner.api.filters import moment, paging
from runner.api.services import BadRequest, services
from runner.api.shapes import metric_json, page
from runner.store.rows import stamp

ROUTES = web.RouteTableDef()

_AGGREGATES = {"sum": "sum", "avg": "avg", "min": "min", "max": "max"}


@ROUTES.get("/metrics/{execution}")
async def of_execution(request: web.Request) -> web.Response:
    """A page of an execution's metrics."""
    run, task = request.query.get("taskRunId"), request.query.get("taskId")
    found = [
        metric
        for metric in await services(request).store.metrics(request.match_info["execution"])
        if run in (None, "", metric.task_run_id) and task in (None, "", metric.task_id)
    ]
    limit, offset = paging(request)
    shown = [metric_json(metric) for metric in found[offset : offset + limit]]
    return json_response(page(shown, len(found)))


@ROUTES.get("/metrics/names/{namespace}/{id}")
@ROUTES.get("/metrics/names/{namespace}/{id}/{task}")
async def names(request: web.Request) -> web.Response:
    """Names of the metrics that a flow, or one task of it, ever gave."""
    return json_response(await _distinct(request, "name"))


@ROUTES.get("/metrics/tasks/{namespace}/{id}")
async def tasks(request: web.Request) -> web.Response:
    """Ids of the tasks of a flow that ever gave a metric."""
    return json_response(await _distinct(request, "task_id"))


@ROUTES.get("/metrics/aggregates/{namespace}/{id}/{metric}")
@ROUTES.get("/metrics/aggregates/{namespace}/{id}/{task}/{metric}")
async def aggregates(request: web.Request) -> web.Response:
    """A metric's value of each day: its sum, average, least or greatest."""
    aggregation = request.query.get("aggregation", "sum").lower()
    if aggregation not in _AGGREGATES:
        raise BadRequest(f"Bad Request: unknown aggregation '{aggregation}'")
    end = moment(request.query["endDate"]) if request.query.get("endDate") else datetime.now(UTC)
    start = request.query.get("startDate")
    begin = moment(start) if start else end - timedelta(days=30)
    where, values = _of_flow(request)
    sql = (
        f"SELECT substr(date, 1, 10) AS day, {_AGGREGATES[aggregation]}(value) FROM metrics"
        f" WHERE {where} AND name = ? AND date >= ? AND date <= ? GROUP BY day ORDER BY day"
    )
    metric = request.match_info["metric"]
    rows = await services(request).store.search_metrics(
        sql, [*values, metric, stamp(begin), stamp(end)]
    )
    found = dict(rows)
    days = [begin + timedelta(days=n) for n in range((end.date() - begin.date()).days + 1)]
    shown = [
        {"name": metric, "value": found.get(f"{day:%Y-%m-%d}"), "date": f"{day:%Y-%m-%d}T00:00:00Z"}
        for day in days[:1000]
    ]
    return json_response(
        {
            "groupBy": "day",
            "aggregations": [
                {key: value for key, value in each.items() if value is not None} for each in shown
            ],
        }
    )


async def _distinct(request: web.Request, column: str) -> list[Any]:
    where, values = _of_flow(request)
    sql = (
        f"SELECT DISTINCT {column} FROM metrics WHERE {where} AND {column} IS NOT NULL"
        f" ORDER BY {column}"
    )
    return [row[0] for row in await services(request).store.search_metrics(sql, values)]


def _of_flow(request: web.Request) -> tuple[str, Sequence[Any]]:
    """The flow, and the task if there is one, of the path, as SQL."""
    at = request.match_info
    values = [at["namespace"], at["id"]]
    if "task" in at:
        return "namespace = ? AND flow_id = ? AND task_id = ?", [*values, at["task"]]
    return "namespace = ? AND flow_id = ?", values

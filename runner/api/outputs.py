"""Outputs of executions, where clients of 2.0 look for them."""

from __future__ import annotations

from aiohttp import web

from runner.api.answers import json_response
from runner.api.executions import flow_that_ran
from runner.api.services import services
from runner.api.shapes import Json, execution_json, task_run_json
from runner.errors import NotFound

ROUTES = web.RouteTableDef()


@ROUTES.get("/outputs/executions/{execution}")
async def of_flow(request: web.Request) -> web.Response:
    """The outputs of an execution's flow."""
    api = services(request)
    execution = await api.store.execution(request.match_info["execution"])
    document = execution_json(execution, [], flow_that_ran(api, execution))
    return json_response(document.get("outputs") or {})


@ROUTES.get("/outputs/{execution}")
async def index(request: web.Request) -> web.Response:
    """The task runs of an execution that have outputs."""
    _, runs = await services(request).store.found(request.match_info["execution"])
    answer: list[Json] = []
    for run in runs:
        if run.outputs:
            entry = {
                "taskId": run.task_id,
                "taskRunId": run.id,
                "value": run.value,
                "iteration": run.iteration,
            }
            answer.append({key: value for key, value in entry.items() if value is not None})
    return json_response(answer)


@ROUTES.get("/outputs/{execution}/{taskRun}")
async def of_task_run(request: web.Request) -> web.Response:
    """The outputs of one task run."""
    _, runs = await services(request).store.found(request.match_info["execution"])
    for run in runs:
        if run.id == request.match_info["taskRun"]:
            return json_response(task_run_json(run)["outputs"])
    raise NotFound(f"Task run '{request.match_info['taskRun']}' not found")

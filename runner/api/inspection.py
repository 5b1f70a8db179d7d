"""Looked at before it is done: inputs without a start or a resume, expressions of an execution."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
from aiohttp import web

from runner.api.answers import json_response
from runner.api.executions import flow_to_run
from runner.api.flow_shapes import input_json
from runner.api.forms import files_among, form
from runner.api.services import BadRequest, number, services
from runner.api.shapes import Json, plain
from runner.engine.by_hand import check_resume, check_start, evaluate
from runner.engine.input_tree import ENCRYPTED
from runner.engine.inputs import Checked
from runner.errors import NotFound, RenderFailed
from runner.model.execution import Execution

ROUTES = web.RouteTableDef()

MAX_EXPRESSION_BYTES = 1024 * 1024
"""Longest expression that is evaluated for a caller."""


@ROUTES.post("/executions/{namespace}/{id}/validate")
async def validate(request: web.Request) -> web.Response:
    """What a flow's inputs would be with these values; `{execution}/resume` is one too."""
    api = services(request)
    first, second = request.match_info["namespace"], request.match_info["id"]
    if second == "resume":
        try:
            return await check_of_resume(request, await api.store.execution(first))
        except NotFound:
            if api.flows.path(first, second) is None:
                raise
    flow = flow_to_run(api, first, second, number(request, "revision"))
    async with form(request, files_among(flow.inputs)) as given:
        found = await check_start(api.engine, flow, given)
    return json_response({"id": flow.id, "namespace": flow.namespace} | _document(found))


@ROUTES.post("/executions/{execution}/actions/resume/validate")
async def validate_resume(request: web.Request) -> web.Response:
    """What the inputs that a pause asks for would be with these values."""
    execution = await services(request).store.execution(request.match_info["execution"])
    return await check_of_resume(request, execution)


async def check_of_resume(request: web.Request, execution: Execution) -> web.Response:
    """The answer to what a resume with the request's form would give."""
    api = services(request)
    flow = api.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)
    every = frozenset[str]()  # parts with a file name are files by themselves
    async with form(request, every) as given:
        found = await check_resume(api.engine, flow, execution, given)
    return json_response({"id": flow.id, "namespace": flow.namespace} | _document(found))


@ROUTES.post("/executions/{execution}/eval/{taskRun}")
@ROUTES.post("/executions/{execution}/actions/eval/{taskRun}")
async def evaluate_for_task(request: web.Request) -> web.Response:
    """What an expression gives as one task run sees it; secrets are hidden."""
    execution = await services(request).store.execution(request.match_info["execution"])
    return await evaluate_for(request, execution)


async def evaluate_for(request: web.Request, execution: Execution) -> web.Response:
    """What an expression gives as the execution's flow, or a task run of it, sees it."""
    api = services(request)
    body = await request.read()
    if len(body) > MAX_EXPRESSION_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_EXPRESSION_BYTES, len(body))
    try:
        expression = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest("Bad Request: the expression is not UTF-8") from error
    run = request.match_info.get("taskRun")
    runs = await api.store.task_runs(execution.id)
    flow = api.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)

    def work() -> str:
        return evaluate(api.engine, flow, execution, runs, expression, run)

    try:
        result = await anyio.to_thread.run_sync(work)
    except RenderFailed as error:
        return json_response({"error": str(error), "stackTrace": ""})
    return json_response({"result": plain(result)})


def _document(found: Sequence[Checked]) -> Json:
    return {"inputs": [_checked_json(each) for each in found], "checks": []}


def _checked_json(each: Checked) -> Json:
    secret = "SECRET" in (each.declared.type, each.declared.properties.get("itemType"))
    document: Json = {
        "input": input_json(each.declared),
        "value": dict(ENCRYPTED) if secret and each.value is not None else plain(each.value),
        "enabled": each.enabled,
        "isDefault": each.is_default,
        "errors": [{"message": each.error}] if each.error is not None else [],
    }
    return {key: value for key, value in document.items() if value is not None}

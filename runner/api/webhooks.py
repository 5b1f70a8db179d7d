"""Calls of webhooks: the key in the path is all the caller needs to know."""

from __future__ import annotations

from aiohttp import web

from runner.api.answers import empty, json_response
from runner.api.executions import InputsRefused, flow_that_ran, url_of
from runner.api.services import services
from runner.api.shapes import Json, execution_json
from runner.errors import Conflict, FlowInvalid, InputInvalid
from runner.triggers.webhook import WebhookRequest

ROUTES = web.RouteTableDef()

_SHOWN = ("tenantId", "id", "namespace", "flowId", "flowRevision", "trigger", "labels", "state")


async def webhook(request: web.Request) -> web.Response:
    """Start the flow that has this webhook."""
    at = request.match_info
    call = WebhookRequest(
        body=await request.read(),
        headers={name: request.headers.getall(name) for name in request.headers},
        parameters={name: request.query.getall(name) for name in request.query},
    )
    try:
        answer = await services(request).triggers.webhook(
            at["namespace"], at["id"], at["key"], call
        )
    except InputInvalid as error:
        raise InputsRefused(str(error)) from error
    except FlowInvalid as error:
        raise Conflict(str(error)) from error
    execution = answer.execution
    if execution is None:
        return empty(204)
    document = execution_json(execution, [], flow_that_ran(services(request), execution))
    shown: Json = {name: document[name] for name in _SHOWN if name in document}
    if answer.waited and "outputs" in document:
        shown["outputs"] = document["outputs"]
    shown["url"] = url_of(request, execution)
    response = json_response(document.get("outputs", {}) if answer.outputs_only else shown)
    if answer.content_type:
        response.headers["Content-Type"] = answer.content_type
    return response


for _path in ("", "/{path:.*}"):
    for _method in ("GET", "POST", "PUT"):
        _pattern = f"/executions/webhook/{{namespace}}/{{id}}/{{key}}{_path}"
        ROUTES.route(_method, _pattern)(webhook)

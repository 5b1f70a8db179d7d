"""Calls of webhooks: the key in the path is all the caller needs to know."""

from __future__ import annotations

from aiohttp import web

from runner.api.answers import empty, json_response
from runner.api.executions import flow_to_run, url_of
from runner.api.services import services
from runner.api.shapes import Json, execution_json
from runner.triggers.webhook import Call, call_webhook, find_webhook

ROUTES = web.RouteTableDef()

_SHOWN = ("tenantId", "id", "namespace", "flowId", "flowRevision", "trigger", "labels", "state")


async def webhook(request: web.Request) -> web.Response:
    """Start the flow that has this webhook."""
    api, at = services(request), request.match_info
    flow = flow_to_run(api, at["namespace"], at["id"])
    trigger = find_webhook(api.engine, flow, at["key"])
    call = Call(
        body=await request.text(),
        headers={name: request.headers.getall(name) for name in request.headers},
        parameters={name: request.query.getall(name) for name in request.query},
    )
    execution = await call_webhook(api.engine, flow, trigger, call)
    if execution is None:
        return empty(204)
    waited = trigger.properties.get("wait") in (True, "true")
    if waited:
        execution = await api.engine.wait(execution.id)
        if trigger.properties.get("returnOutputs") in (True, "true"):
            return json_response(execution_json(execution, []).get("outputs") or {})
    document = execution_json(execution, [], flow)
    answer: Json = {name: document[name] for name in _SHOWN if name in document}
    if waited and "outputs" in document:
        answer["outputs"] = document["outputs"]
    return json_response(answer | {"url": url_of(request, execution)})


for _path in ("", "/{path:.*}"):
    for _method in ("GET", "POST", "PUT"):
        _pattern = f"/executions/webhook/{{namespace}}/{{id}}/{{key}}{_path}"
        ROUTES.route(_method, _pattern)(webhook)

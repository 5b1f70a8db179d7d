"""Triggers: where they stand, switched off and on, backfilled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from runner.api.answers import json_response
from runner.api.filters import conditions, moment, paging, text_of
from runner.api.flow_shapes import trigger_json
from runner.api.forms import checked_label
from runner.api.services import BadRequest, flag, services
from runner.api.shapes import Json, instant, labels_json, page, plain
from runner.model.triggers import Backfill, TriggerName
from runner.store.search import Condition
from runner.triggers.triggers import Triggers, TriggerView

ROUTES = web.RouteTableDef()


@ROUTES.get("/triggers/search")
async def search(request: web.Request) -> web.Response:
    """A page of the triggers of all flows."""
    wanted = conditions(request)
    found = [view for view in _sorted(services(request).triggers) if _meets(view, wanted)]
    limit, offset = paging(request)
    shown: list[Json] = []
    for view in found[offset : offset + limit]:
        declared, state = trigger_json(view.trigger), state_json(view)
        shown.append(
            {
                "abstractTrigger": declared,
                "triggerContext": state,
                "trigger": declared,
                "state": state,
            }
        )
    return json_response(page(shown, len(found)))


@ROUTES.get("/triggers/{namespace}/{id}")
async def of_flow(request: web.Request) -> web.Response:
    """A page of where the triggers of a flow stand."""
    name = (request.match_info["namespace"], request.match_info["id"])
    text = request.query.get("q", "")
    found = [
        view
        for view in _sorted(services(request).triggers)
        if (view.flow.namespace, view.flow.id) == name and text in view.trigger.id
    ]
    limit, offset = paging(request)
    shown = [state_json(view) for view in found[offset : offset + limit]]
    return json_response(page(shown, len(found)))


@ROUTES.put("/triggers")
async def update(request: web.Request) -> web.Response:
    """Switch a trigger off or on, or begin the backfill that the body holds."""
    triggers, body = services(request).triggers, await _body(request)
    name = _name(body)
    view = triggers.find(name)
    disabled = body.get("disabled")
    if isinstance(disabled, bool) and disabled != view.state.disabled:
        view = await triggers.set_disabled(name, disabled)
    if body.get("backfill") and view.state.backfill is None:
        view = await _backfill(triggers, name, body["backfill"])
    return json_response(state_json(view))


@ROUTES.put("/triggers/set-disabled")
async def set_disabled(request: web.Request) -> web.Response:
    """Switch a trigger off or on."""
    body = await _body(request)
    view = await services(request).triggers.set_disabled(_name(body), bool(body.get("disabled")))
    return json_response(state_json(view))


@ROUTES.put("/triggers/backfill/create")
async def create_backfill(request: web.Request) -> web.Response:
    """Begin a backfill."""
    body = await _body(request)
    view = await _backfill(services(request).triggers, _name(body), body.get("backfill", body))
    return json_response(state_json(view))


@ROUTES.put("/triggers/backfill/pause")
async def pause_backfill(request: web.Request) -> web.Response:
    """Pause a backfill."""
    return await _with_backfill(request, lambda t, name: t.pause_backfill(name))


@ROUTES.put("/triggers/backfill/unpause")
async def unpause_backfill(request: web.Request) -> web.Response:
    """Go on with a backfill."""
    return await _with_backfill(request, lambda t, name: t.pause_backfill(name, paused=False))


@ROUTES.post("/triggers/backfill/delete")
async def delete_backfill(request: web.Request) -> web.Response:
    """End a backfill."""
    return await _with_backfill(request, lambda t, name: t.delete_backfill(name))


@ROUTES.post("/triggers/set-disabled/by-triggers")
async def set_several_disabled(request: web.Request) -> web.Response:
    """Switch several triggers off or on."""
    body = await _body(request)
    names = [_name(each) for each in body.get("triggers") or ()]
    return await _switch(request, names, bool(body.get("disabled")))


@ROUTES.post("/triggers/set-disabled/by-query")
async def set_found_disabled(request: web.Request) -> web.Response:
    """Switch all triggers off or on that a search finds."""
    wanted = conditions(request, strict=("disabled",))
    found = [view for view in _sorted(services(request).triggers) if _meets(view, wanted)]
    names = [TriggerName(view.flow.namespace, view.flow.id, view.trigger.id) for view in found]
    return await _switch(request, names, flag(request, "disabled", True))


@ROUTES.post("/triggers/{namespace}/{id}/{trigger}/unlock")
async def unlock(request: web.Request) -> web.Response:
    """Have a trigger go on although the execution that it started has not ended."""
    return json_response(state_json(await services(request).triggers.unlock(_path(request))))


@ROUTES.post("/triggers/{namespace}/{id}/{trigger}/restart")
@ROUTES.delete("/triggers/{namespace}/{id}/{trigger}")
async def reset(request: web.Request) -> web.Response:
    """Forget where a trigger stands, as if it were new."""
    return json_response(state_json(await services(request).triggers.reset(_path(request))))


def state_json(view: TriggerView) -> Json:
    """Where a trigger stands (http-api 4.5)."""
    state = view.state
    date = state.last_date or view.next_date or state.updated
    document: Json = {
        "tenantId": "main",
        "namespace": view.flow.namespace,
        "flowId": view.flow.id,
        "triggerId": view.trigger.id,
        "date": instant(date) if date else _BEGINNING,
        "nextExecutionDate": view.next_date and instant(view.next_date),
        "updatedAt": instant(state.updated) if state.updated else _BEGINNING,
        "disabled": view.is_disabled,
        "executionId": state.execution_id,
        "backfill": state.backfill and _backfill_json(state.backfill),
    }
    return {key: value for key, value in document.items() if value is not None}


_BEGINNING = "1970-01-01T00:00:00.000000Z"
"""What clients that want a date get of a trigger that has not been looked at yet."""


def _backfill_json(backfill: Backfill) -> Json:
    return {
        "start": instant(backfill.start),
        "end": instant(backfill.end),
        "currentDate": instant(backfill.current),
        "paused": backfill.paused,
        "inputs": plain(backfill.inputs or {}),
        "labels": labels_json(backfill.labels),
    }


async def _backfill(triggers: Triggers, name: TriggerName, asked: Any) -> TriggerView:
    try:
        start, end = str(asked["start"]), asked.get("end")
        labels = [checked_label(str(e["key"]), str(e["value"])) for e in asked.get("labels") or ()]
        inputs = dict(asked.get("inputs") or {})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest('Bad Request: {"start", "end"} of the backfill is needed') from error
    return await triggers.create_backfill(
        name,
        moment(start),
        moment(str(end)) if end else None,
        inputs=inputs or None,
        labels=labels,
        paused=bool(asked.get("paused")),
    )


async def _with_backfill(
    request: web.Request, act: Callable[[Triggers, TriggerName], Awaitable[TriggerView]]
) -> web.Response:
    """Do something to a trigger's backfill; none is 400, an unknown trigger 404."""
    triggers, name = services(request).triggers, _name(await _body(request))
    if triggers.find(name).state.backfill is None:
        raise BadRequest(f"Illegal argument: trigger '{name.trigger_id}' has no backfill")
    return json_response(state_json(await act(triggers, name)))


async def _switch(request: web.Request, names: list[TriggerName], off: bool) -> web.Response:
    triggers = services(request).triggers
    for name in names:
        triggers.find(name)
    for name in names:
        await triggers.set_disabled(name, off)
    return json_response({"count": len(names), "totalItems": len(names)})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body: Any = await request.json()
    except ValueError as error:
        raise BadRequest(f"Bad Request: the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("Bad Request: the body must be a JSON object")
    return body  # pyright: ignore[reportUnknownVariableType] # JSON border


def _name(body: Any) -> TriggerName:
    try:
        return TriggerName(str(body["namespace"]), str(body["flowId"]), str(body["triggerId"]))
    except (KeyError, TypeError) as error:
        raise BadRequest('Bad Request: {"namespace", "flowId", "triggerId"} is needed') from error


def _path(request: web.Request) -> TriggerName:
    at = request.match_info
    return TriggerName(at["namespace"], at["id"], at["trigger"])


def _sorted(triggers: Triggers) -> list[TriggerView]:
    return sorted(triggers.all(), key=lambda v: (v.flow.namespace, v.flow.id, v.trigger.id))


def _meets(view: TriggerView, wanted: list[Condition]) -> bool:
    """Whether a trigger is what a search asks for: by namespace, flow, id and text."""
    text = text_of(wanted, "q").lower()
    names = {
        "namespace": view.flow.namespace,
        "flowId": view.flow.id,
        "triggerId": view.trigger.id,
    }
    for each in wanted:
        if each.field == "q":
            continue
        if each.field not in names:
            raise BadRequest(f"Invalid query filters: triggers have no '{each.field}'")
        value = names[each.field]
        if each.operation == "PREFIX":
            held = any(f"{value}.".startswith(f"{prefix}.") for prefix in each.values)
        else:
            held = (value in each.values) is not each.operation.startswith("NOT")
        if not held:
            return False
    return text in ".".join(names.values()).lower()

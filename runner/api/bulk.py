"""The same done to several executions: those that are named, or those that a search finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from runner.api.actions import ending_of
from runner.api.answers import json_response
from runner.api.executions import forget
from runner.api.filters import conditions
from runner.api.forms import checked_label
from runner.api.services import BadRequest, Services, SomeRefused, flag, services
from runner.engine import by_hand
from runner.errors import NotFound
from runner.model.execution import Execution, Label
from runner.model.state import State

ROUTES = web.RouteTableDef()

Act = Callable[[Services, Execution], Awaitable[object]]

_FLAGS = ("deleteLogs", "deleteMetrics", "deleteStorage", "includeNonTerminated", "latestRevision")


async def _pause(api: Services, execution: Execution) -> object:
    return await api.engine.pause(execution.id)


async def _resume(api: Services, execution: Execution) -> object:
    return await api.engine.resume(execution.id)


async def _restart(api: Services, execution: Execution) -> object:
    return await api.engine.restart(execution.id)


async def _replay(api: Services, execution: Execution) -> object:
    return await api.engine.replay(execution.id)


async def _force_run(api: Services, execution: Execution) -> object:
    return await api.engine.force_run(execution.id)


async def _unqueue(api: Services, execution: Execution) -> object:
    return await by_hand.unqueue(api.engine, execution.id, State.RUNNING)


async def _kill(api: Services, execution: Execution) -> object:
    return await api.engine.kill(execution.id)


_ACTIONS: dict[str, tuple[Act, Callable[[Execution], bool], str]] = {
    "pause": (_pause, lambda e: e.state.value == "RUNNING", "execution not running"),
    "resume": (_resume, lambda e: e.state.value == "PAUSED", "execution not paused"),
    "restart": (_restart, lambda e: e.state.value == "FAILED", "execution not failed"),
    "replay": (_replay, lambda _: True, ""),
    "force-run": (_force_run, lambda e: not e.state.is_terminal, "execution already ended"),
    "unqueue": (_unqueue, lambda e: e.state.value == "QUEUED", "execution not queued"),
    "kill": (_kill, lambda e: not e.state.is_terminal, "execution already ended"),
}
"""Each action, when it is possible, and what is said where it is not."""


@ROUTES.post("/executions/{action:pause|resume|restart|replay|force-run|unqueue}/by-ids")
async def by_ids(request: web.Request) -> web.Response:
    """Do it to the executions that the body names; one that cannot be stops all."""
    found = await _named(services(request), await _ids(request))
    return await _each(request, request.match_info["action"], found)


@ROUTES.post("/executions/change-status/by-ids")
async def change_status_by_ids(request: web.Request) -> web.Response:
    """Say how the executions that the body names ended."""
    return await _change(request, await _named(services(request), await _ids(request)))


@ROUTES.post("/executions/change-status/by-query")
async def change_status_by_query(request: web.Request) -> web.Response:
    """Say how the executions that the filters find ended."""
    return await _change(request, await _found(request, "status", "newStatus"))


@ROUTES.delete("/executions/kill/by-ids")
async def kill_by_ids(request: web.Request) -> web.Response:
    """Kill the executions that the body names."""
    return await _each(request, "kill", await _named(services(request), await _ids(request)))


@ROUTES.post("/executions/{action:pause|resume|restart|replay|force-run|unqueue}/by-query")
async def by_query(request: web.Request) -> web.Response:
    """Do it to the executions that the filters find."""
    return await _each(request, request.match_info["action"], await _found(request))


@ROUTES.delete("/executions/kill/by-query")
async def kill_by_query(request: web.Request) -> web.Response:
    """Kill the executions that the filters find."""
    return await _each(request, "kill", await _found(request))


@ROUTES.delete("/executions/by-ids")
async def delete_by_ids(request: web.Request) -> web.Response:
    """Forget the executions that the body names."""
    return await _delete(request, await _named(services(request), await _ids(request)))


@ROUTES.delete("/executions/by-query")
async def delete_by_query(request: web.Request) -> web.Response:
    """Forget the executions that the filters find."""
    return await _delete(request, await _found(request))


@ROUTES.post("/executions/labels/by-ids")
async def label_by_ids(request: web.Request) -> web.Response:
    """Add labels to the executions that the body names."""
    try:
        body = await request.json()
        ids = [str(each) for each in body["executionsId"]]
        labels = _labels(body["executionLabels"])
    except (ValueError, TypeError, KeyError) as error:
        text = 'Bad Request: {"executionsId": [], "executionLabels": []} is needed'
        raise BadRequest(text) from error
    return await _label(request, await _named(services(request), ids), labels)


@ROUTES.post("/executions/labels/by-query")
async def label_by_query(request: web.Request) -> web.Response:
    """Add labels to the executions that the filters find."""
    try:
        labels = _labels(await request.json())
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest('Bad Request: a list of {"key", "value"} is needed') from error
    return await _label(request, await _found(request), labels)


async def _each(request: web.Request, action: str, found: Sequence[Execution]) -> web.Response:
    act, possible, otherwise = _ACTIONS[action]
    _all_are(found, possible, otherwise)
    for execution in found:
        await act(services(request), execution)
    return _count(found)


async def _change(request: web.Request, found: Sequence[Execution]) -> web.Response:
    state = ending_of(request.query.get("newStatus") or request.query.get("status") or "")
    _all_are(found, lambda e: e.state.is_terminal, "execution not ended")
    for execution in found:
        await by_hand.change_status(services(request).engine, execution.id, state)
    return _count(found)


async def _delete(request: web.Request, found: Sequence[Execution]) -> web.Response:
    _all_are(found, lambda e: e.state.is_terminal, "execution not ended")
    for execution in found:
        await forget(
            services(request),
            execution,
            logs=flag(request, "deleteLogs", True),
            metrics=flag(request, "deleteMetrics", True),
            files=flag(request, "deleteStorage", True),
        )
    return _count(found)


async def _label(
    request: web.Request, found: Sequence[Execution], labels: Sequence[Label]
) -> web.Response:
    _all_are(found, lambda e: e.state.is_terminal, "execution not ended")
    for execution in found:
        await services(request).engine.set_labels(execution.id, labels)
    return _count(found)


def _all_are(
    found: Sequence[Execution], possible: Callable[[Execution], bool], otherwise: str
) -> None:
    invalid = [(execution.id, otherwise) for execution in found if not possible(execution)]
    if invalid:
        raise SomeRefused(invalid)


def _count(found: Sequence[Execution]) -> web.Response:
    return json_response({"count": len(found), "totalItems": len(found)})


async def _ids(request: web.Request) -> list[str]:
    try:
        body: Any = await request.json()
    except ValueError as error:
        raise BadRequest("Bad Request: a list of execution ids is needed") from error
    if not isinstance(body, list) or not body:
        raise BadRequest("Bad Request: a list of execution ids is needed")
    return [str(each) for each in body]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] # JSON border


async def _named(api: Services, ids: Sequence[str]) -> list[Execution]:
    """The executions of these ids.

    Raises:
        SomeRefused: one does not exist.
    """
    found: list[Execution] = []
    missing: list[tuple[str, str]] = []
    for execution_id in ids:
        try:
            found.append(await api.store.execution(execution_id))
        except NotFound:
            missing.append((execution_id, "execution not found"))
    if missing:
        raise SomeRefused(missing)
    return found


async def _found(request: web.Request, *more: str) -> list[Execution]:
    """The executions that the filters find; without a filter it is refused."""
    wanted = conditions(request, strict=(*_FLAGS, *more))
    found, _ = await services(request).store.search(wanted)
    return [execution for execution, _ in found]


def _labels(pairs: Any) -> list[Label]:
    return [checked_label(str(each["key"]), str(each["value"])) for each in pairs]

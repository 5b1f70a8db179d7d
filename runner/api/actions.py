"""What can be done to an execution: kill, pause, resume, restart, replay, change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from runner.api.answers import empty, json_response
from runner.api.executions import InputsRefused, breakpoints_of, create, shown, url_of
from runner.api.forms import checked_label, files_among, form
from runner.api.inspection import evaluate_for
from runner.api.services import BadRequest, Unprocessable, flag, number, services
from runner.engine import by_hand
from runner.engine.restart import NothingToRestart
from runner.errors import Conflict, InputInvalid, NotFound
from runner.model.execution import Execution
from runner.model.state import State

ROUTES = web.RouteTableDef()

Action = Callable[[web.Request, Execution], Awaitable[web.Response]]


async def kill(request: web.Request, execution: Execution) -> web.Response:
    """Kill an execution, and those that it started unless told otherwise."""
    cascade = flag(request, "isOnKillCascade", True)
    if execution.state.is_terminal and not cascade:
        raise Conflict(f"Execution '{execution.id}' has ended already")
    if not execution.state.is_terminal:
        await services(request).engine.kill(execution.id, cascade=cascade)
    return await _done(request, execution, 202)


async def pause(request: web.Request, execution: Execution) -> web.Response:
    """Let running tasks finish and start nothing new."""
    await services(request).engine.pause(execution.id)
    return await _done(request, execution)


async def resume(request: web.Request, execution: Execution) -> web.Response:
    """Go on after a pause, with values for the inputs that the Pause task asks for."""
    api = services(request)
    async with form(request, await _files_asked_for(request, execution)) as given:
        try:
            await api.engine.resume(execution.id, given)
        except InputInvalid as error:
            raise InputsRefused(str(error)) from error
    return await _done(request, execution)


async def restart(request: web.Request, execution: Execution) -> web.Response:
    """Run a failed execution again from where it failed."""
    if not (execution.state.is_terminal or execution.state is State.PAUSED):
        raise Conflict(f"Illegal state: execution '{execution.id}' has not ended")
    try:
        again = await services(request).engine.restart(execution.id, number(request, "revision"))
    except NothingToRestart as error:  # recorded from Kestra
        raise Unprocessable(str(error)) from error
    return await _shown(request, again)


async def replay(request: web.Request, execution: Execution) -> web.Response:
    """Run an execution again as a new one, from a task run on or from the start."""
    again = await services(request).engine.replay(
        execution.id,
        request.query.get("taskRunId") or None,
        number(request, "revision"),
        breakpoints_of(request) or (),
    )
    return await _shown(request, again)


async def replay_with_inputs(request: web.Request, execution: Execution) -> web.Response:
    """Run the execution's flow again as a new execution with other inputs."""
    api = services(request)
    revision = number(request, "revision") or execution.flow_revision
    flow = api.flows.find(execution.namespace, execution.flow_id, revision)
    async with form(request, files_among(flow.inputs)) as given:
        try:
            inputs = {**(execution.inputs or {}), **given}
            again = await api.engine.start(flow, inputs=inputs, labels=execution.labels)
        except InputInvalid as error:
            raise InputsRefused(str(error)) from error
    return await _shown(request, again)


async def resume_from_breakpoint(request: web.Request, execution: Execution) -> web.Response:
    """Go on after a breakpoint, up to the `breakpoints` that are given or those that are left."""
    await services(request).engine.resume_from_breakpoint(execution.id, breakpoints_of(request))
    return await _done(request, execution, 204)


async def force_run(request: web.Request, execution: Execution) -> web.Response:
    """Begin an execution that waits, whatever it waits for."""
    return await _shown(request, await services(request).engine.force_run(execution.id))


async def unqueue(request: web.Request, execution: Execution) -> web.Response:
    """Take an execution out of its queue, to run or to end in `state`."""
    state = _state(request.query.get("state") or "RUNNING")
    if state is not State.RUNNING and state not in _ENDINGS:
        raise Unprocessable(f"Illegal argument: an execution cannot leave its queue as {state}")
    return await _shown(
        request, await by_hand.unqueue(services(request).engine, execution.id, state)
    )


async def change_status(request: web.Request, execution: Execution) -> web.Response:
    """Say that an execution that has ended ended in `status`."""
    state = ending_of(request.query.get("status") or "")
    engine = services(request).engine
    return await _shown(request, await by_hand.change_status(engine, execution.id, state))


async def change_state(request: web.Request, execution: Execution) -> web.Response:
    """Give a task run of an ended execution another state, and go on from there."""
    body = await _object(request)
    try:
        state, run = State(str(body["state"])), str(body["taskRunId"])
    except (KeyError, ValueError) as error:
        raise BadRequest('Bad Request: {"taskRunId", "state"} is needed') from error
    return await _shown(
        request, await services(request).engine.change_state(execution.id, run, state)
    )


async def add_labels(request: web.Request, execution: Execution) -> web.Response:
    """Add labels to an execution that has ended."""
    if not execution.state.is_terminal:
        raise BadRequest("Illegal argument: labels can be set on ended executions only")
    labels = [checked_label(key, value) for key, value in _pairs(await _json(request))]
    return await _shown(request, await services(request).engine.set_labels(execution.id, labels))


_ENDINGS = (State.SUCCESS, State.WARNING, State.FAILED, State.KILLED, State.CANCELLED)
"""How an execution ends; clients wait for ever for RETRIED or SKIPPED, which task runs may be."""

ACTIONS: dict[str, Action] = {
    "kill": kill,
    "pause": pause,
    "resume": resume,
    "restart": restart,
    "replay": replay,
    "replay-with-inputs": replay_with_inputs,
    "resume-from-breakpoint": resume_from_breakpoint,
    "force-run": force_run,
    "unqueue": unqueue,
    "change-status": change_status,
    "eval": evaluate_for,
    "state": change_state,
    "labels": add_labels,
}
"""Every action by the word in its path."""


@ROUTES.delete("/executions/{execution}/kill")
async def kill_route(request: web.Request) -> web.Response:
    """Kill an execution."""
    api = services(request)
    return await kill(request, await api.store.execution(request.match_info["execution"]))


@ROUTES.post("/executions/{execution}/actions/{action}")
@ROUTES.delete("/executions/{execution}/actions/{action}")
async def action_of_2_0(request: web.Request) -> web.Response:
    """An action under its path of 2.0, where every one answers with the execution."""
    execution = await services(request).store.execution(request.match_info["execution"])
    action = ACTIONS.get(request.match_info["action"])
    if action is None:
        raise NotFound(f"Not Found: no action '{request.match_info['action']}'")
    return await action(request, execution)


@ROUTES.post("/executions/{namespace}/{id}")
async def action_or_create(request: web.Request) -> web.Response:
    """Do something to an execution, or start one: `{id}/resume` and `{ns}/{flow}` look alike."""
    first, second = request.match_info["namespace"], request.match_info["id"]
    action = ACTIONS.get(second)
    if action is not None:
        try:
            execution = await services(request).store.execution(first)
        except NotFound:
            if services(request).flows.path(first, second) is None:
                raise
        else:
            return await action(request, execution)
    return await create(request)


async def _done(request: web.Request, execution: Execution, status: int = 200) -> web.Response:
    """The execution as it is now; without a body where `status` says so, but on paths of 2.0."""
    if status == 200 or "action" in request.match_info:
        return await _shown(request, await services(request).store.execution(execution.id))
    return empty(status)


async def _shown(request: web.Request, execution: Execution) -> web.Response:
    api = services(request)
    runs = await api.store.task_runs(execution.id)
    return json_response(shown(api, execution, runs) | {"url": url_of(request, execution)})


async def _files_asked_for(request: web.Request, execution: Execution) -> frozenset[str]:
    """Inputs of type FILE of the Pause task at which the execution stands."""
    api = services(request)
    paused = {r.task_id for r in await api.store.task_runs(execution.id) if r.state is State.PAUSED}
    flow = api.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)
    asked = (task.properties.get("onResume") or () for task in flow.walk() if task.id in paused)
    return frozenset[str]().union(*(files_among(entries) for entries in asked))


def ending_of(name: str) -> State:
    """The state of that name, in which an execution may end.

    Raises:
        BadRequest: there is none.
        Unprocessable: executions do not end in it.
    """
    state = _state(name)
    if state not in _ENDINGS:
        raise Unprocessable(f"Illegal argument: an execution cannot end as {state}")
    return state


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError as error:
        raise BadRequest(f"Bad Request: there is no state '{name}'") from error


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise BadRequest(f"Bad Request: the body is no JSON: {error}") from error


async def _object(request: web.Request) -> dict[str, Any]:
    body = await _json(request)
    if not isinstance(body, dict):
        raise BadRequest("Bad Request: the body must be a JSON object")
    return body  # pyright: ignore[reportUnknownVariableType] # JSON border


def _pairs(body: Any) -> list[tuple[str, str]]:
    try:
        return [(str(each["key"]), str(each["value"])) for each in body]
    except (TypeError, KeyError) as error:
        raise BadRequest('Bad Request: a list of {"key", "value"} is needed') from error

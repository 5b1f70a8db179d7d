"""Executions: created, found and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import anyio.to_thread
from aiohttp import web

from runner.api.answers import empty, json_response
from runner.api.filters import conditions, moment, paging, sorting
from runner.api.flow_shapes import reduced
from runner.api.forms import files_among, form, labels
from runner.api.services import (
    BadRequest,
    Services,
    flag,
    number,
    required,
    services,
)
from runner.api.shapes import TENANT, Json, execution_json, page
from runner.errors import Conflict, FlowInvalid, InputInvalid, NotFound
from runner.model.execution import Breakpoint, Execution, ExecutionKind, TaskRun
from runner.model.flow import Flow
from runner.store.search import Condition
from runner.triggers.scope import stable_id

ROUTES = web.RouteTableDef()

STARTING = web.AppKey("starting", set[str])
"""Ids of executions with an `Idempotency-Key` that are being started."""


class InputsRefused(InputInvalid):
    """A value given for an input is missing or wrong."""

    # Recorded from Kestra 1.2.14: the only refusal that it answers with 500.
    status = 500


@ROUTES.post("/executions/trigger/{namespace}/{id}")
async def trigger(request: web.Request) -> web.Response:
    """Start an execution (an old name of the route below)."""
    return await create(request)


async def create(request: web.Request) -> web.Response:
    """Start an execution of a flow, and with `wait` answer when it has ended."""
    api = services(request)
    namespace, flow_id = request.match_info["namespace"], request.match_info["id"]
    flow = flow_to_run(api, namespace, flow_id, number(request, "revision"))
    key = request.headers.get("Idempotency-Key")
    if key is None:
        execution = await _start(request, flow, None)
    else:
        execution = await _once(request, flow, stable_id("request", namespace, flow_id, key))
    if flag(request, "wait"):
        await api.engine.wait(execution.id)
        document = shown(api, *await api.store.found(execution.id))
    else:
        document = execution_json(execution, [], flow)
    return json_response(document | {"url": url_of(request, execution)})


async def _once(request: web.Request, flow: Flow, execution_id: str) -> Execution:
    """The execution of that id, which is started unless an earlier request has done so.

    Raises:
        Conflict: that request is not answered yet.
    """
    starting = request.app[STARTING]
    if execution_id in starting:
        raise Conflict("Another request with the same Idempotency-Key is being answered")
    starting.add(execution_id)
    try:
        return await services(request).store.execution(execution_id)
    except NotFound:
        return await _start(request, flow, execution_id)
    finally:
        starting.discard(execution_id)


async def _start(request: web.Request, flow: Flow, execution_id: str | None) -> Execution:
    """Start an execution with the inputs and labels of the request."""
    when = request.query.get("scheduleDate")
    async with form(request, files_among(flow.inputs)) as given:
        try:
            return await services(request).engine.start(
                flow,
                inputs=given,
                labels=labels(request),
                schedule_date=moment(when) if when else None,
                execution_id=execution_id,
                kind=kind_of(request),
                breakpoints=breakpoints_of(request) or (),
            )
        except InputInvalid as error:
            raise InputsRefused(str(error)) from error
        except FlowInvalid as error:  # tasks that Eyas does not have: it is shown, not run
            raise Conflict(str(error)) from error


@ROUTES.get("/executions/search")
async def search(request: web.Request) -> web.Response:
    """A page of executions, newest first unless sorted otherwise."""
    return await _page(request, conditions(request))


@ROUTES.get("/executions")
async def of_flow(request: web.Request) -> web.Response:
    """A page of one flow's executions, newest first."""
    wanted = [
        Condition("namespace", "EQUALS", (required(request, "namespace"),)),
        Condition("flowId", "EQUALS", (required(request, "flowId"),)),
    ]
    return await _page(request, wanted)


async def _page(request: web.Request, wanted: list[Condition]) -> web.Response:
    api = services(request)
    limit, offset = paging(request)
    found, total = await api.store.search(
        wanted, order=sorting(request), limit=limit, offset=offset
    )
    return json_response(page([shown(api, *each) for each in found], total))


@ROUTES.post("/executions/latest")
async def latest(request: web.Request) -> web.Response:
    """The newest execution of each flow that the body names."""
    api = services(request)
    answer: list[Json] = []
    for namespace, flow_id in await named_flows(request):
        wanted = [
            Condition("namespace", "EQUALS", (namespace,)),
            Condition("flowId", "EQUALS", (flow_id,)),
        ]
        for execution, runs in (await api.store.search(wanted, limit=1))[0]:
            document = execution_json(execution, runs)
            answer.append(
                {
                    "id": execution.id,
                    "flowId": flow_id,
                    "namespace": namespace,
                    "startDate": document["state"]["startDate"],
                    "status": execution.state.value,
                }
            )
    return json_response(answer)


@ROUTES.get("/executions/namespaces")
async def namespaces(request: web.Request) -> web.Response:
    """Namespaces with flows that can be run."""
    return json_response(sorted({flow.namespace for flow in services(request).flows.all()}))


@ROUTES.get("/executions/namespaces/{namespace}/flows")
async def runnable(request: web.Request) -> web.Response:
    """Flows of a namespace that can be run."""
    namespace = request.match_info["namespace"]
    found = [flow for flow in services(request).flows.all() if flow.namespace == namespace]
    return json_response([reduced(flow) for flow in found if not flow.disabled])


@ROUTES.get("/executions/flows/{namespace}/{id}")
async def flow_of_executions(request: web.Request) -> web.Response:
    """What a caller needs of a flow to run it."""
    at = request.match_info
    flow = services(request).flows.find(at["namespace"], at["id"], number(request, "revision"))
    return json_response(reduced(flow))


@ROUTES.get("/executions/{execution}")
async def get(request: web.Request) -> web.Response:
    """One execution with its task runs."""
    api = services(request)
    return json_response(shown(api, *await api.store.found(request.match_info["execution"])))


@ROUTES.get("/executions/{execution}/flow")
async def flow_of(request: web.Request) -> web.Response:
    """The flow of an execution, in the revision that ran, reduced."""
    api = services(request)
    execution = await api.store.execution(request.match_info["execution"])
    flow = api.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)
    return json_response(reduced(flow))


@ROUTES.delete("/executions/{execution}")
async def delete(request: web.Request) -> web.Response:
    """Forget an execution that has ended, with its log, metrics and files unless told otherwise."""
    api = services(request)
    execution = await api.store.execution(request.match_info["execution"])
    await forget(
        api,
        execution,
        logs=flag(request, "deleteLogs", True),
        metrics=flag(request, "deleteMetrics", True),
        files=flag(request, "deleteStorage", True),
    )
    return empty(204)


async def forget(
    api: Services, execution: Execution, *, logs: bool, metrics: bool, files: bool
) -> None:
    """Delete an execution and what belongs to it.

    Raises:
        Conflict: it has not ended.
    """
    if not execution.state.is_terminal:
        raise Conflict(f"Execution '{execution.id}' has not ended; kill it first")
    if files:
        await anyio.to_thread.run_sync(api.storage.delete_execution, execution)
    if logs:
        await api.store.delete_logs([Condition("executionId", "EQUALS", (execution.id,))])
    if metrics:
        await api.store.delete_metrics(execution.id)
    await api.store.delete(execution.id)


def breakpoints_of(request: web.Request) -> list[Breakpoint] | None:
    """The breakpoints that are asked for, in one parameter or several; None: nothing is said."""
    if "breakpoints" not in request.query:
        return None
    texts = ",".join(request.query.getall("breakpoints")).split(",")
    return [Breakpoint.read(text.strip()) for text in texts if text.strip()]


def kind_of(request: web.Request) -> ExecutionKind:
    """The kind of execution that is asked for; whatever it is, it runs in the same way.

    Raises:
        BadRequest: there is no such kind.
    """
    text = request.query.get("kind") or "NORMAL"
    for kind in get_args(ExecutionKind):
        if text == kind:
            return kind
    raise BadRequest(f"Bad Request: 'kind' must be NORMAL, TEST or PLAYGROUND, not '{text}'")


def flow_to_run(api: Services, namespace: str, flow_id: str, revision: int | None = None) -> Flow:
    """The flow, if it can be started.

    Raises:
        NotFound: there is none.
        Conflict: there is a file that says it is this flow, and it is broken.
    """
    try:
        return api.flows.find(namespace, flow_id, revision)
    except NotFound:
        for file in api.flows.files():
            if file.flow is None and file.name == (namespace, flow_id):
                text = "\n".join(str(each) for each in file.problems)
                raise Conflict(f"Cannot execute an invalid flow: {text}") from None
        raise


def shown(api: Services, execution: Execution, runs: Sequence[TaskRun]) -> Json:
    """The document of an execution, with the variables of the flow that it ran."""
    return execution_json(execution, runs, flow_that_ran(api, execution))


def flow_that_ran(api: Services, execution: Execution) -> Flow | None:
    """The flow of an execution in the revision that ran, None if that is not known any more."""
    try:
        return api.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)
    except NotFound:
        return None


def url_of(request: web.Request, execution: Execution) -> str:
    """Where a person sees the execution."""
    path = f"{execution.namespace}/{execution.flow_id}/{execution.id}"
    return f"{request.scheme}://{request.host}/ui/{TENANT}/executions/{path}"


async def named_flows(request: web.Request) -> list[tuple[str, str]]:
    """Namespace and id of each flow that the body, a JSON list, names.

    Raises:
        BadRequest: it is no such list.
    """
    try:
        body = await request.json()
        return [(str(each["namespace"]), str(each["id"])) for each in body]
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest('Bad Request: a list of {"namespace", "id"} is needed') from error

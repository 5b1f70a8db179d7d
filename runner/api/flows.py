"""Flows: read, checked, written as files of the folder, deleted from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread
from aiohttp import web

from runner.api.answers import empty, json_response
from runner.api.executions import named_flows
from runner.api.filters import conditions, paging, sorting
from runner.api.flow_shapes import broken_json, flow_json, task_json, written_json
from runner.api.services import BadRequest, Services, Unprocessable, flag, number, services
from runner.api.shapes import Json, page
from runner.errors import NotFound
from runner.model.flow import Flow
from runner.store.search import Condition, QueryInvalid

ROUTES = web.RouteTableDef()


@ROUTES.get("/flows/search")
async def search(request: web.Request) -> web.Response:
    """A page of flows, by namespace and id unless sorted otherwise."""
    api = services(request)
    wanted = conditions(request)
    found = found_flows(api, wanted)
    for field, direction in reversed(sorting(request)):
        found.sort(key=lambda f: (f.namespace, f.id) if field == "namespace" else (f.id,))
        if direction == "desc":
            found.reverse()
    shown = [flow_json(flow) for flow in found]
    if not wanted:
        shown += [broken_json(file) for file in api.flows.files() if file.flow is None]
    limit, offset = paging(request)
    return json_response(page(shown[offset : offset + limit], len(shown)))


@ROUTES.get("/flows/source")
async def search_source(request: web.Request) -> web.Response:
    """Flows whose text contains a word, with the lines where."""
    text, namespace = request.query.get("q", ""), request.query.get("namespace", "")
    found: list[Json] = []
    for flow in services(request).flows.all():
        lines = [line for line in flow.source.splitlines() if text and text in line]
        if lines and f"{flow.namespace}.".startswith(f"{namespace}." if namespace else ""):
            marked = [line.replace(text, f"[mark]{text}[/mark]") for line in lines[:10]]
            found.append({"model": flow_json(flow), "fragments": marked})
    limit, offset = paging(request)
    return json_response(page(found[offset : offset + limit], len(found)))


@ROUTES.get("/flows/distinct-namespaces")
async def namespaces(request: web.Request) -> web.Response:
    """Namespaces that have flows."""
    text = request.query.get("q", "")
    names = {flow.namespace for flow in services(request).flows.all()}
    return json_response(sorted(name for name in names if text in name))


@ROUTES.post("/flows")
async def create(request: web.Request) -> web.Response:
    """Store a new flow."""
    api = services(request)
    text = await body_text(request)
    flow = await checked(api, text)
    if api.flows.path(flow.namespace, flow.id) is not None:
        raise Unprocessable("Invalid entity: Flow id already exists")
    return json_response(flow_json(await store(api, flow, text), source=True))


@ROUTES.get("/flows/{namespace}")
async def of_namespace(request: web.Request) -> web.Response:
    """The flows of a namespace."""
    namespace = request.match_info["namespace"]
    found = [flow for flow in services(request).flows.all() if flow.namespace == namespace]
    return json_response([flow_json(flow) for flow in found])


@ROUTES.get("/flows/{namespace}/{id}")
async def get(request: web.Request) -> web.Response:
    """A flow, with its text if `source`."""
    api, at = services(request), request.match_info
    source = flag(request, "source")
    revision = number(request, "revision")
    if revision is None and flag(request, "allowDeleted"):
        revision = await _newest(api, at["namespace"], at["id"])
    try:
        flow = api.flows.find(at["namespace"], at["id"], revision)
    except NotFound:
        for file in api.flows.files():
            if file.flow is None and file.name == (at["namespace"], at["id"]):
                return json_response(broken_json(file, source=source))
        raise
    return json_response(flow_json(flow, source=source))


@ROUTES.put("/flows/{namespace}/{id}")
async def update(request: web.Request) -> web.Response:
    """Give a flow another text; the answer says which revision that is."""
    api, at = services(request), request.match_info
    text = await body_text(request)
    name = (at["namespace"], at["id"])
    if path_of(api, *name) is None:
        raise NotFound(f"Unable to find flow '{name[0]}.{name[1]}'")
    flow = await checked(api, text)
    if (flow.namespace, flow.id) != name:
        raise Unprocessable("Invalid entity: namespace and id of a flow cannot change")
    return json_response(flow_json(await store(api, flow, text), source=True))


@ROUTES.delete("/flows/{namespace}/{id}")
async def delete(request: web.Request) -> web.Response:
    """Take a flow out of service; its file goes to the trash of the state folder."""
    api, at = services(request), request.match_info
    await remove(api, at["namespace"], at["id"])
    return empty(204)


@ROUTES.get("/flows/{namespace}/{id}/revisions")
async def revisions(request: web.Request) -> web.Response:
    """Every revision of a flow, oldest first."""
    api, at = services(request), request.match_info
    history = await api.texts.history(at["namespace"], at["id"])
    if not history:
        raise NotFound(f"Unable to find flow '{at['namespace']}.{at['id']}'")
    shown: list[Json] = []
    for text in history:
        try:
            flow = api.flows.find(at["namespace"], at["id"], text.revision)
        except NotFound:  # what was valid once is not any more
            continue
        shown.append(flow_json(flow, source=True))
    return json_response(shown)


@ROUTES.get("/flows/{namespace}/{id}/tasks/{task}")
async def task(request: web.Request) -> web.Response:
    """One task of a flow, wherever it is nested."""
    at = request.match_info
    flow = services(request).flows.find(at["namespace"], at["id"], number(request, "revision"))
    for each in flow.walk():
        if each.id == at["task"]:
            return json_response(task_json(each))
    raise NotFound(f"Unable to find task '{at['task']}'")


@ROUTES.post("/flows/bulk")
async def bulk(request: web.Request) -> web.Response:
    """Store several flows; with `delete` those of their namespaces that are not among them go."""
    return await _store_all(request, request.query.get("namespace") or None)


@ROUTES.post("/flows/{namespace}")
async def bulk_of_namespace(request: web.Request) -> web.Response:
    """Store the flows of a namespace; with `delete` the others of it go."""
    return await _store_all(request, request.match_info["namespace"])


@ROUTES.post("/flows/{switch:enable|disable}/by-ids")
async def switch(request: web.Request) -> web.Response:
    """Enable or disable the flows that the body names, in their files."""
    return await _switch(request, await named_flows(request))


@ROUTES.post("/flows/{switch:enable|disable}/by-query")
async def switch_found(request: web.Request) -> web.Response:
    """Enable or disable the flows that the filters find, in their files."""
    return await _switch(request, _names_found(request))


async def _switch(request: web.Request, names: Sequence[tuple[str, str]]) -> web.Response:
    api = services(request)
    disabled = request.match_info["switch"] == "disable"
    for namespace, flow_id in names:
        flow = api.flows.find(namespace, flow_id)
        text = _switched(flow.source, disabled)
        await store(api, await checked(api, text), text)
    return json_response({"count": len(names), "totalItems": len(names)})


@ROUTES.delete("/flows/delete/by-ids")
async def delete_several(request: web.Request) -> web.Response:
    """Take the flows that the body names out of service."""
    return await _delete(request, await named_flows(request))


@ROUTES.delete("/flows/delete/by-query")
async def delete_found(request: web.Request) -> web.Response:
    """Take the flows that the filters find out of service."""
    return await _delete(request, _names_found(request))


def _names_found(request: web.Request) -> list[tuple[str, str]]:
    """The flows that the filters find; without a filter it is refused."""
    found = found_flows(services(request), conditions(request, strict=()))
    return [(flow.namespace, flow.id) for flow in found]


async def _delete(request: web.Request, names: Sequence[tuple[str, str]]) -> web.Response:
    api = services(request)
    for namespace, flow_id in names:
        await remove(api, namespace, flow_id)
    return json_response({"count": len(names), "totalItems": len(names)})


async def body_text(request: web.Request) -> str:
    """The request's body as text.

    Raises:
        BadRequest: it is empty, or not UTF-8.
    """
    body = await request.read()
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"Bad Request: the body is not UTF-8 at byte {error.start}") from error
    if not text.strip():
        raise BadRequest("Bad Request: the body must be a flow in YAML")
    return text


async def checked(api: Services, text: str) -> Flow:
    """The flow that the text describes.

    Raises:
        FlowInvalid: with every problem of the text.
    """
    return await anyio.to_thread.run_sync(api.flows.check, text)


async def store(api: Services, flow: Flow, text: str) -> Flow:
    """Write a flow's text to its file and return the flow that is in service then."""
    path = path_of(api, flow.namespace, flow.id) or _new_path(api, flow)
    await api.folder.write(path, text)
    return api.flows.find(flow.namespace, flow.id)


async def remove(api: Services, namespace: str, flow_id: str) -> None:
    """Move a flow's file to the trash.

    Raises:
        NotFound: there is no such flow.
    """
    path = path_of(api, namespace, flow_id)
    if path is None:
        raise NotFound(f"Unable to find flow '{namespace}.{flow_id}'")
    await api.folder.remove(path, api.settings.state_dir / "trash")


def path_of(api: Services, namespace: str, flow_id: str) -> str | None:
    """The file of a flow, also of one that is broken; None if there is none."""
    path = api.flows.path(namespace, flow_id)
    if path is not None:
        return path
    names = (file.path for file in api.flows.files() if file.name == (namespace, flow_id))
    return next(names, None)


def documents(text: str) -> list[str]:
    """The documents of a text that are parted by lines of `---`."""
    parts = re.split(r"(?m)^---[ \t]*$\n?", text)
    return [part for part in parts if part.strip()]


async def _store_all(request: web.Request, namespace: str | None) -> web.Response:
    api = services(request)
    texts = documents((await request.read()).decode("utf-8-sig", "replace"))
    flows = [await checked(api, text) for text in texts]
    inside = {namespace} if namespace else {flow.namespace for flow in flows}
    children = flag(request, "allowNamespaceChild")
    for flow in flows:
        below = any(flow.namespace.startswith(f"{each}.") for each in inside)
        if namespace and flow.namespace not in inside and not (children and below):
            raise Unprocessable(f"Invalid entity: flow '{flow.id}' is not of '{namespace}'")
    stored = [await store(api, flow, text) for flow, text in zip(flows, texts, strict=True)]
    if flag(request, "delete", True):
        kept = {(flow.namespace, flow.id) for flow in flows}
        for flow in [each for each in api.flows.all() if each.namespace in inside]:
            if (flow.namespace, flow.id) not in kept:
                await remove(api, flow.namespace, flow.id)
    return json_response([written_json(flow) for flow in stored])


def found_flows(api: Services, wanted: Sequence[Condition]) -> list[Flow]:
    """The flows that meet all conditions, by namespace and id."""
    return [flow for flow in api.flows.all() if all(_meets(flow, each) for each in wanted)]


def _new_path(api: Services, flow: Flow) -> str:
    """A file name for a new flow that no other file has."""
    taken = {file.path for file in api.flows.files()}
    stem = f"{flow.namespace}_{flow.id}"
    names = [f"{stem}.yml", *(f"{stem}-{number}.yml" for number in range(2, 1000))]
    root = api.folder.root
    return next(name for name in names if name not in taken and not Path(root, name).exists())


async def _newest(api: Services, namespace: str, flow_id: str) -> int | None:
    history = await api.texts.history(namespace, flow_id)
    return history[-1].revision if history else None


def _switched(source: str, disabled: bool) -> str:
    """The flow's text with its line `disabled` changed or added."""
    line = f"disabled: {'true' if disabled else 'false'}"
    changed, count = re.subn(r"(?m)^disabled:.*$", line, source)
    return changed if count else f"{source.rstrip()}\n{line}\n"


def _meets(flow: Flow, condition: Condition) -> bool:
    """Whether the flow meets one condition of a search."""
    values: Sequence[str] = condition.values
    negative = condition.operation.startswith("NOT")
    match condition.field:
        case "q":
            return values[0].lower() in f"{flow.namespace}.{flow.id}".lower()
        case "labels":
            held = {f"{label.key}:{label.value}" for label in flow.labels}
            return (not held.intersection(values)) if negative else held.issuperset(values)
        case "scope":
            return ("SYSTEM" in values) is (flow.namespace == "system")
        case "namespace" if condition.operation == "PREFIX":
            return f"{flow.namespace}.".startswith(f"{values[0]}.")
        case "namespace" | "flowId":
            value = flow.namespace if condition.field == "namespace" else flow.id
            return _compares(value, condition)
        case field:
            raise QueryInvalid(f"Invalid query filters: flows have no '{field}'")


def _compares(value: str, condition: Condition) -> bool:
    first = condition.values[0]
    match condition.operation:
        case "EQUALS" | "IN":
            return value in condition.values
        case "NOT_EQUALS" | "NOT_IN":
            return value not in condition.values
        case "STARTS_WITH":
            return value.startswith(first)
        case "ENDS_WITH":
            return value.endswith(first)
        case "CONTAINS":
            return first in value
        case "REGEX":
            return re.fullmatch(first, value) is not None
        case operation:
            raise QueryInvalid(f"Invalid query filters: '{operation}' does not fit text")

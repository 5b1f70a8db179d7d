"""Which flows start which: by Subflow tasks, and by Flow triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from aiohttp import web

from runner.api.answers import json_response
from runner.api.services import flag, services
from runner.api.shapes import Json
from runner.model.flow import Flow

ROUTES = web.RouteTableDef()

Name = tuple[str, str]
"""Namespace and id of a flow."""

Relation = Literal["FLOW_TASK", "FLOW_TRIGGER"]
Edge = tuple[Name, Name, Relation]

_FLOW_TRIGGER = "io.kestra.plugin.core.trigger.Flow"


@ROUTES.get("/flows/{namespace}/{id}/dependencies")
async def of_flow(request: web.Request) -> web.Response:
    """The flows that a flow starts and, unless `destinationOnly`, those that start it."""
    api, at = services(request), request.match_info
    flow = api.flows.find(at["namespace"], at["id"])
    name = (flow.namespace, flow.id)
    edges = list(edges_of(api.flows.all()))
    before = not flag(request, "destinationOnly")
    chosen = _around({name}, edges, before=before, all_=flag(request, "expandAll"))
    return json_response(_document({name}, chosen))


@ROUTES.get("/namespaces/{namespace}/dependencies")
async def of_namespace(request: web.Request) -> web.Response:
    """The flows that those of a namespace start, and those that start them."""
    api, namespace = services(request), request.match_info["namespace"]
    named = {(flow.namespace, flow.id) for flow in api.flows.all() if flow.namespace == namespace}
    edges = list(edges_of(api.flows.all()))
    before = not flag(request, "destinationOnly")
    return json_response(_document(named, _around(named, edges, before=before, all_=False)))


def edges_of(flows: Iterable[Flow]) -> Iterator[Edge]:
    """Who starts whom; an expression in place of a flow's name is left out."""
    for flow in flows:
        name = (flow.namespace, flow.id)
        for task in flow.walk():
            other = _named(task.properties)
            if other is not None and task.type.startswith("io.kestra.plugin.core.flow."):
                yield name, other, "FLOW_TASK"
        for trigger in flow.triggers:
            if trigger.type == _FLOW_TRIGGER:
                own: Mapping[str, Any] = trigger.properties.get("preconditions") or {}
                upstream: Sequence[Mapping[str, Any]] = own.get("flows") or ()
                for each in (*upstream, *_conditions(trigger.conditions)):
                    other = _named(each)
                    if other is not None:
                        yield other, name, "FLOW_TRIGGER"


def _conditions(conditions: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Conditions, and those in them."""
    for each in conditions:
        yield each
        inner: Any = each.get("conditions") or ()
        if isinstance(inner, Mapping):
            inner = list(cast("Mapping[str, Any]", inner).values())
        yield from _conditions(cast("Iterable[Mapping[str, Any]]", inner))


def _named(properties: Mapping[str, Any]) -> Name | None:
    """The flow that these properties name."""
    namespace, flow_id = properties.get("namespace"), properties.get("flowId")
    if not isinstance(namespace, str) or not isinstance(flow_id, str):
        return None
    return None if "{{" in namespace + flow_id else (namespace, flow_id)


def _around(names: set[Name], edges: Sequence[Edge], *, before: bool, all_: bool) -> list[Edge]:
    """The edges at these flows; with `all_` those at the flows at their other ends too."""
    known = set(names)
    while True:
        found = [e for e in edges if e[0] in known or (before and e[1] in known)]
        ends = {end for edge in found for end in edge[:2]}
        if not all_ or ends <= known:
            return found
        known |= ends


def _document(names: set[Name], edges: Sequence[Edge]) -> Json:
    every = sorted(names | {end for edge in edges for end in edge[:2]})
    return {
        "nodes": [{"uid": _uid(each), "namespace": each[0], "id": each[1]} for each in every],
        "edges": [
            {"source": _uid(source), "target": _uid(target), "relation": relation}
            for source, target, relation in dict.fromkeys(edges)
        ],
    }


def _uid(name: Name) -> str:
    return f"main_{name[0]}_{name[1]}"

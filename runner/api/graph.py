"""Flows as boxes and arrows (http-api 4.8)."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from runner.api.answers import json_response
from runner.api.flow_shapes import task_json, trigger_json
from runner.api.flows import body_text, checked
from runner.api.services import number, services
from runner.api.shapes import Json
from runner.model.branches import Branch, branches_in, branches_of
from runner.model.flow import Flow, Task

ROUTES = web.RouteTableDef()

_PACKAGE = "io.kestra.core.models.hierarchies."


@ROUTES.get("/flows/{namespace}/{id}/graph")
async def of_flow(request: web.Request) -> web.Response:
    """The graph of a flow."""
    at = request.match_info
    flow = services(request).flows.find(at["namespace"], at["id"], number(request, "revision"))
    return json_response(graph_of(flow))


@ROUTES.post("/flows/graph")
async def of_text(request: web.Request) -> web.Response:
    """The graph of the flow in the body, which is not stored."""
    return json_response(graph_of(await checked(services(request), await body_text(request))))


@ROUTES.get("/executions/{execution}/graph")
async def of_execution(request: web.Request) -> web.Response:
    """The graph of the flow that an execution ran."""
    api = services(request)
    execution = await api.store.execution(request.match_info["execution"])
    flow = api.flows.find(execution.namespace, execution.flow_id, execution.flow_revision)
    return json_response(graph_of(flow))


def graph_of(flow: Flow) -> Json:
    """The flow's graph: nodes, edges, and clusters of what is nested."""
    graph = _Graph()
    graph.node("root.start", "GraphClusterRoot")
    graph.node("root.end", "GraphClusterEnd")
    for branch in branches_of(flow):
        path = "root" if branch.name == "tasks" else f"root.{branch.name}"
        end = graph.sequence(path, branch.tasks, "root.start", branch.relation)
        graph.edge(end, "root.end", "SEQUENTIAL")
    graph.triggers(flow)
    return graph.document()


class _Graph:
    """A graph that is being made. Ids of nodes are paths."""

    def __init__(self) -> None:
        self._nodes: list[Json] = []
        self._edges: list[Json] = []
        self._clusters: list[Json] = []
        self._inside: list[str] = []

    def document(self) -> Json:
        """The graph as clients read it."""
        return {
            "nodes": self._nodes,
            "edges": self._edges,
            "clusters": self._clusters,
            "flowables": [],
        }

    def node(self, uid: str, type_: str, **more: object) -> None:
        """Add a node; it belongs to every cluster that is open."""
        self._nodes.append({"uid": uid, "type": _PACKAGE + type_, **more})
        for cluster in self._clusters:
            if cluster["cluster"]["uid"] in self._inside:
                cluster["nodes"].append(uid)

    def edge(self, source: str, target: str, relation: str = "", value: str = "") -> None:
        """Add an arrow; `value` names the case of a Switch."""
        about = {"relationType": relation, "value": value}
        shown = {key: text for key, text in about.items() if text}
        self._edges.append({"source": source, "target": target, "relation": shown})

    def sequence(
        self, path: str, tasks: Sequence[Task], before: str, relation: str, value: str = ""
    ) -> str:
        """Add tasks one after the other, the first after `before`; the id of the last node."""
        for task in tasks:
            begin, end = self._task(path, task, relation)
            self.edge(before, begin, relation, value)
            before, relation, value = end, "SEQUENTIAL", ""
        return before

    def _task(self, path: str, task: Task, relation: str) -> tuple[str, str]:
        """Add a task and what is nested in it; ids of its first and last node."""
        uid = f"{path}.{task.id}"
        branches = list(branches_in(task))
        if not branches:
            self.node(uid, "GraphTask", task=task_json(task), relationType=relation)
            return uid, uid
        start, end = f"{uid}.start", f"{uid}.end"
        cluster = f"cluster_{uid}"
        self._clusters.append(
            {
                "cluster": {
                    "uid": cluster,
                    "type": f"{_PACKAGE}GraphCluster",
                    "taskNode": {"uid": uid, "task": {"id": task.id, "type": task.type}},
                },
                "nodes": [],
                "parents": list(self._inside),
                "start": start,
                "end": end,
            }
        )
        self._inside.append(cluster)
        self.node(start, "GraphClusterRoot")
        self.node(uid, "GraphTask", task=task_json(task), relationType=relation)
        self.node(end, "GraphClusterEnd")
        self.edge(start, uid, "SEQUENTIAL")
        for branch in branches:
            self._branch(uid, branch, end)
        self._inside.pop()
        return start, end

    def _branch(self, uid: str, branch: Branch, end: str) -> None:
        """Add the tasks of a branch between their flowable's node and its end."""
        value = branch.name if branch.relation == "CHOICE" else ""
        if branch.relation != "PARALLEL":
            self.edge(self.sequence(uid, branch.tasks, uid, branch.relation, value), end)
            return
        ends = {task.id: self._task(uid, task, "PARALLEL") for task in branch.tasks}
        waited_for = {name for names in branch.after.values() for name in names}
        for name, (first, last) in ends.items():
            for earlier in branch.after.get(name, ()):
                self.edge(ends[earlier][1], first, "SEQUENTIAL")
            if name not in branch.after:
                self.edge(uid, first, "PARALLEL")
            if name not in waited_for:
                self.edge(last, end)

    def triggers(self, flow: Flow) -> None:
        """Add the flow's triggers, in a cluster of their own."""
        if not flow.triggers:
            return
        uids = [f"root.Triggers.{trigger.id}" for trigger in flow.triggers]
        for uid, trigger in zip(uids, flow.triggers, strict=True):
            self.node(uid, "GraphTrigger", triggerDeclaration=trigger_json(trigger))
            self.edge(uid, "root.start")
        self._clusters.append(
            {
                "cluster": {"uid": "cluster_root.Triggers", "type": f"{_PACKAGE}GraphCluster"},
                "nodes": uids,
                "parents": [],
                "start": "root.Triggers.start",
                "end": "root.Triggers.end",
            }
        )

"""Rules that reach beyond one property: ids, references, intervals, schedules (flow-model 1.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from runner.loading.common import Common, Part
from runner.loading.complaints import Complaints, did_you_mean
from runner.loading.inputs import check_inputs, cycle_from
from runner.loading.labels import read_labels
from runner.loading.references import check_references
from runner.loading.source import Map, Mark
from runner.loading.triggers import check_trigger
from runner.model.flow import Flow, Task, Trigger

CORE = "io.kestra.plugin.core"
RESERVED = (
    "pause",
    "resume",
    "force-run",
    "change-status",
    "kill",
    "executions",
    "search",
    "source",
    "disable",
    "enable",
)
_NOT_RUNNABLE = {
    f"{CORE}.flow.Subflow",
    f"{CORE}.execution.Exit",
    f"{CORE}.execution.Labels",
    f"{CORE}.execution.SetVariables",
    f"{CORE}.execution.UnsetVariables",
}


def check_flow(flow: Flow, root: Map, common: Common) -> None:
    """Note everything that only the whole flow shows."""
    complaints = common.complaints
    tasks = list(flow.walk())
    _check_identity(flow, root, complaints)
    _check_unique("Duplicate task id with name", tasks, common)
    _check_unique("Duplicate trigger id with name", flow.triggers, common)
    _check_unique("Duplicate input with name", flow.inputs, common)
    _check_unique("Duplicate output with name", flow.outputs, common)
    _check_preconditions(flow.triggers, common)
    check_inputs(flow.inputs, common)
    for task in tasks:
        _check_task(task, flow, common)
    check_references(flow, tasks, root, common)
    for position, trigger in enumerate(flow.triggers):
        check_trigger(trigger, f"triggers[{position}]", common)


def _check_identity(flow: Flow, root: Map, complaints: Complaints) -> None:
    if flow.id in RESERVED:
        complaints.add(
            f"Flow id is a reserved keyword: {flow.id}. "
            f"List of reserved keywords: {', '.join(RESERVED)}",
            root.mark("id"),
            "id",
        )
    worker = root.get("workerGroup")
    if isinstance(worker, Map) and worker.get("key"):
        complaints.add(
            "Worker Group is an Enterprise Edition functionality",
            root.mark("workerGroup"),
            "workerGroup",
            hint="remove workerGroup",
        )


def _check_unique(message: str, things: Iterable[Part], common: Common) -> None:
    seen: dict[str, Mark] = {}
    for thing in things:
        node = common.nodes.get(thing)
        if node is None or not thing.id:
            continue
        mark = node.mark("id" if "id" in node else "name")
        if thing.id in seen:
            first = seen[thing.id].line
            common.complaints.add(
                f"Invalid Flow: {message} [{thing.id}]",
                mark,
                hint=f"it is on line {first} already" if first else "",
            )
        else:
            seen[thing.id] = mark


def _check_preconditions(triggers: Iterable[Trigger], common: Common) -> None:
    seen: set[str] = set()
    for trigger in triggers:
        if trigger.type != f"{CORE}.trigger.Flow":
            continue
        preconditions = cast("dict[str, Any]", trigger.properties.get("preconditions") or {})
        name = preconditions.get("id")
        if name in seen:
            common.complaints.add(
                f"Invalid Flow: Duplicate preconditions with id [{name}]",
                common.nodes[trigger].mark("preconditions"),
            )
        elif name:
            seen.add(name)


def _check_task(task: Task, flow: Flow, common: Common) -> None:
    node = common.nodes.get(task)
    if node is None:
        return
    complaints = common.complaints
    mark = node.mark("type")
    name = task.type
    if name == f"{CORE}.flow.WorkingDirectory":
        for child in task.properties.get("tasks") or ():
            if _is_runnable(child, common):
                continue
            complaints.add(
                "Only runnable tasks are allowed as children of a WorkingDirectory task",
                common.nodes[child].mark("type"),
                task.id,
                hint=f"move {child.id} out of {task.id}",
            )
        _check_worker_groups(task, common)
    elif name == f"{CORE}.flow.Switch":
        if not task.properties.get("cases") and not task.properties.get("defaults"):
            complaints.add(
                "No task defined, neither cases or default have any tasks", mark, task.id
            )
    elif name == f"{CORE}.flow.Dag":
        _check_dag(task, node, complaints)
    elif name in (f"{CORE}.flow.Subflow", f"{CORE}.flow.ForEachItem"):
        called = (task.properties.get("namespace"), task.properties.get("flowId"))
        if called == (flow.namespace, flow.id):
            complaints.add(
                f"Invalid Flow: Recursive call to flow [{flow.namespace}.{flow.id}]",
                node.mark("flowId"),
                hint=f"{task.id} would start its own flow for ever",
            )
        read_labels(node, task.id, complaints)


def _is_runnable(task: Task, common: Common) -> bool:
    info = common.catalog.task(task.type)
    return info is None or not (info.is_flowable or task.type in _NOT_RUNNABLE)


def _check_worker_groups(task: Task, common: Common) -> None:
    for child in task.properties.get("tasks") or ():
        node = common.nodes[child]
        if node.get("workerGroup") is not None:
            common.complaints.add(
                "Cannot set a Worker Group in any WorkingDirectory sub-tasks, it is only supported "
                "at the WorkingDirectory level",
                node.mark("workerGroup"),
                task.id,
                hint=f"remove workerGroup from {child.id}",
            )


def _check_dag(task: Task, node: Map, complaints: Complaints) -> None:
    entries = [entry for entry in task.properties.get("tasks") or () if "task" in entry]
    after: dict[str, Sequence[str]] = {
        entry["task"].id: [name for name in entry.get("dependsOn") or () if name]
        for entry in entries
    }
    mark = node.mark("tasks")
    for name in dict.fromkeys(name for names in after.values() for name in names):
        if name not in after:
            complaints.add(
                f"Not existing task id in dependency: {name}",
                mark,
                task.id,
                hint=did_you_mean(name, after),
            )
    circular = [name for name in after if cycle_from(name, lambda step: after.get(step, ()))]
    if circular:
        complaints.add(f"Cyclic dependency detected: {', '.join(circular)}", mark, task.id)

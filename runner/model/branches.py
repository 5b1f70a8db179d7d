"""The lists of tasks that stand in a flow and in its flowables, and how those are related."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, cast

from runner.model.flow import Flow, Task
from runner.records import record

Relation = Literal[
    "SEQUENTIAL", "PARALLEL", "DYNAMIC", "CHOICE", "ERROR", "FINALLY", "AFTER_EXECUTION"
]
"""Kestra's words: one after the other, beside each other, repeated, one of several, the rest."""

_FLOW = "io.kestra.plugin.core.flow."
_PARALLEL = frozenset(f"{_FLOW}{name}" for name in ("Parallel", "EachParallel", "Dag"))
_LOOPS = frozenset(f"{_FLOW}{name}" for name in ("ForEach", "EachSequential", "LoopUntil", "Loop"))
_ASIDE: Mapping[str, Relation] = {"errors": "ERROR", "finally": "FINALLY"}
_CHOICES = ("then", "else", "defaults")


@record(kw_only=True)
class Branch:
    """A list of tasks: `tasks`, `errors`, the `then` of an If, a case of a Switch...

    `name` is the property, or the case of a Switch. `after` holds, for tasks of a Dag, the ids of
    those that a task depends on.
    """

    name: str
    tasks: Sequence[Task]
    relation: Relation
    after: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


def branches_of(flow: Flow) -> Iterator[Branch]:
    """The flow's own lists that hold tasks, in the order in which they run."""
    yield Branch(name="tasks", tasks=flow.tasks, relation="SEQUENTIAL")
    if flow.errors:
        yield Branch(name="errors", tasks=flow.errors, relation="ERROR")
    if flow.finally_:
        yield Branch(name="finally", tasks=flow.finally_, relation="FINALLY")
    if flow.listeners:
        tasks = flow.listener_tasks
        yield Branch(name="listeners", tasks=tasks, relation="AFTER_EXECUTION")
    if flow.after_execution:
        tasks = flow.after_execution
        yield Branch(name="afterExecution", tasks=tasks, relation="AFTER_EXECUTION")


def branches_in(task: Task) -> Iterator[Branch]:
    """The lists of tasks nested in a task that hold any; those that run aside come last."""
    aside = [name for name in _ASIDE if name in task.properties]
    own = [name for name in task.properties if name not in _ASIDE]
    for name in (*own, *aside):
        value = task.properties[name]
        if name == "cases":
            cases = cast("Mapping[Any, Sequence[Task]]", value)
            for case, tasks in cases.items():
                yield Branch(name=str(case), tasks=tasks, relation="CHOICE")
        elif tasks := _tasks_in(value):
            relation = "CHOICE" if name in _CHOICES else _ASIDE.get(name, _relation(task))
            yield Branch(name=name, tasks=tasks, relation=relation, after=_dependencies(value))


def _relation(task: Task) -> Relation:
    if task.type in _LOOPS:
        return "DYNAMIC"
    return "PARALLEL" if task.type in _PARALLEL else "SEQUENTIAL"


def _tasks_in(value: Any) -> list[Task]:
    """A task, or the tasks that a list holds, themselves or as the `task` of a Dag's entries."""
    if isinstance(value, Task):
        return [value]
    if not isinstance(value, list | tuple):
        return []
    found: list[Task] = []
    for entry in cast("Sequence[Any]", value):
        inner = cast("Mapping[str, Any]", entry).get("task") if isinstance(entry, dict) else entry
        if isinstance(inner, Task):
            found.append(inner)
    return found


def _dependencies(value: Any) -> dict[str, Sequence[str]]:
    """What each task of a Dag depends on."""
    if not isinstance(value, list | tuple):
        return {}
    entries = cast("Sequence[Any]", value)
    nodes = [cast("Mapping[str, Any]", entry) for entry in entries if isinstance(entry, dict)]
    return {
        node["task"].id: node["dependsOn"]
        for node in nodes
        if isinstance(node.get("task"), Task) and node.get("dependsOn")
    }

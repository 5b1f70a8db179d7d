"""Rules that reach beyond one property: ids, references, intervals, schedules (flow-model 1.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Protocol, cast

from runner.loading.complaints import Complaints, did_you_mean
from runner.loading.cron import CronInvalid, check_cron
from runner.loading.parts import Parts
from runner.loading.source import Map, Mark
from runner.model.convert import duration_text
from runner.model.flow import Flow, Input, Task, Trigger

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
_DASHED = re.compile(r"\{\{\s*(inputs|outputs)\.(\w+(?:-\w+)+)(?:\.[\w.-]+)?\s*\}\}")
_WINDOW_KEYS = {
    "DURATION_WINDOW": {"window", "windowAdvance"},
    "SLIDING_WINDOW": {"window"},
    "DAILY_TIME_DEADLINE": {"deadline"},
    "DAILY_TIME_WINDOW": {"startTime", "endTime"},
}


class _Named(Protocol):
    @property
    def id(self) -> str: ...


def check_retry(found: Mapping[str, Any], mark: Mark, path: str, complaints: Complaints) -> None:
    """Note intervals of a retry that contradict each other."""
    order = ("minInterval", "interval", "maxInterval", "maxDuration")
    given = [(name, found[name]) for name in order if isinstance(found.get(name), timedelta)]
    for (name, value), (limit_name, limit) in pairwise(given):
        if value >= limit:
            complaints.add(
                f"'{name}' must be less than '{limit_name}' but is {duration_text(value)}",
                mark,
                path,
                hint=f"{limit_name} is {duration_text(limit)}",
            )


def check_flow(flow: Flow, root: Map, parts: Parts) -> None:
    """Note everything that only the whole flow shows."""
    complaints = parts.complaints
    tasks = [*flow.walk(), *_listener_tasks(flow)]
    _check_identity(flow, root, complaints)
    _check_unique("Duplicate task id with name", tasks, parts)
    _check_unique("Duplicate trigger id with name", flow.triggers, parts)
    _check_unique("Duplicate input with name", flow.inputs, parts)
    _check_outputs(flow, root, complaints)
    _check_inputs(flow.inputs, parts)
    for task in tasks:
        _check_task(task, flow, parts)
    for trigger, position in zip(flow.triggers, range(len(flow.triggers)), strict=True):
        _check_trigger(trigger, f"triggers[{position}]", parts)


def _listener_tasks(flow: Flow) -> Iterable[Task]:
    for listener in flow.listeners:
        for task in cast("Sequence[Task]", listener.get("tasks") or ()):
            yield from task.walk()


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


def _check_unique(message: str, things: Iterable[_Named], parts: Parts) -> None:
    seen: dict[str, Mark] = {}
    for thing in things:
        node = parts.nodes.get(id(thing))
        if node is None or not thing.id:
            continue
        mark = node.mark("id" if "id" in node else "name")
        if thing.id in seen:
            first = seen[thing.id].line
            parts.complaints.add(
                f"Invalid Flow: {message} [{thing.id}]",
                mark,
                hint=f"it is on line {first} already" if first else "",
            )
        else:
            seen[thing.id] = mark


def _check_outputs(flow: Flow, root: Map, complaints: Complaints) -> None:
    seen: set[str] = set()
    nodes = cast("Any", root.get("outputs"))
    for output, node in zip(flow.outputs, nodes or (), strict=False):
        if output.id and output.id in seen:
            complaints.add(
                f"Invalid Flow: Duplicate output with name [{output.id}]", node.mark("id")
            )
        seen.add(output.id)


def _check_inputs(inputs: Sequence[Input], parts: Parts) -> None:
    complaints = parts.complaints
    by_id = {declared.id: declared for declared in inputs}
    for declared in inputs:
        node = parts.nodes[id(declared)]
        place = node.mark("dependsOn")
        for name in declared.depends_on:
            if name not in by_id:
                complaints.add(
                    f"Invalid Flow: Input with id '{declared.id}' depends on a non-existent "
                    f"input '{name}'.",
                    place,
                    hint=did_you_mean(name, by_id),
                )
        cycle = _cycle(declared.id, lambda name: by_id[name].depends_on if name in by_id else ())
        if cycle:
            complaints.add(
                f"Invalid Flow: Cycle dependency detected for input with id '{declared.id}': "
                f"[{', '.join(cycle)}]",
                place,
            )
        _check_input(declared, node, complaints)


def _check_input(declared: Input, node: Map, complaints: Complaints) -> None:
    path = declared.id
    if declared.defaults is not None and not declared.required:
        complaints.add(
            "Inputs with a default value must be required, since the default is always applied.",
            node.mark("required"),
            path,
            hint="remove required: false, or use prefill",
        )
    if declared.defaults is not None and declared.prefill is not None:
        complaints.add(
            "Inputs with a default value cannot also have a prefill.", node.mark("prefill"), path
        )
    if declared.properties.get("itemType") == "ARRAY":
        complaints.add("`itemType` cannot be `ARRAY`", node.mark("itemType"), path)
    if declared.properties.get("values") and declared.properties.get("options"):
        complaints.add("you can't define both `values` and `options`", node.mark("options"), path)
    if declared.type == "MULTISELECT" and not any(
        name in node for name in ("values", "options", "expression")
    ):
        complaints.add("`values` or `expression` must be set", node.mark("type"), path)
    pattern = declared.properties.get("validator")
    if isinstance(pattern, str) and not _is_pattern(pattern):
        complaints.add(
            f"invalid pattern [{pattern}]",
            node.mark("validator"),
            f"{path}.validator",
            hint="it is no regular expression of Java",
        )


def _is_pattern(pattern: str) -> bool:
    """Whether Java may compile it; what only Java knows is taken out before Python is asked."""
    simple = re.sub(r"\\[pP](?:\{\w+\}|\w)|\\[hHvVRXQEzZ]", ".", pattern)
    simple = re.sub(r"\(\?<(?![=!])", "(?P<", simple).replace("&&", "")
    try:
        re.compile(simple)
    except re.error:
        return False
    except (RecursionError, OverflowError):
        return True
    return True


def _cycle(start: str, following: Callable[[str], Iterable[str]]) -> list[str]:
    """The names from `start` back to itself, without the last; empty if there is no way back."""
    paths = [[start]]
    seen: set[str] = set()
    while paths:
        path = paths.pop(0)
        for name in following(path[-1]):
            if name == start:
                return path
            if name not in seen:
                seen.add(name)
                paths.append([*path, name])
    return []


def _check_task(task: Task, flow: Flow, parts: Parts) -> None:
    node = parts.nodes.get(id(task))
    if node is None:
        return
    complaints = parts.complaints
    mark = node.mark("type")
    name = task.type
    if name == f"{CORE}.flow.WorkingDirectory":
        for child in task.properties.get("tasks") or ():
            if _is_runnable(child, parts):
                continue
            complaints.add(
                "Only runnable tasks are allowed as children of a WorkingDirectory task",
                parts.nodes[id(child)].mark("type"),
                task.id,
                hint=f"move {child.id} out of {task.id}",
            )
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
    _check_dashes(task, node, complaints)


def _is_runnable(task: Task, parts: Parts) -> bool:
    info = parts.catalog.task(task.type)
    return info is None or not (info.is_flowable or task.type in _NOT_RUNNABLE)


def _check_dag(task: Task, node: Map, complaints: Complaints) -> None:
    entries = [entry for entry in task.properties.get("tasks") or () if "task" in entry]
    after: dict[str, Sequence[str]] = {
        entry["task"].id: entry.get("dependsOn") or () for entry in entries
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
    circular = [name for name in after if _cycle(name, lambda step: after.get(step, ()))]
    if circular:
        complaints.add(f"Cyclic dependency detected: {', '.join(circular)}", mark, task.id)


def _check_dashes(task: Task, node: Map, complaints: Complaints) -> None:
    for key, text, mark in _texts(node):
        if "-" not in text or "{{" not in text or key == "description":
            continue
        for match in _DASHED.finditer(text):
            family, name = match.groups()
            complaints.add(
                f"Invalid Flow: Invalid {family[:-1]} reference: use {family}[key-name] instead of "
                f"{family}.key-name — keys with dashes require bracket notation, "
                f"offending tasks: [{task.id}]",
                mark,
                hint=f"write {family}['{name}']",
            )


def _texts(node: Map) -> Iterable[tuple[str, str, Mark]]:
    """Each text of a task that is not inside a task below it, with its property and place."""
    for key, value in node.items():
        if isinstance(value, str):
            yield key, value, node.mark(key)
        elif isinstance(value, Map | list):
            for text in _texts_within(value):
                yield key, text, node.mark(key)


def _texts_within(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Map):
        if "type" in value and "id" in value:
            return
        for item in value.values():
            yield from _texts_within(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts_within(item)


def _check_trigger(trigger: Trigger, path: str, parts: Parts) -> None:
    node = parts.nodes.get(id(trigger))
    if node is None:
        return
    complaints = parts.complaints
    cron = trigger.properties.get("cron")
    if trigger.type == f"{CORE}.trigger.Schedule" and isinstance(cron, str):
        try:
            check_cron(cron, with_seconds=trigger.properties.get("withSeconds") is True)
        except CronInvalid as wrong:
            complaints.add(
                f"invalid cron expression '{cron}': {wrong}",
                node.mark("cron"),
                path,
                hint="minute hour day-of-month month day-of-week, such as '0 9 * * 1-5'",
            )
        zone = trigger.properties.get("timezone")
        if isinstance(zone, str) and not is_zone(zone):
            complaints.add(
                f"timezone '({zone})' is not a valid time-zone ID",
                node.mark("timezone"),
                path,
                hint="such as Europe/Paris, UTC or +02:00",
            )
    preconditions = trigger.properties.get("preconditions")
    if isinstance(preconditions, dict):
        window = cast("dict[str, Any]", preconditions).get("timeWindow")
        if isinstance(window, dict):
            where = f"{path}.preconditions.timeWindow"
            mark = node.mark("preconditions")
            _check_window(cast("dict[str, Any]", window), where, mark, complaints)
    if trigger.type == f"{CORE}.trigger.Webhook":
        for condition in trigger.conditions:
            if condition["type"].endswith(".MultipleCondition"):
                complaints.add(
                    "invalid webhook: conditions of type [MultipleCondition] are not supported",
                    node.mark("conditions"),
                    path,
                )


def _check_window(window: Mapping[str, Any], path: str, mark: Mark, complaints: Complaints) -> None:
    kind = window.get("type") or "DURATION_WINDOW"
    allowed = _WINDOW_KEYS[kind] | {"type"}
    for key in window:
        if key not in allowed:
            complaints.add(
                f"Time window of type '{kind}' cannot have '{key}'",
                mark,
                path,
                hint=f"it has {', '.join(sorted(allowed - {'type'}))}",
            )


def is_zone(name: str) -> bool:
    """Whether it is a time zone's id as Java takes it: a place, `UTC`, `Z` or an offset."""
    if re.fullmatch(r"(?:(?:UTC|GMT|UT)?[-+]\d{1,2}(?::?\d{2}(?::?\d{2})?)?|Z|UTC|GMT|UT)", name):
        return True
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

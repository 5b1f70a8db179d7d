"""The parts of a flow: tasks, triggers, conditions, task runners, inputs, retries, labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from runner.loading.complaints import Complaints, type_hint
from runner.loading.converter import Converter, is_collection, joined
from runner.loading.labels import read_labels
from runner.loading.source import Items, Map, Mark, plain
from runner.model.catalog import Catalog, TypeInfo
from runner.model.convert import shape, text
from runner.model.execution import Level
from runner.model.flow import Input, Place, Properties, Retry, Sla, Task, Trigger

_TASK_FIELDS = {
    "allowFailure": "allow_failure",
    "allowWarning": "allow_warning",
    "description": "description",
    "disabled": "disabled",
    "runIf": "run_if",
    "taskCache": "task_cache",
    "timeout": "timeout",
    "logToFile": "log_to_file",
}
_IGNORED = {"version", "workerGroup", "workerSelector", "pluginDefaultsRef"}
Kind = Literal["task", "trigger", "condition", "taskRunner"]

_EXAMPLES: Mapping[Kind, str] = {
    "task": "io.kestra.plugin.core.log.Log",
    "trigger": "io.kestra.plugin.core.trigger.Schedule",
    "condition": "io.kestra.plugin.core.condition.Expression",
    "taskRunner": "io.kestra.plugin.core.runner.Process",
}
_ENTERPRISE = "they are an Enterprise Edition feature"


class Places(Mapping[str, Place]):
    """Places of the properties of a task by their paths below it, found when asked for."""

    def __init__(self, node: Map) -> None:
        self._node = node
        self._found: dict[str, Place] | None = None

    def _all(self) -> dict[str, Place]:
        if self._found is None:
            self._found = dict(_places(self._node, ""))
        return self._found

    def __getitem__(self, path: str) -> Place:
        return self._all()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _places(node: Any, path: str) -> Iterator[tuple[str, Place]]:
    if isinstance(node, Map):
        for key, value in node.items():
            mark = node.mark(key)
            yield joined(path, key), Place(mark.line, mark.column)
            yield from _places(value, joined(path, key))
    elif isinstance(node, Items):
        for position, value in enumerate(node):
            mark = node.mark(position)
            yield f"{path}[{position}]", Place(mark.line, mark.column)
            yield from _places(value, f"{path}[{position}]")


class Parts:
    """Reads the parts of one flow, and notes what is wrong with them."""

    def __init__(self, catalog: Catalog, complaints: Complaints) -> None:
        self.catalog = catalog
        self.complaints = complaints
        self.converter = Converter(catalog, complaints)
        self.converter.special.update(
            Task=self.task,
            Trigger=self.trigger,
            Condition=self.condition,
            TaskRunner=self.task_runner,
            Input=self.input,
        )
        self.nodes: dict[int, Map] = {}
        """The map that a task, trigger or input was read from, by the `id()` of the object."""

    def task(self, node: Any, mark: Mark, path: str) -> Task | None:
        """The task written at `mark`; None after a problem that leaves nothing to look at."""
        if not isinstance(node, Map):
            self._no_map(node, mark, path, "Task")
            return None
        type_name = self._type_name(node, path, "task")
        info = None if type_name is None else self.catalog.task(type_name)
        if info is None:
            if type_name is None or not self._foreign_task(node, type_name, path):
                return None
            return self._unsupported_task(node, type_name, path)
        self._mention_old_name(node, cast("str", type_name), info, path)
        own_path = self._own_path(node, path)
        found = self._task_properties(node, info, path, own_path)
        return self._built_task(node, info.name, found, info.base)

    def _task_properties(
        self, node: Map, info: TypeInfo, path: str, own_path: str
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        converter = self.converter
        for key, value in node.items():
            if key == "type":
                continue
            mark = node.mark(key)
            prop = info.properties.get(key)
            if prop is None:
                self.complaints.unknown_property(key, mark, joined(own_path, key), info)
            elif key == "retry":
                found[key] = self.retry(value, mark, f"{path}.retry")
            elif key == "assets":
                self._no_assets(node, mark, own_path)
            else:
                converted = converter.property(value, mark, prop, joined(own_path, key))
                if converted is not None:
                    found[prop.alias or key] = converted
        converter.check_required(node, info, own_path)
        return found

    def _no_assets(self, node: Map, mark: Mark, path: str) -> None:
        self.complaints.add(
            f"Task '{node.get('id')}' can't have any 'assets' because {_ENTERPRISE}",
            mark,
            joined(path, "assets"),
            hint="remove assets",
            at_key=True,
        )

    def _built_task(
        self, node: Map, type_name: str, found: dict[str, Any], base: frozenset[str]
    ) -> Task | None:
        id_ = found.pop("id", None)
        fields = {field: found.pop(name) for name, field in _TASK_FIELDS.items() if name in found}
        retry = found.pop("retry", None)
        level = found.pop("logLevel", None)
        for name in _IGNORED & base:
            found.pop(name, None)
        if id_ is None:
            id_ = ""
        task = Task(
            id=id_,
            type=type_name,
            properties=found,
            retry=retry,
            log_level=None if level is None else Level(level),
            places=Places(node),
            **fields,
        )
        self.nodes[id(task)] = node
        return task

    def _foreign_task(self, node: Map, type_name: str, path: str) -> bool:
        """Whether a type that is no task of ours may be one of Kestra's; notes what it is."""
        return self._foreign(node, type_name, path, "task", "unsupported")

    def _unsupported_task(self, node: Map, type_name: str, path: str) -> Task | None:
        base = self.catalog.base("Task")
        known = Map(node.line, node.column)
        rest: dict[str, Any] = {}
        for key, value in node.items():
            if key in base.properties:
                known.put(key, value, node.mark(key))
            elif key != "type":
                rest[key] = plain(value)
        found = self._task_properties(known, base, path, self._own_path(node, path))
        return self._built_task(node, type_name, {**rest, **found}, frozenset(base.properties))

    def trigger(self, node: Any, mark: Mark, path: str) -> Trigger | None:
        """The trigger written at `mark`; None after a problem that leaves nothing to look at."""
        if not isinstance(node, Map):
            self._no_map(node, mark, path, "AbstractTrigger")
            return None
        type_name = self._type_name(node, path, "trigger")
        info = None if type_name is None else self.catalog.trigger(type_name)
        if info is None:
            if type_name is not None:
                self._foreign(node, type_name, path, "trigger", "warning")
                if self.catalog.is_elsewhere(type_name):
                    return Trigger(
                        id=text(node.get("id")) or "", type=type_name, properties=plain(node)
                    )
            return None
        self._mention_old_name(node, cast("str", type_name), info, path)
        labels = read_labels(node, path, self.complaints)
        without = Map(node.line, node.column)
        for key, value in node.items():
            if key not in ("type", "labels", "assets"):
                without.put(key, value, node.mark(key))
        if "assets" in node:
            self._no_assets(node, node.mark("assets"), path)
        found = self.converter.properties(without, info, path)
        for name in _IGNORED:
            found.pop(name, None)
        level = found.pop("logLevel", None)
        conditions = [*found.pop("conditions", ()), *found.pop("scheduleConditions", ())]
        found.pop("description", None)
        trigger = Trigger(
            id=found.pop("id", ""),
            type=info.name,
            disabled=found.pop("disabled", False),
            conditions=tuple(conditions),
            labels=labels,
            inputs=found.pop("inputs", None),
            stop_after=tuple(found.pop("stopAfter", ())),
            allow_concurrent=found.pop("allowConcurrent", False),
            fail_on_trigger_error=found.pop("failOnTriggerError", False),
            log_level=None if level is None else Level(level),
            properties=found,
        )
        self.nodes[id(trigger)] = node
        return trigger

    def condition(self, node: Any, mark: Mark, path: str) -> Properties | None:
        """The condition written at `mark`, with its canonical type; None after a problem."""
        return self._typed_map(node, mark, path, "condition")

    def task_runner(self, node: Any, mark: Mark, path: str) -> Properties | None:
        """The task runner written at `mark`, with its canonical type; None after a problem."""
        if isinstance(node, str) and "{{" not in node:
            # A text is only refused when the task runs (script-tasks 1.2).
            return {"type": node}
        return self._typed_map(node, mark, path, "taskRunner")

    def _typed_map(
        self, node: Any, mark: Mark, path: str, kind: Literal["condition", "taskRunner"]
    ) -> Properties | None:
        if not isinstance(node, Map):
            self._no_map(node, mark, path, "Condition" if kind == "condition" else "TaskRunner")
            return None
        type_name = self._type_name(node, path, kind)
        if type_name is None:
            return None
        lookup = self.catalog.condition if kind == "condition" else self.catalog.task_runner
        info = lookup(type_name)
        if info is None:
            self._foreign(node, type_name, path, kind, "unsupported")
            return {**plain(node), "type": type_name}
        without = Map(node.line, node.column)
        for key, value in node.items():
            if key != "type":
                without.put(key, value, node.mark(key))
        return {"type": info.name, **self.converter.properties(without, info, path)}

    def retry(self, node: Any, mark: Mark, path: str) -> Retry | None:
        """The retry written at `mark`; None if there is none, or after a problem."""
        found = self._worded(node, mark, path, "Retry", self.catalog.retry, "retries")
        if found is None:
            return None
        kind = found.pop("type")
        names = {
            "interval": "interval",
            "minInterval": "min_interval",
            "maxInterval": "max_interval",
            "delayFactor": "delay_factor",
            "maxAttempts": "max_attempts",
            "maxDuration": "max_duration",
            "warningOnRetry": "warning_on_retry",
            "behavior": "behavior",
        }
        from runner.loading.rules import check_retry

        check_retry(found, mark, path, self.complaints)
        return Retry(type=kind, **{names[name]: value for name, value in found.items()})

    def sla(self, node: Any, mark: Mark, path: str) -> Sla | None:
        """The SLA written at `mark`; None after a problem."""
        found = self._worded(node, mark, path, "SLA", self.catalog.sla, "slas")
        if found is None or "behavior" not in found or "id" not in found:
            return None
        return Sla(
            id=found["id"],
            type=found["type"],
            behavior=found["behavior"],
            duration=found.get("duration"),
            assertion=found.get("assert"),
            labels=read_labels(cast("Map", node), path, self.complaints),
        )

    def _worded(
        self, node: Any, mark: Mark, path: str, what: str, lookup: Any, family: Any
    ) -> dict[str, Any] | None:
        """The properties of a map whose `type` is one of a few words; None after a problem."""
        if node is None:
            return None
        if not isinstance(node, Map):
            self._no_map(node, mark, path, what)
            return None
        word = text(node.get("type"))
        info: TypeInfo | None = None if word is None else lookup(word)
        if info is None:
            words = ", ".join(self.catalog.words(family))
            self.complaints.add(
                f"Invalid type: {'null' if word is None else word}",
                node.mark("type"),
                joined(path, "type"),
                hint=f"one of {words}",
            )
            return None
        return self.converter.properties(node, info, path)

    def input(self, node: Any, mark: Mark, path: str) -> Input | None:
        """The input declared at `mark`; None after a problem."""
        if not isinstance(node, Map):
            self._no_map(node, mark, path, "Input")
            return None
        type_path = text(node.get("id")) or text(node.get("name")) or path
        found = self._worded(node, mark, type_path, "Input", self.catalog.input, "inputs")
        if found is None:
            return None
        depends = cast("dict[str, Any]", found.pop("dependsOn", None) or {})
        declared = Input(
            id=found.pop("id", ""),
            type=found.pop("type"),
            required=found.pop("required", True),
            defaults=_source_value(node, "defaults"),
            prefill=_source_value(node, "prefill"),
            description=found.pop("description", None),
            display_name=found.pop("displayName", None),
            depends_on=tuple(depends.get("inputs") or ()),
            condition=depends.get("condition"),
            properties={
                name: value for name, value in found.items() if name not in ("defaults", "prefill")
            },
        )
        self.nodes[id(declared)] = node
        return declared

    def _own_path(self, node: Map, path: str) -> str:
        """How Kestra names a task in messages about its own properties: by its id."""
        id_ = node.get("id")
        return path if id_ is None or is_collection(id_) or id_ == "" else str(text(id_))

    def _no_map(self, node: Any, mark: Mark, path: str, what: str) -> None:
        shown = f" ('{node}')" if isinstance(node, str) else ""
        self.complaints.add(
            f"Cannot construct instance of `{what}`: no String-argument constructor/factory "
            f"method to deserialize from {shape(node)}{shown}",
            mark,
            path,
            hint="write it as a map with id and type" if what != "Retry" else "write it as a map",
        )

    def _type_name(self, node: Map, path: str, kind: Kind) -> str | None:
        """The `type` of the map; None after a problem."""
        value = node.get("type")
        if isinstance(value, str) and value:
            return value
        shown = "<null>" if value is None else text(plain(value))
        self.complaints.add(
            f"Invalid type: {shown}",
            node.mark("type"),
            joined(path, "type"),
            hint=f"give it a type, such as {_EXAMPLES[kind]}",
        )
        return None

    def _foreign(
        self,
        node: Map,
        type_name: str,
        path: str,
        kind: Kind,
        as_kind: Literal["unsupported", "warning"],
    ) -> bool:
        """Note a type that is none of ours; True if it may be one of Kestra's."""
        mark = node.mark("type")
        place = joined(path, "type")
        replacement = self.catalog.replacement(type_name)
        other = self.catalog.any_kind(type_name)
        if replacement is not None:
            self.complaints.add(
                f"Invalid type: {type_name}",
                mark,
                place,
                hint=f"it was removed from Kestra's script plugins; use {replacement}",
            )
            return False
        if other is None and self.catalog.is_elsewhere(type_name):
            self.complaints.add(
                f"{type_name} is known to Kestra, not supported here",
                mark,
                place,
                hint=type_hint(type_name, [*self.catalog.names(kind)])
                if type_name not in self.catalog.elsewhere()
                else "",
                kind=as_kind,
            )
            return True
        hint = f"it is a {other.kind}, not a {kind}" if other is not None else ""
        self.complaints.add(
            f"Invalid type: {type_name}",
            mark,
            place,
            hint=hint or type_hint(type_name, [*self.catalog.names(kind)]),
        )
        return False

    def _mention_old_name(self, node: Map, written: str, info: TypeInfo, path: str) -> None:
        if written != info.name:
            self.complaints.add(
                f"{written} is an old name of {info.name}",
                node.mark("type"),
                joined(path, "type"),
                hint="Kestra 2.0 no longer knows it",
                kind="warning",
            )


def _source_value(node: Map, name: str) -> Any:
    """The value of an input's `defaults`: a scalar as the text that stands in the file."""
    value = node.get(name)
    if value is None:
        return None
    if is_collection(value):
        return plain(value)
    return node.mark(name).text or text(value)

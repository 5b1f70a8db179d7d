"""Reads tasks, wherever in a flow they stand, and the task runners in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from runner.loading.common import IGNORED, Common, own_path
from runner.loading.converter import is_collection, joined
from runner.loading.source import Items, Map, Mark, plain
from runner.model.catalog import TypeInfo
from runner.model.convert import text
from runner.model.execution import Level
from runner.model.flow import Place, Properties, Retry, Task
from runner.tasks.modules import MODULES

_FIELDS = {
    "allowFailure": "allow_failure",
    "allowWarning": "allow_warning",
    "description": "description",
    "disabled": "disabled",
    "runIf": "run_if",
    "taskCache": "task_cache",
    "timeout": "timeout",
    "logToFile": "log_to_file",
}


class Tasks:
    """Reads the tasks of one flow."""

    def __init__(self, common: Common, retry: Callable[[Any, Mark, str], Retry | None]) -> None:
        self._common = common
        self._retry = retry
        # How many of the tasks around the one being read are disabled.
        self._disabled = 0

    def task(self, node: Any, mark: Mark, path: str) -> Task | None:
        """The task written at `mark`; None after a problem that leaves nothing to look at."""
        common = self._common
        if not isinstance(node, Map):
            common.no_map(node, mark, path, "Task")
            return None
        type_name = common.type_name(node, path, "task")
        if type_name is None:
            return None
        is_off = node.get("disabled") in (True, "true", "True", "TRUE")
        self._disabled += is_off
        try:
            info = common.catalog.task(type_name)
            if info is None:
                return self._foreign(node, type_name, path)
            common.mention_old_name(node, type_name, info, path)
            if info.name not in MODULES:
                common.complaints.foreign_type(
                    info.name, node.mark("type"), path, self._gravity_of_foreign
                )
            return self._built(node, info.name, self._properties(node, info, path))
        finally:
            self._disabled -= is_off

    def task_runner(self, node: Any, mark: Mark, path: str) -> Properties | str | None:
        """The task runner written at `mark`, with its canonical type; None after a problem.

        A text stays one: only the run fails with it (script-tasks 1.2).
        """
        if not is_collection(node):
            return text(node)
        return self._common.typed_map(node, mark, path, "taskRunner")

    def _properties(self, node: Map, info: TypeInfo, path: str) -> dict[str, Any]:
        common = self._common
        own = own_path(node, path)
        found: dict[str, Any] = {}
        for key, value in node.items():
            if key == "type":
                continue
            mark = node.mark(key)
            prop = info.properties.get(key)
            if prop is None:
                common.complaints.unknown_property(key, mark, joined(own, key), info)
            elif key == "retry":
                found[key] = self._retry(value, mark, f"{path}.retry")
            elif key == "assets":
                common.no_assets(node, own)
            else:
                converted = common.converter.property(value, mark, prop, joined(own, key))
                if converted is not None:
                    found[prop.alias or key] = converted
        common.converter.check_required(node, info, own)
        return found

    @property
    def _gravity_of_foreign(self) -> Literal["unsupported", "warning"]:
        """How grave a task is here that Eyas cannot run.

        What is disabled does not run, so it does not keep the flow from running either.
        """
        return "warning" if self._disabled else "unsupported"

    def _foreign(self, node: Map, type_name: str, path: str) -> Task | None:
        """A task of a type that Eyas has not, as far as all tasks are alike; None: no such type."""
        common = self._common
        if not common.is_foreign(node, type_name, path, "task", self._gravity_of_foreign):
            return None
        base = common.catalog.base("Task")
        known = Map(node.line, node.column)
        rest: dict[str, Any] = {}
        for key, value in node.items():
            if key in base.properties:
                known.put(key, value, node.mark(key))
            elif key != "type":
                rest[key] = plain(value)
        return self._built(node, type_name, {**rest, **self._properties(known, base, path)})

    def _built(self, node: Map, type_name: str, found: dict[str, Any]) -> Task:
        fields = {field: found.pop(name) for name, field in _FIELDS.items() if name in found}
        retry = found.pop("retry", None)
        level = found.pop("logLevel", None)
        for name in IGNORED:
            found.pop(name, None)
        task = Task(
            id=found.pop("id", ""),
            type=type_name,
            properties=found,
            retry=retry,
            log_level=None if level is None else Level(level),
            places=Places(node),
            old_type=_old_name(node, type_name),
            **fields,
        )
        self._common.nodes[task] = node
        return task


def _old_name(node: Map, type_name: str) -> str | None:
    """The name of the type in the file, if it is not its canonical one."""
    written = node.get("type")
    return written if isinstance(written, str) and written != type_name else None


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

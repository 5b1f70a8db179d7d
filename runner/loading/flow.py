"""From text to a checked `Flow`, or to every problem with it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from runner.errors import FlowInvalid, Problem
from runner.loading import defaults as plugin_defaults
from runner.loading.complaints import Complaints
from runner.loading.labels import read_labels
from runner.loading.parts import Parts
from runner.loading.rules import check_flow
from runner.loading.source import MAX_CHARACTERS, Items, Map, Mark, decode, read
from runner.model.catalog import TypeInfo, catalog
from runner.model.flow import Check, Concurrency, Flow, Output, Task
from runner.settings import Settings

T = TypeVar("T")

_BRANCHES = ("tasks", "errors", "finally", "afterExecution")


def load(
    text: str,
    *,
    file: str = "",
    settings: Settings | None = None,
    revision: int = 1,
    plugin_values: Iterable[Mapping[str, Any]] = (),
) -> Flow:
    """The flow that `text` describes, checked, with plugin defaults in place.

    `plugin_values` are plugin defaults from outside of the flow, each a map with `type`,
    `values` and perhaps `forced`.

    Raises:
        FlowInvalid: with every problem of the text, in the order of the file.
    """
    flow, found = _read(text, file, settings, revision, plugin_values)
    if flow is None or any(problem.kind == "invalid" for problem in found):
        raise FlowInvalid(found)
    return replace(flow, problems=tuple(found))


def load_file(
    path: Path | str,
    *,
    settings: Settings | None = None,
    revision: int = 1,
    plugin_values: Iterable[Mapping[str, Any]] = (),
) -> Flow:
    """The flow in a file, as `load` gives it.

    Raises:
        FlowInvalid: with every problem of the file; that it cannot be read is one.
    """
    return load(
        read_text(path),
        file=str(path),
        settings=settings,
        revision=revision,
        plugin_values=plugin_values,
    )


def problems(
    text: str,
    *,
    file: str = "",
    settings: Settings | None = None,
    plugin_values: Iterable[Mapping[str, Any]] = (),
) -> list[Problem]:
    """Every problem and warning of a flow's text, in the order of the file."""
    return _read(text, file, settings, 1, plugin_values)[1]


def read_text(path: Path | str) -> str:
    """The text of a flow file.

    Raises:
        FlowInvalid: it cannot be read, is no regular file, too big, or no UTF-8.
    """
    file = str(path)
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its other end.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise FlowInvalid([_unreadable(file, f"The file cannot be read: {why}")]) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise FlowInvalid([_unreadable(file, "This is no regular file")])
        with os.fdopen(handle, "rb", closefd=False) as stream:
            data = stream.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        why = f"The file cannot be read: {error.strerror}"
        raise FlowInvalid([_unreadable(file, why)]) from error
    finally:
        os.close(handle)
    return decode(data, file)


def _unreadable(file: str, message: str) -> Problem:
    return Problem(message=message, file=file)


def _read(
    text: str,
    file: str,
    settings: Settings | None,
    revision: int,
    plugin_values: Iterable[Mapping[str, Any]],
) -> tuple[Flow | None, list[Problem]]:
    complaints = Complaints(file, text, settings.unknown_properties if settings else "refuse")
    try:
        root = read(text, file)
    except FlowInvalid as invalid:
        return None, complaints.with_rows(invalid.problems)
    return _FlowReader(root, complaints).flow(text, file, revision, plugin_values)


class _FlowReader:
    """Reads one flow from its map."""

    def __init__(self, root: Map, complaints: Complaints) -> None:
        self.root = root
        self.complaints = complaints
        self.catalog = catalog()
        self.parts = Parts(self.catalog, complaints)

    def flow(
        self, text: str, file: str, revision: int, plugin_values: Iterable[Mapping[str, Any]]
    ) -> tuple[Flow, list[Problem]]:
        """The flow as far as it can be built, and all its problems."""
        own = plugin_defaults.of_flow(self.root, self.catalog, self.complaints)
        merger = plugin_defaults.Merger(self.catalog, own, plugin_defaults.given(plugin_values))
        self.root = merger.into(self.root)
        simple = self._simple_properties()
        branches = {name: self._tasks(name) for name in _BRANCHES}
        concurrency = simple.get("concurrency")
        flow = Flow(
            id=simple.get("id", ""),
            namespace=simple.get("namespace", ""),
            tasks=branches["tasks"],
            errors=branches["errors"],
            finally_=branches["finally"],
            after_execution=branches["afterExecution"],
            inputs=self._listed("inputs", self.parts.input),
            outputs=self._listed("outputs", self._output),
            variables=simple.get("variables"),
            labels=read_labels(self.root, "", self.complaints, strict=True),
            triggers=self._listed("triggers", self.parts.trigger),
            concurrency=self._concurrency(concurrency),
            retry=self.parts.retry(self.root.get("retry"), self.root.mark("retry"), "retry"),
            sla=self._listed("sla", self.parts.sla),
            checks=self._listed("checks", self._check),
            listeners=tuple(simple.get("listeners") or ()),
            plugin_defaults=tuple(simple.get("pluginDefaults") or ()),
            description=simple.get("description"),
            disabled=simple.get("disabled", False),
            revision=revision,
            source=text,
            file=file,
        )
        check_flow(flow, self.root, self.parts)
        if "taskDefaults" in self.root:
            self.complaints.add(
                "taskDefaults has no effect",
                self.root.mark("taskDefaults"),
                "taskDefaults",
                hint="rename it to pluginDefaults",
                kind="warning",
                at_key=True,
            )
        self.complaints.say_what_runs(flow)
        return flow, self.complaints.sorted()

    def _simple_properties(self) -> dict[str, Any]:
        """The properties that are read by the catalogue alone."""
        info = self.catalog.base("Flow")
        apart = {*_BRANCHES, "inputs", "outputs", "triggers", "labels", "retry", "sla", "checks"}
        simple = Map(self.root.line, self.root.column)
        for key, value in self.root.items():
            mark = self.root.mark(key)
            if key in apart or key == "extend":
                # Published examples carry `extend` for a website; it is no part of the flow.
                continue
            if key in info.properties:
                simple.put(key, value, mark)
            else:
                self.complaints.unknown_property(key, mark, key, info)
        return self.parts.converter.properties(simple, _without(info, apart), "")

    def _tasks(self, name: str) -> tuple[Task, ...]:
        tasks = self._listed(name, self.parts.task)
        if name == "tasks" and not self.root.get(name) and self.root.get(name) in (None, []):
            self.complaints.add(
                "must not be empty",
                self.root.mark(name),
                name,
                hint="a flow needs at least one task",
            )
        return tasks

    def _listed(self, name: str, reader: Callable[[Any, Mark, str], T | None]) -> tuple[T, ...]:
        """What `reader` makes of each item of the list `name`."""
        value = self.root.get(name)
        if value is None:
            return ()
        if not isinstance(value, Items):
            self.parts.converter.no_list(value, self.root.mark(name), name)
            return ()
        found: list[T] = []
        for position, item in enumerate(value):
            made = reader(item, value.mark(position), f"{name}[{position}]")
            if made is not None:
                found.append(made)
        return tuple(found)

    def _model(self, node: Any, mark: Mark, name: str, path: str) -> dict[str, Any] | None:
        return cast("dict[str, Any] | None", self.parts.converter.model(node, mark, name, path))

    def _output(self, node: Any, mark: Mark, path: str) -> Output | None:
        found = self._model(node, mark, "Output", path)
        if found is None or "type" not in found or "id" not in found:
            return None
        output = Output(
            id=found["id"],
            type=found["type"],
            value=found.get("value"),
            required=found.get("required", True),
            description=found.get("description"),
            display_name=found.get("displayName"),
        )
        self.parts.nodes[output] = node
        return output

    def _check(self, node: Any, mark: Mark, path: str) -> Check | None:
        found = self._model(node, mark, "Check", path)
        if found is None or "condition" not in found or "message" not in found:
            return None
        return Check(
            condition=found["condition"],
            message=found["message"],
            style=found.get("style", "INFO"),
            behavior=found.get("behavior", "BLOCK_EXECUTION"),
        )

    def _concurrency(self, found: Any) -> Concurrency | None:
        if not isinstance(found, dict) or "limit" not in found:
            return None
        values = cast("dict[str, Any]", found)
        return Concurrency(limit=values["limit"], behavior=values.get("behavior", "QUEUE"))


def _without(info: TypeInfo, names: Iterable[str]) -> TypeInfo:
    properties = {name: prop for name, prop in info.properties.items() if name not in names}
    return info._replace(properties=properties)

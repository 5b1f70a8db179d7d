"""What the readers of a flow's parts share: types by name, maps with a `type`, and complaints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from runner.loading.complaints import Complaints, did_you_mean, type_hint
from runner.loading.converter import Converter, is_collection, joined
from runner.loading.source import Map, Mark, plain
from runner.model.catalog import Catalog, TypeInfo
from runner.model.convert import shape, text
from runner.model.flow import Input, Output, Task, Trigger

Kind = Literal["task", "trigger", "condition", "taskRunner"]

Part = Task | Trigger | Input | Output
"""What has a map of its own in the file, and an id."""

IGNORED = frozenset({"version", "workerGroup", "workerSelector", "pluginDefaultsRef"})
"""Common properties that are accepted and mean nothing here."""

_EXAMPLES: Mapping[Kind, str] = {
    "task": "io.kestra.plugin.core.log.Log",
    "trigger": "io.kestra.plugin.core.trigger.Schedule",
    "condition": "io.kestra.plugin.core.condition.Expression",
    "taskRunner": "io.kestra.plugin.core.runner.Process",
}


_FAMILIES = {"inputs": "Input", "retries": "Retry", "slas": "SLA"}
_LONGEST_NAME = 256


class Common:
    """The catalogue, the complaints and the converter of one flow, and where its parts stand.

    `nodes` gives the map that a part was read from.
    """

    def __init__(self, catalog: Catalog, complaints: Complaints) -> None:
        self.catalog = catalog
        self.complaints = complaints
        self.converter = Converter(catalog, complaints)
        self.nodes: dict[Part, Map] = {}

    def type_name(self, node: Map, path: str, kind: Kind) -> str | None:
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

    def is_foreign(
        self,
        node: Map,
        type_name: str,
        path: str,
        kind: Kind,
        as_kind: Literal["unsupported", "warning"],
    ) -> bool:
        """Note a type that is none of ours; True if it may be one of Kestra's.

        `as_kind` is how grave it is then.
        """
        other = self.catalog.any_kind(type_name)
        if other is not None:
            hint = f"it is a {other.kind}, not a {kind}"
        elif (replacement := self.catalog.replacement(type_name)) is not None:
            hint = f"it was removed from Kestra's script plugins; use {replacement}"
        else:
            names = list(self.catalog.names(kind))
            certain = type_name in self.catalog.elsewhere()
            nearly = "" if certain else did_you_mean(type_name, names, cutoff=0.93)
            if not nearly and (certain or self.catalog.is_elsewhere(type_name)):
                self.complaints.foreign_type(type_name, node.mark("type"), path, as_kind)
                return True
            hint = nearly or type_hint(type_name, names)
        mark = node.mark("type")
        self.complaints.add(f"Invalid type: {type_name}", mark, joined(path, "type"), hint=hint)
        return False

    def mention_old_name(self, node: Map, written: str, info: TypeInfo, path: str) -> None:
        """Note a type that is written with an old name."""
        if written != info.name:
            self.complaints.add(
                f"{written} is an old name of {info.name}",
                node.mark("type"),
                joined(path, "type"),
                hint="Kestra 2.0 no longer knows it",
                kind="warning",
            )

    def no_map(self, node: Any, mark: Mark, path: str, what: str) -> None:
        """Note that a `what` is written as something else than a map."""
        shown = f" ('{node}')" if isinstance(node, str) else ""
        self.complaints.add(
            f"Cannot construct instance of `{what}`: no String-argument constructor/factory "
            f"method to deserialize from {shape(node)}{shown}",
            mark,
            path,
            hint="write it as a map: lines of `name: value`, one of them the type",
        )

    def no_assets(self, node: Map, path: str) -> None:
        """Note `assets`, which only the Enterprise Edition takes."""
        self.complaints.add(
            f"Task '{node.get('id')}' can't have any 'assets' "
            "because they are an Enterprise Edition feature",
            node.mark("assets"),
            joined(path, "assets"),
            hint="remove assets",
            at_key=True,
        )

    def typed_map(
        self, node: Any, mark: Mark, path: str, kind: Literal["condition", "taskRunner"]
    ) -> dict[str, Any] | None:
        """A map whose `type` is in the catalogue, with its canonical name; None after a problem."""
        if not isinstance(node, Map):
            self.no_map(node, mark, path, "Condition" if kind == "condition" else "TaskRunner")
            return None
        type_name = self.type_name(node, path, kind)
        if type_name is None:
            return None
        lookup = self.catalog.condition if kind == "condition" else self.catalog.task_runner
        info = lookup(type_name)
        if info is None:
            as_kind = "warning" if kind == "condition" else "unsupported"
            self.is_foreign(node, type_name, path, kind, as_kind)
            return {**plain(node), "type": type_name}
        self.mention_old_name(node, type_name, info, path)
        found = self.converter.properties(without(node, {"type"}), info, path)
        return {"type": info.name, **found}

    def worded_map(
        self,
        node: Any,
        mark: Mark,
        path: str,
        family: Literal["inputs", "retries", "slas"],
        lookup: Callable[[str], TypeInfo | None],
    ) -> dict[str, Any] | None:
        """The properties of a map whose `type` is one of a few words; None after a problem."""
        if node is None:
            return None
        if not isinstance(node, Map):
            self.no_map(node, mark, path, _FAMILIES[family])
            return None
        word = text(plain(node.get("type")))
        info = None if word is None else lookup(word)
        if info is None:
            self.complaints.add(
                f"Invalid type: {'null' if word is None else word}",
                node.mark("type"),
                joined(path, "type"),
                hint=f"one of {', '.join(self.catalog.words(family))}",
            )
            return None
        return self.converter.properties(node, info, path)


def own_path(node: Map, path: str) -> str:
    """How Kestra names a task in messages about its own properties: by its id."""
    id_ = node.get("id")
    if id_ in (None, "") or is_collection(id_):
        return path
    name = str(text(id_))
    return name if len(name) <= _LONGEST_NAME else path


def without(node: Map, names: set[str]) -> Map:
    """The map without some of its properties, its places kept."""
    made = Map(node.line, node.column)
    for key, value in node.items():
        if key not in names:
            made.put(key, value, node.mark(key))
    return made

"""Plugin defaults: values that a flow, or whoever runs it, gives to all tasks of a type.

They are merged into the untyped map before it is read (flow-model 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from runner.loading.complaints import Complaints, did_you_mean
from runner.loading.source import NOWHERE, Items, Map
from runner.model.catalog import Catalog
from runner.records import record

FLOW_TRIGGER = "io.kestra.plugin.core.trigger.Flow"


@record
class Default:
    """`values` for every map whose type begins with `type`; `forced` ones win over the map's."""

    type: str
    values: Map
    forced: bool


def given(defaults: Iterable[Mapping[str, Any]]) -> list[Default]:
    """Defaults that come from outside of a flow, as maps with `type`, `values` and `forced`."""
    return [
        Default(str(entry["type"]), placed(entry.get("values") or {}), bool(entry.get("forced")))
        for entry in defaults
    ]


def placed(value: Any) -> Any:
    """A plain value as one whose parts know that they have no place."""
    if isinstance(value, Mapping):
        made = Map()
        for key, item in cast("Mapping[str, Any]", value).items():
            made.put(str(key), placed(item), NOWHERE)
        return made
    if isinstance(value, list | tuple):
        items = Items()
        for item in cast("Sequence[Any]", value):
            items.put(placed(item), NOWHERE)
        return items
    return value


def of_flow(root: Map, catalog: Catalog, complaints: Complaints) -> list[Default]:
    """The defaults under `pluginDefaults` of a flow; what is wrong with them is noted."""
    entries = root.get("pluginDefaults")
    if not isinstance(entries, Items):
        return []
    found: list[Default] = []
    for position, entry in enumerate(entries):
        path = f"pluginDefaults[{position}]"
        if not isinstance(entry, Map) or not isinstance(entry.get("type"), str):
            continue
        type_name: str = entry["type"]
        values = entry.get("values")
        if not isinstance(values, Map):
            complaints.add(
                "Invalid Plugin Default: No 'values' provided",
                entry.mark("values"),
                path,
                hint="give it a map of values",
            )
            continue
        _check_values(type_name, values, path, catalog, complaints)
        found.append(Default(type_name, values, entry.get("forced") in (True, "true")))
    return found


def _check_values(
    type_name: str, values: Map, path: str, catalog: Catalog, complaints: Complaints
) -> None:
    info = catalog.any_kind(type_name)
    for key, value in values.items():
        mark = values.mark(key)
        if value is None:
            complaints.add(
                f"Invalid Plugin Default: the value of '{key}' is null", mark, path, at_key=True
            )
        elif info is not None and key not in info.properties:
            complaints.add(
                f"Invalid Plugin Default: No property '{key}' exists in plugin '{type_name}'",
                mark,
                path,
                hint=did_you_mean(key, info.properties),
                at_key=True,
            )


class Merger:
    """Merges defaults into the maps of one flow. Both lists are in the order of precedence."""

    def __init__(
        self, catalog: Catalog, flow_defaults: list[Default], outer_defaults: list[Default]
    ) -> None:
        self._catalog = catalog
        self._flow = flow_defaults
        self._outer = outer_defaults
        self._matching: dict[str, tuple[list[Default], list[Default]]] = {}

    def into(self, root: Map) -> Map:
        """The flow with every map in it completed; its own `pluginDefaults` stay as they are."""
        if not self._flow and not self._outer:
            return root
        made = Map(root.line, root.column)
        for key, value in root.items():
            kept = key in ("pluginDefaults", "taskDefaults")
            made.put(key, value if kept else self._within(value), root.mark(key))
        return made

    def _within(self, value: Any) -> Any:
        if isinstance(value, Items):
            items = Items(value.line, value.column)
            for position, item in enumerate(value):
                items.put(self._within(item), value.mark(position))
            return items
        if not isinstance(value, Map):
            return value
        type_name = value.get("type")
        stored = isinstance(type_name, str) and self._catalog.canonical(type_name) == FLOW_TRIGGER
        made = Map(value.line, value.column)
        for key, item in value.items():
            # Kestra evaluates a Flow trigger's conditions as they are stored.
            kept = stored and key in ("conditions", "preconditions")
            made.put(key, item if kept else self._within(item), value.mark(key))
        return self._completed(made, type_name) if isinstance(type_name, str) else made

    def _completed(self, node: Map, type_name: str) -> Map:
        plain_ones, forced = self._for(type_name)
        for default in plain_ones:
            node = merged(self._fitting(default, type_name), node)
        for default in forced:
            node = merged(node, self._fitting(default, type_name))
        return node

    def _for(self, type_name: str) -> tuple[list[Default], list[Default]]:
        """The defaults for a type: plain ones, first wins; forced ones, last wins."""
        if type_name not in self._matching:
            canonical = self._catalog.canonical(type_name)
            flow, outer = (
                # On 1.2.14 the shorter prefix won over the longer one.
                sorted(
                    (
                        default
                        for default in defaults
                        if type_name.startswith(default.type)
                        or canonical.startswith(self._catalog.canonical(default.type))
                    ),
                    key=lambda default: len(default.type),
                )
                for defaults in (self._flow, self._outer)
            )
            self._matching[type_name] = (
                [default for default in (*flow, *outer) if not default.forced],
                [default for default in (*outer[::-1], *flow[::-1]) if default.forced],
            )
        return self._matching[type_name]

    def _fitting(self, default: Default, type_name: str) -> Map:
        """The values of a default that the type has.

        One for a whole package need not fit all types in it; one for a type that does not fit was
        noted where it stands.
        """
        info = self._catalog.any_kind(type_name)
        if info is None:
            return default.values
        made = Map(default.values.line, default.values.column)
        for key, value in default.values.items():
            if key in info.properties:
                made.put(key, value, default.values.mark(key))
        return made


def merged(under: Map, over: Map) -> Map:
    """Both maps in one: maps are merged, lists joined, and otherwise `over` wins.

    What is in the first list already is not taken twice, as in `runner.model.merging`.
    """
    made = Map(over.line or under.line, over.column or under.column)
    for key, value in under.items():
        made.put(key, value, under.mark(key))
    for key, value in over.items():
        old = made.get(key)
        mark = over.mark(key)
        if isinstance(old, Map) and isinstance(value, Map):
            made.put(key, merged(old, value), mark)
        elif isinstance(old, Items) and isinstance(value, Items):
            made.put(key, _joined(old, value), mark)
        elif value is not None or key not in made:
            made.put(key, value, mark)
    return made


def _joined(first: Items, second: Items) -> Items:
    made = Items(second.line, second.column)
    for position, item in enumerate(first):
        made.put(item, first.mark(position))
    for position, item in enumerate(second):
        if item not in first:
            made.put(item, second.mark(position))
    return made

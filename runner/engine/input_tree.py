"""Values of inputs by their dotted ids, as nested maps; which of them are secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from runner.model.flow import Flow, Input

ENCRYPTED = {"type": "io.kestra.datatype:aes_encrypted", "value": "******"}
"""What is shown in place of the value of a SECRET input."""


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted ids as nested maps; of `a` and `a.b` the map wins (flow-model 2)."""
    tree: dict[str, Any] = {}
    for name, value in sorted(flat.items(), key=lambda entry: "." in entry[0]):
        *path, last = name.split(".")
        node = tree
        for part in path:
            inner = node.get(part)
            if not isinstance(inner, dict):
                inner = node[part] = {}
            node = cast("dict[str, Any]", inner)
        node[last] = value
    # In the order in which the inputs are declared, as far as their first parts go.
    order = dict.fromkeys(name.partition(".")[0] for name in flat)
    return {name: tree[name] for name in order}


def value_at(tree: Mapping[str, Any], dotted: str) -> Any:
    """The value of the input `dotted` in a nested map; None if it is not there."""
    node: Any = tree
    for part in dotted.split("."):
        node = cast("Mapping[str, Any]", node).get(part) if isinstance(node, Mapping) else None
    return node


def secrets_in(declared: Sequence[Input], inputs: Mapping[str, Any] | None) -> list[str]:
    """The texts of SECRET inputs, which logs mask."""
    found: list[str] = []
    for item in declared:
        value = value_at(inputs or {}, item.id) if _is_secret(item) else None
        parts = cast("list[Any]", value) if isinstance(value, list) else [value]
        found += [part for part in parts if isinstance(part, str) and part]
    return found


def _is_secret(item: Input) -> bool:
    return "SECRET" in (item.type, item.properties.get("itemType"))


def shown_outputs(flow: Flow | None, outputs: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """`outputs` of a flow for answers to people: values of SECRET outputs are hidden."""
    hidden = {each.id for each in flow.outputs if each.type == "SECRET"} if flow else set[str]()
    if outputs is None or hidden.isdisjoint(outputs):
        return outputs
    return {
        name: dict(ENCRYPTED) if name in hidden and value is not None else value
        for name, value in outputs.items()
    }


def shown_inputs(
    declared: Sequence[Input], inputs: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """`inputs` for answers to people: values of SECRET inputs are hidden."""
    hidden = [item.id for item in declared if _is_secret(item)]
    if inputs is None or not any(value_at(inputs, name) is not None for name in hidden):
        return inputs
    shown = dict(inputs)
    for name in hidden:
        if value_at(inputs, name) is None:
            continue
        *path, last = name.split(".")
        node = shown
        for part in path:
            node[part] = dict(node[part])
            node = node[part]
        node[last] = dict(ENCRYPTED)
    return shown

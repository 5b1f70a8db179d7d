"""Reads declared inputs, and checks how they hang together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from runner.loading.common import Common
from runner.loading.complaints import Complaints, did_you_mean
from runner.loading.converter import is_collection
from runner.loading.source import Map, Mark, plain
from runner.model.convert import text
from runner.model.flow import Input


class Inputs:
    """Reads the inputs of one flow."""

    def __init__(self, common: Common) -> None:
        self._common = common

    def input(self, node: Any, mark: Mark, path: str) -> Input | None:
        """The input declared at `mark`; None after a problem that leaves nothing to look at."""
        common = self._common
        own = path
        if isinstance(node, Map):
            own = text(plain(node.get("id") or node.get("name"))) or path
        found = common.worded_map(node, mark, own, "inputs", common.catalog.input)
        if found is None:
            return None
        for name in ("values", "options"):
            if isinstance(found.get(name), list):
                # The words of a choice are text; 2.0 also has maps of label and value.
                found[name] = [word if is_collection(word) else text(word) for word in found[name]]
        depends = cast("dict[str, Any]", found.pop("dependsOn", None) or {})
        declared = Input(
            id=found.pop("id", ""),
            type=found.pop("type"),
            required=found.pop("required", True),
            defaults=_source_value(node, "defaults"),
            prefill=_source_value(node, "prefill"),
            description=found.pop("description", None),
            display_name=found.pop("displayName", None),
            depends_on=tuple(name for name in depends.get("inputs") or () if name is not None),
            condition=depends.get("condition"),
            properties={
                name: value for name, value in found.items() if name not in ("defaults", "prefill")
            },
        )
        common.nodes[declared] = node
        return declared


def _source_value(node: Map, name: str) -> Any:
    """The value of an input's `defaults`: a scalar as the text that stands in the file."""
    value = node.get(name)
    if value is None:
        return None
    if is_collection(value):
        return plain(value)
    written = node.mark(name).text
    return text(value) if written is None else written


def check_inputs(inputs: Sequence[Input], common: Common) -> None:
    """Note wrong dependencies between inputs, and properties that exclude each other."""
    by_id = {declared.id: declared for declared in inputs}
    for declared in inputs:
        node = common.nodes[declared]
        place = node.mark("dependsOn")
        for name in declared.depends_on:
            if name not in by_id:
                common.complaints.add(
                    f"Invalid Flow: Input with id '{declared.id}' depends on a non-existent "
                    f"input '{name}'.",
                    place,
                    hint=did_you_mean(name, by_id),
                )
        cycle = cycle_from(
            declared.id, lambda name: by_id[name].depends_on if name in by_id else ()
        )
        if cycle:
            common.complaints.add(
                f"Invalid Flow: Cycle dependency detected for input with id '{declared.id}': "
                f"[{', '.join(cycle)}]",
                place,
            )
        _check_input(declared, node, common.complaints)


def _check_input(declared: Input, node: Map, complaints: Complaints) -> None:
    path = declared.id
    has = declared.properties
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
    if declared.type == "FILE" and _is_elsewhere(declared.defaults):
        complaints.add(
            "inputs of type 'FILE' only support `defaults` as local files using a file URI "
            "or as namespace files using a nsfile URI",
            node.mark("defaults"),
            path,
            hint="such as nsfile:///folder/name.csv",
        )
    if has.get("itemType") == "ARRAY":
        complaints.add("`itemType` cannot be `ARRAY`", node.mark("itemType"), path)
    if has.get("values") and has.get("options"):
        complaints.add("you can't define both `values` and `options`", node.mark("options"), path)
    pattern = has.get("validator")
    if isinstance(pattern, str) and not is_pattern(pattern):
        complaints.add(
            f"invalid pattern [{pattern}]",
            node.mark("validator"),
            f"{path}.validator",
            hint="it is no regular expression of Java",
        )


def _is_elsewhere(uri: Any) -> bool:
    """Whether a default of a FILE is neither a local nor a namespace file, nor an expression."""
    text_ = str(uri)
    return uri is not None and "{" not in text_ and not text_.startswith(("file:", "nsfile:"))


def is_pattern(pattern: str) -> bool:
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


def cycle_from(start: str, following: Callable[[str], Iterable[str]]) -> list[str]:
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

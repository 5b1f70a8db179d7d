"""Labels of flows, triggers and SLAs: a map, or a list of keys and values."""

from __future__ import annotations

from typing import Any

from runner.loading.complaints import Complaints
from runner.loading.converter import joined, matches
from runner.loading.source import Items, Map, Mark
from runner.model.convert import shape, text
from runner.model.execution import Label
from runner.model.texts import java_text

_KEY = r"^[\p{Ll}][\p{L}0-9._-]*$"
_SYSTEM = "System labels can only be set by Kestra itself, offending label: "
_BAD_KEY = (
    "Invalid label key. A valid key contains only lowercase letters numbers hyphens (-) "
    "underscores (_) or periods (.) and must begin with a lowercase letter."
)


def read_labels(
    node: Map, path: str, complaints: Complaints, *, strict: bool = False
) -> tuple[Label, ...]:
    """The labels under `labels` of `node`, later ones of a key in place of earlier ones.

    `strict` checks keys and values as those of a flow. Kestra's own labels are refused everywhere.
    """
    value = node.get("labels")
    if value is None:
        return ()
    place = joined(path, "labels")
    pairs = _pairs(value, node.mark("labels"), place, complaints)
    found: dict[str, str] = {}
    for position, (key, entry, mark) in enumerate(pairs):
        if isinstance(entry, dict | list) or entry is None:
            complaints.add(
                f"Unsupported type for key: {key}, value: {java_text(entry)}",
                mark,
                place,
                hint="the value of a label is a text, number or truth value",
            )
            continue
        words = text(entry) or ""
        if strict:
            _check(key, words, mark, f"{place}[{position}]", complaints)
        elif key.startswith("system."):
            complaints.add(f"{_SYSTEM}{key}={words}.", mark, f"{place}[{position}]", at_key=True)
        found[key] = words
    return tuple(Label(key, words) for key, words in found.items())


def _pairs(
    value: Any, mark: Mark, path: str, complaints: Complaints
) -> list[tuple[str, Any, Mark]]:
    if isinstance(value, Map):
        return [(key, entry, value.mark(key)) for key, entry in value.items()]
    if not isinstance(value, Items):
        complaints.add(
            f"Cannot deserialize value of type `list<Label>|map` from {shape(value)}",
            mark,
            path,
            hint="write labels as `key: value` lines",
        )
        return []
    found: list[tuple[str, Any, Mark]] = []
    for position, item in enumerate(value):
        place = value.mark(position)
        if not isinstance(item, Map) or item.get("key") is None:
            complaints.add(
                "must not be null",
                place,
                f"{path}[{position}].key",
                hint="a label in a list is {key: ..., value: ...}",
            )
            continue
        if item.get("value") is None:
            complaints.add("must not be null", place, f"{path}[{position}].value")
            continue
        found.append((str(text(item["key"])), item["value"], item.mark("value")))
    return found


def _check(key: str, words: str, mark: Mark, path: str, complaints: Complaints) -> None:
    if not matches(_KEY, key):
        complaints.add(_BAD_KEY, mark, f"{path}.key", at_key=True)
    if not words:
        complaints.add("must not be empty", mark, f"{path}.value")
    if key.startswith("system.") and key != "system.readOnly":
        complaints.add(
            f"Invalid Flow: {_SYSTEM}{key}={words}",
            mark,
            path,
            at_key=True,
        )

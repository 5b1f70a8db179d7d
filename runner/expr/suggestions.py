"""Hints for messages: close names, and what people write that Kestra does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.expr.faults import Fault, Missing
from runner.expr.values import is_items, is_map

_ELSEWHERE = {
    ("filter", "dateFormat"): "did you mean 'date'?",
    ("filter", "truncate"): "did you mean 'abbreviate'?",
    ("filter", "ternary"): "write `condition ? a : b`",
    ("filter", "fromJson"): "it is a function: `fromJson(x)`",
    ("filter", "tojson"): "did you mean 'toJson'?",
    ("filter", "numberformat"): "did you mean 'numberFormat'?",
    ("filter", "format"): "did you mean 'numberFormat' or 'date'?",
    ("filter", "escape"): "nothing is escaped here; see 'escapeChar'",
    ("function", "secrets"): "did you mean 'secret'?",
    ("function", "toJson"): "it is a filter: `x | toJson`",
    ("function", "length"): "it is a filter: `x | length`",
    ("function", "fileEmpty"): "did you mean 'isFileEmpty'?",
}


_MOST_NAMES = 2000
"""So many names are compared: a map of results can have many thousand keys."""


def closest(name: str, known: Sequence[str]) -> list[str]:
    """Give at most three of the `known` names that are close to `name`, the closest first."""
    from difflib import get_close_matches

    known = known[:_MOST_NAMES]
    lower = {candidate.lower(): candidate for candidate in reversed(known)}
    found = [lower[name.lower()]] if name.lower() in lower else []
    found += [near for near in get_close_matches(name, known, 3, 0.6) if near not in found]
    return found[:3]


def elsewhere(kind: str, name: str) -> str:
    """Give a hint for a well-known name that does not exist as this `kind`, or ''."""
    if (kind, name) in _ELSEWHERE:
        return _ELSEWHERE[(kind, name)]
    from runner.expr.registry import names

    other = {"filter": "function", "function": "filter"}.get(kind, "")
    if other and name in names(other):
        example = f"{name}(x)" if other == "function" else f"x | {name}"
        return f"it is a {other}: `{example}`"
    return ""


def missing_hint(fault: Missing, variables: Mapping[str, object]) -> str:
    """Name the whole path that is undefined and the names that exist and are close to it."""
    from runner.expr.nodes import Name

    if isinstance(fault.node, Name):
        path, known = fault.name, [str(name) for name in variables]
        inside = "variables here"
    else:
        path = fault.node.path()
        inside, known = _members(fault)
    near = closest(fault.name, known)
    text = f"`{path}` is undefined"
    if near:
        return f"{text}; did you mean {' or '.join(f'`{name}`' for name in near)}?"
    if is_items(fault.holder):
        return f"{text}; the list has {len(fault.holder)} item(s)"
    if known and len(known) <= 12:
        return f"{text}; {inside}: {', '.join(known)}"
    return text


def _members(fault: Missing) -> tuple[str, list[str]]:
    """Give how to call what was looked into, and the names in it."""
    from runner.expr.nodes import Attribute, Item, MethodCall

    holder, node = fault.holder, fault.node
    inner = isinstance(node, (Attribute, Item, MethodCall))
    object_path = node.object.path() if inner else node.path()
    if is_map(holder):
        return f"`{object_path}` has", [str(key) for key in holder]
    return f"`{object_path}` has", []


def explain(fault: Fault) -> str:
    """Say in a few words what a fault was that another message hides."""
    if isinstance(fault, Missing):
        return f"because `{fault.node.path()}` is undefined"
    if fault.hint.startswith("because "):
        return fault.hint
    return (
        "because of: "
        + fault.message.partition("\n")[0]
        + (f" ({fault.hint})" if fault.hint else "")
    )

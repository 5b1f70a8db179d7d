"""`a.b`, `a['b']`, `a[i]` and the few methods that values have.

Nothing here looks at attributes of Python objects: a value has what this module says, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from runner.expr.faults import Fault, Missing
from runner.expr.limits import Budget
from runner.expr.operators import has_key, is_key, kind
from runner.expr.text import string_form, units
from runner.expr.values import (
    Array,
    Entry,
    Loop,
    View,
    is_items,
    is_list,
    is_map,
    is_number,
)
from runner.patterns import regex

if TYPE_CHECKING:
    from runner.expr.nodes import Node

_INDEX = regex(r"[+-]?[0-9]+")


def attribute(holder: object, key: object, node: Node, object_node: Node) -> object:
    """Give `holder[key]`.

    Raises:
        Missing: there is no such key, index or attribute, or `holder` is null.
        Fault: the key of a map is null, or a number where its keys are strings.
    """
    if holder is None:
        raise _of_null(key, node, object_node)
    if is_map(holder):
        return _entry(holder, key, node)
    if key is None:
        raise Missing("null", node, holder)
    name = key if isinstance(key, str) else string_form(key, Budget())
    if is_items(holder) and not isinstance(holder, View):
        if _INDEX.fullmatch(name):
            index = int(name) if len(name) < 12 else -1
            if 0 <= index < len(holder) and name[0] != "-":
                return holder[index]
        elif not isinstance(holder, Array) and name in _LIST_FIELDS:
            return _LIST_FIELDS[name](holder)
    elif isinstance(holder, Entry) and name in ("key", "value"):
        return holder.key if name == "key" else holder.value
    elif isinstance(holder, Loop) and name in (fields := holder.fields()):
        return fields[name]
    elif isinstance(holder, str) and name in _TEXT_FIELDS:
        return _TEXT_FIELDS[name](holder)
    raise Missing(name, node, holder)


def _of_null(key: object, node: Node, object_node: Node) -> Missing:
    """Kestra names the root variable when that is null, otherwise the attribute asked for."""
    from runner.expr.nodes import Name

    if isinstance(object_node, Name):
        return Missing(object_node.name, node, None)
    return Missing(string_form(key, Budget()), node, None)


def _entry(holder: Mapping[object, object], key: object, node: Node) -> object:
    if isinstance(key, str):
        try:
            return holder[key]
        except KeyError:
            raise Missing(key, node, holder) from None
    if key is None:
        raise Fault("The key in [ ] is null", node.pos)
    if is_number(key):
        for own in holder:
            if is_number(own) and own == key:
                return holder[own]
        if not is_number(next(iter(holder), None)):
            shown = string_form(key, Budget())
            raise Fault(
                f"The number {shown} is no key of a map with strings as keys",
                node.pos,
                hint=f"write ['{shown}'], or make it a string: [x ~ '']",
            )
    elif is_key(key) and has_key(holder, key):
        return next(item for own, item in holder.items() if kind(own) == kind(key) and own == key)
    raise Missing(string_form(key, Budget()), node, holder)


_LIST_FIELDS: dict[str, Callable[[Sequence[object]], object]] = {
    "size": len,
    "empty": lambda items: not items,
}
_TEXT_FIELDS: dict[str, Callable[[str], object]] = {
    "length": units,
    "empty": lambda text: not text,
}


def method(
    holder: object,
    name: str,
    arguments: Sequence[object],
    node: Node,
    object_node: Node,
) -> object:
    """Call one of the methods that strings, lists and maps have.

    Raises:
        Missing: there is no such method, or not with so many arguments.
    """
    if holder is None:
        raise _of_null(name, node, object_node)
    key = (name, len(arguments))
    if isinstance(holder, str):
        texts = [argument for argument in arguments if isinstance(argument, str)]
        if key in _TEXT_METHODS and len(texts) == len(arguments):
            return _TEXT_METHODS[key](holder, texts)
    elif is_list(holder) or isinstance(holder, View):
        if key in _LIST_METHODS:
            return _LIST_METHODS[key](cast("Sequence[object]", holder))
    elif is_map(holder) and key in _MAP_METHODS:
        return _MAP_METHODS[key](holder, arguments)
    raise Missing(name, node, holder)


_TEXT_METHODS: dict[tuple[str, int], Callable[[str, Sequence[str]], object]] = {
    ("length", 0): lambda text, _: units(text),
    ("isEmpty", 0): lambda text, _: not text,
    ("toUpperCase", 0): lambda text, _: text.upper(),
    ("toLowerCase", 0): lambda text, _: text.lower(),
    ("trim", 0): lambda text, _: trimmed(text),
    ("startsWith", 1): lambda text, given: text.startswith(given[0]),
    ("endsWith", 1): lambda text, given: text.endswith(given[0]),
    ("indexOf", 1): lambda text, given: text.find(given[0]),
    ("equalsIgnoreCase", 1): lambda text, given: text.casefold() == given[0].casefold(),
}
_LIST_METHODS: dict[tuple[str, int], Callable[[Sequence[object]], object]] = {
    ("size", 0): len,
    ("isEmpty", 0): lambda items: not items,
}
_Map = Mapping[object, object]
_MAP_METHODS: dict[tuple[str, int], Callable[[_Map, Sequence[object]], object]] = {
    ("size", 0): lambda entries, _: len(entries),
    ("isEmpty", 0): lambda entries, _: not entries,
    ("get", 1): lambda entries, given: entries[given[0]] if has_key(entries, given[0]) else None,
    ("containsKey", 1): lambda entries, given: has_key(entries, given[0]),
    ("keySet", 0): lambda entries, _: View(entries),
    ("values", 0): lambda entries, _: View(entries.values()),
}

_BLANKS = "".join(map(chr, range(0x21)))


def trimmed(text: str) -> str:
    """Give `text` without characters up to U+0020 at its ends, as Java's `trim` does."""
    return text.strip(_BLANKS)

"""From plain values with places to typed ones, by the catalogue; what does not fit is noted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from runner.loading.complaints import Complaints
from runner.loading.source import Items, Map, Mark, plain
from runner.model.catalog import Catalog, PropertyInfo, TypeExpression, TypeInfo
from runner.model.convert import (
    ConversionFailed,
    boolean,
    duration,
    enum,
    instant,
    integer,
    local_date,
    local_time,
    number,
    shape,
    text,
)

Special = Callable[[Any, Mark, str], Any]
"""Reads the value of a type word (`Task`) at a place and path; None after a problem."""

_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": boolean,
    "integer": integer,
    "number": number,
    "duration": duration,
    "date-time": instant,
    "date": local_date,
    "time": local_time,
}

_TASK_ID_LENGTH = 256
_TEXTS_OR = ({"duration", "string"}, {"date-time", "string"}, {"date", "string"}, {"uri", "string"})


class Converter:
    """Converts the properties of one flow. `special` has a reader for each type word."""

    def __init__(self, catalog: Catalog, complaints: Complaints) -> None:
        self.catalog = catalog
        self.complaints = complaints
        self.special: dict[str, Special] = {}

    def properties(self, node: Map, info: TypeInfo, path: str) -> dict[str, Any]:
        """The properties of `node` by their proper names, converted; those that fail are left out.

        Unknown and missing ones are noted; the value of `type` is not looked at in typed maps.
        """
        found: dict[str, Any] = {}
        for key, value in node.items():
            prop = info.properties.get(key)
            if prop is None:
                if not (key == "type" and info.kind != "model"):
                    self.complaints.unknown_property(key, node.mark(key), joined(path, key), info)
                continue
            converted = self.property(value, node.mark(key), prop, joined(path, key))
            if converted is not None:
                found[prop.alias or key] = converted
        self.check_required(node, info, path)
        return found

    def check_required(self, node: Map, info: TypeInfo, path: str) -> None:
        given = {
            info.properties[key].alias or key
            for key, value in node.items()
            if key in info.properties and value is not None
        }
        for name, prop in info.properties.items():
            if not prop.required or name in given:
                continue
            empty = prop.min_length is not None or prop.min_items is not None
            message = "must not be null"
            if empty and name != "id":
                message = empty_message(prop, path)
            if name in node:
                mark = node.mark(name)
            else:
                mark = Mark(node.line, node.column, node.line, node.column)
            self.complaints.add(message, mark, joined(path, name), hint=f"{info.name} needs {name}")

    def property(self, value: Any, mark: Mark, prop: PropertyInfo, path: str) -> Any:
        """The value as the property wants it; None if it has none or does not fit."""
        if value is None:
            return None
        if prop.is_dynamic or prop.object:
            return _unrendered(value, prop)
        converted = self.value(value, mark, prop.type, path, prop)
        if converted is not None:
            self._check_bounds(converted, mark, prop, path)
        return converted

    def value(
        self, value: Any, mark: Mark, type_: TypeExpression, path: str, prop: PropertyInfo | None
    ) -> Any:
        """The value as a `type_`; None after a problem, or where there is none."""
        if value is None:
            return None
        kind = type_.kind
        special = self.special.get(kind)
        if special is not None:
            return special(value, mark, path)
        if kind == "any":
            return plain(value)
        if kind == "list":
            return self._list(value, mark, type_, path, prop)
        if kind == "map":
            return self._map(value, mark, type_, path, prop)
        if kind == "model":
            return self.model(value, mark, type_.name, path)
        if kind == "union":
            return self._union(value, mark, type_, path, prop)
        return self._scalar(value, mark, type_, path, prop)

    def _scalar(
        self, value: Any, mark: Mark, type_: TypeExpression, path: str, prop: PropertyInfo | None
    ) -> Any:
        kind = type_.kind
        try:
            if kind in ("string", "uri", "literal"):
                if is_collection(value):
                    raise ConversionFailed(_cannot("java.lang.String", value))
                return text(value)
            if kind == "enum":
                return enum(value, prop.values if prop else ())
            # An empty value is null to Jackson where text is not wanted.
            return None if value == "" else _SCALARS[kind](value)
        except ConversionFailed as failed:
            self.complaints.add(str(failed), mark, path, hint=_advice(value, kind, prop))
            return None

    def _list(
        self, value: Any, mark: Mark, type_: TypeExpression, path: str, prop: PropertyInfo | None
    ) -> list[Any] | None:
        if not isinstance(value, Items):
            self.no_list(value, mark, path, str(type_.item or "java.lang.Object"))
            return None
        if type_.item is None:
            return cast("list[Any]", plain(value))
        found: list[Any] = []
        for position, entry in enumerate(value):
            place = value.mark(position)
            item_path = f"{path}[{position}]"
            if entry is None and type_.item.kind not in ("any", "string"):
                self.complaints.add("must not be null", place, item_path)
                continue
            converted = self.value(entry, place, type_.item, item_path, prop)
            if converted is not None or entry is None:
                found.append(converted)
        return found

    def no_list(self, value: Any, mark: Mark, path: str, item: str = "java.lang.Object") -> None:
        """Note that there is no list where one belongs."""
        self.complaints.add(
            _cannot(f"java.util.ArrayList<{item}>", value),
            mark,
            path,
            hint="begin each item on a line of its own with a dash",
        )

    def _map(
        self, value: Any, mark: Mark, type_: TypeExpression, path: str, prop: PropertyInfo | None
    ) -> dict[str, Any] | None:
        if not isinstance(value, Map):
            if value == "":
                message = 'Cannot coerce empty String ("") to element of `java.util.LinkedHashMap`'
            else:
                message = _cannot("java.util.LinkedHashMap", value)
            self.complaints.add(message, mark, path, hint="write it as `name: value` lines")
            return None
        if type_.item is None or type_.item.kind == "any":
            return cast("dict[str, Any]", plain(value))
        found: dict[str, Any] = {}
        for key, entry in value.items():
            converted = self.value(entry, value.mark(key), type_.item, f"{path}.{key}", prop)
            if entry is None and type_.item.kind == "list":
                found[key] = []
            elif converted is not None or entry is None:
                found[key] = converted
        return found

    def model(self, value: Any, mark: Mark, name: str, path: str) -> Any:
        """The map as the model `name` of the catalogue; None after a problem."""
        info = self.catalog.model(name)
        if not isinstance(value, Map):
            self.complaints.add(
                f"Cannot construct instance of `{name}`: no {_creator(value)}-argument "
                f"constructor/factory method to deserialize from {shape(value)}",
                mark,
                path,
                hint="it is a map; it has " + ", ".join(info.properties),
            )
            return None
        return self.properties(value, info, path)

    def _union(
        self, value: Any, mark: Mark, type_: TypeExpression, path: str, prop: PropertyInfo | None
    ) -> Any:
        kinds = {option.kind for option in type_.options}
        if kinds in _TEXTS_OR and not is_collection(value):
            return self.value(value, mark, type_.options[0], path, prop)
        if isinstance(value, Map) and type_.options[0].kind == "model":
            return self._by_type(value, mark, type_, path)
        for option in type_.options:
            if isinstance(value, Map) and option.kind in ("map", "model"):
                return self.value(value, mark, option, path, prop)
            if isinstance(value, Items) and option.kind == "list":
                return self.value(value, mark, option, path, prop)
            if is_collection(value) and option.kind == "any":
                return self.value(value, mark, option, path, prop)
        if "string" in kinds and not is_collection(value):
            return text(value)
        self.complaints.add(_cannot(str(type_), value), mark, path)
        return None

    def _by_type(self, value: Map, mark: Mark, type_: TypeExpression, path: str) -> Any:
        """The map as that one of several models whose `type` it has."""
        words: list[str] = []
        for option in type_.options:
            literal = self.catalog.model(option.name).properties["type"].type
            words.append(literal.name)
            if literal.name == value.get("type"):
                return self.model(value, mark, option.name, path)
        self.complaints.add(
            f"Invalid type: {value.get('type')}",
            value.mark("type"),
            joined(path, "type"),
            hint=f"one of {', '.join(words)}",
        )
        return None

    def _check_bounds(self, value: Any, mark: Mark, prop: PropertyInfo, path: str) -> None:
        message = hint = ""
        if isinstance(value, str):
            if prop.min_length is not None and not value.strip():
                message = "must not be blank" if prop.name == "id" else "must not be empty"
            elif prop.max_length is not None and len(value) > prop.max_length:
                message = f"size must be between {prop.min_length or 0} and {prop.max_length}"
                if prop.name == "id" and prop.max_length == _TASK_ID_LENGTH:
                    message = f"Task id must be at most {_TASK_ID_LENGTH} characters"
            elif prop.pattern and not matches(prop.pattern, value):
                message = f'must match "{prop.pattern}"'
                hint = "letters, digits and some signs only, beginning with a letter or digit"
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if prop.min is not None and value < prop.min:
                message = f"must be greater than or equal to {prop.min}"
            elif prop.max is not None and value > prop.max:
                message = f"must be less than or equal to {prop.max}"
        elif isinstance(value, list) and prop.min_items and not value:
            message = empty_message(prop, path.rpartition(".")[0])
        if message:
            self.complaints.add(message, mark, path, hint=hint)


def is_collection(value: object) -> bool:
    """Whether it is a map or a list, and no scalar."""
    return isinstance(value, dict | list)


def empty_message(prop: PropertyInfo, path: str) -> str:
    """What is said of an empty property of what stands at `path`."""
    if path and prop.type.item is not None and prop.type.item.kind == "Task":
        return f"The '{prop.name}' property cannot be empty"
    return "must not be empty"


def joined(path: str, key: str) -> str:
    """The path of property `key` of what stands at `path`."""
    return f"{path}.{key}" if path else key


def matches(pattern: str, value: str) -> bool:
    """Whether the whole value matches a pattern of the catalogue."""
    if "\\p{" in pattern:
        first, rest = value[:1], value[1:].rstrip("._-0123456789")
        letters = re.sub(r"[0-9._-]", "", rest)
        return first.islower() and (letters.isalpha() or not letters)
    return re.fullmatch(pattern, value, re.ASCII) is not None


def _unrendered(value: Any, prop: PropertyInfo) -> Any:
    """What of a property that is rendered later is kept: text for text, other values as given."""
    if prop.type.kind == "string" and not prop.object:
        return text(plain(value))
    return plain(value)


def _cannot(target: str, value: object) -> str:
    return f"Cannot deserialize value of type `{target}` from {shape(value)}"


def _creator(value: object) -> str:
    match value:
        case bool():
            return "boolean/Boolean"
        case int():
            return "int/Int"
        case float():
            return "double/Double"
        case str():
            return "String"
        case _:
            return "list"


def _advice(value: object, kind: str, prop: PropertyInfo | None) -> str:
    """What to do about a scalar that does not fit."""
    if isinstance(value, str) and "{{" in value:
        return "expressions do not work here: the value must be fixed"
    if kind == "enum" and prop is not None and isinstance(value, str):
        from runner.loading.complaints import did_you_mean

        return did_you_mean(value, prop.values)
    if kind == "duration":
        return "durations are written like PT30S, PT5M, PT1H or P1D"
    return ""

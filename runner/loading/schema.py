"""The JSON Schema (draft-07) of flows, for editors, made from the type catalogue.

It is stricter than loading where a person writing a flow is better off: a number in a text
property loses its zeros (`1.10`), so the schema wants quotes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from runner.model.catalog import Catalog, PropertyInfo, TypeExpression, TypeInfo, catalog

Schema = dict[str, Any]

FLOW = "io.kestra.core.models.flows.Flow"
_WORDS: Mapping[str, Literal["task", "trigger", "condition", "taskRunner"]] = {
    "Task": "task",
    "Trigger": "trigger",
    "Condition": "condition",
    "TaskRunner": "taskRunner",
}
_EXPRESSION: Schema = {"type": "string", "pattern": r"\{[{%]|^\s*[\[{]"}
_TEXT: Schema = {"type": ["string", "boolean"]}
_ENTRY: Schema = {"type": ["string", "boolean", "number"]}
_DURATION: Schema = {
    "anyOf": [
        {"type": "string", "pattern": r"^-?[Pp]|^[0-9.]+( .*)?$|\{[{%]"},
        {"type": "number"},
    ],
    "description": "ISO-8601 (PT30S, PT5M, PT1H, P1D) or a number of seconds",
}
_SCALARS: Mapping[str, Schema] = {
    "string": _TEXT,
    "uri": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "duration": _DURATION,
    "date-time": {"type": "string"},
    "date": {"type": "string"},
    "time": {"type": "string"},
}
_ELSEWHERE = "of a Kestra plugin that Eyas does not have: the flow loads, this does not run"


def schema_of(what: Literal["flow", "task", "trigger"] = "flow") -> Schema:
    """The schema of a whole flow, or of one task or trigger, with all definitions in it."""
    maker = _Maker(catalog())
    root = {"flow": FLOW, "task": "Task", "trigger": "Trigger"}[what]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": f"#/definitions/{root}",
        "definitions": maker.definitions(),
    }


class _Maker:
    """Makes the definitions, each model when it is first referred to."""

    def __init__(self, types: Catalog) -> None:
        self._catalog = types
        self._made: dict[str, Schema] = {}

    def definitions(self) -> dict[str, Schema]:
        """All definitions by name: types by their full names, unions by the catalogue's words."""
        for word, kind in _WORDS.items():
            self._made[word] = self._union(word, kind)
        self._made["Input"] = self._worded("inputs")
        self._made["Retry"] = self._worded("retries")
        self._made["Sla"] = self._worded("slas")
        self._made[FLOW] = self._flow()
        return dict(sorted(self._made.items()))

    def _flow(self) -> Schema:
        made = self._object(self._catalog.base("Flow"))
        properties = made["properties"]
        properties["retry"] = _reference("Retry")
        properties["sla"] = {"type": "array", "items": _reference("Sla")}
        properties["outputs"] = {"type": "array", "items": self._model("Output")}
        properties["extend"] = {"description": "metadata of published examples; ignored"}
        return {**made, "title": "Flow"}

    def _union(
        self, word: str, kind: Literal["task", "trigger", "condition", "taskRunner"]
    ) -> Schema:
        """One of the types of a kind, under any of their names, or a type of another plugin."""
        names = [*self._catalog.names(kind), *self._catalog.old_names(kind)]
        for name in names:
            self._made[name] = self._type(name)
        elsewhere = f"{word}Elsewhere"
        self._made[elsewhere] = {
            "type": "object",
            "description": _ELSEWHERE,
            "required": ["type"],
            "properties": {
                "type": {
                    "type": "string",
                    "pattern": r"^io\.kestra\.plugin\.(?!core\.|scripts\.).+\.[A-Z]\w*$",
                }
            },
        }
        return {"anyOf": [_reference(name) for name in (*names, elsewhere)]}

    def _type(self, name: str) -> Schema:
        info = self._catalog.any_kind(name)
        assert info is not None
        made = self._object(info)
        made["properties"] = {"type": {"const": name}, **made["properties"]}
        made["required"] = ["type", *made["required"]]
        made["title"] = name.rpartition(".")[2]
        if info.deprecated or name != info.name:
            made["deprecated"] = True
            made["description"] = (
                f"deprecated: use {info.name}" if name != info.name else "deprecated"
            )
        return made

    def _worded(self, family: Literal["inputs", "retries", "slas"]) -> Schema:
        """One of the maps whose `type` is a short word."""
        lookup = {
            "inputs": self._catalog.input,
            "retries": self._catalog.retry,
            "slas": self._catalog.sla,
        }[family]
        options: list[Schema] = []
        for word in self._catalog.words(family):
            info = lookup(word)
            assert info is not None
            name = f"{info.name}-{word}"
            made = self._object(info)
            made["properties"]["type"] = {"const": word}
            self._made[name] = {**made, "title": word}
            options.append(_reference(name))
        return {"anyOf": options}

    def _object(self, info: TypeInfo) -> Schema:
        """A map with the properties of a type, and no others."""
        aliases = {prop.alias: name for name, prop in info.properties.items() if prop.alias}
        return {
            "type": "object",
            "properties": {name: self.property(prop) for name, prop in info.properties.items()},
            "required": [
                name
                for name, prop in info.properties.items()
                if prop.required and name not in aliases
            ],
            "additionalProperties": False,
        }

    def property(self, prop: PropertyInfo) -> Schema:
        """The schema of a property's value; what takes expressions may be one."""
        made: Schema = dict(self._value(prop.type, prop))
        if prop.rendered and not prop.plain and prop.type.kind not in ("string", "any"):
            either: Schema = {"anyOf": [made, _EXPRESSION]}
            made = either
        if prop.object and prop.type.kind != "any":
            made = {}
        if prop.type.kind == "string":
            for key, bound in (
                ("pattern", prop.pattern if prop.pattern and "\\p{" not in prop.pattern else None),
                ("minLength", prop.min_length),
                ("maxLength", prop.max_length),
            ):
                if bound is not None:
                    made[key] = f"{bound}$" if key == "pattern" else bound
        if prop.type.kind == "integer" and not prop.rendered and prop.min is not None:
            made["minimum"] = prop.min
        if prop.min_items and made.get("type") == "array":
            made["minItems"] = prop.min_items
        made["description"] = _described(prop)
        if prop.default is not None:
            made["default"] = prop.default
        if prop.deprecated or prop.alias:
            made["deprecated"] = True
        return made

    def _value(self, type_: TypeExpression, prop: PropertyInfo) -> Schema:
        kind = type_.kind
        if kind in _WORDS or kind == "Input":
            return _reference(kind)
        if kind == "enum":
            return {"enum": list(prop.values)}
        if kind == "literal":
            return {"const": type_.name}
        if kind == "list":
            items = {} if type_.item is None else self._value(type_.item, prop)
            return {"type": "array", "items": items}
        if kind == "map":
            values = {} if type_.item is None else self._value(type_.item, prop)
            if values is _TEXT:
                values = _ENTRY
            return {"type": "object", "additionalProperties": values}
        if kind == "union":
            names = {option.name for option in type_.options}
            if "Constant" in names:
                return _reference("Retry")
            return {"anyOf": [self._value(option, prop) for option in type_.options]}
        if kind == "model":
            return self._model(type_.name)
        return _SCALARS.get(kind, {})

    def _model(self, name: str) -> Schema:
        if name not in self._made:
            self._made[name] = {}
            self._made[name] = {**self._object(self._catalog.model(name)), "title": name}
        return _reference(name)


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _described(prop: PropertyInfo) -> str:
    """What the catalogue knows of a property, in a line."""
    parts = [str(prop.type)]
    if prop.alias:
        parts.append(f"another name of {prop.alias}")
    if prop.rendered:
        parts.append("takes expressions")
    if prop.values:
        parts.append("one of " + ", ".join(prop.values))
    if prop.default is not None:
        parts.append(f"default: {prop.default}")
    return "; ".join(parts)

"""The type catalogue: every task, trigger, condition and task runner, and its properties, as data.

The data is `types.json` beside this module (`tests/setup/make_types.py` writes it). What a name
means is looked up once and kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

Kind = Literal["task", "trigger", "condition", "taskRunner", "model"]

_WORDS = {"Task", "Condition", "Trigger", "TaskRunner", "Input"}
_SCALARS = {
    "string",
    "integer",
    "number",
    "boolean",
    "duration",
    "date-time",
    "date",
    "time",
    "uri",
    "enum",
    "any",
}


class TypeExpression(NamedTuple):
    """What values a property takes.

    `kind` is a scalar's name (`string`, `duration`...), `any`, `list` or `map` (with `item`; None:
    anything), `union` (with `options`), `literal` (one word, in `name`), `model` (its name in
    `name`), or one of `Task`, `Condition`, `Trigger`, `TaskRunner`, `Input`.
    """

    kind: str
    name: str = ""
    item: TypeExpression | None = None
    options: tuple[TypeExpression, ...] = ()

    def __str__(self) -> str:
        if self.kind == "union":
            return "|".join(map(str, self.options))
        if self.kind == "literal":
            return f"'{self.name}'"
        if self.item is not None:
            return f"{self.kind}<{self.item}>"
        return self.name or self.kind


@cache
def type_expression(text: str) -> TypeExpression:
    """The parsed form of `list<string>|map<list<Task>>` and the like."""
    options = _split(text)
    if len(options) > 1:
        return TypeExpression("union", options=tuple(map(type_expression, options)))
    if text in _SCALARS or text in _WORDS:
        return TypeExpression(text)
    if text in ("list", "map"):
        return TypeExpression(text)
    if text.startswith(("list<", "map<")) and text.endswith(">"):
        kind, _, item = text.partition("<")
        return TypeExpression(kind, item=type_expression(item[:-1]))
    if text.startswith("'"):
        return TypeExpression("literal", text.strip("'"))
    return TypeExpression("model", text)


def _split(text: str) -> list[str]:
    """The options of a union; a bar inside `<>` belongs to the item."""
    parts: list[str] = []
    depth = start = 0
    for position, sign in enumerate(text):
        if sign == "|" and depth == 0:
            parts.append(text[start:position])
            start = position + 1
        depth += (sign == "<") - (sign == ">")
    return [*parts, text[start:]]


class PropertyInfo(NamedTuple):
    """One property of a type.

    `rendered`: it takes expressions, and is only checked when it runs, except for its shape if
    `plain`. `object`: any YAML value, kept as it is. `alias`: the property that this is another
    name of. `default` is as the engine states it: the text of a rendered one.
    """

    name: str
    type: TypeExpression
    required: bool = False
    rendered: bool = False
    plain: bool = False
    object: bool = False
    alias: str | None = None
    default: Any = None
    values: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    pattern: str | None = None
    deprecated: bool = False

    @property
    def is_dynamic(self) -> bool:
        """Whether a value of any shape is accepted on save, and converted when it runs."""
        return self.rendered and not self.plain and self.min_length is None


class TypeInfo(NamedTuple):
    """One type: its canonical name, its kind, and its own and common properties by name.

    `base` are the names of the properties that every type of the kind has.
    """

    name: str
    kind: Kind
    properties: Mapping[str, PropertyInfo]
    outputs: Mapping[str, TypeExpression]
    deprecated: bool = False
    base: frozenset[str] = frozenset()

    @property
    def is_flowable(self) -> bool:
        """Whether a task of this type runs other tasks."""
        return any(_holds_tasks(info.type) for info in self.properties.values())


def _holds_tasks(type_: TypeExpression) -> bool:
    return (
        type_.kind == "Task"
        or type_.name == "Dag-DagTask"
        or (type_.item is not None and _holds_tasks(type_.item))
    )


class Catalog:
    """The catalogue's data, and what was looked up in it."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._types: Mapping[str, Any] = data["types"]
        self._infos: dict[str, TypeInfo] = {}
        self._canonical: dict[str, str] = {}
        for name, facts in self._types.items():
            self._canonical[name] = name
            for old in facts.get("was", ()):
                self._canonical[old] = name

    def canonical(self, type_name: str) -> str:
        """The current name of a type that may be written with an old one; others as they are."""
        return self._canonical.get(type_name, type_name)

    def task(self, type_name: str) -> TypeInfo | None:
        """The task type of that current or old name, None if there is none."""
        return self._of_kind("task", type_name)

    def trigger(self, type_name: str) -> TypeInfo | None:
        """The trigger type of that current or old name, None if there is none."""
        return self._of_kind("trigger", type_name)

    def condition(self, type_name: str) -> TypeInfo | None:
        """The condition type of that current or old name, None if there is none."""
        return self._of_kind("condition", type_name)

    def task_runner(self, type_name: str) -> TypeInfo | None:
        """The task runner type of that current or old name, None if there is none."""
        return self._of_kind("taskRunner", type_name)

    def model(self, name: str) -> TypeInfo:
        """The model of that name: a map that is the value of a property.

        Raises:
            KeyError: the catalogue has no such model.
        """
        info = self._infos.get("model " + name)
        if info is None:
            info = TypeInfo(
                name=name,
                kind="model",
                properties=_properties(self._data["models"][name]),
                outputs={},
            )
            self._infos["model " + name] = info
        return info

    def base(self, name: Literal["Flow", "Task", "Trigger"]) -> TypeInfo:
        """The properties that every flow, task or trigger has."""
        info = self._infos.get("base " + name)
        if info is None:
            properties = _properties(self._data["base"][name])
            info = TypeInfo(name=name, kind="model", properties=properties, outputs={})
            self._infos["base " + name] = info
        return info

    def input(self, word: str) -> TypeInfo | None:
        """The model of inputs of type `word` (`STRING`), None if there is no such type."""
        return self._named("inputs", word)

    def retry(self, word: str) -> TypeInfo | None:
        """The model of retries of type `word` (`constant`), None if there is no such type."""
        return self._named("retries", word)

    def sla(self, word: str) -> TypeInfo | None:
        """The model of SLAs of type `word` (`MAX_DURATION`), None if there is no such type."""
        return self._named("slas", word)

    def any_kind(self, type_name: str) -> TypeInfo | None:
        """The type of that current or old name, of whatever kind."""
        facts = self._types.get(self.canonical(type_name))
        return None if facts is None else self._of_kind(facts["kind"], type_name)

    def replacement(self, type_name: str) -> str | None:
        """What replaces an old type that is not just renamed; None: nothing is known."""
        return self._data["replaced"].get(type_name)

    def is_elsewhere(self, type_name: str) -> bool:
        """Whether the name is, or by its package may be, a type of a plugin that Eyas has not."""
        if type_name in self._elsewhere():
            return True
        package, _, name = type_name.rpartition(".")
        if not package.startswith("io.kestra.plugin.") or not name[:1].isupper():
            return False
        return not f"{package}.".startswith(("io.kestra.plugin.core.", "io.kestra.plugin.scripts."))

    def names(self, kind: Kind | None = None) -> Iterable[str]:
        """Canonical names of the types of one kind, or of all."""
        return [name for name, facts in self._types.items() if kind in (None, facts["kind"])]

    def old_names(self, kind: Kind) -> Iterable[str]:
        """Names that types of one kind had before, and are still found under."""
        return [
            old
            for facts in self._types.values()
            if facts["kind"] == kind
            for old in facts.get("was", ())
        ]

    def elsewhere(self) -> Iterable[str]:
        """Names of types that Kestra has and Eyas has not, as far as they are known."""
        return self._data["elsewhere"]

    def words(self, family: Literal["inputs", "retries", "slas"]) -> Iterable[str]:
        """The words that `type` may have in inputs, retries or SLAs."""
        return self._data[family].keys()

    @lru_cache(maxsize=1)  # noqa: B019 # the catalogue lives as long as the process
    def _elsewhere(self) -> frozenset[str]:
        return frozenset(self._data["elsewhere"])

    def _named(self, family: str, word: str) -> TypeInfo | None:
        model = self._data[family].get(word)
        return None if model is None else self.model(model)

    def _of_kind(self, kind: Kind, type_name: str) -> TypeInfo | None:
        name = self.canonical(type_name)
        info = self._infos.get(name)
        if info is not None:
            return info if info.kind == kind else None
        facts = self._types.get(name)
        if facts is None or facts["kind"] != kind:
            return None
        common: Mapping[str, PropertyInfo] = {}
        if kind in ("task", "trigger"):
            common = self.base("Task" if kind == "task" else "Trigger").properties
        info = TypeInfo(
            name=name,
            kind=kind,
            properties={**common, **_properties(facts["properties"])},
            outputs={key: type_expression(text) for key, text in facts.get("outputs", {}).items()},
            deprecated=bool(facts.get("deprecated")),
            base=frozenset(common),
        )
        self._infos[name] = info
        return info


def _properties(facts: Mapping[str, Any]) -> dict[str, PropertyInfo]:
    return {name: _property(name, fact) for name, fact in facts.items()}


def _property(name: str, fact: Any) -> PropertyInfo:
    if isinstance(fact, str):
        return PropertyInfo(name=name, type=type_expression(fact))
    return PropertyInfo(
        name=name,
        type=type_expression(fact["type"]),
        required=fact.get("required", False),
        rendered=fact.get("rendered", False),
        plain=fact.get("plain", False),
        object=fact.get("object", False),
        alias=fact.get("alias"),
        default=fact.get("default"),
        values=tuple(fact.get("values", ())),
        min=fact.get("min"),
        max=fact.get("max"),
        min_length=fact.get("minLength"),
        max_length=fact.get("maxLength"),
        min_items=fact.get("minItems"),
        pattern=fact.get("pattern"),
        deprecated=fact.get("deprecated", False),
    )


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The catalogue that comes with Eyas, read at the first call."""
    file = Path(__file__).with_name("types.json")
    return Catalog(json.loads(file.read_text(encoding="utf-8")))


def canonical(type_name: str) -> str:
    """The current name of a type that may be written with an old one; others as they are."""
    return catalog().canonical(type_name)

"""The value of one declared input: its default, its choices, its type and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from runner.errors import InputInvalid, RenderFailed
from runner.expr import Scope, render_typed, render_value
from runner.expr.faults import Fault
from runner.model import values
from runner.model.flow import Input
from runner.model.texts import java_text


def invalid(item: Input, cause: str) -> InputInvalid:
    """The error for a wrong value of `item`, in Kestra's words."""
    return InputInvalid(f"Invalid value for input `{item.id}`. Cause: {cause}")


def holds(condition: str, scope: Scope) -> bool:
    """Whether the condition gives the value true; one that cannot be rendered does not."""
    try:
        return render_typed(condition, scope) is True
    except RenderFailed:
        return False


def choices_of(item: Input, scope: Scope) -> list[str] | None:
    """What a SELECT or the like may be chosen from; None for other types."""
    if item.type not in ("SELECT", "ENUM", "MULTISELECT"):
        return None
    expression = item.properties.get("expression")
    given: Any = item.properties.get("options") or item.properties.get("values") or ()
    if expression is not None:
        try:
            given = render_typed(expression, scope)
        except RenderFailed as error:
            raise InputInvalid(str(error.placed(f"inputs.{item.id}.expression"))) from error
        if not isinstance(given, list | tuple):
            raise InputInvalid(f"{item.id}: Invalid expression result. Expected a list of strings")
    return [_choice(entry) for entry in cast("Sequence[Any]", given)]


def _choice(entry: Any) -> str:
    """One entry of `values`: a text, or since 2.0 a label with its value."""
    if isinstance(entry, Mapping):
        return java_text(cast("Mapping[str, Any]", entry).get("value"))
    return java_text(entry)


def default_of(item: Input, scope: Scope | None, choices: Sequence[str] | None) -> Any:
    """The rendered default of an input, or the first choice if it says so, or None."""
    if item.defaults is None:
        if choices and item.properties.get("autoSelectFirst"):
            return [choices[0]] if item.type == "MULTISELECT" else choices[0]
        return None
    default = item.defaults
    if scope is not None:
        try:
            default = render_value(default, scope)
        except RenderFailed as error:
            raise InputInvalid(str(error.placed(f"inputs.{item.id}.defaults"))) from error
    try:
        return values.from_default(item.type, default)
    except ValueError as error:
        raise invalid(item, f"{error} (in its `defaults`)") from error


def typed(item: Input, value: Any, choices: Sequence[str] | None, yaml: values.Yaml) -> Any:
    """`value` as what the input declares, plain."""
    declared = item.properties
    item_type = declared.get("itemType")
    if item.type == "MULTISELECT":
        item_type = item_type or "STRING"
    try:
        parsed = values.parse(item.type, value, yaml, item_type=item_type)
        values.check(item.type, parsed, declared)
        if item.type in ("STRING", "SECRET"):
            _check_pattern(parsed, declared.get("validator"))
        # Kestra holds an optional SELECT or ENUM against nothing (flow-model 2).
        held = item.required or item.type == "MULTISELECT"
        if choices is not None and held and not declared.get("allowCustomValue"):
            values.check_choice(item.type, parsed, choices)
    except ValueError as error:
        raise invalid(item, str(error)) from error
    return values.plain(parsed)


def _check_pattern(text: str, pattern: str | None) -> None:
    """Raise `ValueError` unless the whole of `text` matches a Java regular expression."""
    if pattern is None:
        return
    from runner.expr import javaregex

    try:
        found = javaregex.search(rf"\A(?:{pattern})\z", text)
    except Fault as fault:
        raise ValueError(fault.message) from fault
    if found is None:
        raise ValueError(f"it must match the pattern `{pattern}`")


def read_yaml(text: str, *, scope: Scope) -> Any:
    """The value of a YAML text, by the rules of the function `yaml`; raises `ValueError`."""
    try:
        return render_typed("{{ yaml(text) }}", scope.with_variables(text=text))
    except RenderFailed as error:
        raise ValueError(str(error)) from error

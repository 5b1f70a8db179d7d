"""Functions that read JSON, YAML and Ion."""

from __future__ import annotations

from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.jsontext import read_json
from runner.expr.registry import function
from runner.expr.values import is_items, is_map, is_text


def _source(arguments: Arguments, name: str, *, null_passes: bool = True) -> str | None:
    """Give the text to read; None for a null that is passed on."""
    if name not in arguments:
        raise Fault(f"{arguments.called} expects an argument '{name}'.")
    text = arguments.get(name)
    if text is None and null_passes:
        return None
    if not is_text(text):
        raise Fault(f"{arguments.called} expects an argument '{name}' with type string.")
    return text


def _json(arguments: Arguments) -> object:
    text = _source(arguments, "json")
    if text is None:
        return None
    try:
        return read_json(text)
    except ValueError as error:
        raise Fault(f"Invalid json: {error}") from error


@function("fromJson", "json")
def from_json(arguments: Arguments) -> object:
    """The value of a JSON text; null stays null, what follows the first value is ignored.

    >>> {{ fromJson('[1, {"a": 2}]')[1].a }}
    2
    """
    return _json(arguments)


@function("json", "json")
def json(arguments: Arguments) -> object:
    """The older name of `fromJson`, gone in Kestra 2.0.

    >>> {{ json('{"a": 5}').a }}
    5
    """
    return _json(arguments)


@function("yaml", "yaml")
def yaml(arguments: Arguments) -> object:
    """The value of a YAML text. Dates stay text; anchors are not resolved.

    >>> {{ yaml('k: [1, two]').k[1] }}
    two
    """
    from runner.expr.yamltext import read_yaml

    text = _source(arguments, "yaml", null_passes=False) or ""
    try:
        return read_yaml(text)
    except ValueError as error:
        raise Fault(f"Invalid yaml: {error}") from error


@function("fromIon", "ion allRows")
def from_ion(arguments: Arguments) -> object:
    """The first value of an Ion text; with `allRows=true` the list of all of them.

    >>> {{ fromIon('{a: 1}').a }}
    1
    """
    from runner.expr.ion import read_ion

    text = _source(arguments, "ion")
    if text is None:
        return None
    try:
        values = read_ion(text, arguments.context.budget)
    except ValueError as error:
        raise Fault(f"Invalid ion: {error}") from error
    if arguments.boolean("allRows", False):
        return values
    if not values:
        return None
    if values[0] is None:
        raise Fault("Invalid ion: the first value is null")
    return values[0]


@function("loopOutputs", "outputs id", since="2.0")
def loop_outputs(arguments: Arguments) -> object:
    """One output of every iteration of a Loop, from `outputs.<loop>.outputs`.

    >>> {{ loopOutputs([{'outputs': {'n': 1} }, {'outputs': {'n': 2} }], 'n') }}
    [1,2]
    """
    given, name = arguments.get("outputs"), arguments.needed_text("id")
    if not is_items(given):
        raise Fault(f"{arguments.called} expects an argument 'outputs' with type list.")
    found: list[object] = []
    for each in given:
        outputs = each.get("outputs") if is_map(each) else None
        if is_map(outputs) and name in outputs:
            found.append(outputs[name])
    return found

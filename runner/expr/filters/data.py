"""Filters that write JSON, YAML and Ion, and the jq language."""

from __future__ import annotations

from runner.expr.context import Arguments
from runner.expr.faults import Fault, LimitFault
from runner.expr.jsontext import read_json, write_json
from runner.expr.registry import filter_
from runner.expr.text import string_form
from runner.expr.values import class_name, is_text


@filter_("toJson")
def to_json(value: object, arguments: Arguments) -> object:
    """The value as JSON; strings get quotes, null is `null`.

    >>> {{ {'a': [1, null]} | toJson }} {{ 'x' | toJson }}
    {"a":[1,null]} "x"
    """
    return write_json(value, arguments.context.budget)


@filter_("json")
def json(value: object, arguments: Arguments) -> object:
    """The older name of `toJson`, gone in Kestra 2.0.

    >>> {{ [1, 'a'] | json }}
    [1,"a"]
    """
    return write_json(value, arguments.context.budget)


@filter_("yaml")
def yaml(value: object, arguments: Arguments) -> object:
    """The value as YAML, ending in a newline. (The function `yaml()` reads YAML.)

    >>> {{ {'k': ['x', 1]} | yaml }}
    k:
     - x
     - 1
    """
    from runner.expr.yamltext import write_yaml

    return "null" if value is None else write_yaml(value, arguments.context.budget)


@filter_("toIon")
def to_ion(value: object, arguments: Arguments) -> object:
    """The value as Amazon Ion text.

    >>> {{ {'a': 1.5} | toIon }}
    {a:1.5e0}
    """
    from runner.expr.ion import write_ion

    text = write_ion(value, arguments.context.budget)
    arguments.context.budget.spend(len(text))
    return text


@filter_("jq", "expression")
def jq(value: object, arguments: Arguments) -> object:
    """The list of results of a jq program; a string as input is read as JSON first.

    >>> {{ [{'id': 5}, {'id': 6}] | jq('.[].id') }} {{ [5, 6] | jq('.[1]') | first }}
    [5,6] 6
    """
    from runner.expr.jq.machine import run

    if value is None:
        return None
    if "expression" not in arguments:
        raise Fault("The 'jq' filter expects an argument 'expression'.")
    program, budget = arguments.needed_text("expression"), arguments.context.budget
    try:
        text = value if is_text(value) else write_json(value, budget)
        return run(program, read_json(text) if text.strip() else None, budget)
    except LimitFault:
        raise
    except (Fault, ValueError) as error:
        shown = string_form(value, budget)
        shown = shown if len(shown) <= 100 else shown[:100] + "…"
        reason = error.message if isinstance(error, Fault) else str(error)
        raise Fault(
            f"Unable to parse jq value '{shown}' with type '{class_name(value)}'", hint=reason
        ) from error

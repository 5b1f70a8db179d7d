"""A hostile template ends with an error of ours, soon, and reaches nothing that it should not."""

from __future__ import annotations

import pytest
from expression_cases import FixedServices

from runner.errors import RenderFailed
from runner.expr import Scope, render, render_typed

DOUBLED = "{% set s = ['a'] %}{% for i in 1..60 %}{% set s = [s, s] %}{% endfor %}"
NESTED = "{% set s = [1] %}{% for i in 1..5000 %}{% set s = [s] %}{% endfor %}"
SLOW = "a" * 40 + "b"

LIMITS = {
    "nested loops": "{% for a in 1..1000 %}{% for b in 1..1100 %}{% endfor %}{% endfor %}",
    "a huge range": "{{ 1..1000000000 }}",
    "a text that doubles": (
        "{% set s = 'aaaaaaaa' %}{% for i in 1..60 %}{% set s = s ~ s %}{% endfor %}"
    ),
    "a list that doubles": "{% set s = [1] %}{% for i in 1..60 %}{% set s = s + s %}{% endfor %}",
    "a number that doubles": "{% set n = 9 %}{% for i in 1..60 %}{% set n = n * n %}{% endfor %}",
    "a list of shared parts, joined": DOUBLED + "{{ s ~ '' }}",
    "a list of shared parts, as YAML": DOUBLED + "{{ s | yaml }}",
    "a deep list, printed": NESTED + "{{ s }}",
    "a deep list, compared": NESTED + "{% set r = s %}" + NESTED + "{{ s == r }}",
    "an indent": "{{ 'a\nb' | indent(1000000000) }}",
    "an expression that goes back and forth": (
        f"{{{{ '{SLOW}' | replace({{'(a+)+$': 'x'}}, regexp=true) }}}}"
    ),
    "a jq program without an end": "{{ 1 | jq('[while(true; .)]') }}",
    "a jq range": "{{ 1 | jq('[range(1e12)]') }}",
    "a jq list far out": "{{ [] | jq('.[1e9] = 1') }}",
    "a jq text": "{{ 1 | jq('\"a\" * 1e10') }}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "a block in itself": "{% block b %}{{ block('b') }}{% endblock %}",
    "a template that renders itself": "{{ render(itself) }}",
    "a template that grows": "{{ render(grows) }}",
    "brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "signs": "{{ " + "-" * 5000 + "1 }}",
    "sums": "{{ 1" + " + 1" * 5000 + " }}",
    "tags": "{% if true %}" * 500 + "{% endif %}" * 500,
    "inserts": '{{ "' + '#{"' * 500 + "x" + '"}' * 500 + '" }}',
    "parts": "{{ [" + "1," * 600_000 + "1] }}",
    "JSON": "{{ fromJson('" + "[" * 20_000 + "') }}",
    "Ion": "{{ fromIon('" + "[" * 20_000 + "') }}",
    "a decimal format": "{{ 1.5 | numberFormat('" + "0" * 5000 + "') }}",
    "years": "{{ '2024-01-01' | dateAdd(999999999999999999, 'YEARS') }}",
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.timeout(40)
def test_a_template_that_asks_for_too_much_fails(name: str) -> None:
    variables = {"itself": "{{ render(itself) }}", "grows": "{{ grows }}{{ grows }}"}

    with pytest.raises(RenderFailed):
        render(LIMITS[name], Scope(variables, FixedServices()))


def test_a_limit_is_not_hidden_by_an_operator_or_caught() -> None:
    with pytest.raises(RenderFailed, match="more than 1000000 items"):
        render("{{ (1..100000000 == 1) ?? 'x' }}", Scope())


def test_a_typed_result_of_shared_parts_fails_too() -> None:
    with pytest.raises(RenderFailed):
        render_typed(DOUBLED + "{{ s }}", Scope())


@pytest.mark.parametrize(
    "access",
    [
        "__class__",
        "__init__",
        "__globals__",
        "mro()",
        "items()",
        "encode()",
        "format(1)",
        "numerator",
    ],
)
@pytest.mark.parametrize("value", ["text", 5, 1.5, [1], {"a": 1}, True])
def test_attributes_of_python_objects_are_not_there(access: str, value: object) -> None:
    with pytest.raises(RenderFailed, match="Unable to find"):
        render(f"{{{{ x.{access} }}}}", Scope({"x": value}))


@pytest.mark.parametrize(
    "program", ["env", "$ENV", "input", "inputs", "debug", "halt", "$__prog_args"]
)
def test_jq_programs_see_nothing_but_their_input(program: str) -> None:
    with pytest.raises(RenderFailed, match="Unable to parse jq value"):
        render(f"{{{{ 1 | jq('{program}') }}}}", Scope())


def test_a_value_of_an_unknown_type_is_not_printed() -> None:
    with pytest.raises(RenderFailed, match="object has no text"):
        render("{{ x }}", Scope({"x": object()}))

"""What the entry points promise: laziness, secrets, places of errors, hints, scopes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from expression_cases import FixedServices

from runner.errors import RenderFailed
from runner.expr import Scope, is_truthy, render, render_typed, render_value, to_json, to_text, uses


class Lazy(Mapping[str, object]):
    """Variables that remember which of them were looked at."""

    def __init__(self, **values: object) -> None:
        self.values_ = values
        self.touched: list[str] = []

    def __getitem__(self, name: str) -> object:
        self.touched.append(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def failure(template: str, **variables: object) -> RenderFailed:
    """The error that a template ends with."""
    with pytest.raises(RenderFailed) as caught:
        render(template, Scope(variables, FixedServices()))
    return caught.value


def test_variables_are_looked_at_only_when_they_are_used() -> None:
    variables = Lazy(a=1, b=2, c=3)

    render("{{ a }}{{ true or b == 2 }}{% if false %}{{ c }}{% endif %}", Scope(variables))

    assert variables.touched == ["a"]


def test_services_are_asked_only_when_their_function_is_reached() -> None:
    services = FixedServices(kv={"company.team": {"k": 1}})
    scope = Scope({}, services)

    render("{{ false and kv('k') == 1 }}{{ true ? 1 : read('greeting.txt') }}", scope)
    assert services.touched == []

    render("{{ kv('k') }}{{ read('greeting.txt') }}", scope)
    assert services.touched == ["kv k", "read greeting.txt"]


def test_a_lazy_map_inside_the_variables_works_like_a_plain_one() -> None:
    scope = Scope({"outputs": Lazy(t=Lazy(n=1))})

    assert render("{{ outputs.t.n }} {{ outputs['t'] }} {{ outputs | keys }}", scope) == (
        '1 {"n":1} ["t"]'
    )


def test_every_secret_handed_out_is_reported_and_so_is_its_part() -> None:
    services = FixedServices({"SECRET_CRED": "eyJ1c2VyIjoiYm9iIn0="})

    assert render("{{ secret('cred', subkey='user') }}", Scope({}, services)) == "bob"
    assert services.secrets == ['{"user":"bob"}', "bob"]


def test_what_only_a_later_kestra_has_works_with_a_warning() -> None:
    services = FixedServices()

    assert render("{{ 'ab' | regexMatch('b') }}", Scope({}, services)) == "true"
    assert services.warnings == [
        "The filter 'regexMatch' needs Kestra 2.0; a flow for 1.2 can not use it."
    ]


def test_the_variables_of_the_caller_stay_as_they_are() -> None:
    items = [3, 1, 2]
    variables: dict[str, object] = {"x": 1, "l": items}

    render("{% set x = 2 %}{% set y = 3 %}{{ l | sort }}{{ l | reverse }}{{ x }}", Scope(variables))

    assert variables == {"x": 1, "l": [3, 1, 2]}


def test_what_render_renders_sees_the_loop_around_it_and_not_a_macro() -> None:
    template = "{% for i in [1, 2] %}{{ render('{{ i }};') }}{% endfor %}"
    inside = "{% macro m(i) %}{{ render('{{ i }}') }}{% endmacro %}{{ m(5) }}"

    assert render(template, Scope()) == "1;2;"
    assert render(inside, Scope()) == "5"


def test_a_missing_variable_names_its_path_and_what_is_close() -> None:
    error = failure("a\n{{ outputs.extract.vars.row }}", outputs={"extract": {"vars": {"rows": 1}}})

    assert str(error).splitlines()[0] == ("Unable to find `row` used in the expression `a")
    assert (error.kind, error.line, error.column) == ("missing", 2, 25)
    assert error.hint == "`outputs.extract.vars.row` is undefined; did you mean `rows`?"


def test_a_missing_root_variable_is_looked_for_among_all_of_them() -> None:
    error = failure("{{ ouputs.a }}", outputs={}, inputs={})

    assert error.hint == "`ouputs` is undefined; did you mean `outputs` or `inputs`?"


def test_the_template_in_a_message_is_cut() -> None:
    assert len(failure("{{ gone }}" + "x" * 5000).reason) < 300


def test_an_error_says_line_and_column_and_points_at_the_place() -> None:
    error = failure("ab\n  {{ 'x' | uper }}")

    assert str(error) == (
        "Filter [uper] does not exist. (line 2, column 12)\ndid you mean 'upper'?"
    )
    assert error.excerpt() == "  {{ 'x' | uper }}\n           ^"


def test_an_error_knows_where_in_the_flow_it_is_once_it_is_told() -> None:
    error = failure("ab\n{{ 1 + }}").placed("tasks[0].script", 14)

    assert "(line 2, column 8 of tasks[0].script; line 15 of the flow)" in str(error)
    missing = failure("{{ gone }}").placed("tasks[0].message", 7)
    assert str(missing).startswith(
        "Unable to find `gone` used in the expression `{{ gone }}` at line 1 "
        "(tasks[0].message, line 7 of the flow)"
    )


def test_an_operator_that_fails_says_why_behind_its_own_message() -> None:
    error = failure("{{ 1 + outputs.a }}", outputs={})

    assert error.reason == "Could not perform addition"
    assert error.hint == "because `outputs.a` is undefined"


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{{ 'x' | dateFormat }}", "did you mean 'date'?"),
        ("{{ 'x' | fromJson }}", "it is a function: `fromJson(x)`"),
        ("{{ secrets('x') }}", "did you mean 'secret'?"),
        ("{{ toJson('x') }}", "it is a filter: `x | toJson`"),
        ("{% if a %}{% elif b %}{% endif %}", "did you mean 'elseif'?"),
        ("{% raw %}{{ x }}", "the raw block is not closed: '{% endraw %}' is missing"),
    ],
)
def test_what_people_write_for_something_else_gets_a_hint(template: str, hint: str) -> None:
    assert failure(template).hint == hint


@pytest.mark.parametrize("text", ["", " ", "false", "0", "-0", " false\n", "\t0 "])
def test_these_texts_are_false(text: str) -> None:
    assert not is_truthy(text)


@pytest.mark.parametrize("text", ["False", "0.0", "+0", "00", "no", "[]", "{}", "null", "\u00a0"])
def test_every_other_text_is_true(text: str) -> None:
    assert is_truthy(text)


def test_null_is_false() -> None:
    assert not is_truthy(None)


def test_a_structure_is_rendered_with_its_keys_and_the_first_of_equal_keys_wins() -> None:
    scope = Scope({"k": "a", "n": 5})
    given = {"{{ k }}": ["{{ n }}", 1, None], "a": "second", "t": ("{{ n }}",)}

    assert render_value(given, scope) == {"a": ["5", 1, None], "t": ["5"]}
    assert render_value(given, scope, typed=True) == {"a": [5, 1, None], "t": [5]}


def test_a_typed_result_is_plain_data() -> None:
    result = render_typed("{{ [1, 'ab' | first, 'a,b' | split(','), {'a': 2} | keys] }}", Scope())

    assert result == [1, "a", ["a", "b"], ["a"]]
    assert isinstance(result, list)
    assert [type(item) for item in result] == [int, str, list, list]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def test_text_and_json_of_a_value_are_those_of_a_print() -> None:
    assert to_text({"a": 1e8, "b": None}) == to_json({"a": 1e8, "b": None}) == '{"a":1.0E8}'
    assert to_text(None) == ""
    assert to_json(None) == "null"


def test_the_functions_that_a_template_calls_are_known_without_rendering_it() -> None:
    template = "{% if false %}{{ secret('a') }}{% endif %} errorLogs()"

    assert uses(template, "secret", "read")
    assert not uses(template, "errorLogs")
    assert not uses("{{ broken", "secret")
    assert not uses("secret('a')", "secret")


def test_recursive_rendering_stops_when_nothing_changes_and_gives_up_after_a_hundred_rounds() -> (
    None
):
    assert render("{{ a }}", Scope({"a": "{{ b }}", "b": "{"}), recursive=True) == "{"
    with pytest.raises(RenderFailed, match="Too many rendering attempts"):
        render("{{ a }}", Scope({"a": "{{ b }}", "b": "{{ a }}"}), recursive=True)


def test_a_service_s_refusal_is_the_message_of_the_expression() -> None:
    assert failure("{{ read('nowhere.txt') }}").reason == "Unable to read the file 'nowhere.txt'"

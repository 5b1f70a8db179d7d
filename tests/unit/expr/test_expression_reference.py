"""The reference page: current, complete, and true."""

from __future__ import annotations

from pathlib import Path

import pytest
from expression_cases import FixedServices

from runner.expr import Scope, render
from runner.expr.reference import examples, page, summary
from runner.expr.registry import Member, find, names, registered

PAGE = Path(__file__).parents[3] / "docs" / "expressions.md"
VARIABLES: dict[str, object] = {
    "flow": {"id": "hello", "namespace": "company.team"},
    "tasks": {"a": {"state": "FAILED"}, "b": {"state": "SUCCESS"}},
    "outputs": {"each": {"a": {"value": "in a"}, "b": {"value": "in b"}}},
    "taskrun": {"value": "b"},
    "parents": [],
    "vars": {"key": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="},
}


def members() -> list[Member]:
    """Every filter, function and test."""
    found = (find(kind, name) for kind in ("filter", "function", "test") for name in names(kind))
    return [member for member in found if member is not None]


def test_the_page_is_what_the_program_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run `python -m runner.expr.reference > docs/expressions.md`"
    )


@pytest.mark.parametrize("member", members(), ids=lambda member: f"{member.kind}-{member.name}")
def test_everything_is_described_with_an_example_that_is_true(member: Member) -> None:
    services = FixedServices(
        {"SECRET_API_TOKEN": "czNjcjN0"}, {"company.team": {"retries": 3}}, "company.team"
    )
    found = examples(member)

    assert summary(member).rstrip(")`").endswith(".")
    assert found
    for example in found:
        rendered = render(example.template, Scope(VARIABLES, services))
        assert rendered.rstrip("\n") == example.result, example.template


def test_the_tables_name_everything_that_is_registered() -> None:
    members()

    named = {(kind, name) for kind in ("filter", "function", "test") for name in names(kind)}
    assert registered() == named

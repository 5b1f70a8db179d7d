"""The page of types says what the program has."""

from __future__ import annotations

import pytest
from types_page import NOTES, PAGE, not_supported, page

from runner.engine.checks import refusal
from runner.errors import FlowInvalid
from runner.loading.flow import load
from runner.model.catalog import catalog


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python tests/docs/types_page.py"


def test_each_note_is_about_a_type_that_there_is() -> None:
    assert [name for name in NOTES if catalog().any_kind(name) is None] == []


def test_a_type_that_nothing_runs_is_named_as_not_supported() -> None:
    assert [name for name in not_supported() if not NOTES[name].startswith("not supported")] == []


@pytest.mark.parametrize("type_", not_supported())
def test_a_flow_with_such_a_type_loads_and_is_not_started(type_: str) -> None:
    more = {"Template": "namespace: n, templateId: t"}
    task = f"{{id: t, type: {type_}, {more[type_.rpartition('.')[2]]}}}"
    flow = load(f"id: f\nnamespace: n\ntasks: [{task}]\n")

    with pytest.raises(FlowInvalid, match="not supported here"):
        refusal(flow)

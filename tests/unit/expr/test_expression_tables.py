"""Every case of the tables: those of a real Kestra, where they are there, and our own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from expression_cases import scope_of

from runner.cli.eval import evaluate
from runner.errors import RenderFailed
from runner.expr import is_truthy, to_text

Case = Mapping[str, Any]

SHARED = Path(__file__).parents[4] / "shared" / "spec" / "expressions-cases.yaml"
TABLES = Path(__file__).parent / "tables"


def recorded() -> Iterator[Any]:
    """The cases that agree with a real Kestra; nothing where they are not there."""
    if SHARED.exists():
        text = SHARED.read_text(encoding="utf-8")
        for group in yaml.load(text, Loader=yaml.CSafeLoader)["groups"]:
            for case in group["cases"]:
                yield pytest.param(case, id=case["id"], marks=pytest.mark.conformance)


def own() -> Iterator[Any]:
    """The cases of this folder."""
    for table in sorted(TABLES.glob("*.yaml")):
        groups = yaml.load(table.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for topic, cases in groups.items():
            for number, case in enumerate(cases, 1):
                yield pytest.param(case, id=f"{table.stem}-{topic}-{number}")


def test_the_tables_have_cases() -> None:
    assert len(list(own())) > 250


@pytest.mark.parametrize("case", [*recorded(), *own()])
def test_a_template_renders_or_fails_as_the_table_says(case: Case) -> None:
    typed, recursive = bool(case.get("typed")), bool(case.get("recursive"))
    if "error" in case:
        with pytest.raises(RenderFailed) as caught:
            evaluate(case["expr"], scope_of(case), typed=typed, recursive=recursive)
        assert caught.value.kind == case["error_kind"]
        assert case["error"] in str(caught.value)
        return

    result = evaluate(case["expr"], scope_of(case), typed=typed, recursive=recursive)

    if case.get("compare") == "json":
        assert json.loads(str(result)) == json.loads(case["result"])
    else:
        assert (result, type(result)) == (case["result"], type(case["result"]))
    if "truthy" in case:
        assert is_truthy(to_text(result)) is case["truthy"]

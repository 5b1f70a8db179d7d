"""Each flow in tests/flows/invalid names, in comments at its end, what must be said of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.loading.flow import problems

FLOWS = sorted((Path(__file__).parents[2] / "flows" / "invalid").glob("*.yaml"))


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.stem)
def test_everything_that_is_wrong_is_said_at_its_place(flow: Path) -> None:
    source = flow.read_text(encoding="utf-8")
    expected = re.findall(r"^# refused: (.+)$", source, re.MULTILINE)

    found = problems(source, file="f.yaml")

    told = [str(problem).removeprefix("f.yaml:") for problem in found]
    placed = [text for text in expected if re.match(r"\d+:\d+: ", text)]
    assert [text for text in expected if not any(text in line for line in told)] == []
    assert [line for line in told if not any(text in line for text in placed)] == []
    assert [problem.kind for problem in found] == ["invalid"] * len(found)
    assert all(problem.source_line for problem in found)


def test_there_are_such_flows() -> None:
    assert len(FLOWS) > 25

"""Every flow that a real Kestra took is taken, and every one that it refused is refused.

The flows and what Kestra said of them lie beside the repository; without them this is skipped.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runner.errors import FlowInvalid
from runner.loading.flow import load

CASES = Path(__file__).parents[4] / "shared" / "conformance"
FLOWS = sorted((CASES / "flows").glob("*.yaml"))

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not FLOWS, reason="the recorded flows are not beside the repository"),
]

_OF_JAVA = re.compile(r"^(?:java\.|io\.kestra\.core\.|org\.|JsonToken|reader$|\\t\(TAB\)$)")
_OF_KESTRA_SCRIPTS = re.compile(r"^io\.kestra\.plugin\.scripts\.exec\.")


def refusal(flow: Path) -> str | None:
    """What Kestra said when it refused the flow, None if it took it."""
    golden = CASES / "goldens" / f"{flow.stem}.json"
    if not golden.exists():
        return None
    record: dict[str, Any] = json.loads(golden.read_text(encoding="utf-8"))
    return record["deploy"]["message"] if "deploy" in record else None


def essentials(message: str) -> set[str]:
    """The quoted names and numbers in a message, without names of Java classes."""
    names = re.findall(r"[`'\"]([^`'\"\n]{1,80})[`'\"]", message.split("\n at [Source")[0])
    return {
        name
        for name in names
        if not (_OF_JAVA.match(name) or _OF_KESTRA_SCRIPTS.match(name) or name[0] in " ,]")
    }


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.stem)
def test_a_flow_is_taken_or_refused_as_on_kestra(flow: Path) -> None:
    source = flow.read_text(encoding="utf-8")
    said = refusal(flow)

    if said is None:
        assert load(source, file=flow.name).id
        return
    with pytest.raises(FlowInvalid) as refused:
        load(source, file=flow.name)
    problems = [problem for problem in refused.value.problems if problem.kind == "invalid"]
    told = "\n".join(map(str, problems))
    assert {name for name in essentials(said) if name not in told} == set()
    assert all(problem.line and problem.column for problem in problems)
    assert all(problem.source_line for problem in problems)


@pytest.mark.skipif(not FLOWS, reason="the recorded flows are not beside the repository")
def test_kestra_refused_some_of_the_flows() -> None:
    assert sum(refusal(flow) is not None for flow in FLOWS) > 70

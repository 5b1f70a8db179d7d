"""The examples of docs/scripts.md do what the page says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from shim_script import Script

from runner.engine.lines import LineSplitter
from runner.engine.metrics import MetricTotals
from runner.engine.protocol import parse_lines
from runner.model.execution import Level
from runner.model.marker import Marker

PAGE = (Path(__file__).parents[3] / "docs" / "scripts.md").read_text()
EXAMPLES = re.findall(r"```(python|sh)\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def effects(stdout: bytes, stderr: bytes) -> list[str]:
    """What the engine makes of a script's output, in the words of the page."""
    logs: list[str] = []
    variables: dict[str, object] = {}
    totals = MetricTotals()
    for level, data in ((Level.INFO, stdout), (Level.ERROR, stderr)):
        splitter = LineSplitter()
        for part in parse_lines([*splitter.feed(data), *splitter.flush()]):
            if not isinstance(part, Marker):
                logs += (f"{level} {line}" for line in part)
                continue
            logs += (f"WARN {problem}" for problem in part.problems)
            logs += (f"{entry.level} {entry.message}" for entry in part.logs)
            variables |= part.outputs
            for metric in part.metrics:
                totals.add(metric)
    return [
        *(_TIME.sub("<time>", line) for line in logs),
        *(f"vars.{name} = {json.dumps(value)}" for name, value in sorted(variables.items())),
        *(
            f"{m.type} {m.name} {json.dumps(dict(m.tags or {}))} = {m.value:g}"
            for m in totals.entries()
        ),
    ]


def test_every_example_says_what_comes_of_it() -> None:
    assert len(EXAMPLES) == len(re.findall(r"^```(?:python|sh)$", PAGE, re.MULTILINE)) >= 6


@pytest.mark.parametrize(("language", "source", "shown"), EXAMPLES)
def test_an_example_does_what_the_page_says(
    one_script: Script, language: str, source: str, shown: str
) -> None:
    path = one_script.folder / "example"
    path.write_text(source)
    program = one_script.python if language == "python" else "sh"

    done = subprocess.run(
        [program, path], env=one_script.env, capture_output=True, timeout=30, check=True
    )

    assert effects(done.stdout, done.stderr) == shown.splitlines()

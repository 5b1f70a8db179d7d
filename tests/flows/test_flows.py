"""Flows with the ending expected of each: the second YAML document of a file here.

`state` and `history` of the execution, the `states` of its task runs (all of them), some of their
`outputs`, the `logs` from INFO up (all of them, in order); `inputs` to start it with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.testing import run_flow

FLOWS = sorted(Path(__file__).parent.glob("*.yaml"))


def result_expected(file: Path) -> dict[str, Any]:
    """The second document of a file."""
    _, expected = yaml.safe_load_all(file.read_text())
    return expected


@pytest.mark.parametrize("file", FLOWS, ids=lambda file: file.stem)
async def test_the_flow_ends_as_its_file_says(file: Path) -> None:
    expected = result_expected(file)
    ended = await run_flow(file, inputs=expected.get("inputs"))
    seen: dict[str, Any] = {
        "state": str(ended.state),
        "history": [str(state) for state in ended.history],
        "states": {name: str(state) for name, state in ended.states.items()},
        "outputs": {name: ended.outputs_of(name) for name in expected.get("outputs", ())},
        "logs": ended.logs(),
        "inputs": expected.get("inputs"),
    }
    assert {key: seen[key] for key in expected} == expected

"""A flood of output cannot fill the disk: the log of an execution has an end."""

from __future__ import annotations

from pathlib import Path

from runner.model.execution import Level
from runner.settings import Settings
from runner.testing import FakeRunner, FakeRunners, run_flow

FLOW = """
id: f
namespace: t
tasks:
  - {id: flood, type: io.kestra.plugin.scripts.shell.Commands, commands: [x]}
  - {id: more, type: io.kestra.plugin.scripts.shell.Commands, commands: [x]}
  - {id: own, type: io.kestra.plugin.core.log.Log, message: still here}
"""


async def test_output_beyond_the_limit_is_not_logged_but_its_markers_count(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, task_runner="process", log_max_bytes=1000, environ={})
    text = "".join(f"{'x' * 80}{number}\n" for number in range(3000))
    marker = '::{"outputs":{"n":1}}::\n'
    runner = FakeRunner(stdout=text + marker)

    ended = await run_flow(FLOW, settings=settings, runners=FakeRunners(runner, settings))

    lines = ended.logs(Level.INFO)
    assert ended.outputs_of("flood")["vars"] == {"n": 1}
    assert sum("not logged" in line for line in lines) == 2
    assert "still here" in lines
    assert len([line for line in lines if line.startswith("x")]) == 12
    assert not [line for line in ended.logs(Level.INFO, "more") if line.startswith("x")]

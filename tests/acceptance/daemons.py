"""A real `eyas serve`, and verbs that talk to it."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from command import Eyas

from runner.model.state import State
from runner.store.reader import open_reader

PROCESS = "{type: io.kestra.plugin.core.runner.Process}"

FLOWS = {
    "talk": f"""
inputs: [{{id: n, type: INT, defaults: 2}}]
tasks:
  - id: count
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {PROCESS}
    outputFiles: [made.txt]
    script: |
      from kestra import Kestra
      print('counting')
      Kestra.outputs({{'rows': {{{{ inputs.n }}}}}})
      Kestra.counter('rows', {{{{ inputs.n }}}}, {{'table': 't'}})
      Kestra.timer('took', 1.5)
      open('made.txt', 'w').write('content')
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [x, y]
    tasks:
      - {{id: say, type: io.kestra.plugin.core.log.Log, message: "at {{{{ taskrun.value }}}}"}}
outputs: [{{id: twice, type: INT, value: "{{{{ outputs.count.vars.rows * 2 }}}}"}}]
""",
    "fails": """
tasks:
  - {id: first, type: io.kestra.plugin.core.log.Log, message: before}
  - {id: bad, type: io.kestra.plugin.core.execution.Fail, errorMessage: no luck}
""",
    "slow": f"""
tasks:
  - id: sleep
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {PROCESS}
    commands: [echo started, sleep 300]
""",
    "flood": f"""
tasks:
  - id: print
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {PROCESS}
    commands: ["for i in $(seq 40); do seq $((i * 100 - 99)) $((i * 100)); sleep 0.01; done"]
""",
    "waits": """
tasks:
  - id: ask
    type: io.kestra.plugin.core.flow.Pause
    onResume: [{id: reason, type: STRING}]
  - {id: after, type: io.kestra.plugin.core.log.Log, message: "{{ outputs.ask.onResume.reason }}"}
""",
    "file": """
inputs: [{id: f, type: FILE}]
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ read(inputs.f) }}"}
""",
    "daily": """
triggers:
  - {id: morning, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 9 * * *"}
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.date ?? 'by hand' }}"}
""",
}
"""Flows of the namespace `test.verbs` by id, without id and namespace."""


class Daemon:
    """A running daemon with `FLOWS` and `more` in its folder; called, it runs a verb."""

    def __init__(self, folder: Path, more: Mapping[str, str] | None = None) -> None:
        self.eyas = Eyas(folder)
        self.state_dir = folder / "state"
        self.flows = folder / "flows"
        self.flows.mkdir()
        for name, text in {**FLOWS, **(more or {})}.items():
            flow = f"id: {name}\nnamespace: test.verbs\n{text}"
            (self.flows / f"{name}.yaml").write_text(flow)
        self._process = self.eyas.start("serve", "flows", "--port", "0")
        stderr = self._process.stderr
        assert stderr is not None
        ready = next((e for e in map(_event, stderr) if e.get("event") == "daemon.ready"), None)
        assert ready is not None, "it did not start"
        self.eyas.environ["EYAS_PORT"] = str(ready["address"]).rpartition(":")[2]

    def __call__(self, *args: str | Path) -> str:
        """Run a verb that succeeds, and return what it printed."""
        ended = self.eyas(*args)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def json(self, *args: str | Path) -> Any:
        """Run a verb that prints a JSON document."""
        return json.loads(self(*args))

    def begun(self, flow: str, *args: str) -> str:
        """Start a flow and return the id of the execution, which goes on."""
        return str(self.json("flows", "start", flow, *args)["id"])

    def ended(self, flow: str, *args: str) -> str:
        """Start a flow and return the id of the execution when it has ended."""
        run = self.eyas("flows", "start", flow, "--wait", *args)
        assert run.stdout, run.stderr
        return str(json.loads(run.stdout)["id"])

    def wait(self, execution_id: str, *states: State) -> State:
        """Return when the execution is in one of these states."""
        with open_reader(self.state_dir) as reader:
            while True:
                version = reader.version()
                state = reader.execution(execution_id).state
                if state in states:
                    return state
                reader.wait_for_change(version)

    def stop(self) -> None:
        """Stop the daemon in order."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=40)


def _event(line: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line)
    return event

"""Kill a daemon again and again while it works, and see that nothing is lost.

    python tests/soak/kill_sweep.py --rounds 100

Each round starts `eyas serve` on the same state folder, starts executions, and kills the daemon
with SIGKILL at a random moment. In the end all that was accepted must have ended well, each Docker
task must have run exactly once with all its lines, and nothing may be left over.

    python tests/soak/kill_sweep.py --points

The same, but each daemon dies where it comes to a point of the code (`runner/failpoints.py`) for
the first time, the second, and so on, for all points.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import requests

RUNNER = Path(__file__).parents[2] / "runner"


def points_in(code: ast.AST) -> Iterator[str]:
    """The points of one module at which a daemon may be made to die."""
    for node in ast.walk(code):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoint":
            (argument,) = node.args
            yield ast.literal_eval(argument)


POINTS = sorted(
    {point for file in RUNNER.rglob("*.py") for point in points_in(ast.parse(file.read_text()))}
    - {"schedule.started", "container.starting"}
)
"""All of them but those that the flows here do not come to."""

IMAGE = "busybox"
LINES = 12
LIMIT_S = 90.0

_SHELL = "io.kestra.plugin.scripts.shell"
_CORE = "io.kestra.plugin.core"
_SCRIPT = """\
echo run >> {counts}/{name}-{{{{ execution.id }}}}
i=1
while [ $i -le {lines} ]; do echo "line $i"; i=$((i+1)); sleep {pause}; done
echo '::{{"outputs":{{"last":{lines}}},"metrics":[{{"name":"m","type":"counter","value":1}}]}}::'
echo done > result.txt
"""
_TRIGGER = f"""\
triggers:
  - id: ends
    type: {_CORE}.trigger.Flow
    states: [SUCCESS]
    conditions:
      - {{type: {_CORE}.condition.ExecutionFlow, namespace: t, flowId: docker}}
"""


def _task(name: str, runner: str, counts: str, pause: float) -> str:
    script = _SCRIPT.format(counts=counts, name=name, lines=LINES, pause=pause)
    body = "".join(f"      {line}\n" for line in script.splitlines())
    return (
        f"  - id: {name}\n    type: {_SHELL}.Script\n    taskRunner: {runner}\n"
        f"    containerImage: {IMAGE}\n    outputFiles: [result.txt]\n    script: |\n{body}"
    )


def flows_of(counts: Path) -> dict[str, str]:
    """The flows of the sweep by their ids; tasks note in `counts` that they run."""
    docker = (
        f"{{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER, "
        f'networkMode: none, volumes: ["{counts}:/counts"]}}'
    )
    process = f"{{type: {_CORE}.runner.Process}}"
    two = _task("one", docker, "/counts", 0.05) + _task("two", docker, "/counts", 0.03)
    inner = "".join(f"    {line}\n" for line in two.splitlines())
    texts = {
        "docker": _task("first", docker, "/counts", 0.08) + _task("second", docker, "/counts", 0),
        "process": _task("local", process, str(counts), 0.01),
        "folder": f"  - id: folder\n    type: {_CORE}.flow.WorkingDirectory\n    tasks:\n{inner}",
        "after": f"  - id: note\n    type: {_CORE}.log.Log\n    message: after\n{_TRIGGER}",
    }
    return {name: f"id: {name}\nnamespace: t\ntasks:\n{text}" for name, text in texts.items()}


class DiedEarly(Exception):
    """A daemon was killed before it was ready."""


@dataclass
class Sweep:
    """One state folder and the daemons that come and go on it; `accepted` are execution ids."""

    root: Path
    random: random.Random
    accepted: list[str] = field(default_factory=list[str])
    kills: int = 0

    def __post_init__(self) -> None:
        self.state, self.temp, self.counts = (
            self.root / name for name in ("state", "temp", "counts")
        )
        for folder in (self.state, self.temp, self.counts, self.root / "flows"):
            folder.mkdir(parents=True, exist_ok=True)
        for name, text in flows_of(self.counts).items():
            (self.root / "flows" / f"{name}.yaml").write_text(text)

    @contextmanager
    def daemon(self, **more: str) -> Generator[tuple[subprocess.Popen[bytes], str]]:
        """A daemon that is ready, and the address of its API; killed at the end if it runs.

        `more` are variables of its environment.
        """
        address = self.state / "address"
        address.unlink(missing_ok=True)
        environ = {
            **os.environ,
            "EYAS_DOCKER_VOLUME_ENABLED": "true",
            "EYAS_TMP_DIR": str(self.temp),
            "EYAS_DRAIN": "0",
            **more,
        }
        folders = [str(self.root / "flows"), "--state-dir", str(self.state), "--port", "0"]
        with (
            (self.root / "log").open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-m", "runner", "serve", *folders], stderr=log, env=environ
            ) as process,
        ):
            try:
                deadline = time.monotonic() + 20
                while not address.exists():
                    if process.poll() == -signal.SIGKILL:
                        raise DiedEarly
                    assert process.poll() is None, (self.root / "log").read_text()[-3000:]
                    assert time.monotonic() < deadline, "the daemon is not ready after 20 s"
                    time.sleep(0.005)
                yield process, f"{address.read_text().strip()}/api/v1/main"
            finally:
                process.kill()

    def round(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Start some executions and end the daemon somewhere in between."""
        with self.daemon() as (process, api):
            moment = time.monotonic() + self.random.uniform(0, 1.5)
            with suppress(requests.ConnectionError):
                for flow in self.random.sample(["docker", "process", "folder", "docker"], 3):
                    self._start(api, flow, max(moment - time.monotonic(), 0.01))
            time.sleep(max(moment - time.monotonic(), 0))
            process.send_signal(number)
            process.wait(60)
            self.kills += 1

    def die_at(self, point: str, nth: int = 1) -> bool:
        """Have a daemon die where it comes to a point for the nth time; False: it never does."""
        armed = f"{point}=kill@{nth}"
        with suppress(DiedEarly), self.daemon(EYAS_FAILPOINTS=armed) as (process, api):
            with suppress(requests.ConnectionError):
                for flow in ("docker", "process", "folder"):
                    self._start(api, flow, 30)
                self.ended(api)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            if process.wait(60) == 0:
                return False
        self.kills += 1
        return True

    def _start(self, api: str, flow: str, limit_s: float) -> None:
        with suppress(requests.Timeout):
            answer = requests.post(f"{api}/executions/t/{flow}", timeout=limit_s)
            assert answer.status_code == 200, answer.text
            self.accepted.append(answer.json()["id"])

    def finish(self) -> None:
        """Let everything end under a last daemon, and check all of it."""
        with self.daemon() as (process, api):
            executions = self.ended(api)
            problems = [text for each in executions for text in self._problems(api, each)]
            problems += _wrongly_triggered(executions)
            lost = set(self.accepted) - {each["id"] for each in executions}
            problems += [f"{id_} was accepted and is not there" for id_ in lost]
            problems += self._left_containers()
            process.send_signal(signal.SIGTERM)
            if process.wait(60) != 0:
                problems.append(f"the daemon's exit status is {process.returncode}")
        problems += [f"left over: {path}" for path in self.temp.iterdir()]
        problems += self.damage()
        assert not problems, "\n".join(problems)

    def ended(self, api: str) -> list[Any]:
        """All executions, when they have ended."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            found = requests.get(f"{api}/executions/search?size=1000", timeout=30).json()["results"]
            waiting = [e for e in found if e["state"]["current"] not in ("SUCCESS", "FAILED")]
            if not waiting:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"still not ended: {json.dumps(waiting, indent=1)[:4000]}")
            time.sleep(0.1)

    def _problems(self, api: str, execution: Any) -> list[str]:
        """What is wrong with an execution that has ended."""
        id_, found = execution["id"], list[str]()
        lines: list[Any] = requests.get(f"{api}/logs/{id_}", timeout=30).json()
        if execution["state"]["current"] != "SUCCESS":
            texts = [line["message"] for line in lines]
            return [f"{id_} of {execution['flowId']} is not SUCCESS: {texts[-12:]}"]
        runs: list[Any] = execution["taskRunList"]
        for run in runs:
            if run["taskId"] in ("folder", "note"):
                continue
            name: str = run["taskId"]
            again = len(run["attempts"]) > 1
            outputs: Any = run["outputs"]
            count = len((self.counts / f"{name}-{id_}").read_text().splitlines())
            if name != "local" and count != 1:
                found.append(f"{id_}: {name} ran {count} times: {run['state']['histories']}")
            if outputs["vars"] != {"last": LINES}:
                found.append(f"{id_}: {name} has the outputs {outputs}")
            last = len(run["attempts"]) - 1
            own: list[str] = [
                line["message"]
                for line in lines
                if line.get("taskRunId") == run["id"]
                and line["message"].startswith("line ")
                and line.get("attemptNumber") == last
            ]
            if own != [f"line {number}" for number in range(1, LINES + 1)]:
                found.append(f"{id_}: {name} has the lines {own} (again: {again})")
            found += self._file_problems(api, id_, run)
            url = f"{api}/metrics/{id_}?taskRunId={run['id']}"
            metrics: list[Any] = requests.get(url, timeout=30).json()["results"]
            named = [each for each in metrics if each["name"] == "m"]
            if name != "local" and len(named) != 1:
                found.append(f"{id_}: {name} has {len(named)} metrics")
        return found

    def _file_problems(self, api: str, id_: str, run: Any) -> list[str]:
        uri: str = run["outputs"]["outputFiles"].get("result.txt", "")
        answer = requests.get(f"{api}/executions/{id_}/file", params={"path": uri}, timeout=30)
        if answer.text != "done\n":
            return [f"{id_}: {run['taskId']} has no file result.txt: {answer.text[:200]}"]
        return []

    def _left_containers(self) -> list[str]:
        """Containers of the daemons of this folder, after a while for the last removal."""
        deadline = time.monotonic() + 10
        while (names := self.containers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return [f"container left over: {name}" for name in names]

    def containers(self) -> list[str]:
        """Name and status of every container that daemons of this folder have made.

        Those that stand by for a daemon that lives do not count.
        """
        instance = (self.state / "instance").read_text().strip()[:8]
        label, argv = "eyas.instance", ["docker", "ps", "-a", "--format"]
        form = f'{{{{.Label "{label}"}}}} {{{{.Names}}}} {{{{.Status}}}}'
        found = subprocess.run(
            [*argv, form, "--filter", f"label={label}"], capture_output=True, text=True, check=True
        )
        rows = [line.partition(" ") for line in found.stdout.splitlines()]
        names = [rest for value, _, rest in rows if value.endswith(f"-{instance}")]
        return [name for name in names if not re.match(r"eyas-standby-\S* Up", name)]

    def damage(self) -> list[str]:
        """What is wrong with the databases."""
        found: list[str] = []
        for name in ("state.db", "logs.db"):
            with sqlite3.connect(self.state / name) as db:
                (text,) = db.execute("PRAGMA integrity_check").fetchone()
            db.close()
            if text != "ok":
                found.append(f"{name}: {text}")
        return found


def _wrongly_triggered(executions: Sequence[Any]) -> list[str]:
    """What was not started exactly once by the end of an execution of the flow `docker`."""
    causes = Counter(
        each["trigger"]["variables"]["executionId"]
        for each in executions
        if each["flowId"] == "after"
    )
    ended = [each["id"] for each in executions if each["flowId"] == "docker"]
    return [f"{id_} has triggered {causes[id_]} executions" for id_ in ended if causes[id_] != 1]


def main() -> None:
    """Run the sweep from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--every", type=int, default=10, help="rounds between two checks")
    parser.add_argument("--points", action="store_true", help="die at each point of the code")
    given = parser.parse_args()
    if given.points:
        sweep_points()
    else:
        _say(f"seed {given.seed}")
        sweep_rounds(given.rounds, given.every, random.Random(given.seed))


def sweep_rounds(left: int, every: int, chance: random.Random) -> None:
    """Die at random moments."""
    while left > 0:
        with tempfile.TemporaryDirectory(prefix="kill-sweep-") as folder:
            sweep = Sweep(Path(folder), chance)
            for _ in range(min(every, left)):
                sweep.round()
            sweep.finish()
            left -= sweep.kills
            _say(f"{left} rounds left; {len(sweep.accepted)} executions were fine")


def sweep_points() -> None:
    """Die at each point, as often as it is come to."""
    for point in POINTS:
        for nth in count(1):
            with tempfile.TemporaryDirectory(prefix="kill-sweep-") as folder:
                sweep = Sweep(Path(folder), random.Random())
                died = sweep.die_at(point, nth)
                sweep.finish()
            if not died:
                _say(f"{point}: {nth - 1} times, all was fine")
                break


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

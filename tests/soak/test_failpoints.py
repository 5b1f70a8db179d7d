"""A daemon dies between two things of which a crash must not leave one without the other."""

from __future__ import annotations

import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import docker
import pytest
import requests
from kill_sweep import POINTS, DiedEarly, Sweep
from test_daemon_faults import (
    flow,
    kill,
    messages,
    start,
    sweep_containers,
    sweep_in,
    until,
)

pytestmark = pytest.mark.timeout(180)

_STORE = ("store.commit", "store.committed")
ONE_BY_ONE = [
    *((point, 1) for point in POINTS if point not in _STORE),
    *((point, nth) for point in _STORE for nth in (10, 20)),
    ("outputs.collected", 2),
]
"""What collects first is a local process, then come containers, which go on; a store commits often.

`kill_sweep.py --points` does it for every time that each point is come to.
"""


@pytest.mark.parametrize(("point", "nth"), ONE_BY_ONE)
def test_dying_at_a_point_loses_and_repeats_nothing(
    point: str, nth: int, tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path)

    assert sweep.die_at(point, nth)
    sweep.finish()


def test_what_the_engine_was_asked_to_start_does_not_run_twice(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    # Where a script may wait for the signal that stops it, the container begins with the command.
    text = flow("echo begun; sleep 1; echo done").replace("NEVER", "NEVER, killGracePeriod: PT1S")
    sweep = sweep_in(tmp_path, text)
    with sweep.daemon(EYAS_FAILPOINTS="container.starting=kill") as (process, api):
        id_ = start(api)
        process.wait(60)
    (name,) = sweep_containers(docker_engine, id_)
    before = docker_engine.containers.get(name)
    assert before.status == "created"
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        lines = messages(api, id_)
        kill(process, signal.SIGTERM)

    (run,) = ended["taskRunList"]
    assert [each["state"]["current"] for each in run["attempts"]] == ["SUCCESS"]
    assert run["outputs"]["taskRunner"]["containerId"] == before.id
    assert (lines.count("begun"), lines.count("done")) == (1, 1)


_CORE = "io.kestra.plugin.core"
_LOG = f"tasks: [{{id: s, type: {_CORE}.log.Log, message: x}}]"
_BOTH = f"""\
triggers:
  - id: both
    type: {_CORE}.trigger.Flow
    preconditions: {{id: p, flows: [{{namespace: t, flowId: a}}, {{namespace: t, flowId: b}}]}}
"""


def run(api: str, flow: str) -> str:
    """Run a flow to its end; gives the execution's id."""
    answer = requests.post(f"{api}/executions/t/{flow}?wait=true", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def ended(api: str, flow: str) -> list[str]:
    """The states of a flow's executions, all of which have ended."""
    deadline = time.monotonic() + 30
    while True:
        url = f"{api}/executions/search?flowId={flow}&namespace=t"
        found = requests.get(url, timeout=30).json()["results"]
        states = [each["state"]["current"] for each in found]
        if all(state in ("SUCCESS", "FAILED") for state in states):
            return states
        assert time.monotonic() < deadline, states
        time.sleep(0.02)


def test_dying_at_any_commit_counts_what_met_preconditions_once(tmp_path: Path) -> None:
    begun = sweep_in(tmp_path / "begun")
    for name, more in (("a", ""), ("b", ""), ("c", _BOTH)):
        text = f"id: {name}\nnamespace: t\n{_LOG}\n{more}"
        (begun.root / "flows" / f"{name}.yaml").write_text(text)
    with begun.daemon() as (process, api):
        run(api, "a")
        kill(process, signal.SIGTERM)
    nth = 1
    while dies_with_b(Path(shutil.copytree(begun.root, tmp_path / str(nth))), nth):
        nth += 1
    assert nth > 6


def dies_with_b(folder: Path, nth: int) -> bool:
    """Whether a daemon comes to its nth commit; then `c` was started by the first `a` and `b`."""
    sweep, accepted, died = Sweep(folder, random.Random()), False, True
    armed = {"EYAS_FAILPOINTS": f"store.committed=kill@{nth}"}
    with (
        suppress(DiedEarly, requests.ConnectionError),
        sweep.daemon(**armed) as (process, api),
    ):
        accepted = requests.post(f"{api}/executions/t/b", timeout=30).ok
        assert ended(api, "b") and ended(api, "c")
        kill(process, signal.SIGTERM)
        died = process.returncode != 0
    with sweep.daemon() as (process, api):
        if not ended(api, "b"):
            assert not accepted
            run(api, "b")
        assert ended(api, "c") == ["SUCCESS"], nth
        run(api, "b")
        assert ended(api, "c") == ["SUCCESS"], nth
        run(api, "a")
        assert ended(api, "c") == ["SUCCESS"] * 2, nth
        kill(process, signal.SIGTERM)
    return died

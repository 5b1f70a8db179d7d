"""What a real Kestra 1.2.14 did, flow by flow: a running daemon must do the same.

The recorded cases, the program that runs them against any server and the one that compares stand
beside the checkout, in `../shared/conformance`; without them these tests are skipped. Cases may
differ as `deviations.yaml` there and in this folder say.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import docker
import pytest
import yaml
from docker.errors import APIError, DockerException

RECORDED = Path(__file__).parents[3] / "shared" / "conformance"
CASES = sorted(path.stem for path in (RECORDED / "goldens").glob("*.json"))
pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not CASES, reason=f"no recorded cases at {RECORDED}"),
    pytest.mark.timeout(600),
]


@dataclass(frozen=True)
class Results:
    """Where the recorded results are, and those of this run."""

    compare: ModuleType
    folder: Path
    decided: dict[str, Any]

    def differences(self, case: str) -> list[str]:
        """What is not as on Kestra and was not decided, a text each."""
        result = self.folder / f"{case}.json"
        if not result.exists():
            return ["there is no result"]
        golden = json.loads((RECORDED / "goldens" / f"{case}.json").read_text())
        found: list[tuple[str, Any, Any]] = self.compare.differences(
            golden, json.loads(result.read_text())
        )
        rule: Any = self.decided.get(case)
        # A text stands for the whole case, a map for some paths of it.
        allowed: list[str] = []
        if rule:
            allowed = ["*"] if isinstance(rule, str) else rule.get("paths", ["*"])
        return [
            f"{path}:\n  kestra: {json.dumps(kestra)}\n  eyas:   {json.dumps(ours)}"
            for path, kestra, ours in found
            if not any(fnmatch(path, glob) for glob in allowed)
        ]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a daemon with an empty store, set up as the recorded one was."""
    folder = tmp_path_factory.mktemp("conformance")
    (folder / "flows").mkdir()
    address = f"http://127.0.0.1:{free_port()}"
    environ = {
        **os.environ,
        "SECRET_CONF_TEST": "czNjcjN0",
        "SECRET_MY_SECRET": "aHVudGVyMg==",
        "ENV_CONF_HELLO": "world",
        "TZ": "UTC",
    }
    command = [sys.executable, "-m", "runner", "serve", str(folder / "flows")]
    command += ["--port", address.rpartition(":")[2], "--state-dir", str(folder / "state")]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        _await_ready(address, daemon, folder / "log")
        yield address
    finally:
        daemon.terminate()
        daemon.wait(60)
        shutil.rmtree(folder / "state", ignore_errors=True)


def _await_ready(address: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and daemon.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/ping", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the daemon did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def results(
    server: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Results:
    """The results of every selected case, run side by side once."""
    folder = tmp_path_factory.mktemp("results")
    selected: list[str] = []
    for item in request.session.items:
        call: Any = getattr(item, "callspec", None)
        if item.path == Path(__file__) and call is not None:
            selected.append(call.params["case"])
    command = [sys.executable, str(RECORDED / "run.py"), "--base", server, "--out", str(folder)]
    command += ["--flows", str(RECORDED / "flows"), "--jobs", "8", "--settle", "0.3"]
    subprocess.run([*command, "--only", ",".join(selected)], check=True, capture_output=True)
    _remove_unawaited()
    spec = importlib.util.spec_from_file_location("compare", RECORDED / "compare.py")
    assert spec is not None and spec.loader is not None
    compare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compare)
    decided: dict[str, Any] = {}
    for file in (RECORDED / "deviations.yaml", Path(__file__).with_name("deviations.yaml")):
        if file.exists():
            decided.update(yaml.safe_load(file.read_text()) or {})
    return Results(compare, folder, decided)


def _remove_unawaited() -> None:
    """Remove the containers that `wait: false` leaves, as on Kestra: nobody else would."""
    try:
        client = docker.from_env()
    except DockerException:
        return
    with contextlib.closing(client):
        for container in client.containers.list(
            all=True, filters={"label": "kestra.io/namespace=conf.test"}
        ):
            try:
                container.remove(force=True, v=True)
            except APIError as error:
                # The daemon removes some of them itself: gone, or about to be.
                if error.status_code not in (404, 409):
                    raise


def _wants_engine(case: str) -> bool:
    """Whether a script task of the case runs in a container."""
    text = (RECORDED / "flows" / f"{case}.yaml").read_text()
    local = "runner.Process" in text or "runner: PROCESS" in text
    return "runner.docker" in text or ("plugin.scripts" in text and not local)


def _cases() -> Iterator[Any]:
    for case in CASES:
        yield pytest.param(case, marks=pytest.mark.docker if _wants_engine(case) else ())


@pytest.mark.parametrize("case", [*_cases()])
def test_the_case_is_as_on_kestra(
    case: str, results: Results, request: pytest.FixtureRequest
) -> None:
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("docker_engine")

    assert not (found := results.differences(case)), "\n".join(found)

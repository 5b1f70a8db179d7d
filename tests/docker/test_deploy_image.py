"""The image of deploy/Dockerfile, with a real engine: flows run in it, and beside it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import docker
import pytest
import requests
from daemon_container import BASE, LABELS, TOKEN, built, daemon, flows_in, lines_of, outputs

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

PROCESS = "{type: io.kestra.plugin.core.runner.Process}"
CONTAINER = "{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER}"

BOTH_WAYS = f"""\
id: both-ways
namespace: t
tasks:
  - id: inside
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {PROCESS}
    inputFiles: {{in.txt: one}}
    outputFiles: [out.txt]
    script: |
      import os, sys
      from kestra import Kestra
      open("out.txt", "w").write(open("in.txt").read() + " two")
      Kestra.outputs({{"python": sys.executable, "user": os.getuid()}})
  - id: beside
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {CONTAINER}
    containerImage: {BASE}
    inputFiles: {{in.txt: "{{{{ outputs.inside.outputFiles['out.txt'] }}}}"}}
    outputFiles: [out.txt]
    script: |
      import os
      from kestra import Kestra
      open("out.txt", "w").write(open("in.txt").read() + " three")
      Kestra.outputs({{"user": os.getuid(), "is_mount": os.path.ismount(os.getcwd())}})
  - id: inside-again
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {PROCESS}
    inputFiles: {{in.txt: "{{{{ outputs.beside.outputFiles['out.txt'] }}}}"}}
    script: |
      from kestra import Kestra
      Kestra.outputs({{"text": open("in.txt").read()}})
"""

AS_THE_SAME_USER = f"""\
id: same-user
namespace: t
tasks:
  - id: beside
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {CONTAINER}
    containerImage: eyas-test/nonroot:latest
    inputFiles: {{in.txt: one}}
    script: |
      import os
      from kestra import Kestra
      Kestra.outputs({{"text": open("in.txt").read(), "is_mount": os.path.ismount(os.getcwd())}})
"""

ORPHANS = f"""\
id: orphans
namespace: t
tasks:
  - id: leaves
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {PROCESS}
    commands: ["(sleep 300 >/dev/null 2>&1 &)"]
"""

IMPORTS = f"""\
id: imports
namespace: t
tasks:
  - id: script
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {PROCESS}
    script: |
      import importlib.util
      from kestra import Kestra
      found = [name for name in ("iniconfig", "aiohttp") if importlib.util.find_spec(name)]
      Kestra.outputs({{"found": found}})
"""

OTHERS = """\
import json, os, pathlib
stats = [path.read_text() for path in pathlib.Path("/proc").glob("[0-9]*/stat")]
known = ("1", str(os.getpid()))
others = [stat[:60] for stat in stats if stat.split()[0] not in known and "(eyas)" not in stat]
print(json.dumps(others))
"""
"""Lists what runs, and what has ended and nobody has asked how, beside the daemon and itself."""


class HasClient(Protocol):
    """The session's engine, see `tests/conftest.py`."""

    def client(self) -> docker.DockerClient: ...


@pytest.fixture(scope="module")
def image(_engine: HasClient) -> str:
    return built(_engine.client(), "eyas-test/eyas:latest")


@pytest.fixture
def volume(docker_engine: docker.DockerClient) -> Iterator[str]:
    made = docker_engine.volumes.create(f"eyas-test-{uuid.uuid4().hex}", labels=LABELS)
    yield str(made.name)
    made.remove()


def test_a_flow_runs_both_ways_and_files_arrive_although_the_paths_differ(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    flows = flows_in(tmp_path / "flows", BOTH_WAYS)
    with daemon(docker_engine, image, {flows: "/flows:ro"}) as running:
        sent = outputs(running.run("t/both-ways"))

    assert sent == {
        "inside": {"python": "/opt/python/bin/python", "user": 1000},
        "beside": {"user": 0, "is_mount": False},
        "inside-again": {"text": "one two three"},
    }


def test_a_working_folder_at_the_same_path_is_shared_with_the_same_user(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    flows = flows_in(tmp_path / "flows", AS_THE_SAME_USER, BOTH_WAYS)
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    environ = {"EYAS_TMP_DIR": str(work)}
    mounts: dict[Path | str, str] = {flows: "/flows:ro", work: str(work)}
    with daemon(docker_engine, image, mounts, environ=environ) as running:
        shared = outputs(running.run("t/same-user"))
        copied = outputs(running.run("t/both-ways"))
        assert running.stop() == 0

    assert shared == {"beside": {"text": "one", "is_mount": True}}
    assert copied["inside-again"] == {"text": "one two three"}
    assert list(work.iterdir()) == []


def test_executions_outlive_the_container_and_the_log_is_json(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path, volume: str
) -> None:
    mounts: dict[Path | str, str] = {
        flows_in(tmp_path / "flows", ORPHANS): "/flows:ro",
        volume: "/var/lib/eyas",
    }
    with daemon(docker_engine, image, mounts) as running:
        execution = running.run("t/orphans")
        assert running.stop() == 0
        events = [json.loads(line)["event"] for line in running.container.logs().splitlines()]

    with daemon(docker_engine, image, mounts) as running:
        kept = running.eyas("show", execution["id"], "--output", "json")
        assert running.stop() == 0

    assert (kept["id"], kept["state"]["current"]) == (execution["id"], "SUCCESS")
    assert (events[-3:]) == ["daemon.ready", "daemon.stopping", "daemon.stopped"]


def test_nothing_of_a_script_is_left_running_or_unburied(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    flows = flows_in(tmp_path / "flows", ORPHANS)
    with daemon(docker_engine, image, {flows: "/flows:ro"}) as running:
        running.run("t/orphans")
        others = json.loads(running.inside("/opt/eyas/bin/python", "-c", OTHERS))

    assert others == []


def test_it_is_healthy_once_it_answers(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    flows = flows_in(tmp_path / "flows")
    filters = ["--filter", "event=health_status", "--format", "{{.Status}}"]
    since = ["--since", str(int(time.time()))]
    often: dict[str, Any] = {"interval": 100_000_000}  # nanoseconds; the test is the image's
    with daemon(docker_engine, image, {flows: "/flows:ro"}, healthcheck=often) as running:
        of_this = ["--filter", f"container={running.container.id}"]
        with closing(lines_of("events", *since, *filters, *of_this)) as events:
            first = next(events)
        running.container.reload()
        check: list[str] = running.container.attrs["Config"]["Healthcheck"]["Test"]
        elsewhere = running.container.exec_run(check[1:], environment={"EYAS_PORT": "1"})

    assert first.strip() == "health_status: healthy"
    assert elsewhere.exit_code != 0


def test_callers_need_credentials_and_without_any_it_does_not_start(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    alone = docker_engine.containers.create(image, labels=LABELS)
    try:
        alone.start()
        status, said = alone.wait()["StatusCode"], alone.logs().decode()
    finally:
        alone.remove(force=True, v=True)
    with daemon(docker_engine, image, {flows_in(tmp_path / "flows"): "/flows"}) as running:
        url = f"{running.address}/api/v1/main/flows/search"
        codes = [
            requests.get(url, headers=headers, timeout=20).status_code
            for headers in ({}, {"Authorization": "Bearer wrong"})
        ]
        ours = requests.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)

    assert (status, "EYAS_API_TOKEN" in said) == (78, True)
    assert (codes, ours.status_code) == ([401, 401], 200)


def test_packages_of_the_build_are_for_scripts_and_what_eyas_needs_is_not(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    with_packages = built(docker_engine, "eyas-test/eyas:packages", PYTHON_PACKAGES="iniconfig")
    flows = flows_in(tmp_path / "flows", IMPORTS)
    found = {}
    for name in (image, with_packages):
        with daemon(docker_engine, name, {flows: "/flows:ro"}) as running:
            found[name] = outputs(running.run("t/imports"))["script"]["found"]

    assert found == {image: [], with_packages: ["iniconfig"]}


def test_a_single_flow_runs_without_a_daemon(
    docker_engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    flows = flows_in(tmp_path / "flows", ORPHANS)
    command = ["run", "/flows/0.yaml", "--output", "json"]

    printed = docker_engine.containers.run(
        image, command, volumes=[f"{flows}:/flows:ro"], labels=LABELS, remove=True
    )

    assert json.loads(printed)["state"]["current"] == "SUCCESS"


def test_the_image_is_small_and_has_no_rights(
    docker_engine: docker.DockerClient, image: str
) -> None:
    made, base = docker_engine.images.get(image), docker_engine.images.get(BASE)

    added_mb = (made.attrs["Size"] - base.attrs["Size"]) / 1e6
    assert added_mb < 60
    assert made.attrs["Config"]["User"] == "eyas"

"""A daemon is killed, stopped, or finds its surroundings broken: nothing is lost (group A)."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from kill_sweep import Sweep
from private_engine import PrivateEngine, private_engine

pytestmark = pytest.mark.timeout(180)

DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"


def flow(script: str, more: str = "") -> str:
    """A flow `f` of one Docker task."""
    return f"""\
id: f
namespace: t
tasks:
  - id: s
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: busybox
    taskRunner: {{type: {DOCKER}, pullPolicy: NEVER, networkMode: none}}
    commands: ["{script}"]
    {more}
"""


def start(api: str) -> str:
    """The id of a new execution of `f`."""
    answer = requests.post(f"{api}/executions/t/f", timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def until(api: str, id_: str, *states: str) -> Any:
    """The execution as soon as it is in one of the states, with a task run in it."""
    deadline = time.monotonic() + 60
    while True:
        found = requests.get(f"{api}/executions/{id_}", timeout=20).json()
        if found["state"]["current"] in states and found.get("taskRunList"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def messages(api: str, id_: str) -> list[str]:
    """The lines of its log."""
    return [line["message"] for line in requests.get(f"{api}/logs/{id_}", timeout=20).json()]


def line_came(api: str, id_: str, text: str) -> None:
    """Wait until the log has the line."""
    deadline = time.monotonic() + 60
    while text not in messages(api, id_):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def sweep_in(folder: Path, text: str = "", seed: int = 0) -> Sweep:
    """A state folder for daemons, with the flow `f` if its text is given."""
    sweep = Sweep(folder, random.Random(seed))
    if text:
        (folder / "flows" / "f.yaml").write_text(text)
    return sweep


def kill(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
    """End a daemon."""
    process.send_signal(number)
    process.wait(60)


def test_a_daemon_killed_at_any_moment_loses_and_repeats_nothing(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 # to repeat a failure with
    sweep = sweep_in(tmp_path, seed=seed)
    for _ in range(6):
        sweep.round()
    sweep.finish()

    assert sweep.kills == 6
    assert sweep.accepted


def test_a_daemon_stopped_at_any_moment_loses_and_repeats_nothing(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 # to repeat a failure with
    sweep = sweep_in(tmp_path, seed=seed)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
        sweep.round(number)
    sweep.finish()

    assert sweep.accepted


def test_what_a_killed_daemon_was_making_is_removed_by_the_next(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path, flow("true"))
    creates = docker_engine.events(decode=True, filters={"event": "create"})
    with sweep.daemon() as (process, api):
        instance = (sweep.state / "instance").read_text()[:8]
        start(api)
        labels: dict[str, str] = next(
            event["Actor"]["Attributes"]
            for event in creates
            if event["Actor"]["Attributes"].get("eyas.instance", "").endswith(f"-{instance}")
        )
        kill(process)
    with sweep.daemon() as (process, api):
        # The engine goes on with what it was asked for, and is slow.
        late = docker_engine.containers.create("busybox", "true", labels=labels)
        wait_for(lambda: not [each for each in sweep.containers() if str(late.name) in each])
        found = requests.get(f"{api}/executions/search?size=9", timeout=20).json()["results"]
        until(api, found[0]["id"], "SUCCESS")
        wait_for(lambda: not sweep.containers())
        kill(process, signal.SIGTERM)


def test_what_a_restart_of_the_machine_ended_runs_again(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path, flow("echo begun; sleep 2"))
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        kill(process)
    (before,) = sweep_containers(docker_engine, id_)
    # Folders are named by the start of the machine that they are from.
    (folder,) = next(sweep.temp.iterdir()).iterdir()
    folder.rename(folder.with_name("earlier"))
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        kill(process, signal.SIGTERM)

    attempts = [each["state"]["current"] for each in ended["taskRunList"][0]["attempts"]]
    assert attempts == ["FAILED", "SUCCESS"]
    assert before not in sweep_containers(docker_engine, id_)
    assert not list(sweep.temp.iterdir())


def test_a_daemon_that_is_stopped_hands_its_containers_over(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    text = flow("echo begun; sleep 3; echo done; hostname")
    sweep = sweep_in(tmp_path, text)
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        kill(process, signal.SIGTERM)
        assert process.returncode == 0
    assert not (sweep.state / "address").exists()
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        lines = messages(api, id_)
        kill(process, signal.SIGTERM)

    (run,) = ended["taskRunList"]
    assert ended["state"]["current"] == "SUCCESS"
    assert len(run["attempts"]) == 1
    assert [lines.count(text) for text in ("begun", "done")] == [1, 1]
    assert not list(sweep.temp.iterdir())


@pytest.mark.parametrize(("script", "state"), [("exit 3", "FAILED"), ("exit 0", "SUCCESS")])
def test_a_container_that_ended_while_there_was_no_daemon_counts(
    tmp_path: Path, docker_engine: docker.DockerClient, script: str, state: str
) -> None:
    sweep = sweep_in(tmp_path, flow(f"echo begun; sleep 1; echo late; {script}"))
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        kill(process)
    container = next(
        each
        for each in docker_engine.containers.list(all=True, ignore_removed=True)
        if each.labels.get("kestra.io/execution-id") == id_
    )
    container.wait()
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        lines = messages(api, id_)
        kill(process, signal.SIGTERM)

    assert ended["state"]["current"] == state
    assert lines.count("late") == 1
    assert len(ended["taskRunList"][0]["attempts"]) == 1


def test_a_timeout_counts_from_the_stored_start(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path, flow("echo begun; sleep 600", "timeout: PT4S"))
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        kill(process)
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        kill(process, signal.SIGTERM)

    (run,) = ended["taskRunList"]
    assert (ended["state"]["current"], len(run["attempts"])) == ("FAILED", 1)


def test_what_was_being_killed_is_killed(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path, flow("echo begun; sleep 600"))
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        kill(process)
    state = sweep.state / "state.db"
    with sqlite3.connect(state) as db:
        # As if it had been asked to kill it in its last moment.
        (body,) = db.execute("SELECT body FROM executions WHERE id = ?", (id_,)).fetchone()
        history = '["RUNNING",'
        assert history in body
        stamp = body.split(history)[1].split("]")[0]
        new = body.replace(f"{history}{stamp}]", f'{history}{stamp}],["KILLING",{stamp}]')
        db.execute("UPDATE executions SET state = 'KILLING', body = ? WHERE id = ?", (new, id_))
    db.close()
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "KILLED", "SUCCESS", "FAILED")
        wait_for(lambda: not sweep_containers(docker_engine, id_))
        kill(process, signal.SIGTERM)

    assert ended["state"]["current"] == "KILLED"


def sweep_containers(engine: docker.DockerClient, id_: str) -> list[str]:
    """The containers of an execution."""
    return [
        str(each.name)
        for each in engine.containers.list(all=True, ignore_removed=True)
        if each.labels.get("kestra.io/execution-id") == id_
    ]


def test_a_container_that_somebody_removed_meanwhile_is_run_again(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path, flow("echo begun; sleep 2"))
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        kill(process)
    for name in sweep_containers(docker_engine, id_):
        docker_engine.containers.get(name).remove(force=True)
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        lines = messages(api, id_)
        kill(process, signal.SIGTERM)

    attempts = [each["state"]["current"] for each in ended["taskRunList"][0]["attempts"]]
    assert attempts == ["FAILED", "SUCCESS"]
    assert any("its container is gone" in line for line in lines)


def left_alone(sweep: Sweep, engine: docker.DockerClient) -> tuple[str, Any]:
    """An execution whose daemon was killed while its container, which is given too, runs."""
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        wait_for(lambda: bool(list(sweep.temp.rglob("started"))))
        kill(process)
    (name,) = sweep_containers(engine, id_)
    return id_, engine.containers.get(name)


def test_a_container_that_somebody_restarted_meanwhile_is_run_again(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path, flow("echo begun; sleep 3"))
    id_, container = left_alone(sweep, docker_engine)
    time.sleep(2.5)  # what started within two seconds of the note is what was noted
    container.restart(timeout=0)
    with sweep.daemon() as (process, api):
        ended = until(api, id_, "SUCCESS", "FAILED")
        lines = messages(api, id_)
        wait_for(lambda: not sweep.containers())
        kill(process, signal.SIGTERM)

    attempts = [each["state"]["current"] for each in ended["taskRunList"][0]["attempts"]]
    assert attempts == ["FAILED", "SUCCESS"]
    assert any("restarted by somebody else" in line for line in lines)


def test_a_container_that_somebody_paused_meanwhile_is_waited_for(
    tmp_path: Path, docker_engine: docker.DockerClient
) -> None:
    sweep = sweep_in(tmp_path, flow("echo begun; sleep 2; echo done"))
    id_, container = left_alone(sweep, docker_engine)
    container.pause()
    with sweep.daemon() as (process, api):
        line_came(api, id_, "The container is paused: somebody else did that")
        waiting = until(api, id_, "RUNNING", "SUCCESS", "FAILED")
        container.unpause()
        ended = until(api, id_, "SUCCESS", "FAILED")
        lines = messages(api, id_)
        kill(process, signal.SIGTERM)

    assert waiting["state"]["current"] == "RUNNING"
    assert (ended["state"]["current"], lines.count("done")) == ("SUCCESS", 1)
    assert len(ended["taskRunList"][0]["attempts"]) == 1


@pytest.fixture
def own_engine(
    tmp_path_factory: pytest.TempPathFactory, docker_engine: docker.DockerClient
) -> Iterator[PrivateEngine]:
    """An engine of the test's own whose containers go on without it."""
    folder = tmp_path_factory.mktemp("engine")
    with private_engine(folder, options="--live-restore") as engine:
        engine.load("busybox")
        yield engine


def test_a_daemon_waits_for_the_engine_that_has_its_containers(
    tmp_path: Path, own_engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", own_engine.url)
    sweep = sweep_in(tmp_path, flow("echo begun; sleep 4; echo done"))
    with sweep.daemon() as (process, api):
        id_ = start(api)
        line_came(api, id_, "begun")
        kill(process)
    own_engine.signal(signal.SIGTERM)
    with sweep.daemon() as (process, api):
        waiting = requests.get(f"{api}/executions/{id_}", timeout=20).json()
        own_engine.start()
        ended = until(api, id_, "SUCCESS", "FAILED")
        lines = messages(api, id_)
        kill(process, signal.SIGTERM)

    assert waiting["state"]["current"] == "RUNNING"
    assert ended["state"]["current"] == "SUCCESS", lines
    assert len(ended["taskRunList"][0]["attempts"]) == 1


def refused(root: Path, **environ: str) -> tuple[int, str]:
    """Exit status and message of a daemon that cannot start."""
    (root / "flows").mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "runner", "serve", str(root / "flows"), "--port", "0"]
    run = subprocess.run(
        [*argv, "--state-dir", str(root / "state")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environ},
    )
    assert "Traceback" not in run.stderr
    return run.returncode, run.stderr


def killed_once(root: Path) -> Sweep:
    """A state folder of a daemon that was killed."""
    sweep = sweep_in(root)
    with sweep.daemon() as (process, _):
        kill(process)
    return sweep


@pytest.mark.parametrize("name", ["state.db", "logs.db"])
@pytest.mark.parametrize("what", ["missing", "empty"])
def test_a_store_that_is_gone_is_not_begun_anew(tmp_path: Path, name: str, what: str) -> None:
    sweep = killed_once(tmp_path)
    for end in ("-wal", "-shm"):
        (sweep.state / f"{name}{end}").unlink(missing_ok=True)
    (sweep.state / name).unlink()
    if what == "empty":
        (sweep.state / name).touch()

    status, text = refused(tmp_path)

    assert (status, f"{name} is {what}" in text) == (65, True), text
    assert (sweep.state / name).exists() == (what == "empty")


def test_damage_is_found_after_a_kill_and_left_alone(tmp_path: Path) -> None:
    sweep = killed_once(tmp_path)
    path = sweep.state / "state.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    data = bytearray(path.read_bytes())
    data[5 * 4096 : 6 * 4096] = b"\xa5" * 4096
    path.write_bytes(data)

    status, text = refused(tmp_path)

    assert (status, "state.db" in text, "backup" in text) == (65, True, True), text
    assert path.read_bytes()[5 * 4096 : 6 * 4096] == b"\xa5" * 4096


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a file system of its own, of 64 KiB."""
    folder = tmp_path / "state"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_so(tmp_path: Path, mounted: Path) -> None:
    (mounted / "ballast").write_bytes(b"x" * 52 * 1024)

    status, text = refused(tmp_path)

    assert (status, str(mounted) in text, "cannot be written" in text) == (74, True, True), text


def test_a_read_only_disk_is_said_so(tmp_path: Path, mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)

    status, text = refused(tmp_path)

    assert (status, str(mounted) in text, "Read-only" in text) == (74, True, True), text

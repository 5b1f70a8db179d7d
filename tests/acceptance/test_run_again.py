"""`eyas run` with what earlier runs of the flow have done."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command import Eyas

if TYPE_CHECKING:
    from daemons import Daemon

PROCESS = {"type": "io.kestra.plugin.core.runner.Process"}
CORE = "io.kestra.plugin.core"


def shell(name: str, *commands: str) -> dict[str, Any]:
    type_ = "io.kestra.plugin.scripts.shell.Commands"
    return {"id": name, "type": type_, "taskRunner": PROCESS, "commands": list(commands)}


def counted(name: str, folder: Path, *more: str) -> dict[str, Any]:
    """A script that leaves a line for each time it ran."""
    return shell(name, f"echo {name} >> {folder}/ran.txt", *more)


def flow(folder: Path, *tasks: dict[str, Any], **more: object) -> Path:
    path = folder / "f.yaml"
    document = {"id": "f", "namespace": "test.again", **more, "tasks": list(tasks)}
    path.write_text(json.dumps(document))
    return path


def ran(folder: Path) -> list[str]:
    """The scripts that ran since this was asked last, in their order."""
    path = folder / "ran.txt"
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return names


def document(eyas: Eyas, *args: str | Path) -> Any:
    ended = eyas("run", *args, "--output", "json")
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout)


def test_only_what_changed_runs_and_what_was_reused_is_said(eyas: Eyas) -> None:
    folder = eyas.folder
    first = document(eyas, flow(folder, counted("load", folder), counted("report", folder)))
    assert ran(folder) == ["load", "report"]

    path = flow(folder, counted("load", folder), counted("report", folder, "echo more"))
    second = eyas("run", path, "--only-changed")

    assert second.returncode == 0, second.stderr
    assert ran(folder) == ["report"]
    assert "INFO  load   | Reused: nothing has changed since 20" in second.stdout
    assert "INFO  report | Runs again: it has changed" in second.stdout
    assert f"eyas: Reused of execution {first['id']}: load (20" in second.stderr
    assert "eyas: Ran again: report" in second.stderr


def test_without_an_earlier_run_all_of_a_flow_runs(eyas: Eyas) -> None:
    ended = eyas("run", flow(eyas.folder, counted("a", eyas.folder)), "--only-changed")

    assert (ended.returncode, ran(eyas.folder)) == (0, ["a"])
    assert "No earlier run of this flow is kept: all of it runs" in ended.stderr


def test_a_run_goes_on_where_it_failed_although_the_file_was_mended(eyas: Eyas) -> None:
    folder, after = (
        eyas.folder,
        {"id": "after", "type": f"{CORE}.debug.Return", "format": "{{ inputs.n }}"},
    )
    inputs = [{"id": "n", "type": "INT", "defaults": 1}]
    broken = flow(
        folder, counted("a", folder), counted("b", folder, "exit 1"), after, inputs=inputs
    )
    first = document(eyas, broken, "-i", "n=5")
    assert (first["state"]["current"], ran(folder)) == ("FAILED", ["a", "b"])

    mended = flow(folder, counted("a", folder), counted("b", folder), after, inputs=inputs)
    second = document(eyas, mended, "--from-failed", first["id"][:8])

    assert (second["state"]["current"], ran(folder)) == ("SUCCESS", ["b"])
    assert second["parentId"] == first["id"]
    assert second["taskRunList"][-1]["outputs"] == {"value": "5"}
    assert len(second["taskRunList"][1]["attempts"]) == 2


def test_a_run_that_was_killed_with_its_process_goes_on_too(eyas: Eyas) -> None:
    folder = eyas.folder
    waits = {"id": "b", "type": f"{CORE}.flow.Sleep", "duration": "PT5M"}
    path = flow(folder, counted("a", folder), waits)
    process = eyas.start("run", path, "--output", "jsonl")
    assert process.stdout is not None
    assert any('"taskId":"b"' in line and "RUNNING" in line for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.wait()

    ended = eyas(
        "run", flow(folder, counted("a", folder), counted("b", folder)), "--from-failed", "last"
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ran(folder) == ["a", "b"]
    assert "eyas: Kept of execution" in ended.stderr


def test_a_run_that_was_cancelled_goes_on_too(eyas: Eyas) -> None:
    folder = eyas.folder
    both = {"id": "both", "type": f"{CORE}.flow.Sequential"}
    path = flow(folder, {**both, "tasks": [counted("a", folder), shell("b", "exec sleep 300")]})
    process = eyas.start("run", path, "--output", "jsonl")
    assert process.stdout is not None
    assert any('"taskId":"b"' in line and "RUNNING" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.wait()

    path = flow(folder, {**both, "tasks": [counted("a", folder), counted("b", folder)]})
    ended = eyas("run", path, "--from-failed", "last")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ran(folder) == ["a", "b"]


def test_a_run_begins_at_a_task_with_what_was_before_it(eyas: Eyas) -> None:
    folder = eyas.folder
    each = {"id": "each", "type": f"{CORE}.flow.ForEach", "values": ["x", "y"]}
    tasks = [counted("a", folder), {**each, "tasks": [counted("b", folder)]}, counted("c", folder)]
    path = flow(folder, *tasks)
    first = document(eyas, path)
    document(eyas, path)
    assert ran(folder) == ["a", "b", "b", "c"] * 2

    assert eyas("run", path, "--from", "c").returncode == 0
    assert ran(folder) == ["c"]
    assert (
        document(eyas, path, "--from", "b", "--execution", first["id"])["parentId"] == first["id"]
    )
    assert ran(folder) == ["b", "b", "c"]
    new = flow(folder, tasks[0], counted("new", folder), *tasks[1:])
    assert eyas("run", new, "--from", "new").returncode == 0
    assert ran(folder) == ["new", "b", "b", "c"]


def test_what_is_kept_although_it_was_changed_is_said(eyas: Eyas) -> None:
    folder = eyas.folder
    document(eyas, flow(folder, counted("a", folder), counted("b", folder)))

    ended = eyas(
        "run", flow(folder, counted("a", folder, "true"), counted("b", folder)), "--from", "b"
    )

    assert ended.returncode == 0
    assert "eyas: Changed since, and kept all the same: a (20" in ended.stderr


def test_executions_of_a_daemon_that_runs_are_gone_on_with(daemon: Daemon) -> None:
    failed = daemon.ended("fails")
    file = daemon.flows.parent / "mended.yaml"
    text = (daemon.flows / "fails.yaml").read_text()
    file.write_text(text.replace("execution.Fail, errorMessage: no luck", "log.Log, message: ok"))

    mended = daemon.eyas("run", file, "--from-failed", failed)
    again = daemon.eyas("run", file, "--only-changed")

    assert mended.returncode == 0, mended.stderr
    assert f"Kept of execution {failed}: first" in mended.stderr
    # Of the task that ran in the daemon nobody knows what it depended on.
    assert "Ran again: first\n" in again.stderr
    assert daemon.json("show", failed)["state"]["current"] == "FAILED"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--only-changed", "--from", "a"], "give one of --from-failed, --from and --only-changed"),
        (["--from", "a", "-i", "n=1"], "it goes on with the inputs of that execution"),
        (["--execution", "last"], "--execution belongs to --from or --only-changed"),
        (["--from", "a"], "No earlier run of 'test.again.f' is kept in"),
        (["--only-changed", "--execution", "abc"], "There is no execution 'abc' of 'test.again.f'"),
    ],
)
def test_what_cannot_be_meant_is_refused(eyas: Eyas, args: list[str], message: str) -> None:
    ended = eyas("run", flow(eyas.folder, counted("a", eyas.folder)), *args)

    assert (ended.returncode, ran(eyas.folder)) == (2, [])
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_run_in_which_nothing_failed_has_nothing_to_go_on_with(eyas: Eyas) -> None:
    path = flow(eyas.folder, counted("a", eyas.folder))
    document(eyas, path)

    ended = eyas("run", path, "--from-failed", "last")

    assert ended.returncode == 2
    assert "has failed (it ended SUCCESS)" in ended.stderr


def test_ten_runs_are_kept_and_only_their_owner_may_read_them(eyas: Eyas) -> None:
    path = flow(eyas.folder, {"id": "a", "type": f"{CORE}.log.Log", "message": "x"})
    ids = [document(eyas, path)["id"] for _ in range(12)]

    folder = eyas.folder / "state" / "runs" / "test.again" / "f"
    files = sorted(folder.iterdir())
    assert [file.stem.rpartition("-")[2] for file in files] == ids[2:]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_run_that_cannot_be_kept_says_so_and_goes_on(eyas: Eyas) -> None:
    (eyas.folder / "state").mkdir()
    (eyas.folder / "state" / "runs").touch()

    ended = eyas("run", flow(eyas.folder, counted("a", eyas.folder)))

    assert (ended.returncode, ran(eyas.folder)) == (0, ["a"])
    assert "What this run does cannot be kept for a later one: " in ended.stderr

"""`eyas kill`, `pause`, `resume`, `restart`, `replay` and `flows start` on a real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest
from daemons import Daemon

from runner.model.state import State


def test_kill_ends_an_execution_and_a_second_kill_is_a_conflict(daemon: Daemon) -> None:
    slow = daemon.begun("slow")
    daemon.wait(slow, State.RUNNING)

    document = daemon.json("kill", slow[:10])
    ended = daemon.wait(slow, State.KILLED)
    again = daemon.eyas("kill", slow)

    assert document["id"] == slow
    assert document["state"]["current"] in ("KILLING", "KILLED")
    assert ended is State.KILLED
    assert again.returncode == 2
    assert again.stderr == f"eyas: Execution '{slow}' has ended already: KILLED\n"


def test_resume_gives_the_inputs_that_the_pause_asks_for(daemon: Daemon) -> None:
    waits = daemon.begun("waits")
    daemon.wait(waits, State.PAUSED)

    without = daemon.eyas("resume", waits)
    daemon("resume", waits, "-i", "reason=because it's fine", "--output", "table")
    daemon.wait(waits, State.SUCCESS)

    assert without.returncode == 2
    assert "reason" in without.stderr
    assert "because it's fine" in daemon("logs", waits)


def test_pause_holds_an_execution_until_it_is_resumed(daemon: Daemon) -> None:
    slow = daemon.begun("slow")
    daemon.wait(slow, State.RUNNING)

    paused = daemon.json("pause", slow)
    resumed = daemon.json("resume", slow)
    daemon("kill", slow)
    daemon.wait(slow, State.KILLED)

    assert paused["state"]["current"] == "PAUSED"
    assert resumed["state"]["current"] in ("RUNNING", "RESTARTED")


def test_restart_runs_what_failed_again_as_the_same_execution(daemon: Daemon) -> None:
    failed = daemon.ended("fails")

    again = daemon.json("restart", failed)
    daemon("logs", "-f", failed)

    runs = daemon.json("show", failed)["taskRunList"]
    assert again["id"] == failed
    assert [(run["taskId"], len(run["attempts"])) for run in runs] == [("first", 1), ("bad", 2)]


def test_restart_of_what_did_not_fail_is_one_message(daemon: Daemon) -> None:
    ended = daemon.eyas("restart", daemon.ended("daily"))

    assert ended.returncode == 2
    assert ended.stderr.startswith("eyas: ")
    assert "Traceback" not in ended.stderr


def test_replay_is_a_new_execution_from_the_start_or_a_task_or_with_inputs(daemon: Daemon) -> None:
    first = daemon.ended("talk")

    whole = daemon.json("replay", first)["id"]
    part = daemon.json("replay", first, "--from-task", "each")["id"]
    other = daemon.json("replay", first, "-i", "n=5")["id"]
    for each in (whole, part, other):
        daemon.wait(each, State.SUCCESS)

    assert len({first, whole, part, other}) == 4
    assert daemon.json("show", whole)["originalId"] == first
    assert "counting" in daemon("logs", whole)
    assert "counting" not in daemon("logs", part)
    assert daemon.json("show", other)["outputs"] == {"twice": 10}


def test_replay_from_an_unknown_task_names_those_there_are(daemon: Daemon) -> None:
    ended = daemon.eyas("replay", daemon.ended("talk"), "--from-task", "say")

    assert ended.returncode == 2
    assert "it has count, each, say[x], say[y]" in ended.stderr


def test_start_with_wait_tells_by_its_status_how_the_execution_ended(daemon: Daemon) -> None:
    fine = daemon.eyas("flows", "start", "test.verbs.talk", "-i", "n=3", "--wait")
    bad = daemon.eyas("flows", "start", "fails", "--wait", "--output", "table")

    assert fine.returncode == 0
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[1].split()[1:] == ["test.verbs.fails", "FAILED"]


def test_start_takes_a_file_for_an_input(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("what the file holds")

    started = daemon.ended("file", "-i", f"f=@{tmp_path / 'given.txt'}")

    assert "what the file holds" in daemon("logs", started)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["talk", "-i", "n=x"], "n"),
        (["talk", "-i", "n"], "write it as -i KEY=VALUE"),
        (["file"], "f"),
        (["file", "-i", "f=@absent.txt"], "there is no file 'absent.txt'"),
        (["tlak"], "Did you mean 'talk'?"),
        (["talk", "--revision", "9"], "revision 9"),
    ],
)
def test_what_cannot_be_started_is_one_message_and_status_2(
    daemon: Daemon, args: list[str], says: str
) -> None:
    ended = daemon.eyas("flows", "start", *args)

    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("eyas: ")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_daemon_of_another_state_folder_is_not_acted_on(daemon: Daemon, tmp_path: Path) -> None:
    other = Daemon(tmp_path)
    done = other.ended("daily")
    other.stop()
    other.eyas.environ["EYAS_PORT"] = daemon.eyas.environ["EYAS_PORT"]

    ended = other.eyas("replay", done)

    assert ended.returncode == 3
    assert "is not the daemon of the state folder" in ended.stderr

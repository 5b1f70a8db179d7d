"""`eyas ps`, `show`, `logs` and `metrics`: looking at executions of a real daemon."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import Eyas
from daemons import Daemon

from runner.model.state import State


@pytest.fixture(scope="module")
def talk(daemon: Daemon) -> str:
    """The id of an execution of the flow `talk` that has ended."""
    return daemon.ended("talk")


def on_terminal(eyas: Eyas, *args: str) -> str:
    """What a verb prints on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "runner", *args],
        cwd=eyas.folder,
        env={**eyas.environ, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    ):
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 65536):
                printed += chunk
        except OSError:  # a terminal whose other end is gone reads as an I/O error
            pass
        os.close(ours)
    return printed.decode().replace("\r\n", "\n")


def test_ps_lists_what_goes_on_and_not_what_has_ended(daemon: Daemon, talk: str) -> None:
    slow = daemon.begun("slow")
    daemon.wait(slow, State.RUNNING)

    page = daemon.json("ps")
    every = daemon.json("ps", "--all")
    daemon("kill", slow)
    daemon.wait(slow, State.KILLED)

    assert [(each["id"], each["state"]["current"]) for each in page["results"]] == [
        (slow, "RUNNING")
    ]
    assert page["total"] == 1
    assert {slow, talk} <= {each["id"] for each in every["results"]}


def test_ps_finds_by_state_flow_namespace_and_label(daemon: Daemon, talk: str) -> None:
    labelled = daemon.ended("talk", "--labels", "team:data")
    failed = daemon.ended("fails")

    def ids(*args: str) -> set[str]:
        return set(daemon("ps", "--quiet", "--all", *args).split())

    assert failed in ids("--state", "failed")
    assert talk not in ids("--state", "failed")
    assert ids("--flow", "test.verbs.talk") >= {talk, labelled}
    assert failed not in ids("--flow", "talk")
    assert ids("--label", "team:data") == {labelled}
    assert ids("--namespace", "test") >= {talk, failed}
    assert ids("--namespace", "tes") == set()
    assert len(ids("--limit", "1")) == 1


def test_ps_on_a_terminal_is_a_table_with_the_tasks_at_work(daemon: Daemon) -> None:
    slow = daemon.begun("slow")
    follower = daemon.eyas.start("logs", "-f", slow, "--output", "text")
    assert follower.stdout is not None
    assert next(line for line in follower.stdout if "started" in line)

    table = on_terminal(daemon.eyas, "ps")
    daemon("kill", slow)
    follower.communicate(timeout=20)

    head, row = table.splitlines()
    assert head.startswith("\x1b[1mID ")
    assert row.split()[:2] == [slow, "test.verbs.slow"]
    assert "\x1b[34mRUNNING" in row
    assert row.endswith("sleep")


def test_ps_in_jsonl_is_an_execution_a_line(daemon: Daemon, talk: str) -> None:
    lines = daemon("ps", "-a", "--output", "jsonl").splitlines()

    assert talk in [json.loads(line)["id"] for line in lines]


def test_show_in_a_pipe_is_the_document_of_the_api(daemon: Daemon, talk: str) -> None:
    document = daemon.json("show", talk)

    assert document["state"]["current"] == "SUCCESS"
    assert document["inputs"] == {"n": 2}
    assert document["outputs"] == {"twice": 4}
    assert [run["taskId"] for run in document["taskRunList"]] == ["count", "each", "say", "say"]


def test_show_on_a_terminal_tells_tasks_by_depth_and_outputs(daemon: Daemon, talk: str) -> None:
    shown = on_terminal(daemon.eyas, "show", talk[:8])

    assert "test.verbs.talk revision 1" in shown
    assert "n = 2" in shown
    assert "\n  say[x]  " in shown
    assert "  count.vars.rows = 2\n" in shown
    assert "  twice = 4\n" in shown


def test_show_tells_the_last_errors_of_what_failed(daemon: Daemon) -> None:
    shown = daemon("show", daemon.ended("fails"), "--output", "table")

    assert shown.endswith("Last errors\n  bad: no luck\n")


def test_an_unknown_id_is_one_message_and_status_2(daemon: Daemon, talk: str) -> None:
    for verb in ("show", "logs", "metrics", "kill", "resume"):
        ended = daemon.eyas(verb, "nothing")

        assert ended.returncode == 2
        assert ended.stderr.startswith("eyas: There is no execution 'nothing' in ")
        assert ended.stderr.count("\n") == 1


def test_the_log_in_a_pipe_is_an_entry_of_the_api_a_line(daemon: Daemon, talk: str) -> None:
    entries = [json.loads(line) for line in daemon("logs", talk, "--level", "info").splitlines()]

    assert [entry["message"] for entry in entries] == ["counting", "at x", "at y"]
    assert entries[0]["executionId"] == talk
    assert entries[0]["taskId"] == "count"


def test_the_log_as_text_has_time_level_and_task(daemon: Daemon, talk: str) -> None:
    (line,) = daemon(
        "logs", talk, "--task", "count", "--level", "INFO", "--output", "text"
    ).splitlines()

    assert line[2] == line[5] == ":"
    assert line[12:] == " INFO  [count] counting"


def test_the_tail_of_the_log_is_its_last_lines(daemon: Daemon, talk: str) -> None:
    entries = daemon.json("logs", talk, "--tail", "2", "--level", "INFO", "--output", "json")
    none = daemon.json("logs", talk, "--tail", "0", "--output", "json")

    assert [entry["message"] for entry in entries] == ["at x", "at y"]
    assert none == []


def test_following_shows_every_line_once_and_ends_with_the_execution(daemon: Daemon) -> None:
    flood = daemon.begun("flood")

    followed = daemon("logs", "-f", flood, "--level", "INFO")
    tailed = daemon("logs", "-f", flood, "--level", "INFO", "--tail", "3")

    messages = [json.loads(line)["message"] for line in followed.splitlines()]
    assert messages == [str(number) for number in range(1, 4001)]
    assert [json.loads(line)["message"] for line in tailed.splitlines()] == messages[-3:]
    assert daemon.json("show", flood)["state"]["current"] == "SUCCESS"


def test_ctrl_c_ends_following_with_130_and_the_execution_goes_on(daemon: Daemon) -> None:
    slow = daemon.begun("slow")
    follower = daemon.eyas.start("logs", "--follow", slow)
    assert follower.stdout is not None
    assert next(line for line in follower.stdout if '"started"' in line)

    follower.send_signal(signal.SIGINT)
    _, said = follower.communicate(timeout=20)
    state = daemon.json("show", slow)["state"]["current"]
    daemon("kill", slow)
    daemon.wait(slow, State.KILLED)

    assert follower.returncode == 130
    assert "Traceback" not in said
    assert state == "RUNNING"


def test_following_cannot_be_one_json_document(daemon: Daemon, talk: str) -> None:
    ended = daemon.eyas("logs", "-f", talk, "--output", "json")

    assert ended.returncode == 2
    assert "follow with text or jsonl" in ended.stderr


def test_metrics_are_a_page_of_the_api_or_a_table(daemon: Daemon, talk: str) -> None:
    page = daemon.json("metrics", talk)
    table = daemon("metrics", talk, "--output", "table")

    assert [(each["name"], each["value"]) for each in page["results"]] == [
        ("rows", 2.0),
        ("took", 1500.0),
    ]
    assert [line.split() for line in table.splitlines()] == [
        ["TASK", "NAME", "TYPE", "VALUE", "TAGS"],
        ["count", "rows", "counter", "2", "table=t"],
        ["count", "took", "timer", "1.5", "s"],
    ]


@pytest.mark.parametrize("verb", [["ps"], ["show", "x"], ["flows", "show", "x"], ["kill", "x"]])
def test_a_state_folder_without_a_store_is_one_message(eyas: Eyas, verb: list[str]) -> None:
    ended = eyas(*verb)

    assert ended.returncode == 3
    assert ended.stderr.startswith(f"eyas: There is no store in {eyas.folder / 'state'}. `eyas ser")
    assert ended.stderr.count("\n") == 1


def test_looking_works_when_the_daemon_has_stopped_and_acting_says_so(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    done = daemon.ended("talk")
    daemon.stop()

    shown = daemon.json("show", done)
    acted = daemon.eyas("replay", done)

    assert shown["id"] == done
    assert acted.returncode == 3
    assert acted.stderr.startswith("eyas: No daemon answers at http://127.0.0.1:")
    assert acted.stderr.count("\n") == 1

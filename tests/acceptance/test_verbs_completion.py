"""Completion in bash, zsh and fish: verbs, options, and the ids of what is stored."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command import Eyas
from daemons import Daemon


def offered(eyas: Eyas, *words: str) -> list[str]:
    """What is offered for the last word, as bash is told."""
    ended = subprocess.run(
        ["eyas"],
        cwd=eyas.folder,
        env={
            **eyas.environ,
            "_EYAS_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["eyas", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert ended.stderr == ""
    return [line.removeprefix("plain,") for line in ended.stdout.splitlines() if line]


@pytest.fixture(scope="module")
def talk(daemon: Daemon) -> str:
    """The id of an execution."""
    return daemon.ended("talk")


def test_verbs_and_options_are_offered(eyas: Eyas) -> None:
    assert offered(eyas, "re") == ["resume", "restart", "replay"]
    assert offered(eyas, "kv", "") == ["delete", "get", "list", "set"]
    assert "--namespace" in offered(eyas, "kv", "--")
    assert offered(eyas, "kv", "--namespace", "a", "--o") == ["--output"]
    assert offered(eyas, "ps", "--st") == ["--state", "--state-dir"]
    assert offered(eyas, "ps", "--state", "pau") == ["paused"]


def test_ids_of_executions_are_offered(daemon: Daemon, talk: str) -> None:
    for verb in ("show", "logs", "kill", "replay"):
        assert offered(daemon.eyas, verb, talk[:3]) == [talk]
    assert talk in offered(daemon.eyas, "show", "")
    assert offered(daemon.eyas, "show", "%") == []


def test_names_of_flows_and_triggers_are_offered(daemon: Daemon, talk: str) -> None:
    assert offered(daemon.eyas, "flows", "start", "test.verbs.t") == ["test.verbs.talk"]
    assert offered(daemon.eyas, "flows", "show", "tal") == ["talk"]
    assert offered(daemon.eyas, "ps", "--flow", "test.verbs.s") == ["test.verbs.slow"]
    assert offered(daemon.eyas, "triggers", "disable", "test") == ["test.verbs.daily.morning"]


def test_the_state_folder_of_the_line_is_looked_into(eyas: Eyas, daemon: Daemon, talk: str) -> None:
    assert offered(eyas, "show", "--state-dir", str(daemon.state_dir), talk[:3]) == [talk]


def test_without_a_store_nothing_is_offered_and_nothing_is_said(eyas: Eyas) -> None:
    assert offered(eyas, "show", "") == []
    assert offered(eyas, "flows", "show", "") == []


SHELLS = {
    "bash": """
source ./script
COMP_WORDS=(eyas show {start}); COMP_CWORD=2
_eyas_completion eyas
echo "${{COMPREPLY[@]}}"
""",
    "zsh": """
compdef() {{ : }}
compadd() {{ echo ${{(P)@[-1]}} }}
_describe() {{ echo ${{(P)@[3]}} }}
source ./script
words=(eyas show {start}); CURRENT=3
_eyas_completion
""",
    "fish": "source ./script; complete --do-complete 'eyas show {start}'",
}
"""For each shell, lines that complete the id of an execution with the script and show it."""


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_works_in_its_shell(
    daemon: Daemon, talk: str, shell: str, tmp_path: Path
) -> None:
    program = shutil.which(shell)
    (tmp_path / "script").write_text(daemon("completion", shell))
    if program is None:
        pytest.skip(f"{shell} is not installed")

    ended = subprocess.run(
        [program, "-c", SHELLS[shell].format(start=talk[:4])],
        cwd=tmp_path,
        env={**os.environ, **daemon.eyas.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert talk in ended.stdout, ended.stderr

"""`eyas eval --execution`: expressions in the context of what a daemon has stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from daemons import Daemon


@pytest.fixture(scope="module")
def talk(daemon: Daemon) -> str:
    """The id of an execution of the flow `talk` that has ended."""
    return daemon.ended("talk", "-i", "n=7", "--labels", "team:data")


@pytest.mark.parametrize(
    ("expr", "result"),
    [
        ("{{ outputs.count.vars.rows + inputs.n }}", "14"),
        ("{{ flow.namespace }}.{{ flow.id }} {{ execution.state }}", "test.verbs.talk SUCCESS"),
        ("{{ labels.team }}", "data"),
        ("{{ outputs.count.outputFiles['made.txt'] | length > 0 }}", "true"),
        ("{{ read(outputs.count.outputFiles['made.txt']) }}", "content"),
        ("{{ execution.outputs.twice }}", "14"),
    ],
)
def test_an_expression_sees_the_execution(
    daemon: Daemon, talk: str, expr: str, result: str
) -> None:
    assert daemon("eval", "--execution", talk[:6], expr) == f"{result}\n"


def test_an_expression_sees_keys_secrets_and_errors(daemon: Daemon) -> None:
    daemon("kv", "set", "test.verbs", "seen", "from the store")
    failed = daemon.ended("fails")

    key = daemon("eval", "--execution", failed, "{{ kv('seen') }}")
    secret = daemon.eyas("eval", "--execution", failed, "{{ secret('A') }}", SECRET_A="aGVsbG8=")
    errors = daemon("eval", "--execution", failed, "{{ errorLogs()[0]['message'] }}")

    assert key == "from the store\n"
    assert secret.stdout == "hello\n"
    assert errors == "no luck\n"


def test_given_variables_win_and_the_type_is_kept(
    daemon: Daemon, talk: str, tmp_path: Path
) -> None:
    (tmp_path / "vars.json").write_text('{"inputs": {"n": 100}}')
    given = ["--vars", tmp_path / "vars.json"]

    typed = daemon("eval", "--execution", talk, "{{ outputs.count.vars }}", "--typed")

    assert daemon("eval", "--execution", talk, "{{ inputs.n }}", *given) == "100\n"
    assert json.loads(typed) == {"rows": 7}


def test_a_missing_name_is_answered_with_a_near_one_of_the_execution(
    daemon: Daemon, talk: str
) -> None:
    ended = daemon.eyas("eval", "--execution", talk, "{{ outputs.count.vars.row }}")

    assert ended.returncode == 1
    assert "rows" in ended.stderr


def test_an_unknown_execution_is_one_message_and_status_2(daemon: Daemon) -> None:
    ended = daemon.eyas("eval", "--execution", "nothing", "{{ 1 }}")

    assert ended.returncode == 2
    assert ended.stderr.startswith("eyas: There is no execution 'nothing'")

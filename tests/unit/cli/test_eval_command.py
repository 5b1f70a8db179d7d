"""`eyas eval`: results, errors that point at their place, and one answer a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli.eval import answer, eval_command


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that the command reads."""
    monkeypatch.setenv("SECRET_TOKEN", "czNjcjN0")
    monkeypatch.setenv("ENV_HELLO", "world")
    monkeypatch.delenv("TZ", raising=False)


def evaluated(*arguments: str, stdin: str = "") -> Result:
    """The command with these arguments."""
    return CliRunner().invoke(eval_command, arguments, input=stdin)


def test_the_result_is_printed() -> None:
    done = evaluated("{{ 1 + 1 }} {{ secret('token') }} {{ envs.hello }}")

    assert (done.exit_code, done.output) == (0, "2 s3cr3t world\n")


def test_variables_come_from_a_file_or_stdin(tmp_path: Path) -> None:
    given = '{"inputs": {"n": 4}, "d": {"$instant": "2024-05-06T07:08:09.120Z"}}'
    file = tmp_path / "vars.json"
    file.write_text(given)

    assert evaluated("{{ inputs.n + 1 }}", "--vars", str(file)).output == "5\n"
    assert evaluated("{{ d }}", "--vars", "-", stdin=given).output == "2024-05-06T07:08:09.120Z\n"


def test_a_typed_result_is_json() -> None:
    assert evaluated("{{ [1, null, 'é'] }}", "--typed").output == '[1, null, "é"]\n'
    assert evaluated("{{ null }}", "--typed").output == "null\n"


def test_the_result_is_rendered_again_on_request() -> None:
    given = '{"a": "{{ b }}", "b": "B"}'

    assert evaluated("{{ a }}", "--vars", "-", stdin=given).output == "{{ b }}\n"
    assert evaluated("{{ a }}", "--vars", "-", "--recursive", stdin=given).output == "B\n"


def test_an_error_has_a_caret_under_its_place_and_status_1() -> None:
    done = evaluated("{{ 1 + inputs.m }}", "--vars", "-", stdin='{"inputs": {"n": 1}}')

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "Could not perform addition (line 1, column 15)",
        "because `inputs.m` is undefined",
        "",
        "{{ 1 + inputs.m }}",
        "              ^",
    ]


def test_a_text_without_braces_is_printed_with_a_note() -> None:
    done = evaluated("1 + 1")

    assert (done.stdout, done.exit_code) == ("1 + 1\n", 0)
    assert "no {{ }}" in done.stderr


@pytest.mark.parametrize("given", ["[1]", "nonsense", '{"d": {"$instant": "noon"}}'])
def test_variables_that_are_no_json_object_are_a_wrong_option(given: str) -> None:
    done = evaluated("{{ 1 }}", "--vars", "-", stdin=given)

    assert done.exit_code == 2
    assert "--vars" in done.stderr


def test_every_line_gets_its_answer() -> None:
    lines: list[dict[str, Any]] = [
        {"expr": "{{ n + 1 }}", "context": {"n": 1}},
        {"expr": "{{ l }}", "context": {"l": [1]}, "typed": True},
        {"expr": {"{{ k }}": ["{{ k }}", 1]}, "context": {"k": "a"}},
        {"expr": "{{ a }}", "context": {"a": "{{ b }}", "b": "false"}, "recursive": True},
        {"expr": "{{ secret('p') }}", "env": {"SECRET_P": "aGk="}},
        {
            "expr": "{{ kv('k') }}",
            "context": {"flow": {"namespace": "a.b"}},
            "kv": {"a": {"k": 5}},
        },
        {"expr": "{{ gone }}"},
        {"expr": "{{ 1 + }}"},
        {"expr": "{{ 1 / 0 }}"},
        {"expr": "{{ x }}", "context": {"x": {"$ldt": "2024-05-06T07:08"}}, "typed": True},
        {"expr": "{{ 1.0 / 0 }}", "typed": True},
    ]
    stdin = "\n".join(json.dumps(line) for line in lines) + "\n\n"

    done = evaluated("--jsonl", stdin=stdin)

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert answers[:6] == [
        {"result": "2", "truthy": True},
        {"result": [1], "truthy": True},
        {"result": {"a": ["a", 1]}, "truthy": True},
        {"result": "false", "truthy": False},
        {"result": "hi", "truthy": True},
        {"result": "5", "truthy": True},
    ]
    assert [answer["kind"] for answer in answers[6:9]] == ["missing", "parse", "eval"]
    assert answers[6]["error"].startswith("Unable to find `gone` used in the expression")
    assert [answer["result"] for answer in answers[9:]] == ["2024-05-06T07:08", "Infinity"]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        '{"expr": "x", "context": 5}',
        '{"expr": "x", "kv": [1]}',
        '{"expr": "x", "context": {"d": {"$date": "x"}}}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_request_is_answered_with_an_error(line: str) -> None:
    assert set(answer(line)) == {"error", "kind"}


def test_a_result_that_no_text_file_can_hold_is_still_one_line_of_json() -> None:
    done = evaluated("--jsonl", stdin='{"expr": "{{ x }}", "context": {"x": "\\ud800é"}}\n')

    assert json.loads(done.stdout) == {"result": "\ud800é", "truthy": True}

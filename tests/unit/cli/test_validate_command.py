from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli.problems import printable, shown
from runner.cli.validate import validate_command
from runner.errors import Problem

GOOD = """id: good
namespace: a
tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x}]
"""
BAD = """id: bad
namespace: a
tasks:
  - id: t
    type: io.kestra.plugin.core.log.Log
    message: x
    mesage: y
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validate(*args: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(validate_command, args, input=text, catch_exceptions=False)


def as_json(*args: str) -> dict[str, Any]:
    return json.loads(validate("--output", "json", *args).stdout)


def test_a_good_file_is_counted_and_nothing_more(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD, encoding="utf-8")

    result = validate("good.yaml")

    assert (result.exit_code, result.output) == (0, "1 file checked\n")


def test_a_problem_is_shown_with_its_line_a_caret_and_advice(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")

    result = validate("bad.yaml")

    assert result.exit_code == 2
    head, line, caret, advice, summary = result.output.splitlines()
    assert head.startswith('bad.yaml:7:5: error: t.mesage: Unrecognized field "mesage"')
    assert line == "    7 |     mesage: y"
    assert caret == "      |     ^"
    assert advice == "  = did you mean message?"
    assert summary == "1 file checked, 1 file with problems, 1 error"


def test_folders_are_searched_without_hidden_files(folder: Path) -> None:
    for name in ("b.yml", "a/c.yaml", ".hidden/d.yaml", "a/.e.yaml", "a/f.txt", "a/g.yaml.swp"):
        file = folder / "flows" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        flow_id = name.replace("/", "-").replace(".", "-").strip("-")
        file.write_text(GOOD.replace("good", flow_id), encoding="utf-8")

    files = [file["file"] for file in as_json("flows")["files"]]

    assert files == ["flows/b.yml", "flows/a/c.yaml"]


def test_a_folder_without_flows_is_a_problem(folder: Path) -> None:
    (folder / "empty").mkdir()

    result = validate("empty")

    assert result.exit_code == 2
    assert "empty: error: There are no flows in this folder" in result.output


def test_standard_input_is_a_file_too() -> None:
    assert validate("-", text=GOOD).exit_code == 0
    result = validate("-", text=BAD)
    assert result.exit_code == 2
    assert result.output.startswith("<stdin>:7:5: error:")


def test_the_json_document_says_all_of_it(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")

    document = as_json("good.yaml", "bad.yaml")

    assert document["summary"] == {"files": 2, "valid": 1, "invalid": 1}
    good, bad = document["files"]
    assert good == {
        "file": "good.yaml",
        "id": "good",
        "namespace": "a",
        "valid": True,
        "problems": [],
    }
    (problem,) = bad["problems"]
    assert problem.pop("message").startswith('Unrecognized field "mesage"')
    assert problem == {
        "kind": "invalid",
        "line": 7,
        "column": 5,
        "path": "t.mesage",
        "hint": "did you mean message?",
        "source": "    mesage: y",
    }


def test_two_files_of_one_flow_are_a_problem_of_the_second(folder: Path) -> None:
    (folder / "a.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "b.yaml").write_text(GOOD, encoding="utf-8")

    result = validate(".")

    assert result.exit_code == 2
    assert "b.yaml:1:1: error: id: Flow a.good is in ./a.yaml already" in result.output


def test_warnings_count_only_when_asked(folder: Path) -> None:
    old = GOOD.replace("plugin.core.log.Log", "core.tasks.log.Log")
    (folder / "old.yaml").write_text(old, encoding="utf-8")

    result = validate("old.yaml")

    assert (result.exit_code, validate("--strict", "old.yaml").exit_code) == (0, 2)
    assert "old.yaml:3:23: warning:" in result.output
    assert result.output.endswith("1 file checked, 1 warning\n")


def test_a_type_that_is_not_here_is_a_problem_of_its_own_kind(folder: Path) -> None:
    other = GOOD.replace("plugin.core.log.Log, message: x", "plugin.git.Clone")
    (folder / "other.yaml").write_text(other, encoding="utf-8")

    result = validate("other.yaml")

    assert result.exit_code == 2
    assert "unsupported: tasks[0].type: io.kestra.plugin.git.Clone is known to Kestra" in (
        result.output
    )
    assert result.output.endswith("1 file checked, 1 file with problems, 1 unsupported\n")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\xfe\x01binary",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"id: \xe9",
        b"x" * 10_000_000,
        b"[" * 1_000_000,
        b"- " * 100_000,
        b"",
        b"\xff\xfe",
        b"\x1b[2Jid: x",
        b"a: \xf0\x9f\x98\x80\nb: {{ c }}",
    ],
    ids=lambda data: repr(bytes(data[:12])),
)
def test_no_file_gives_a_traceback(data: bytes, folder: Path) -> None:
    (folder / "x.yaml").write_bytes(data)

    result = validate("x.yaml")

    assert result.exit_code == 2
    assert "x.yaml" in result.output
    assert "\x1b" not in result.output
    assert all(len(line) < 300 for line in result.output.splitlines())


def test_paths_that_lead_nowhere_are_problems(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    (folder / "loop.yaml").symlink_to("loop.yaml")

    result = validate("none.yaml", "pipe.yaml", "loop.yaml")

    assert result.exit_code == 2
    assert result.output.count("error:") == 3
    assert "none.yaml: error: The file cannot be read: No such file or directory" in result.output


def test_a_setting_makes_unknown_properties_warnings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")
    monkeypatch.setenv("EYAS_UNKNOWN_PROPERTIES", "warn")

    assert validate("bad.yaml").exit_code == 0


def test_a_long_line_is_cut_around_the_place() -> None:
    row = "a" * 300 + "X" + "b" * 300

    _, line, caret = shown(Problem(message="m", line=1, column=301, source_line=row)).splitlines()

    plain_line, plain_caret = _without_colours(line), _without_colours(caret)
    assert plain_line[plain_caret.index("^")] == "X"
    assert len(plain_line) < 120


def test_a_caret_stands_below_wide_signs() -> None:
    problem = Problem(message="m", line=1, column=4, source_line="日本 X")

    _, line, caret = map(_without_colours, shown(problem).splitlines())

    # Two signs of two columns each stand before the X, so the caret is two columns further on.
    assert caret.index("^") == line.index("X") + 2


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\tc\nd") == "a [2Jb c\\nd"


def _without_colours(text: str) -> str:
    import click

    return click.unstyle(text)

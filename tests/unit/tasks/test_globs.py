"""File patterns, against what a Kestra 1.2.14 matched (goldens q43, q52) and Java's rules."""

from __future__ import annotations

import pytest

from runner.errors import TaskFailed
from runner.tasks.globs import anywhere, below

FILES = ["a.csv", "b.txt", ".env", "d/c.csv", "d/e/f.csv", "sp ace.txt"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["**/*.csv"], ["d/c.csv", "d/e/f.csv"]),
        (["**.csv"], ["a.csv", "d/c.csv", "d/e/f.csv"]),
        (["*"], ["a.csv", "b.txt", ".env", "sp ace.txt"]),
        (["{a,b}.*", "d"], ["a.csv", "b.txt"]),
        (["./a.csv", "/b.txt", "d/*", "?p ace.txt"], ["b.txt", "d/c.csv", "sp ace.txt"]),
        (["d/**", "[a-c].*"], ["a.csv", "b.txt", "d/c.csv", "d/e/f.csv"]),
        (["regex:.*/[ab]\\.(csv|txt)", "A.CSV"], ["a.csv", "b.txt"]),
        (["glob:/wd+/*.csv"], ["a.csv"]),
        (["[!a].*"], ["b.txt"]),
        (["sp ace.*", "{d/c,x}.csv"], ["d/c.csv", "sp ace.txt"]),
        (["sp\\ ace.*", "d\\c.csv", "\\b.txt"], ["b.txt", "d/c.csv"]),
        (["[-x]*", "[a-].csv", "[x-]*"], ["a.csv"]),
        ([], []),
    ],
)
def test_output_files_are_matched_as_java_does(patterns: list[str], expected: list[str]) -> None:
    matches = below("/wd+", patterns)

    assert [name for name in FILES if matches(f"/wd+/{name}")] == expected


def test_the_folder_of_the_pattern_is_no_pattern_itself() -> None:
    assert not below("/w*", ["a"])("/wx/a")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("q52/**", ["/q52/a.py", "/q52/sub/c.txt"]),
        ("c.txt", ["/q52/sub/c.txt"]),
        ("*.py", []),
        ("/*.py", ["/top.py"]),
        ("[t]op.py", []),
        ("*/*.py", ["/top.py"]),
        ("q52\\a.py", ["/q52/a.py"]),
        ("**/*.py", ["/q52/a.py", "/top.py"]),
        ("/q52/*", ["/q52/a.py"]),
        ("regex:/q52/.*", ["/q52/a.py", "/q52/sub/c.txt"]),
    ],
)
def test_a_word_counts_from_any_folder_of_the_namespace(pattern: str, expected: list[str]) -> None:
    paths = ["/q52/a.py", "/q52/sub/c.txt", "/top.py"]

    assert [path for path in paths if anywhere([pattern])(path)] == expected


@pytest.mark.parametrize(
    "pattern", ["[a", "{a,b", "{a,{b}}", "[a/b]", "regex:(", "[z-a]", "[]a]", "[!]a]", "[a-b-c]"]
)
def test_a_malformed_pattern_is_named(pattern: str) -> None:
    with pytest.raises(TaskFailed, match="Invalid pattern"):
        below("/wd", [pattern])

"""How verbs show times and values, and what their help costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import click
import pytest
from click.testing import CliRunner

from runner.cli.main import VERBS
from runner.cli.tables import duration_of, print_facts, print_table, value_lines


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(seconds=-1), "0.00 s"),
        (timedelta(milliseconds=420), "0.42 s"),
        (timedelta(seconds=185), "3 m 05 s"),
        (timedelta(hours=1, minutes=2), "1 h 02 m"),
        (timedelta(days=2, hours=7), "2 d 07 h"),
    ],
)
def test_durations_are_shown_in_their_two_largest_units(duration: timedelta, text: str) -> None:
    assert duration_of(duration) == text


def test_values_are_shown_by_their_path_and_empty_ones_left_out() -> None:
    value = {"a": {"b": [1, "x"], "c": None}, "d": {}, "e": "two\nlines", "f": 0}

    assert [*value_lines("o", value)] == ['o.a.b = [1, "x"]', "o.e = two\\nlines", "o.f = 0"]


def printed(function: Callable[..., None], *args: object) -> str:
    """What a function prints in a pipe."""
    command = click.Command("x", callback=lambda: function(*args))
    return CliRunner().invoke(command).stdout


def test_a_table_has_columns_as_wide_as_they_need_and_no_control_characters() -> None:
    rows = [["a", "long " * 30, "x"], ["bcd", "\x1b[2Jshort", "y" * 100]]

    lines = printed(print_table, ["ONE", "TWO", "THREE"], rows).splitlines()

    assert lines[0] == f"ONE  TWO{' ' * 57}  THREE"
    assert lines[1] == f"a    {('long ' * 12)[:59]}…  x"
    assert lines[2] == f"bcd   [2Jshort{' ' * 51}  {'y' * 100}"


def test_facts_that_are_not_known_are_left_out() -> None:
    text = printed(print_facts, {"One": "1", "Second": None, "Third": "3"})

    assert text == "One    1\nThird  3\n"


HEAVY = ["aiohttp", "anyio", "asyncio", "sqlite3", "yaml", "http.client", "structlog", "docker"]


def test_help_imports_nothing_heavy() -> None:
    # `eval` evaluates in the module that it is in, `run` and `validate` are measured elsewhere.
    mine = [verb for verb in VERBS if VERBS[verb][0].split(".")[2].partition(":")[0] in MODULES]
    code = f"""
import sys
from runner.cli.main import cli
for verb in {mine!r}:
    try:
        cli.main([verb, "--help"], standalone_mode=False)
    except SystemExit:
        pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stderr == "[]\n"
    assert done.stdout.count("Usage:") == len(mine) == 14


MODULES = {
    *("ps", "show", "logs", "metrics", "act", "flows", "triggers", "kv", "files", "completion"),
}

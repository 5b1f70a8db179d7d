"""What `from kestra import Kestra` gives to a script."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from shim_script import Script

from runner.engine.protocol import parse_marker


def sent(lines: list[str]) -> list[object]:
    """The content of marker lines; every line must be one that the engine takes."""
    for line in lines:
        marker = parse_marker(line)
        assert marker is not None
        assert not marker.problems
    return [json.loads(line[2:-2]) for line in lines]


def test_every_call_prints_its_marker(script: Script) -> None:
    lines = script.lines(
        """\
from kestra import Kestra
Kestra.outputs({"a": 1, "d": {"x": [1, None, True]}, "u": "ü"})
Kestra.counter("rows", 3, {"table": "t"})
Kestra.gauge("level", 0.5)
Kestra.timer("took", 1.5)
Kestra.assets({"id": "a", "type": "TABLE"})
Kestra._send({"outputs": {}})
print(Kestra.format({"x": 1}))
"""
    )

    assert lines.pop() == '::{"x": 1}::'
    assert sent(lines) == [
        {"outputs": {"a": 1, "d": {"x": [1, None, True]}, "u": "ü"}},
        {"metrics": [{"name": "rows", "type": "counter", "value": 3, "tags": {"table": "t"}}]},
        {"metrics": [{"name": "level", "type": "gauge", "value": 0.5, "tags": {}}]},
        {"metrics": [{"name": "took", "type": "timer", "value": 1.5, "tags": {}}]},
        {"assets": {"id": "a", "type": "TABLE"}},
        {"outputs": {}},
    ]


def test_a_timer_measures_a_callable_in_seconds(one_script: Script) -> None:
    lines = one_script.lines(
        """\
import time
clock = iter([100.0, 102.25])
time.monotonic = lambda: next(clock)
from kestra import Kestra
Kestra.timer("took", lambda: print("working"))
"""
    )

    assert lines[0] == "working"
    assert sent(lines[1:]) == [
        {"metrics": [{"name": "took", "type": "timer", "value": 2.25, "tags": {}}]}
    ]


def test_a_value_that_json_cannot_hold_raises_in_the_script(one_script: Script) -> None:
    done = one_script.run("from kestra import Kestra\nKestra.outputs({'x': {1}})\n")

    assert done.returncode == 1
    assert "TypeError" in done.stderr
    assert not one_script.side_file.exists()


def test_the_logger_sends_each_record_at_its_level(script: Script) -> None:
    done = script.run(
        """\
from kestra import Kestra
log = Kestra.logger()
assert log is Kestra.logger() and log.name == "Kestra"
log.debug("dbg"); log.info("inf %d", 1); log.warning("wrn"); log.error("err")
log.critical("crit"); log.log(15, "mine")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""
    )

    out = [parse_marker(line) for line in done.stdout.splitlines()]
    err = [parse_marker(line) for line in done.stderr.splitlines()]
    entries = [(e.level.value, e.message) for m in [*out, *err] if m for e in m.logs]
    shape = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z - (.*)"
    texts = [(level, re.fullmatch(shape, text, re.DOTALL)) for level, text in entries]
    found = [(level, match[1].split("\n")[0]) for level, match in texts if match]
    assert found == [
        ("DEBUG", "dbg"),
        ("INFO", "inf 1"),
        ("TRACE", "mine"),
        ("WARN", "wrn"),
        ("ERROR", "err"),
        ("ERROR", "crit"),
        ("ERROR", "broken"),
    ]
    assert "ZeroDivisionError: division by zero" in entries[-1][1]


def test_log_and_print_come_in_the_order_of_the_calls(one_script: Script) -> None:
    lines = one_script.lines(
        """\
from kestra import Kestra
print("one")
Kestra.logger().info("two")
print("three")
"""
    )

    assert [line[:2] for line in lines] == ["on", "::", "th"]


def test_markers_of_many_threads_do_not_mix(one_script: Script) -> None:
    lines = one_script.lines(
        """\
import threading
from kestra import Kestra
def send(n):
    for i in range(200):
        Kestra.counter("c", i, {"thread": n})
threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
""",
        env={"PYTHONUNBUFFERED": "true"},
    )

    assert len(sent(lines)) == 800


CONTEXT = '{"labels": {"team": "a"}, "inputs": {"items": [1, {"k": "v"}]}, "flow": {"id": "f"}}'
USE_CONTEXT = """\
from kestra import context
print(context.labels.team, context["inputs"]["items"][1].k, context.flow.to_dict(), len(context))
"""


@pytest.mark.parametrize("how", ["cwd", "variable", "encoded"])
def test_the_execution_context_is_found_in_each_of_its_places(one_script: Script, how: str) -> None:
    env: dict[str, str] = {}
    if how == "cwd":
        (one_script.folder / ".kestra-execution-context.json").write_text(CONTEXT)
    elif how == "variable":
        (one_script.folder / "other.json").write_text(CONTEXT)
        env["KESTRA_EXECUTION_CONTEXT_FILE"] = str(one_script.folder / "other.json")
    else:
        from base64 import b64encode

        env["KESTRA_CONTEXT"] = b64encode(CONTEXT.encode()).decode()

    assert one_script.lines(USE_CONTEXT, env) == ["a v {'id': 'f'} 3"]


def test_without_a_context_the_error_says_what_to_set(one_script: Script) -> None:
    done = one_script.run("import kestra\nprint('imported')\nkestra.context\n")

    assert done.stdout == "imported\n"
    assert done.stderr.splitlines()[-1].startswith("FileNotFoundError: No execution context")
    assert "executionContext: true" in done.stderr


def test_the_context_is_read_only_and_names_what_it_has(one_script: Script) -> None:
    lines = one_script.lines(
        """\
import copy
from kestra import ExecutionContext, load_execution_context
c = ExecutionContext({"b": 1, "a": {"x": 2}})
print(dict(c), c == {"b": 1, "a": {"x": 2}}, copy.deepcopy(c))
try:
    c["b"] = 2
except TypeError as error:
    print("refused")
try:
    c.nothing
except AttributeError as error:
    print(error)
"""
    )

    assert lines[0].endswith("True {'b': 1, 'a': {'x': 2}}")
    assert lines[1:] == ["refused", "no 'nothing' in the execution context, which has: a, b"]


def test_names_of_the_real_package_can_be_imported(script: Script) -> None:
    lines = script.lines(
        """\
from kestra import Kestra, Flow, FlowExecution, ExecutionContext, load_execution_context
from kestra import CONTEXT_FILE, JsonFormatter, LogFormatter
from exceptions import FailedExponentialBackoff
import kestra
from kestra import *
assert kestra.FailedExponentialBackoff is FailedExponentialBackoff
try:
    kestra.nothing
except AttributeError as error:
    print(error)
"""
    )

    assert lines == ["module 'kestra' has no attribute 'nothing'"]


ROWS = """\
$ion_1_0
{id: 1, name: "x", 'quoted key': sym, "k": 'q s', price: 12.50, e: 1e3, big: 123_456, hex: 0xff}
{ts: 2024-01-01T10:00:00Z, frac: 2024-01-01T10:00:00.123456+02:00, day: 2024-02-03, y: 2024T}
// a comment
{text: "2024-04-21T13:43:24.34", local: LocalDateTime::"2024-04-21T13:43:24", plain: "2024-04-21"}
{n: null, ni: null.int, t: true, f: false, l: [1, "a", {b: 2}, ], s: (a 1 "b"), /* gone */ d: 1d2}
{esc: "l1\\nl2\\t\\"q\\" \\\\ \\u00e9\\ud83d\\ude00\\x41", long: '''a''' '''b\\
c''', blob: {{aGVsbG8=}}, clob: {{"clob"}}, neg: -5, nd: -1.5}
"""


def test_the_text_form_of_ion_is_read(script: Script) -> None:
    (script.folder / "rows.ion").write_text(ROWS)

    lines = script.lines(
        "from kestra import Kestra\nfor row in Kestra.read('rows.ion'): print(ascii(row))\n"
    )

    from ast import literal_eval
    from typing import Any

    def row(line: str) -> Any:
        names = {"datetime": __import__("datetime")}
        return literal_eval(line) if "datetime" not in line else eval(line, names)

    assert [row(line) for line in lines] == [
        {
            "id": 1,
            "name": "x",
            "quoted key": "sym",
            "k": "q s",
            "price": 12.5,
            "e": 1000.0,
            "big": 123456,
            "hex": 255,
        },
        {
            "ts": datetime(2024, 1, 1, 10, tzinfo=UTC),
            "frac": datetime.fromisoformat("2024-01-01T10:00:00.123456+02:00"),
            "day": datetime(2024, 2, 3),  # noqa: DTZ001 - it names no zone
            "y": datetime(2024, 1, 1),  # noqa: DTZ001
        },
        {
            "text": datetime(2024, 4, 21, 13, 43, 24, 340000),  # noqa: DTZ001
            "local": datetime(2024, 4, 21, 13, 43, 24),  # noqa: DTZ001
            "plain": "2024-04-21",
        },
        {
            "n": None,
            "ni": None,
            "t": True,
            "f": False,
            "l": [1, "a", {"b": 2}],
            "s": ["a", 1, "b"],
            "d": 100.0,
        },
        {
            "esc": 'l1\nl2\t"q" \\ é😀A',
            "long": "abc",
            "blob": "hello",
            "clob": "clob",
            "neg": -5,
            "nd": -1.5,
        },
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1}\n\n{"a": "2024-01-01"}\n', "[{'a': 1}, {'a': '2024-01-01'}]"),
        (b"", "[]"),
        (b"{a: 1}{a: 2}", "[{'a': 1}, {'a': 2}]"),
        (b"[1]", "rows.ion: value 1 is of type list, not a struct"),
        (b"{a: 1}\n{a: }", "line 2: not readable as Ion at '}'"),
        (b"{a: " + b"[" * 300, "line 1: not readable as Ion at '[[[[[[[[[[[[[[[[[[[['"),
        (b"\xe0\x01\x00\xea\x0f", "rows.ion is binary Ion: add `amazon.ion` to the task's"),
    ],
)
def test_files_of_rows(one_script: Script, data: bytes, said: str) -> None:
    (one_script.folder / "rows.ion").write_bytes(data)

    (line,) = one_script.lines(
        """\
from kestra import Kestra
try:
    print(Kestra.read("rows.ion"))
except ValueError as error:
    print(error)
"""
    )

    assert line.startswith(said)

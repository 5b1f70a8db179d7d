from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import FlowInvalid
from runner.loading.flow import problems
from runner.loading.source import MAX_CHARACTERS, Items, Map, decode, plain, read, resolve


def value(written: str) -> Any:
    return plain(read(f"v: {written}\n"))["v"]


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        *[(word, True) for word in ("true", "True", "TRUE", "yes", "Yes", "on", "ON")],
        *[(word, False) for word in ("false", "no", "NO", "off", "Off")],
        *[(word, word) for word in ("y", "n", "tRuE", "yEs")],
        *[(word, None) for word in ("~", "null", "Null", "NULL")],
        *[("", ""), ('""', "")],
        *[("010", 8), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("+5", 5), ("-010", -8)],
        *[("08", "08"), ("0o10", "0o10"), ("0x", "0x"), ("12:30", "12:30"), ("1:30:00", "1:30:00")],
        *[("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z")],
        *[("1e3", 1000.0), ("1.5e3", 1500.0), ("1.10", 1.1), (".5", 0.5), ("-.5", "-.5")],
        *[("1e400", math.inf), ("=", "="), ("<<", "<<"), ("'5'", "5"), ("1.2.3", "1.2.3")],
        *[("!!str 1.10", "1.10"), ("!!int '5'", 5), ("!!float 5", 5.0), ("!!null x", None)],
        *[("!!bool yes", True), ("!mine bar", "bar"), ("! 5", "5"), ("!!binary aGk=", "aGk=")],
        *[("&a x", "x"), ("*a", "a"), ("[&a x, *a]", ["x", "a"]), ("\n  -\n  -", ["", ""])],
    ],
)
def test_a_scalar_means_what_it_means_to_kestra(written: str, meaning: object) -> None:
    assert value(written) == meaning
    assert type(value(written)) is type(meaning)


def test_keys_are_text_and_merge_keys_are_keys() -> None:
    text = "{1: a, true: b, null: c, 2024-01-02: d, <<: *base, *x : e}"

    assert list(value(text)) == ["1", "true", "null", "2024-01-02", "<<", "x"]
    assert value(text)["<<"] == "base"


def test_only_the_first_document_counts() -> None:
    assert plain(read("a: 1\n---\n]]] not even YAML")) == {"a": 1}


def test_line_ends_and_marks_of_other_systems_do_not_matter() -> None:
    assert plain(read(decode(b"\xef\xbb\xbfa: |\r\n  x\r\n  y\r\nb: 1\r\n"))) == {
        "a": "x\ny\n",
        "b": 1,
    }
    assert plain(read(decode("a: é".encode("utf-16")))) == {"a": "é"}


def test_every_value_knows_its_place_and_its_text() -> None:
    root = read("a: 1.10\nlist:\n  - x\n  - {k: v}\n")
    items = root["list"]

    assert root.mark("a")[:4] == (1, 4, 1, 1)
    assert root.mark("a").text == "1.10"
    assert isinstance(items, Items)
    assert items.mark(1)[:2] == (4, 5)
    assert isinstance(items[1], Map)
    assert items[1].mark("k")[:4] == (4, 9, 4, 6)
    assert root.mark("absent")[:2] == (1, 1)


def refused(text: str) -> str:
    with pytest.raises(FlowInvalid) as invalid:
        read(text, "flow.yaml")
    (problem,) = invalid.value.problems
    return str(problem)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {{ x }}", "flow.yaml:1:5: YAML syntax error: Invalid structure"),
        ("? [a]\n: b", "flow.yaml:1:3: YAML syntax error: Invalid structure"),
        ("a: 1\nb: .inf", "flow.yaml:2:4: YAML parsing error: Invalid number: .inf"),
        ("a: !!int x", "Invalid number: x"),
        ("a: !!float x", "Invalid number: x"),
        ("a: " + "9" * 5000, "Number value length (5000) exceeds the maximum allowed (1000)"),
        ("a: 1." + "9" * 5000, "Number value length (5002) exceeds"),
        ("a:\n  b: 1\n  b: 2", "flow.yaml:3:3: Duplicate field 'b' (it is on line 2 already)"),
        ("a:\n\tb: 1", "flow.yaml:2:1: YAML parsing error"),
        ("a: `x`", "flow.yaml:1:4: YAML parsing error"),
        ("a: @x", "flow.yaml:1:4: YAML parsing error"),
        ("a: b: c", "must be in quotes"),
        ("a: [1, 2\n\n\n", "flow.yaml:1:9: YAML parsing error"),
        ('a: "x', "a quote is not closed"),
        ("", "No content"),
        ("# nothing", "No content"),
        ("just text", "a flow is a map"),
        ("- a", "a flow is a map"),
        ("a: \x01", "flow.yaml:1:4: YAML parsing error: unacceptable character #x0001"),
        ("é: \x01", "flow.yaml:1:4: YAML parsing error: unacceptable character #x0001"),
        ("a: \ud800", "flow.yaml:1:4: YAML parsing error: character #xd800"),
        ("[" * 100_000, "flow.yaml:1:51: nested deeper than 50 levels"),
        ("\n".join("  " * i + "- a:" for i in range(1000)), "nested deeper than 50 levels"),
        ("%YAML 9.9\n---\na: b", "incompatible"),
        ("a: !x!y z", "undefined tag"),
    ],
)
def test_what_kestra_cannot_read_is_refused_with_its_place(text: str, told: str) -> None:
    assert told in refused(text)


def test_every_duplicate_key_is_told() -> None:
    with pytest.raises(FlowInvalid) as invalid:
        read("a: 1\na: 2\nb: {c: 1, c: 2}\n")

    assert [problem.line for problem in invalid.value.problems] == [2, 3]


def test_aliases_make_nothing_bigger() -> None:
    bomb = "a0: &a0 [x, x]\n" + "\n".join(
        f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)
    )

    assert plain(read(bomb))["a39"] == ["a38", "a38"]


@pytest.mark.timeout(20)
def test_a_file_of_many_keys_is_read_or_refused_soon() -> None:
    assert len(read("\n".join(f"k{i}: 1" for i in range(100_000)))) == 100_000
    assert "more than 300000 values" in refused("[" + "1," * 300_001 + "]")
    assert "exceeds the limit" in refused("a: " + "x" * MAX_CHARACTERS)


def test_bytes_that_are_no_text_are_refused_with_their_place() -> None:
    with pytest.raises(FlowInvalid, match=r"f.yaml:2:4: The file is not UTF-8: byte 7 is no part"):
        decode(b"a: \nc: \xe9", "f.yaml")
    with pytest.raises(FlowInvalid, match="exceeds the limit"):
        decode(b"x" * (4 * MAX_CHARACTERS + 1))
    with pytest.raises(FlowInvalid, match="UTF-16"):
        decode(b"\xff\xfea")


def test_a_word_from_outside_is_resolved_without_complaint() -> None:
    assert [resolve(word) for word in ("", "yes", "5", ".inf", "null")] == [
        "",
        True,
        5,
        ".inf",
        None,
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.text(
        alphabet=st.sampled_from(list("ab:-?[]{}#&*!|>'\"%@`\n\t ~0.1é\ud800\x00\\")), max_size=60
    )
)
def test_no_text_makes_the_reader_fail(text: str) -> None:
    for problem in problems(text, file="f.yaml"):
        assert problem.message


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_fail(data: bytes) -> None:
    try:
        text = decode(data)
    except FlowInvalid:
        return
    assert isinstance(problems(text), list)


def test_a_character_that_json_writes_as_a_pair_of_escapes_is_one() -> None:
    text = 'a: "x \\ud83d\\ude00\\uD83D\\uDE01 y"\nb: \'\\ud83d\\ude00\'\nc: "\\ud83d\\ude00"\n'

    assert plain(read(text)) == {
        "a": "x \U0001f600\U0001f601 y",
        "b": "\\ud83d\\ude00",
        "c": "\U0001f600",
    }


def test_half_a_pair_of_escapes_is_a_problem() -> None:
    with pytest.raises(FlowInvalid, match="invalid Unicode character escape code"):
        read('a: "x \\ud83d y"')

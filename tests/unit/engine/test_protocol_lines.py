"""Cutting a stream into lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.lines import (
    ENTRY_LENGTH,
    MARKER_LENGTH,
    LineSplitter,
    Piece,
    cut_entries,
    marker_body,
)


def lines_of(*chunks: bytes, docker: bool = False) -> list[str]:
    splitter = LineSplitter(docker=docker)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return [*lines, *splitter.flush()]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"\n\n", ["", ""]),
        (b"a\r\nb\rc", ["a", "b", "c"]),
        # golden q25_carriage_returns
        (
            b"p 1\rp 2\rp 3\r\nend\r\r\nx\n\n\ny\t tab  trailing  \n",
            ["p 1", "p 2", "p 3", "end", "", "x", "", "", "y\t tab  trailing  "],
        ),
        # golden q05: only \n and \r end a line
        (
            "text\u2028with\u0085separators\u000bvt\u000cff\n".encode(),
            ["text\u2028with\u0085separators\u000bvt\u000cff"],
        ),
        # golden p41
        (b"\xff\xfe bad utf8 \xc3\xa9\n\x00nul\n", ["\ufffd\ufffd bad utf8 é", "\x00nul"]),
    ],
)
def test_lines_end_as_on_kestra(data: bytes, lines: list[str]) -> None:
    assert lines_of(data) == lines


def test_nine_chunks_ended_by_a_carriage_return_and_text_are_ten_lines() -> None:
    assert len(lines_of(b"chunk\r" * 9 + b"text")) == 10


def test_lines_of_a_container_keep_the_carriage_return() -> None:
    assert lines_of(b"a\r\nb\rc\nd\r", docker=True) == ["a\r", "b\r", "c", "d\r"]


def test_a_carriage_return_ends_its_line_at_once() -> None:
    splitter = LineSplitter()

    assert splitter.feed(b"10 %\r") == ["10 %"]
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"next\n") == ["next"]


@given(
    st.lists(
        st.sampled_from(["a", "é漢😀", "\r", "\n", "\r\n", "::{", "}::", " ", "z" * 9000]),
        max_size=30,
    ),
    st.data(),
    st.booleans(),
)
def test_how_the_stream_is_cut_into_chunks_changes_nothing(
    parts: list[str], data: st.DataObject, docker: bool
) -> None:
    text = "".join(parts)
    stream = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = re.split(r"\r\n|\r|\n", text)
    if docker:
        expected = re.sub(r"\r\n?", "\r\n", text).split("\n")
    if not expected[-1]:
        expected.pop()

    lines = lines_of(*chunks, docker=docker)

    # A marker stays whole, however long it is.
    whole = [[line] if marker_body(line) else cut_entries(line) for line in expected]
    assert lines == [piece for pieces in whole for piece in pieces]


def test_every_position_of_a_cut_inside_a_character_keeps_it() -> None:
    stream = "é漢😀".encode()

    for at in range(len(stream)):
        assert lines_of(stream[:at], stream[at:]) == ["é漢😀"]


def test_a_long_line_comes_in_entries_of_kestras_length() -> None:
    lines = lines_of(b"x" * 50_000 + b"\nshort\n")

    assert [len(line) for line in lines] == [15_360, 15_360, 15_360, 3_920, 5]


@pytest.mark.parametrize("chunk_size", [1000, 65_536])
def test_a_line_without_an_end_is_not_held_back(chunk_size: int) -> None:
    splitter = LineSplitter()
    given, come = 0, 0
    for _ in range(200):
        given += chunk_size
        come += sum(map(len, splitter.feed(b"x" * chunk_size)))

        assert given - come <= ENTRY_LENGTH


def test_a_marker_of_ten_megabytes_comes_whole() -> None:
    line = '::{"outputs":{"big":"' + "y" * 10_000_000 + '"}}::'
    data = line.encode() + b"\n"

    assert lines_of(*(data[at : at + 65_536] for at in range(0, len(data), 65_536))) == [line]


def test_a_line_that_only_starts_like_a_marker_is_text() -> None:
    lines = lines_of(b"::{" + b"x" * 20_000 + b"\n")

    assert [len(line) for line in lines] == [15_360, 4_643]
    assert all(isinstance(line, Piece) for line in lines)


def test_a_marker_beyond_the_limit_becomes_text_before_it_fills_the_memory() -> None:
    splitter = LineSplitter()
    chunk = b"y" * 1_000_000
    lines = splitter.feed(b'::{"outputs":{"big":"')
    while not lines:
        lines = splitter.feed(chunk)

    rest = [*splitter.feed(b'"}}::\n'), *splitter.flush()]
    assert sum(map(len, [*lines, *rest])) <= MARKER_LENGTH + len(chunk) + 30
    assert all(marker_body(line) is None for line in [*lines, *rest])


def test_a_piece_of_a_long_line_is_never_a_marker() -> None:
    forged = '::{"outputs":{"forged":1}}::'

    *_, last = lines_of(b"x" * ENTRY_LENGTH + forged.encode() + b"\n")

    assert last == forged
    assert marker_body(last) is None
    assert marker_body(forged) is not None


@pytest.mark.parametrize("before", [0, 1, 100, 7_679, 7_680, 7_681, 15_359])
@pytest.mark.parametrize("length", [ENTRY_LENGTH, ENTRY_LENGTH + 1])
def test_a_long_line_is_cut_wherever_it_stands_in_a_chunk(before: int, length: int) -> None:
    text = "first\n" + "b" * before + "\n" + "x" * length + "\nlast\n"

    lines = lines_of(text.encode())

    pieces = ["x" * ENTRY_LENGTH, "x" * (length - ENTRY_LENGTH)]
    assert lines == ["first", "b" * before, *filter(None, pieces), "last"]

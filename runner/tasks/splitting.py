"""Cutting a file into smaller ones by its rows (`storage.Split`, ForEachItem)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from runner.errors import TaskFailed
from runner.expr import javaregex
from runner.expr.faults import Fault
from runner.records import record

_MOST_OPEN_FILES = 256


@record(kw_only=True)
class Cut:
    """How a file is cut; the first of `bytes`, `partitions`, `rows` and `pattern` that is set.

    `bytes`: a new file begins once one has so many. `partitions`: rows go round so many files.
    `pattern`: rows go by the first group of the expression; without a group none go anywhere. Every
    row is written with `separator` after it, the last one too.
    """

    bytes: int | None = None
    partitions: int | None = None
    rows: int | None = None
    pattern: str | None = None
    separator: str = "\n"


def split_file(source: Path, folder: Path, cut: Cut) -> list[Path]:
    """Write the parts of `source` into `folder`, in order, with its extension; none is empty.

    Raises:
        TaskFailed: `cut` says nothing, or nothing that makes sense.
    """
    if cut.bytes is not None:
        return _split_in_order(source, folder, cut, lambda size, _: size >= (cut.bytes or 0))
    if cut.partitions is not None:
        if cut.partitions < 1:
            raise TaskFailed(f"Invalid `partitions` {cut.partitions}: 1 or more is needed")
        return _split_round(source, folder, cut, cut.partitions)
    if cut.rows is not None:
        return _split_in_order(source, folder, cut, lambda _, count: count >= (cut.rows or 0))
    if cut.pattern is not None:
        return _split_by_group(source, folder, cut, cut.pattern)
    raise TaskFailed("Invalid configuration with no size, count, rows, nor regexPattern")


def rows_of(source: Path, separator: str = "\n") -> Iterator[str]:
    """The rows of a text file without what separates them; a last empty one is none."""
    if separator == "\n":
        with source.open(encoding="utf-8", errors="surrogateescape", newline=None) as lines:
            for line in lines:
                yield line.removesuffix("\n")
        return
    rest = ""
    with source.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        while piece := text.read(1 << 16):
            *rows, rest = (rest + piece).split(separator)
            yield from rows
    if rest:
        yield rest


def backwards(source: Path, separator: bytes, block_bytes: int = 1 << 20) -> Iterator[bytes]:
    """The rows of a file from the last to the first; `separator` is one byte. See `rows_of`.

    Reads blocks from the end: no more of the file is held than a block and a row.
    """
    with source.open("rb") as file:
        at = file.seek(0, SEEK_END)
        pieces: list[bytes] = []
        is_last = True
        while at > 0:
            begin = max(0, at - block_bytes)
            file.seek(begin)
            first, *rows = file.read(at - begin).split(separator)
            for row in reversed(rows):
                whole = b"".join([row, *reversed(pieces)])
                pieces.clear()
                if whole or not is_last:
                    yield whole
                is_last = False
            pieces.append(first)
            at = begin
        if any(pieces) or not is_last:
            yield b"".join(reversed(pieces))


def _encoded(row: str, cut: Cut) -> bytes:
    return (row + cut.separator).encode("utf-8", "surrogateescape")


def _part(source: Path, folder: Path, number: int) -> Path:
    return folder / f"{number:06}{source.suffix}"


def _split_in_order(
    source: Path, folder: Path, cut: Cut, full: Callable[[int, int], bool]
) -> list[Path]:
    parts: list[Path] = []
    size = count = 0
    with ExitStack() as stack:
        writing: BinaryIO | None = None
        for row in rows_of(source):
            if writing is None or full(size, count):
                stack.close()
                parts.append(_part(source, folder, len(parts)))
                writing = stack.enter_context(parts[-1].open("wb"))
                size = count = 0
            data = _encoded(row, cut)
            writing.write(data)
            size, count = size + len(data), count + 1
    return parts


def _split_round(source: Path, folder: Path, cut: Cut, partitions: int) -> list[Path]:
    names = [_part(source, folder, number) for number in range(partitions)]
    _distribute(source, cut, lambda number, _: names[number % partitions])
    return [name for name in names if name.exists()]


def _split_by_group(source: Path, folder: Path, cut: Cut, pattern: str) -> list[Path]:
    parts: dict[str | None, Path] = {}

    def target(_: int, row: str) -> Path | None:
        groups = _groups(pattern, row)
        if groups is None or len(groups) < 2:
            return None
        return parts.setdefault(groups[1], _part(source, folder, len(parts)))

    _distribute(source, cut, target)
    return list(parts.values())


def _groups(pattern: str, row: str) -> list[str | None] | None:
    """What the Java expression finds in the row: all of it, and its groups; None: nothing."""
    try:
        return javaregex.search(pattern, row)
    except Fault as fault:
        raise TaskFailed(f"Invalid `regexPattern`: {fault.message}") from fault


def _distribute(source: Path, cut: Cut, target: Callable[[int, str], Path | None]) -> None:
    """Append each row to the file that `target` gives for its number and text."""
    with ExitStack() as stack:
        opened: dict[Path, BinaryIO] = {}
        for number, row in enumerate(rows_of(source)):
            path = target(number, row)
            if path is None:
                continue
            if path not in opened:
                if len(opened) >= _MOST_OPEN_FILES:
                    stack.close()
                    opened.clear()
                opened[path] = stack.enter_context(path.open("ab"))
            opened[path].write(_encoded(row, cut))

"""Reading the side file in which the shim keeps every marker (see lib/kestra/_side.py)."""

from __future__ import annotations

from binascii import crc32
from dataclasses import dataclass


@dataclass(frozen=True)
class SideFile:
    """What a side file holds.

    `markers` are the marker lines in the order in which they were written. `complete` says that
    every process that wrote ended by itself and that all it wrote is here; True for an empty file.
    """

    markers: tuple[str, ...] = ()
    complete: bool = True


def read_side_file(data: bytes) -> SideFile:
    """The markers in the bytes of a side file; what is damaged or forged in form is left out."""
    markers: list[str] = []
    numbers: dict[bytes, set[int]] = {}
    ends: dict[bytes, int] = {}
    for line in data.split(b"\n"):
        match line.split(b" ", 4):
            case [b"e", word, number] if number.isdigit():
                ends[word] = int(number)
            case [b"m", word, number, sum_, marker] if number.isdigit() and sum_ == b"%08x" % crc32(
                marker
            ):
                seen = numbers.setdefault(word, set())
                if int(number) not in seen:
                    seen.add(int(number))
                    markers.append(marker.decode("utf-8", "replace"))
            case _:
                pass
    complete = all(len(seen) == ends.get(word) for word, seen in numbers.items())
    return SideFile(tuple(markers), complete)

"""Masking of secrets in text that is about to be kept or shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MASK = "******"
"""What stands in place of a secret."""

MIN_LENGTH = 4
"""A shorter value is not masked: it would turn half of any text into asterisks."""

MIN_LINE_LENGTH = 8
"""A line of a secret of several lines is masked by itself from this length on."""

MIN_STEM_LENGTH = 6
"""The same for base64: shorter pieces appear by chance in any encoded text."""


class Masker:
    """Replaces the secrets it was told by `MASK`, also where they are spelled otherwise.

    A secret is found as it is, as base64 (also as the later part of `user:secret`), URL-encoded,
    inside JSON, and line by line if it has several: text comes in lines. False as long as there
    is nothing to mask.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._spellings: list[str] = []
        self.longest = 0
        """Characters of the longest spelling of any secret."""

    def __bool__(self) -> bool:
        return bool(self._spellings)

    def add(self, value: str) -> bool:
        """Mask `value` from now on; False if it is too short (`MIN_LENGTH`) or only asterisks."""
        if len(value.strip("* \t\r\n")) < MIN_LENGTH:
            return False
        if value not in self._known:
            self._known.add(value)
            found = {*self._spellings, *_spellings(value)}
            self._spellings = sorted(found, key=len, reverse=True)
            self.longest = len(self._spellings[0])
        return True

    def mask(self, text: str) -> str:
        """`text` with every secret in it replaced; secrets that overlap become one mask."""
        parts: list[str] = []
        end = 0
        for start, stop in self._spans(text):
            parts += text[end:start], MASK
            end = stop
        return "".join(parts) + text[end:] if parts else text

    def mask_lines(self, lines: Sequence[str]) -> Sequence[str]:
        """`lines`, each masked; the same object if there is nothing to mask in any of them."""
        if not self._spellings:
            return lines
        # One search over all of them costs a small part of one per line.
        text = "\n".join(lines)
        if not any(spelling in text for spelling in self._spellings):
            return lines
        return [self.mask(line) for line in lines]

    def safe_cut(self, text: str, at: int) -> int:
        """Where to cut `text`, at or before `at`, without cutting a secret in two.

        It is after `at` if a secret starts with the text and is longer than that.
        """
        for start, stop in self._spans(text[: at + self.longest]):
            if start < at < stop:
                return start or stop
        return at

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each stretch of `text` that is covered by secrets, in order."""
        found: list[tuple[int, int]] = []
        for spelling in self._spellings:
            at = text.find(spelling)
            while at >= 0:
                found.append((at, at + len(spelling)))
                at = text.find(spelling, at + 1)
        if not found:
            return
        found.sort()
        start, stop = found[0]
        for next_start, next_stop in found:
            if next_start >= stop:
                yield start, stop
                start = next_start
            stop = max(stop, next_stop)
        yield start, stop


def _spellings(value: str) -> set[str]:
    """The texts that give `value` away; none of them has a line break in it."""
    lines = [line.strip() for line in value.splitlines()]
    found = {value.strip("\r\n")} if len([line for line in lines if line]) == 1 else set[str]()
    found.update(line for line in lines if len(line) >= MIN_LINE_LENGTH)
    for text in (value, value.strip("\r\n")):
        found.update(_encoded(text))
    return {text for text in found if "\n" not in text and "\r" not in text}


def _encoded(text: str) -> Iterator[str]:
    """`text` as it appears in URLs, JSON and base64."""
    import json
    from urllib.parse import quote, quote_plus

    data = text.encode("utf-8", "replace")
    yield quote(data)
    yield quote(data, safe="")
    yield quote_plus(data)
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    for offset in range(3):
        yield from _base64(data, offset)


def _base64(data: bytes, offset: int) -> Iterator[str]:
    """`data` as base64, plain and for URLs, when `offset` (modulo 3) bytes stand before it.

    Without the characters at either end that depend on what stands beside it.
    """
    from base64 import b64encode

    encoded = b64encode(bytes(offset) + data).decode()
    last = (offset + len(data)) % 3
    start, stop = (0, 2, 3)[offset], len(encoded) - (0, 3, 2)[last]
    stems = [encoded[start:stop]] if offset else [encoded[:stop], encoded.rstrip("=")]
    for stem in stems:
        if len(stem) >= MIN_STEM_LENGTH:
            yield stem
            yield stem.replace("+", "-").replace("/", "_")

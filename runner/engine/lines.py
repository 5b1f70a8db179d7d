"""Cutting a stream of bytes into the lines that become log entries or markers."""

from __future__ import annotations

import codecs

from runner.engine.masking import Masker

ENTRY_LENGTH = 15_360
"""Characters of the longest log entry: Kestra cuts longer text into entries of this length."""

MARKER_LENGTH = 64 * 1024 * 1024
"""Characters of the longest marker line; a longer line is text."""

# What Java's `.` does not match and its `$` may stand before (script-tasks 3.2, q05).
_LINE_ENDS = "\n\r\u0085\u2028\u2029"


class Piece(str):
    """A part of a line that is too long for one log entry; it is never a marker."""

    __slots__ = ()


def marker_body(line: str) -> str | None:
    """What stands between the two `::` of a marker line, `{` and `}` included; None for text."""
    if not line.startswith("::{") or isinstance(line, Piece):
        return None
    if line[-1] in _LINE_ENDS:
        line = line[:-1]
    if not line.endswith("}::") or any(end in line for end in _LINE_ENDS):
        return None
    return line[2:-2]


def cut_entries(text: str, masker: Masker | None = None) -> list[str]:
    """`text` as one or more log entries; with a masker, no secret is cut in two."""
    if len(text) <= ENTRY_LENGTH:
        return [text]
    entries, rest = _cut(text, masker, held_back=0)
    return [*entries, rest] if rest else entries


def _cut(text: str, masker: Masker | None, held_back: int) -> tuple[list[str], str]:
    """The full entries of `text`, and its rest: at most an entry and `held_back` characters."""
    entries: list[str] = []
    start = 0
    while len(text) - start > ENTRY_LENGTH + held_back:
        at = ENTRY_LENGTH
        if masker:
            at = masker.safe_cut(text[start : start + ENTRY_LENGTH + masker.longest], at)
        entries.append(text[start : start + at])
        start += at
    return entries, text[start:]


class LineSplitter:
    """Turns the chunks of one stream into lines, as they come.

    Lines end at `\\n`, `\\r\\n` or a lone `\\r`. As on Kestra, a container's lines keep the `\\r`
    (`docker`). Bytes that are not UTF-8 become U+FFFD; characters may be split over chunks. No line
    is longer than `ENTRY_LENGTH` but markers: longer text comes in `Piece`s, cut so that `masker`
    finds every secret whole. What is held back is at most one marker, or one entry and one secret.
    """

    def __init__(self, *, docker: bool = False, masker: Masker | None = None) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._docker = docker
        self._masker = masker
        self._pending: list[str] = []
        self._pending_length = 0
        self._in_long_line = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that `chunk` ends, and the pieces of a line that is too long already."""
        return self._split(self._decode(chunk))

    def flush(self) -> list[str]:
        """What is left at the end of the stream: a last line without a line end, or nothing."""
        lines = self._split(self._decode(b"", True))
        rest = self._take_pending("")
        if rest or self._in_long_line:
            lines += self._ended(rest)
        return lines

    def _split(self, text: str) -> list[str]:
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        if "\r" in text:
            self._after_cr = text.endswith("\r")
            text = text.replace("\r\n", "\r").replace("\r", "\r\n" if self._docker else "\n")
        # Not splitlines(): it knows eight line ends more.
        first, *lines = text.split("\n")
        if not lines:
            self._hold(first)
            return self._overflow()
        first = self._take_pending(first)
        last = lines.pop()
        done = self._ended(first)
        if _may_have_long_line(text):
            for line in lines:
                done += self._ended(line)
        else:
            done += lines
        self._hold(last)
        return done + self._overflow()

    def _hold(self, text: str) -> None:
        if text:
            self._pending.append(text)
            self._pending_length += len(text)

    def _take_pending(self, text: str) -> str:
        """Everything held back, with `text` after it."""
        if not self._pending:
            return text
        text = "".join([*self._pending, text])
        self._pending.clear()
        self._pending_length = 0
        return text

    def _ended(self, text: str) -> list[str]:
        """The entries of the (rest of the) line `text`, which has ended."""
        if not self._in_long_line and (len(text) <= ENTRY_LENGTH or _is_marker(text)):
            return [text]
        self._in_long_line = False
        return [Piece(entry) for entry in cut_entries(text, self._masker) if entry]

    def _overflow(self) -> list[str]:
        """The entries of a line that has not ended but is longer than it may be held back."""
        held_back = self._masker.longest if self._masker else 0
        if self._pending_length <= ENTRY_LENGTH + held_back:
            return []
        if not self._in_long_line and self._pending_length <= MARKER_LENGTH:
            if len(self._pending[0]) < len("::{"):
                self._hold(self._take_pending(""))
            if self._pending[0].startswith("::{"):
                return []
        entries, rest = _cut(self._take_pending(""), self._masker, held_back)
        self._hold(rest)
        self._in_long_line = True
        return [Piece(entry) for entry in entries]


def _may_have_long_line(text: str) -> bool:
    """False if no line of `text` is longer than an entry; much cheaper than to measure each."""
    # A line of that length covers one of these windows whole.
    window = ENTRY_LENGTH // 2
    starts = range(0, len(text) - window + 1, window)
    return any(text.find("\n", at, at + window) < 0 for at in starts)


def _is_marker(text: str) -> bool:
    return len(text) <= MARKER_LENGTH and marker_body(text) is not None

# ruff: noqa: TID252 - see __init__.py
"""A reader of the text form of Amazon Ion, as far as stored rows use it.

Annotations are skipped; symbols become text, s-expressions lists, `null.int` and its like None.
Not supported: symbol tables and `$ion` macros.
"""

from __future__ import annotations

import re
from datetime import datetime

from ._ion import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, NoReturn

_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.S)
_TIMESTAMP = re.compile(
    r"\d{4}(?:-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)"
    r"|-\d\d-\d\dT?|-\d\dT|T)(?![\w.])"
)
_NUMBER = re.compile(
    r"[+-]?(?:inf\b|0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eEdD][+-]?\d+)?)"
)
_SYMBOL = re.compile(r"[A-Za-z_$][\w$]*")
_QUOTED = re.compile(r"'((?:[^'\\\n]|\\.)*)'", re.S)
_SHORT_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_LONG_TEXT = re.compile(r"'''((?:[^'\\]|\\.|'(?!''))*)'''", re.S)
_BLOB = re.compile(r"\{\{\s*([A-Za-z0-9+/=\s]*)\}\}")
_CLOB = re.compile(r'\{\{\s*("(?:[^"\\]|\\.)*")\s*\}\}', re.S)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|.)", re.S)
_NULL_TYPE = re.compile(r"\.[a-z]+")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_WORDS = {"true": True, "false": False, "nan": float("nan"), "null": None}
_MAX_DEPTH = 200


def values(text: str) -> Iterator[Any]:
    """The top-level values of an Ion text, one after the other.

    Raises:
        ValueError: at what is not Ion, naming the line.
    """
    reader = _Reader(text)
    while not reader.at_end():
        value = reader.value()
        if value is not _VERSION:
            yield value


_VERSION = object()
"""Stands for `$ion_1_0`, which says that Ion follows and is no value."""


class _Reader:
    """A cursor over the text; each method reads one thing and what is blank after it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._skip()

    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def value(self) -> Any:
        """The next value, without its annotations."""
        text = self._text
        first = text[self._at : self._at + 1]
        if first == "{":
            return self._blob() if text.startswith("{{", self._at) else self._struct()
        if first == "[":
            return self._sequence("]", commas=True)
        if first == "(":
            return self._sequence(")", commas=False)
        if first == '"':
            return _unescape(self._take(_SHORT_TEXT).group(1))
        if text.startswith("'''", self._at):
            return self._long_text()
        if first and (first.isdigit() or first in "+-"):
            return self._number()
        return self._word()

    def _struct(self) -> dict[str, Any]:
        self._open()
        fields: dict[str, Any] = {}
        while not self._closed("}"):
            name = self._name()
            self._expect(":")
            fields[name] = self.value()
            if not self._comma():
                self._expect("}")
                break
        self._depth -= 1
        return fields

    def _sequence(self, end: str, commas: bool) -> list[Any]:
        self._open()
        items: list[Any] = []
        while not self._closed(end):
            items.append(self.value())
            if commas and not self._comma():
                self._expect(end)
                break
        self._depth -= 1
        return items

    def _name(self) -> str:
        first = self._text[self._at : self._at + 1]
        if first == '"':
            return _unescape(self._take(_SHORT_TEXT).group(1))
        if self._text.startswith("'''", self._at):
            return self._long_text()
        return _unescape(self._take(_QUOTED).group(1)) if first == "'" else self._symbol()

    def _word(self) -> Any:
        """A keyword, a symbol, or an annotation and the value after it."""
        quoted = self._text.startswith("'", self._at)
        word = _unescape(self._take(_QUOTED).group(1)) if quoted else self._symbol()
        if self._text.startswith("::", self._at):
            self._at += 2
            self._skip()
            return self.value()
        if quoted:
            return word
        if word == "null" and _NULL_TYPE.match(self._text, self._at):
            self._take(_NULL_TYPE)
            return None
        if word == "$ion_1_0" and self._depth == 0:
            return _VERSION
        return _WORDS.get(word, word)

    def _symbol(self) -> str:
        return self._take(_SYMBOL).group()

    def _long_text(self) -> str:
        parts: list[str] = []
        while self._text.startswith("'''", self._at):
            parts.append(_unescape(self._take(_LONG_TEXT).group(1)))
        return "".join(parts)

    def _number(self) -> Any:
        match = _TIMESTAMP.match(self._text, self._at)
        if match is not None:
            self._take(_TIMESTAMP)
            return _time(match.group())
        token = self._take(_NUMBER).group().replace("_", "")
        digits = token.lstrip("+-").lower()
        if digits.startswith(("0x", "0b")):
            return int(token, 0)
        return int(token) if digits.isdigit() else float(digits_of(token))

    def _blob(self) -> str:
        match = _CLOB.match(self._text, self._at)
        if match is not None:
            self._take(_CLOB)
            return _unescape(match.group(1)[1:-1])
        from base64 import b64decode

        return b64decode(self._take(_BLOB).group(1)).decode("utf-8")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            self._fail()
        self._at = match.end()
        self._skip()
        return match

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _open(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail()
        self._at += 1
        self._skip()

    def _closed(self, end: str) -> bool:
        if not self._text.startswith(end, self._at):
            return False
        self._expect(end)
        return True

    def _comma(self) -> bool:
        return self._closed(",")

    def _expect(self, mark: str) -> None:
        if not self._text.startswith(mark, self._at):
            self._fail()
        self._at += len(mark)
        self._skip()

    def _fail(self) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        near = self._text[self._at : self._at + 20] or "the end"
        raise ValueError(f"line {line}: not readable as Ion at {near!r}")


def digits_of(token: str) -> str:
    """An Ion decimal or float as Python's `float` reads it."""
    return token.replace("d", "e").replace("D", "e")


def _time(text: str) -> datetime | str:
    """A timestamp; a year, month or day alone is its first moment."""
    if "T" in text and ":" in text:
        return moment(text)
    year, month, day = ([*text.rstrip("T").split("-"), "1", "1"])[:3]
    return datetime(int(year), int(month), int(day))  # noqa: DTZ001 - Ion names no zone here


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    joined = _ESCAPE.sub(_escaped, text)
    # Two \u escapes may be the halves of one character.
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "xuU":
        return chr(int(code[1:], 16))
    if code in ("\n", "\r\n"):
        return ""
    return _ESCAPES.get(code, code)

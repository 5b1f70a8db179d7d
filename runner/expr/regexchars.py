"""Reading Java regular expressions: single characters, escapes and character classes."""

from __future__ import annotations

from runner.expr import charsets
from runner.expr.charsets import Ranges

_SIMPLE = {"t": 9, "n": 10, "r": 13, "f": 12, "a": 7, "e": 27}
DEPTH = 100


class RegexError(ValueError):
    """The text is no Java regular expression, or uses what can not be rewritten."""


class CharReader:
    """Goes through a regular expression; `flags` are the modes in force at this place."""

    def __init__(self, regex: str) -> None:
        self.regex = regex
        self.pos = 0
        self.flags = ""
        self.depth = 0

    def peek(self, text: str) -> bool:
        """Tell whether `text` comes next."""
        return self.regex.startswith(text, self.pos)

    def take(self, text: str) -> bool:
        """Skip `text` if it comes next."""
        if self.peek(text):
            self.pos += len(text)
            return True
        return False

    def char(self) -> str:
        """Take one character."""
        if self.pos >= len(self.regex):
            raise RegexError("Unexpected end of the expression")
        self.pos += 1
        return self.regex[self.pos - 1]

    def skip_comments(self) -> None:
        """In mode `x`: skip white space and comments."""
        while "x" in self.flags and self.pos < len(self.regex):
            char = self.regex[self.pos]
            if char == "#":
                end = self.regex.find("\n", self.pos)
                self.pos = len(self.regex) if end < 0 else end + 1
            elif char.isspace():
                self.pos += 1
            else:
                return

    def known_set(self, char: str) -> Ranges | None:
        """Give the set that `\\d`, `\\p{L}` and the like stand for; None for other escapes."""
        if char in "pP":
            if self.take("{"):
                end = self.regex.find("}", self.pos)
                name = self.regex[self.pos : max(end, self.pos)]
                self.pos = end + 1
                if end < 0:
                    raise RegexError("Unclosed character family")
            else:
                name = self.char()
            ranges = charsets.family(name)
            if ranges is None:
                raise RegexError(f"Unknown character property name {{{name}}}")
            return charsets.inverse(ranges) if char == "P" else ranges
        unicode = "U" in self.flags
        return charsets.shorthand(char, unicode)

    def code(self, char: str) -> int:
        """Give the character that an escape stands for."""
        if char in _SIMPLE:
            return _SIMPLE[char]
        if char == "0":
            digits = self.matching("01234567", 3)
            digits = digits[:2] if len(digits) == 3 and digits[0] > "3" else digits
            if not digits:
                raise RegexError("Illegal octal escape sequence")
            return int(digits, 8)
        if char == "x":
            if self.take("{"):
                digits = self.matching("0123456789abcdefABCDEF", 8)
                if not digits or not self.take("}") or int(digits, 16) > 0x10FFFF:
                    raise RegexError("Unclosed hexadecimal escape sequence")
                return int(digits, 16)
            return self.hex(2, "Illegal hexadecimal escape sequence")
        if char == "u":
            return self.hex(4, "Illegal Unicode escape sequence")
        if char == "c":
            return ord(self.char()) ^ 64
        if char.isascii() and char.isalpha():
            raise RegexError(f"Illegal/unsupported escape sequence near index {self.pos - 1}")
        return ord(char)

    def matching(self, allowed: str, most: int) -> str:
        """Take up to `most` characters that are in `allowed`."""
        start = self.pos
        while self.pos < min(start + most, len(self.regex)) and self.regex[self.pos] in allowed:
            self.pos += 1
        return self.regex[start : self.pos]

    def hex(self, count: int, message: str) -> int:
        """Take exactly `count` hex digits."""
        digits = self.matching("0123456789abcdefABCDEF", count)
        if len(digits) != count:
            raise RegexError(message)
        return int(digits, 16)

    def char_class(self) -> Ranges:
        """Read `[…]` from after its bracket: ranges, nested classes, `&&`."""
        self.depth += 1
        if self.depth > DEPTH:
            raise RegexError("nested too deeply")
        negated = self.take("^")
        result: Ranges | None = None
        union: list[tuple[int, int]] = []
        first = True
        while True:
            self.skip_comments()
            if self.pos >= len(self.regex):
                raise RegexError("Unclosed character class")
            if self.peek("]") and not first:
                self.pos += 1
                break
            if self.take("&&"):
                ranges = charsets.united(union)
                result = ranges if result is None else charsets.common(result, ranges)
                union = []
            else:
                union.extend(self.class_item())
            first = False
        self.depth -= 1
        ranges = charsets.united(union)
        if result is not None:
            # `[a-z&&]`: nothing after the operator means no restriction, as in Java.
            ranges = charsets.common(result, ranges) if union else result
        return charsets.inverse(ranges) if negated else ranges

    def class_item(self) -> Ranges:
        """Read one member of a class: a nested class, an escape, a character or a range."""
        if self.take("["):
            return self.char_class()
        if self.take("\\Q"):
            end = self.regex.find("\\E", self.pos)
            literal = self.regex[self.pos : end if end >= 0 else len(self.regex)]
            self.pos = len(self.regex) if end < 0 else end + 2
            return tuple((ord(char), ord(char)) for char in literal)
        low = self.class_char()
        if not isinstance(low, int):
            return low
        rest = self.regex[self.pos : self.pos + 2]
        if rest[:1] != "-" or rest[1:] in ("]", "[", ""):
            return ((low, low),)
        self.pos += 1
        high = self.class_char()
        if not isinstance(high, int) or high < low:
            raise RegexError(f"Illegal character range near index {self.pos}")
        return ((low, high),)

    def class_char(self) -> int | Ranges:
        """Read a character, or the set that an escape stands for."""
        char = self.char()
        if char != "\\":
            return ord(char)
        char = self.char()
        known = self.known_set(char)
        return known if known is not None else self.code(char)

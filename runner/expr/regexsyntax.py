"""Java regular expressions rewritten for Python's engine, with an estimate of what they cost."""

from __future__ import annotations

from typing import NamedTuple

from runner.expr import charsets
from runner.expr.charsets import Ranges
from runner.expr.regexchars import DEPTH, CharReader, RegexError


class Cost(NamedTuple):
    """How the number of steps grows with the length of the text."""

    degree: int
    """How many parts of the pattern can be retried at every length, one after the other."""
    nested: bool
    """A repetition of what can itself match in several ways: steps may double per character."""

    def steps(self, length: int) -> float:
        """Estimate the steps for a text of `length` characters, at worst."""
        if self.nested and length > 12:
            return float("inf")
        return (length + 1.0) ** min(self.degree + 1, 20)


class Translation(NamedTuple):
    """A pattern for Python, its named groups by number, and its cost."""

    pattern: str
    names: dict[str, int]
    cost: Cost


class _Part(NamedTuple):
    """A piece of the translated pattern."""

    text: str
    degree: int = 0
    nested: bool = False
    varies: bool = False
    """It can match the same text in more than one way, or texts of several lengths."""
    open_end: bool = False
    """Its last repetition is counted in `degree` only if something follows."""


_BEFORE_LAST_BREAK = r"(?=(?:(?:\r\n|(?<!\r)\n|[\r\x85\u2028\u2029])\Z|\Z))"
_LINE_START = r"(?:\A|(?<=[\n\x85\u2028\u2029])(?!\Z)|(?<=\r)(?!\n)(?!\Z))"
_LINE_STOP = r"(?=(?<!\r)\n|[\r\x85\u2028\u2029]|\Z)"


def translate(regex: str) -> Translation:
    """Give the Python pattern for a Java regular expression.

    Raises:
        RegexError: it is not valid, or uses something that Python's engine has no match for.
    """
    return _Translator(regex).run()


class _Translator(CharReader):
    def __init__(self, regex: str) -> None:
        super().__init__(regex)
        self.groups = 0
        self.names: dict[str, int] = {}
        self.total_groups = _count_groups(regex)

    def run(self) -> Translation:
        part = self.alternation()
        if self.pos < len(self.regex):
            raise RegexError(f"Unmatched closing ')' near index {self.pos}")
        return Translation(part.text, self.names, Cost(part.degree, part.nested))

    def alternation(self) -> _Part:
        """Translate branches up to the end of the group."""
        self.depth += 1
        if self.depth > DEPTH:
            raise RegexError("nested too deeply")
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        self.depth -= 1
        if len(branches) == 1:
            return branches[0]
        return _Part(
            "|".join(branch.text for branch in branches),
            max(branch.degree for branch in branches),
            any(branch.nested for branch in branches),
            True,
            any(branch.open_end for branch in branches),
        )

    def sequence(self) -> _Part:
        """Translate pieces in a row."""
        text, degree, nested, varies, open_end = "", 0, False, False, False
        while True:
            self.skip_comments()
            if self.pos >= len(self.regex) or self.regex[self.pos] in "|)":
                return _Part(text, degree, nested, varies, open_end)
            piece = self.quoted() if self.peek("\\Q") else self.repeated(self.atom())
            if not piece.text:
                continue
            degree += piece.degree + (1 if open_end else 0)
            open_end = piece.open_end
            nested = nested or piece.nested
            varies = varies or piece.varies
            text += piece.text

    def repeated(self, atom: _Part) -> _Part:
        """Translate the quantifier after an atom."""
        self.skip_comments()
        bounds = self.bounds()
        if bounds is None or not atom.text:
            return atom
        low, high = bounds
        text = f"(?:{atom.text})" if _needs_group(atom.text) else atom.text
        text += f"{{{low},{'' if high is None else high}}}"
        mode = "+" if self.take("+") else "?" if self.take("?") else ""
        text += mode
        if self.bounds() is not None:
            raise RegexError(f"Dangling meta character near index {self.pos}")
        wide = high is None or high - low > 8
        if mode == "+":
            return _Part(f"(?:{text})", atom.degree, atom.nested, False, wide)
        nested = atom.nested or (atom.varies and (high is None or high > 2))
        varies = atom.varies or high != low
        return _Part(f"(?:{text})", atom.degree, nested, varies, wide or atom.open_end)

    def bounds(self) -> tuple[int, int | None] | None:
        """Take `*`, `+`, `?` or `{n,m}`; None when there is none."""
        if self.take("*"):
            return 0, None
        if self.take("+"):
            return 1, None
        if self.take("?"):
            return 0, 1
        if not self.take("{"):
            return None
        low = self.digits()
        if low is None:
            raise RegexError(f"Illegal repetition near index {self.pos - 1}")
        high: int | None = low
        if self.take(","):
            high = self.digits()
        if not self.take("}"):
            raise RegexError(f"Unclosed counted closure near index {self.pos}")
        if max(low, high or 0) > 100_000 or (high is not None and high < low):
            raise RegexError(f"Illegal repetition range near index {self.pos}")
        return low, high

    def digits(self) -> int | None:
        """Take a decimal number."""
        start = self.pos
        while self.pos < len(self.regex) and self.regex[self.pos] in "0123456789":
            self.pos += 1
        return int(self.regex[start : self.pos][:7]) if self.pos > start else None

    def quoted(self) -> _Part:
        """Translate `\\Q…\\E`, a quantifier applying to the last character."""
        self.pos += 2
        end = self.regex.find("\\E", self.pos)
        literal = self.regex[self.pos : end if end >= 0 else len(self.regex)]
        self.pos = len(self.regex) if end < 0 else end + 2
        if not literal:
            return _Part("")
        head = "".join(self.one(ord(char)) for char in literal[:-1])
        tail = self.repeated(_Part(self.one(ord(literal[-1]))))
        return tail._replace(text=head + tail.text)

    def one(self, code: int) -> str:
        """Give the pattern for one character, under the current flags."""
        return self.flagged(charsets.escape(code))

    def flagged(self, text: str) -> str:
        """Put a set of characters under the flags that change what it matches."""
        if "i" not in self.flags:
            return text
        return f"(?i:{text})" if "u" in self.flags or "U" in self.flags else f"(?ai:{text})"

    def from_set(self, ranges: Ranges) -> _Part:
        """Give the pattern for one character out of a set."""
        return _Part(self.flagged(charsets.pattern(ranges)))

    def atom(self) -> _Part:
        """Translate one atom."""
        char = self.char()
        if char == "(":
            return self.group()
        if char == "[":
            return self.from_set(self.char_class())
        if char == "\\":
            return self.escape()
        if char == ".":
            dot = charsets.ALL if "s" in self.flags else charsets.inverse(self.line_ends())
            return _Part(charsets.pattern(dot))
        if char == "^":
            return _Part(_LINE_START if "m" in self.flags else r"\A")
        if char == "$":
            return _Part(_LINE_STOP if "m" in self.flags else _BEFORE_LAST_BREAK)
        if char in "*+?":
            raise RegexError(f"Dangling meta character '{char}' near index {self.pos - 1}")
        if char == "{":
            raise RegexError(f"Illegal repetition near index {self.pos - 1}")
        return _Part(self.one(ord(char)))

    def line_ends(self) -> Ranges:
        """Give the characters that end a line (mode `d`: only the newline)."""
        return ((10, 10),) if "d" in self.flags else charsets.LINE_ENDS

    def group(self) -> _Part:
        """Translate what follows `(`."""
        if not self.take("?"):
            self.groups += 1
            return self.inside("(", self.alternation_in_group())
        for mark in (":", "=", "!", ">", "<=", "<!"):
            if self.take(mark):
                inner = self.alternation_in_group()
                if mark == ">":
                    return _Part(f"(?>{inner.text})", inner.degree, inner.nested, False)
                part = self.inside(f"(?{mark}", inner)
                return part if mark == ":" else part._replace(varies=False)
        if self.take("<"):
            return self.named_group()
        return self.flag_group()

    def inside(self, opening: str, inner: _Part) -> _Part:
        """Give `inner` in brackets."""
        return inner._replace(text=f"{opening}{inner.text})")

    def alternation_in_group(self) -> _Part:
        """Translate up to the closing bracket; flags set inside end with it."""
        flags = self.flags
        inner = self.alternation()
        self.flags = flags
        if not self.take(")"):
            raise RegexError("Unclosed group near index " + str(len(self.regex)))
        return inner

    def named_group(self) -> _Part:
        """Translate `name>…)`."""
        end = self.regex.find(">", self.pos)
        name = self.regex[self.pos : end] if end >= 0 else ""
        if not (name.isalnum() and name.isascii() and name[0].isalpha()):
            raise RegexError(f"Unknown look-behind or group name near index {self.pos}")
        if name in self.names:
            raise RegexError(f"Named capturing group <{name}> is already defined")
        self.pos = end + 1
        self.groups += 1
        self.names[name] = self.groups
        return self.inside("(", self.alternation_in_group())

    def flag_group(self) -> _Part:
        """Translate `(?i)` and `(?i-s:…)`."""
        flags, on = self.flags, True
        while True:
            char = self.char()
            if char == "-":
                on = False
            elif char in "idmsuxU":
                flags = flags + char if on else flags.replace(char, "")
            elif char == ")":
                self.flags = flags
                return _Part("")
            elif char == ":":
                outer, self.flags = self.flags, flags
                part = self.inside("(?:", self.alternation_in_group())
                self.flags = outer
                return part
            else:
                raise RegexError(f"Unknown inline modifier near index {self.pos - 1}")

    def escape(self) -> _Part:
        """Translate what follows a backslash."""
        char = self.char()
        fixed = _ESCAPES.get(char)
        if fixed is not None:
            return _Part(fixed)
        if char in "123456789":
            return self.back_reference(char)
        if char == "k":
            if not self.take("<"):
                raise RegexError("\\k is not followed by '<' for named capturing group")
            end = self.regex.find(">", self.pos)
            name = self.regex[self.pos : max(end, self.pos)]
            if name not in self.names:
                raise RegexError(f"named capturing group <{name}> does not exist")
            self.pos = end + 1
            return _Part(f"(?:\\{self.names[name]})", 1)
        known = self.known_set(char)
        return self.from_set(known) if known is not None else _Part(self.one(self.code(char)))

    def back_reference(self, digit: str) -> _Part:
        """Translate `\\1`; more digits count as long as there are so many groups."""
        number = int(digit)
        if number > self.total_groups:
            # Java: a group that does not exist never matches.
            return _Part(r"(?!)")
        while self.pos < len(self.regex) and self.regex[self.pos] in "0123456789":
            longer = number * 10 + int(self.regex[self.pos])
            if longer > self.total_groups:
                break
            number = longer
            self.pos += 1
        if number > self.groups:
            return _Part(r"(?!)")
        return _Part(f"(?:\\{number})", 1)


_ESCAPES = {
    "b": r"(?a:\b)",
    "B": r"(?a:\B)",
    "A": r"\A",
    "z": r"\Z",
    "Z": _BEFORE_LAST_BREAK,
    "R": r"(?>\r\n|[\n\x0b\f\r\x85\u2028\u2029])",
}


def _needs_group(text: str) -> bool:
    """Tell whether a quantifier after `text` would apply to its last part only."""
    single = len(text) == 1 or (text[0] == "\\" and text.count("\\") == 1 and "(" not in text)
    wrapped = text[0] in "[(" and _closes_at_end(text)
    return not (single or wrapped)


def _closes_at_end(text: str) -> bool:
    if text[0] == "[":
        return text.find("]") == len(text) - 1
    return False


def _count_groups(regex: str) -> int:
    """Count the groups that capture (quoting and classes are looked at roughly)."""
    count, index = 0, 0
    while index < len(regex):
        if regex[index] == "\\":
            index += 1
        elif regex[index] == "(":
            after = regex[index + 1 : index + 3]
            named = regex[index + 1 : index + 4]
            if after[:1] != "?" or (after == "?<" and named[2:] not in ("=", "!")):
                count += 1
        index += 1
    return count

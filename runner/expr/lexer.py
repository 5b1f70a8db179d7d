"""From template text to tokens.

A template is text with islands: `{{ print }}`, `{% tag %}`, `{# comment #}`. The lexer gives one
flat list of tokens; a token is a tuple (kind, text, position). Outside islands there are only
`TEXT` tokens, and an empty one is left out.
"""

from __future__ import annotations

import re
from typing import Final

from runner.expr.faults import SyntaxFault
from runner.expr.limits import MAX_NESTING, MAX_TEMPLATE, MAX_TOKENS
from runner.patterns import regex

Token = tuple[int, str, int]

TEXT: Final = 0
PRINT_START: Final = 1
PRINT_END: Final = 2
TAG_START: Final = 3
TAG_END: Final = 4
OPERATOR: Final = 5
NAME: Final = 6
LONG: Final = 7
NUMBER: Final = 8
PUNCTUATION: Final = 9
STRING: Final = 10
INTERPOLATION_START: Final = 11
INTERPOLATION_END: Final = 12
END: Final = 13

KIND_NAMES: Final = (
    *("TEXT", "PRINT_START", "PRINT_END", "EXECUTE_START", "EXECUTE_END", "OPERATOR", "NAME"),
    *("LONG", "NUMBER", "PUNCTUATION", "STRING", "STRING_INTERPOLATION_START"),
    *("STRING_INTERPOLATION_END", "EOF"),
)

# Kestra cuts raw blocks out before lexing; its pattern does not cross lines, ours does.
RAW: Final = regex(r"\{%-*\s*raw\s*-*%\}(.*?)\{%-*\s*endraw\s*-*%\}", re.DOTALL)
_ISLAND = regex(r"\{[{%#]")
_TRIM_AFTER_START = regex(r"-\s+")
_VERBATIM = regex(r"\s*verbatim\s*-?%\}")
_VERBATIM_END = regex(r"\{%(-)?\s*endverbatim\s*(-)?%\}")
_SPACE = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"

# In the order of the specification (1.1); the group's number says what was found.
_TOKEN = regex(
    # What Java calls white space: no-break spaces are none.
    r"""[ \t-\r\x1c-\x1f\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000]*(?:
      ((?:equals|contains|is\ not|isIn|and|not|is|or)(?![A-Za-z0-9_])
        |\?\?\??|[=!><]=|\.\.|[-+*/%|~><])
    | ([^\W\d]\w*)
    | ([0-9]+)L
    | ([0-9]+(?:\.[0-9]+)?)
    | ([()\[\]{}?:.,=])
    | "([^#"\\]*(?:\\.[^#"\\]*)*)"
    | '([^'\\]*(?:\\.[^'\\]*)*)'
    | (")
    )""",
    re.VERBOSE | re.DOTALL,
)
_KINDS = (0, OPERATOR, NAME, LONG, NUMBER, PUNCTUATION, STRING, STRING)
_QUOTED_PART = regex(r'[^#"\\]*(?:(?:\\.|#(?!\{))[^#"\\]*)*', re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def tokenize(text: str) -> list[Token]:
    """Give the tokens of the template `text`, the last one being `END`.

    Raises:
        SyntaxFault: an island, string, bracket or comment is not closed, or has a wrong character.
    """
    if len(text) > MAX_TEMPLATE:
        raise SyntaxFault(f"The template has more than {MAX_TEMPLATE} characters", 0)
    return _Lexer(text).run()


class _Lexer:
    __slots__ = ("brackets", "pos", "text", "tokens", "trim_next")

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.tokens: list[Token] = []
        self.brackets: list[tuple[str, int]] = []
        self.trim_next = False

    def run(self) -> list[Token]:
        text, length = self.text, len(self.text)
        while self.pos < length:
            start = self._next_island(self.pos)
            before = text[self.pos : start]
            if self.trim_next:
                before = before.lstrip(_SPACE)
                self.trim_next = False
            kind = text[start + 1 : start + 2]
            after = start + 2
            trim = _TRIM_AFTER_START.match(text, after)
            if trim and start < length:
                before = before.rstrip(_SPACE)
                after = trim.end()
            if before:
                self.tokens.append((TEXT, before, self.pos))
            if len(self.tokens) > MAX_TOKENS:
                raise SyntaxFault("The template has too many parts", start)
            self.pos = after
            if kind == "{":
                self._island(PRINT_START, PRINT_END, "}}", start)
            elif kind == "#":
                self._comment(start)
            elif kind == "%" and not self._verbatim():
                self._island(TAG_START, TAG_END, "%}", start)
        self.tokens.append((END, "", length))
        return self.tokens

    def _next_island(self, pos: int) -> int:
        """Give where the next island starts, from `pos` on; raw blocks are text."""
        while found := _ISLAND.search(self.text, pos):
            raw = RAW.match(self.text, found.start())
            if raw is None:
                return found.start()
            pos = raw.end()
        return len(self.text)

    def _comment(self, start: int) -> None:
        end = self.text.find("#}", self.pos)
        if end < 0:
            raise SyntaxFault("Unclosed comment.", start)
        body = self.text[self.pos : end]
        # The engine looks for `-` and white space backwards, hence for white space before `-`.
        self.trim_next = body.endswith("-") and body[-2:-1].isspace()
        self.pos = end + 2

    def _verbatim(self) -> bool:
        start = _VERBATIM.match(self.text, self.pos)
        if start is None:
            return False
        end = _VERBATIM_END.search(self.text, start.end())
        if end is None:
            raise SyntaxFault("Unclosed verbatim tag.", self.pos)
        body = self.text[start.end() : end.start()].lstrip(_SPACE)
        if end.group(1):
            body = body.rstrip(_SPACE)
        if body:
            self.tokens.append((TEXT, body, start.end()))
        self.trim_next = end.group(2) is not None
        self.pos = end.end()
        return True

    def _island(self, start_kind: int, end_kind: int, closing: str, start: int) -> None:
        self.tokens.append((start_kind, "", start))
        if self._tokens_until(closing):
            self.tokens.append((end_kind, closing, self.pos - 2))
            return
        if self.brackets:
            bracket, where = self.brackets[-1]
            raise SyntaxFault(f'Unclosed "{bracket}"', where)
        raise SyntaxFault(f'Unclosed "{self.text[start : start + 2]}"', start)

    def _tokens_until(self, closing: str) -> bool:
        """Read tokens up to `closing` outside all brackets; False at the end of the text."""
        text, tokens, pos = self.text, self.tokens, self.pos
        push, match, kinds, brackets = tokens.append, _TOKEN.match, _KINDS, self.brackets
        first = closing[0]
        floor = len(brackets)
        while found := match(text, pos):
            group = found.lastindex or 0
            value = found.group(group)
            start, pos = found.start(group), found.end()
            if len(brackets) == floor:
                if value == first and text.startswith(closing, start):
                    self.pos = start + len(closing)
                    return True
                if value == "-" and len(closing) == 2 and text.startswith(closing, start + 1):
                    self.trim_next = True
                    self.pos = start + 3
                    return True
            if group == 6 or group == 7:
                if "\\" in value:
                    quote = text[start - 1]
                    value = value.replace("\\" + quote, quote)
                push((STRING, value, start - 1))
            elif group == 8:
                self.pos = pos
                self._interpolated(start)
                pos = self.pos
            else:
                push((kinds[group], value, start))
                if group == 5:
                    self._bracket(value, start)
                if len(tokens) > MAX_TOKENS:
                    raise SyntaxFault("The template has too many parts", start)
        self._refuse_character(pos)
        return False

    def _bracket(self, value: str, start: int) -> None:
        if value in "([{":
            self.brackets.append((value, start))
        elif value in ")]}":
            if not self.brackets:
                raise SyntaxFault(f'Unexpected "{value}"', start)
            opened, _ = self.brackets.pop()
            if _CLOSING.get(opened) != value:
                raise SyntaxFault(f'Unclosed "{_CLOSING.get(opened, opened)}"', start)

    def _refuse_character(self, pos: int) -> None:
        """Raise for the character that starts no token, unless only white space is left."""
        rest = self.text[pos:].lstrip(_SPACE)
        if rest:
            raise SyntaxFault(f"Unexpected character [{rest[0]}]", len(self.text) - len(rest))

    def _interpolated(self, start: int) -> None:
        """Read a double-quoted string that holds `#`, from after its first quote."""
        text, tokens = self.text, self.tokens
        if len(self.brackets) > MAX_NESTING:
            raise SyntaxFault("The expression is nested too deeply", start)
        self.brackets.append(('"', start))
        first, had_part = True, False
        while True:
            part = _QUOTED_PART.match(text, self.pos)
            if part and part.group():
                tokens.append((STRING, part.group(), start if first else self.pos))
                self.pos, had_part = part.end(), True
            first = False
            if text.startswith('"', self.pos):
                self.pos += 1
                self.brackets.pop()
                if not had_part:
                    tokens.append((STRING, "", start))
                return
            if not text.startswith("#{", self.pos):
                raise SyntaxFault('Unclosed """', start)
            tokens.append((INTERPOLATION_START, "#{", self.pos))
            self.brackets.append(("#{", self.pos))
            self.pos, had_part = self.pos + 2, True
            if not self._tokens_until("}"):
                raise SyntaxFault('Unclosed "#{"', start)
            self.brackets.pop()
            tokens.append((INTERPOLATION_END, "}", self.pos - 1))

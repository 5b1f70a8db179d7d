"""The tokens of jq programs."""

from __future__ import annotations

import re

from runner.expr.jq.values import JqSyntax
from runner.patterns import regex

_TOKEN = regex(
    r"""(?:\s|\#[^\n]*)*+(?:
      (?P<field>\.[A-Za-z_]\w*)
    | (?P<dots>\.\.)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)
    | (?P<variable>\$[A-Za-z_]\w*)
    | (?P<format>@[A-Za-z0-9_]+)
    | (?P<string>")
    | (?P<op>\|=|\+=|-=|\*=|/=|%=|//=|==|!=|<=|>=|//|[.\[\]|,;:(){}=<>+\-*/%?$])
    )""",
    re.VERBOSE | re.ASCII,
)
KEYWORDS = frozenset(
    ("and", "or", "as", "def", "if", "then", "elif", "else", "end", "reduce", "foreach")
).union(("try", "catch", "label", "import", "include", "__loc__"))
MOST_DEPTH = 40
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"'}


class Tokens:
    """Goes through a program token by token."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.kind = ""
        self.value = ""
        self.start = 0
        self.depth = 0
        self.advance()

    def advance(self) -> str:
        """Give the current token's text and go to the next one; no kind at the end."""
        previous = self.value
        found = _TOKEN.match(self.text, self.pos)
        if found is None:
            rest = re.compile(r"(?:\s|#[^\n]*)*").match(self.text, self.pos)
            self.start = rest.end() if rest else self.pos
            if self.start < len(self.text):
                raise JqSyntax(f"unexpected '{self.text[self.start]}' in '{self.shown()}'")
            self.kind, self.value, self.pos = "", "", self.start
            return previous
        self.kind = found.lastgroup or ""
        self.value = found.group(self.kind)
        self.start, self.pos = found.start(self.kind), found.end()
        return previous

    def shown(self) -> str:
        """Give the program for a message."""
        return self.text if len(self.text) <= 80 else self.text[:80] + "…"

    def unexpected(self) -> JqSyntax:
        """Give the error for the current token."""
        what = f"'{self.value}'" if self.kind else "end"
        return JqSyntax(f"unexpected {what} at {self.start + 1} in '{self.shown()}'")

    def at(self, *texts: str) -> bool:
        """Tell whether the current token is one of these operators or words."""
        return self.kind in ("op", "name") and self.value in texts

    def take(self, text: str) -> bool:
        """Skip an operator or word if it comes next."""
        if self.at(text):
            self.advance()
            return True
        return False

    def expect(self, text: str) -> None:
        """Take an operator or word, or raise."""
        if not self.take(text):
            raise self.unexpected()

    def of_kind(self, kind: str) -> str:
        """Take a token of a kind, or raise."""
        if self.kind != kind:
            raise self.unexpected()
        return self.advance()

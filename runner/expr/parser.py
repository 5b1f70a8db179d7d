"""From the text of a template to its tree: text, prints and tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from runner.expr import calls, nodes, tags
from runner.expr.expressions import ExpressionParser
from runner.expr.faults import SyntaxFault
from runner.expr.lexer import (
    END,
    NAME,
    OPERATOR,
    PRINT_END,
    PRINT_START,
    PUNCTUATION,
    STRING,
    TAG_END,
    TAG_START,
    TEXT,
    Token,
    tokenize,
)


def parse(text: str) -> nodes.Template:
    """Give the parsed template.

    Raises:
        SyntaxFault: the text is no template.
    """
    return _Parser(tokenize(text)).template()


class _Parser(ExpressionParser):
    __slots__ = ("result",)

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.result = nodes.Template()
        self.result.calls = self.called

    def template(self) -> nodes.Template:
        """Parse the whole template."""
        self.result.size = len(self.tokens)
        self.result.body = self.body(())
        return self.result

    def body(self, until: tuple[str, ...]) -> Sequence[tags.Tag]:
        """Parse up to a tag whose name is in `until` (its name is then the current token)."""
        self.enter()
        start = self.current[2]
        parts: list[tags.Tag] = []
        while self.kind != END:
            kind, value, _ = self.advance()
            if kind == TEXT:
                parts.append(tags.Text(value))
            elif kind == PRINT_START:
                parts.append(tags.Print(self.expression()))
                self.expect(PRINT_END)
            elif kind == TAG_START:
                if self.kind == NAME and self.value in until:
                    self.depth -= 1
                    return parts
                part = self.tag()
                if part is not None:
                    parts.append(part)
        if until:
            names = " or ".join(f'"{name}"' for name in until)
            raise SyntaxFault(
                f"Unexpected end of template. Pebble was looking for the {names} tag", start
            )
        self.depth -= 1
        return parts

    def tag(self) -> tags.Tag | None:
        """Parse one tag, from its name on."""
        if self.kind != NAME:
            self.expect(NAME)
        parse_tag = _TAGS.get(self.value)
        if parse_tag is None:
            hint = _TAG_HINTS.get(self.value, "")
            raise SyntaxFault(f'Unexpected tag name "{self.value}"', self.current[2], hint)
        self.advance()
        return parse_tag(self)

    def end_tag(self) -> None:
        """Take the name of an end tag and what closes it."""
        self.advance()
        self.expect(TAG_END)

    def if_tag(self) -> tags.Tag:
        """Parse `if`, from the condition on."""
        branches: list[tuple[nodes.Node, Sequence[tags.Tag]]] = []
        otherwise: Sequence[tags.Tag] = ()
        while True:
            condition = self.expression()
            self.expect(TAG_END)
            branches.append((condition, self.body(("else", "elseif", "endif"))))
            if self.value != "elseif":
                break
            self.advance()
        if self.value == "else":
            self.end_tag()
            otherwise = self.body(("endif",))
        self.end_tag()
        return tags.If(branches, otherwise)

    def for_tag(self) -> tags.Tag:
        """Parse `for`, from the variable on."""
        name = self.new_name()
        self.expect(NAME, "in")
        items = self.expression()
        self.expect(TAG_END)
        body, otherwise = self.body(("else", "endfor")), ()
        if self.value == "else":
            self.end_tag()
            otherwise = self.body(("endfor",))
        self.end_tag()
        return tags.For(name, items, body, otherwise)

    def set_tag(self) -> tags.Tag:
        """Parse `set`, from the variable on."""
        name = self.new_name()
        self.expect(PUNCTUATION, "=")
        expression = self.expression()
        self.expect(TAG_END)
        return tags.Set(name, expression)

    def macro_tag(self) -> None:
        """Parse `macro` and keep it; it renders nothing."""
        _, name, pos = self.expect(NAME)
        parameters = self.parameters()
        self.expect(TAG_END)
        body = self.body(("endmacro",))
        self.end_tag()
        if name in self.result.macros:
            raise SyntaxFault(f"More than one macro can not share the same name: {name}", pos)
        self.result.macros[name] = calls.Macro(parameters, body)

    def parameters(self) -> list[tuple[str, nodes.Node | None]]:
        """Parse the parameters of a macro, with their defaults."""
        self.expect(PUNCTUATION, "(")
        found: list[tuple[str, nodes.Node | None]] = []
        while not self.at(")"):
            if found:
                self.expect(PUNCTUATION, ",")
            name, default = self.new_name(), None
            if self.at("="):
                self.advance()
                default = self.expression()
            found.append((name, default))
        self.advance()
        return found

    def block_tag(self) -> tags.Tag:
        """Parse `block`, from its name on."""
        _, name, _ = self.advance() if self.kind == STRING else self.expect(NAME)
        self.expect(TAG_END)
        body = self.body(("endblock",))
        self.advance()
        if self.kind in (NAME, STRING) and self.value == name:
            self.advance()
        self.expect(TAG_END)
        self.result.blocks[name] = body
        return tags.Block(name)

    def filter_tag(self) -> tags.Tag:
        """Parse `filter`, from the first filter on."""
        pos = self.current[2]
        filters = [self.called_name()]
        while self.kind == OPERATOR and self.value == "|":
            self.advance()
            filters.append(self.called_name())
        self.expect(TAG_END)
        body = self.body(("endfilter",))
        self.end_tag()
        expression: nodes.Node = nodes.Captured(pos, body)
        for where, name, arguments in filters:
            expression = calls.FilterCall(where, expression, name, arguments)
        return tags.Print(expression)


_TAGS: Final[dict[str, Callable[[_Parser], tags.Tag | None]]] = {
    "if": _Parser.if_tag,
    "for": _Parser.for_tag,
    "set": _Parser.set_tag,
    "macro": _Parser.macro_tag,
    "block": _Parser.block_tag,
    "filter": _Parser.filter_tag,
}
_TAG_HINTS: Final = {
    "elif": "did you mean 'elseif'?",
    "else": "there is no 'if' or 'for' around it",
    "raw": "the raw block is not closed: '{% endraw %}' is missing",
    "endraw": "there is no '{% raw %}' before it",
}

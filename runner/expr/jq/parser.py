"""From the text of a jq program to its tree."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from runner.expr.jq import calls, formats, forms, tree, values
from runner.expr.jq.tokens import ESCAPES, KEYWORDS, MOST_DEPTH, Tokens
from runner.expr.jq.values import JqSyntax, Json
from runner.expr.limits import Budget

Operation = Callable[[Json, Json, Budget], Json]
_COMPARISONS: dict[str, Operation] = {
    "==": lambda left, right, _: values.compare(left, right) == 0,
    "!=": lambda left, right, _: values.compare(left, right) != 0,
    "<": lambda left, right, _: values.compare(left, right) < 0,
    "<=": lambda left, right, _: values.compare(left, right) <= 0,
    ">": lambda left, right, _: values.compare(left, right) > 0,
    ">=": lambda left, right, _: values.compare(left, right) >= 0,
}
_ARITHMETIC: dict[str, Operation] = {
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.remainder,
}


@lru_cache(256)
def parse(text: str) -> tree.Node:
    """Give the tree of a program.

    Raises:
        JqSyntax: the text is none.
    """
    if len(text) > 100_000:
        raise JqSyntax("the jq program is too long")
    parser = _Parser(text)
    if not parser.kind:
        return tree.Identity()
    program = parser.pipe()
    if parser.kind:
        raise parser.unexpected()
    return program


class _Parser(Tokens):
    def pipe(self) -> tree.Node:
        """Parse a whole expression."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise JqSyntax("the jq program is nested too deeply")
        node = self.pipe_inside()
        self.depth -= 1
        return node

    def pipe_inside(self) -> tree.Node:
        """Parse definitions, bindings and what is joined by `|`."""
        if self.take("def"):
            return self.definition()
        if self.take("label"):
            name = self.of_kind("variable")[1:]
            self.expect("|")
            return forms.Label(name, self.pipe())
        left = self.comma()
        if self.take("as"):
            pattern = self.pattern()
            self.expect("|")
            return forms.Bind(left, pattern, self.pipe())
        return tree.Pipe(left, self.pipe()) if self.take("|") else left

    def definition(self) -> tree.Node:
        """Parse a function definition and what follows it."""
        name = self.of_kind("name")
        parameters: list[str] = []
        if self.take("("):
            while True:
                parameters.append(self.of_kind("variable" if self.kind == "variable" else "name"))
                if not self.take(";"):
                    break
            self.expect(")")
        self.expect(":")
        body = self.pipe()
        self.expect(";")
        rest = self.pipe() if self.kind and not self.at(")", "]", "}", ";") else tree.Identity()
        return calls.Define(name, parameters, body, rest)

    def comma(self) -> tree.Node:
        """Parse what is joined by commas."""
        left = self.alternative()
        while self.take(","):
            left = tree.Comma(left, self.alternative())
        return left

    def alternative(self) -> tree.Node:
        """Parse `//`, which groups to the right, and assignments."""
        left = self.assignment()
        return tree.Alternative(left, self.alternative()) if self.take("//") else left

    def assignment(self) -> tree.Node:
        """Parse `=`, `|=`, `+=`..."""
        left = self.either()
        if self.kind != "op":
            return left
        symbol = self.value
        if symbol in ("=", "|="):
            self.advance()
            right = self.alternative()
            return forms.Assign(left, right) if symbol == "=" else forms.Update(left, right)
        if symbol in ("+=", "-=", "*=", "/=", "%=", "//="):
            self.advance()
            return forms.Operate(left, self.alternative(), _ARITHMETIC.get(symbol[:-1]))
        return left

    def either(self) -> tree.Node:
        """Parse `or`."""
        left = self.both()
        while self.take("or"):
            left = tree.Logic(left, self.both(), stops_at=True)
        return left

    def both(self) -> tree.Node:
        """Parse `and`."""
        left = self.comparison()
        while self.take("and"):
            left = tree.Logic(left, self.comparison(), stops_at=False)
        return left

    def comparison(self) -> tree.Node:
        """Parse one comparison: they do not chain."""
        left = self.sum()
        if self.kind == "op" and self.value in _COMPARISONS:
            operation = _COMPARISONS[self.advance()]
            left = tree.Binary(left, self.sum(), operation)
            if self.kind == "op" and self.value in _COMPARISONS:
                raise self.unexpected()
        return left

    def sum(self) -> tree.Node:
        """Parse `+` and `-`."""
        left = self.product()
        while self.at("+", "-"):
            operation = _ARITHMETIC[self.advance()]
            left = tree.Binary(left, self.product(), operation)
        return left

    def product(self) -> tree.Node:
        """Parse `*`, `/` and `%`."""
        left = self.signed()
        while self.at("*", "/", "%"):
            operation = _ARITHMETIC[self.advance()]
            left = tree.Binary(left, self.signed(), operation)
        return left

    def signed(self) -> tree.Node:
        """Parse a minus before a term, and what starts with a word of its own."""
        if self.take("-"):
            return tree.Negation(self.signed())
        if self.take("reduce"):
            source, pattern = self.source()
            start = self.pipe()
            self.expect(";")
            update = self.pipe()
            self.expect(")")
            return self.postfix(forms.Reduce(source, pattern, start, update))
        if self.take("foreach"):
            source, pattern = self.source()
            start = self.pipe()
            self.expect(";")
            update = self.pipe()
            extract = self.pipe() if self.take(";") else tree.Identity()
            self.expect(")")
            return self.postfix(forms.Foreach(source, pattern, start, update, extract))
        if self.take("try"):
            body = self.term()
            return tree.Try(body, self.term() if self.take("catch") else None)
        if self.take("if"):
            return self.postfix(self.conditional())
        if self.at("def"):
            return self.pipe()
        return self.term()

    def source(self) -> tuple[tree.Node, forms.Pattern]:
        """Parse `term as pattern (`."""
        source = self.term()
        self.expect("as")
        pattern = self.pattern()
        self.expect("(")
        return source, pattern

    def conditional(self) -> tree.Node:
        """Parse `if` from its condition on."""
        branches: list[tuple[tree.Node, tree.Node]] = []
        while True:
            condition = self.pipe()
            self.expect("then")
            branches.append((condition, self.pipe()))
            if not self.take("elif"):
                break
        self.expect("else")
        otherwise = self.pipe()
        self.expect("end")
        return tree.Conditional(branches, otherwise)

    # --- patterns

    def pattern(self) -> forms.Pattern:
        """Parse what stands after `as`."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise JqSyntax("the jq program is nested too deeply")
        try:
            if self.kind == "variable":
                return forms.Single(self.advance()[1:])
            if self.take("["):
                parts = [self.pattern()]
                while self.take(","):
                    parts.append(self.pattern())
                self.expect("]")
                return forms.Items(parts)
            self.expect("{")
            fields = [self.field_pattern()]
            while self.take(","):
                fields.append(self.field_pattern())
            self.expect("}")
            return forms.Fields(fields)
        finally:
            self.depth -= 1

    def field_pattern(self) -> tuple[tree.Node, str | None, forms.Pattern | None]:
        """Parse one field of an object pattern."""
        variable = None
        if self.kind == "variable":
            variable = self.advance()[1:]
            key: tree.Node = tree.Literal(variable)
        elif self.take("("):
            key = self.pipe()
            self.expect(")")
        else:
            key = self.string() if self.kind == "string" else tree.Literal(self.of_kind("name"))
        pattern = self.pattern() if self.take(":") else None
        if pattern is None and variable is None:
            raise self.unexpected()
        return key, variable, pattern

    # --- terms

    def term(self) -> tree.Node:
        """Parse a term and what follows it."""
        return self.postfix(self.bare_term())

    def bare_term(self) -> tree.Node:
        """Parse a term without what follows it."""
        if self.kind == "number":
            return tree.Literal(_number(self.advance()))
        if self.kind == "string":
            return self.string()
        if self.kind == "format":
            return self.formatted()
        if self.kind == "field":
            return tree.Index(tree.Identity(), tree.Literal(self.advance()[1:]))
        if self.kind == "dots":
            self.advance()
            return tree.RecurseAll()
        if self.kind == "variable":
            return calls.Variable(self.advance()[1:])
        if self.kind == "name":
            return self.word()
        return self.bracketed()

    def formatted(self) -> tree.Node:
        """Parse `@base64`, alone or before a string."""
        name = self.advance()
        if name not in formats.FORMATS:
            raise JqSyntax(f"{name} is not a valid format")
        return self.string(name) if self.starts("string") else calls.Call(name, ())

    def starts(self, kind: str) -> bool:
        """Tell whether the current token is of a kind."""
        return self.kind == kind

    def bracketed(self) -> tree.Node:
        """Parse `.`, `(…)`, `[…]` and `{…}`."""
        if self.take("."):
            if self.kind == "string":
                return tree.Index(tree.Identity(), self.string())
            return tree.Identity()
        if self.take("("):
            inner = self.pipe()
            self.expect(")")
            return inner
        if self.take("["):
            if self.take("]"):
                return tree.ListOf(None)
            inner = self.pipe()
            self.expect("]")
            return tree.ListOf(inner)
        if self.take("{"):
            fields: list[tuple[tree.Node, tree.Node]] = []
            while not self.take("}"):
                if fields:
                    self.expect(",")
                fields.append(self.field())
            return tree.ObjectOf(fields)
        raise self.unexpected()

    def word(self) -> tree.Node:
        """Parse a constant, a call or `break`."""
        if self.value in ("true", "false", "null"):
            return tree.Literal({"true": True, "false": False, "null": None}[self.advance()])
        if self.take("break"):
            return forms.Break(self.of_kind("variable")[1:])
        if self.at("reduce", "foreach", "if", "try", "def"):
            return self.signed()
        if self.value in KEYWORDS:
            raise self.unexpected()
        name, arguments = self.advance(), list[tree.Node]()
        if self.take("("):
            arguments.append(self.pipe())
            while self.take(";"):
                arguments.append(self.pipe())
            self.expect(")")
        return calls.Call(name, arguments)

    def postfix(self, node: tree.Node) -> tree.Node:
        """Parse `.name`, `[…]` and `?` after a term."""
        while True:
            if self.kind == "field":
                node = tree.Index(node, tree.Literal(self.advance()[1:]))
            elif self.at("?"):
                self.advance()
                node = tree.optional(node)
            elif self.at("."):
                self.advance()
                if self.kind == "string":
                    node = tree.Index(node, self.string())
                elif not self.at("["):
                    raise self.unexpected()
            elif self.at("["):
                self.advance()
                node = self.subscript(node)
            else:
                return node

    def subscript(self, node: tree.Node) -> tree.Node:
        """Parse `]`, `key]` or `start:end]`."""
        if self.take("]"):
            return tree.Iterate(node)
        if self.take(":"):
            end = self.pipe()
            self.expect("]")
            return tree.Slice(node, None, end)
        key = self.pipe()
        if not self.take(":"):
            self.expect("]")
            return tree.Index(node, key)
        end = None if self.at("]") else self.pipe()
        self.expect("]")
        return tree.Slice(node, key, end)

    def field(self) -> tuple[tree.Node, tree.Node]:
        """Parse one field of an object."""
        if self.kind == "variable":
            name = self.value[1:]
            return tree.Literal(name), self.bare_term()
        if self.take("("):
            key = self.pipe()
            self.expect(")")
        elif self.kind == "string":
            key = self.string()
        elif self.kind == "format":
            name = self.advance()
            key = self.string(name)
        elif self.kind in ("name", "number"):
            key = tree.Literal(self.advance())
        else:
            raise self.unexpected()
        if self.take(":"):
            return key, self.field_value()
        if isinstance(key, (tree.Literal, tree.Text)):
            # What is no object has nothing under the name: `{a}` of a list is `{"a": null}`.
            return key, tree.Alternative(
                tree.Try(tree.Index(tree.Identity(), key), None), tree.Literal(None)
            )
        raise self.unexpected()

    def field_value(self) -> tree.Node:
        """Parse the value of a field: terms joined by `|`, perhaps negative."""
        value = tree.Negation(self.term()) if self.take("-") else self.term_or_form()
        while self.take("|"):
            value = tree.Pipe(value, self.term_or_form())
        return value

    def term_or_form(self) -> tree.Node:
        """Parse a term, `reduce`, `if` and the like."""
        return self.signed() if self.at("reduce", "foreach", "if", "try") else self.term()

    def string(self, form: str = "@text") -> tree.Node:
        """Parse a string from after its first quote, with what is inserted in it."""
        if self.kind != "string":
            raise self.unexpected()
        parts: list[str | tree.Node] = []
        text = ""
        pos = self.pos
        while True:
            if pos >= len(self.text):
                raise JqSyntax(f"a string is not closed in '{self.shown()}'")
            char = self.text[pos]
            pos += 1
            if char == '"':
                break
            if char != "\\":
                text += char
                continue
            escape = self.text[pos : pos + 1]
            pos += 1
            if escape == "(":
                self.pos = pos
                self.advance()
                parts += [text, self.pipe()]
                text = ""
                if not self.at(")"):
                    raise self.unexpected()
                pos = self.start + 1
            elif escape == "u":
                digits = self.text[pos : pos + 4]
                if not re.fullmatch("[0-9a-fA-F]{4}", digits):
                    raise JqSyntax("invalid escape in a string")
                text += chr(int(digits, 16))
                pos += 4
            elif escape in ESCAPES:
                text += ESCAPES[escape]
            else:
                raise JqSyntax(f"invalid escape '\\{escape}' in a string")
        self.pos = pos
        self.advance()
        if not parts:
            return tree.Literal(_paired(text))
        parts.append(text)
        return tree.Text(parts, formats.FORMATS[form])


def _paired(text: str) -> str:
    """Join surrogates that were written as two escapes."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _number(text: str) -> Json:
    if len(text) > 1000:
        raise JqSyntax("a number has too many digits")
    if not text.isdigit():
        return float(text)
    if int(text) >= 2**63:
        raise JqSyntax(f"the number {text[:40]} is too large")
    return int(text)

"""From tokens to expressions, by precedence climbing (specification 1.2)."""

from __future__ import annotations

from typing import Final

from runner.expr import calls, nodes, operations
from runner.expr.faults import SyntaxFault
from runner.expr.lexer import (
    END,
    INTERPOLATION_END,
    INTERPOLATION_START,
    KIND_NAMES,
    LONG,
    NAME,
    NUMBER,
    OPERATOR,
    PUNCTUATION,
    STRING,
    Token,
)
from runner.expr.limits import MAX_NESTING
from runner.expr.values import Long

_PRECEDENCE: Final = {
    "or": 10,
    "and": 15,
    "is": 20,
    "is not": 20,
    "contains": 20,
    "==": 30,
    "equals": 30,
    "!=": 30,
    ">": 30,
    "<": 30,
    ">=": 30,
    "<=": 30,
    "+": 40,
    "-": 40,
    "*": 60,
    "/": 60,
    "%": 60,
    "|": 100,
    "~": 110,
    "??": 120,
    "???": 120,
    "..": 120,
    "isIn": 120,
}
_UNARY = 500
_CONSTANTS: Final[dict[str, object]] = {
    "true": True,
    "TRUE": True,
    "false": False,
    "FALSE": False,
    "null": None,
    "NULL": None,
    "none": None,
    "NONE": None,
}


class ExpressionParser:
    """Reads expressions from a list of tokens; `called` is the names of what they call."""

    __slots__ = ("called", "current", "depth", "index", "kind", "tokens", "value")

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.index = 0
        self.current = tokens[0]
        self.kind, self.value, _ = tokens[0]
        self.depth = 0
        self.called: set[str] = set()

    # --- tokens

    def advance(self) -> Token:
        """Give the current token and go to the next one."""
        token = self.current
        if token[0] != END:
            self.index += 1
            self.current = self.tokens[self.index]
            self.kind, self.value, _ = self.current
        return token

    def at(self, value: str) -> bool:
        """Tell whether the current token is the punctuation `value`."""
        return self.kind == PUNCTUATION and self.value == value

    def expect(self, kind: int, value: str | None = None) -> Token:
        """Take a token of this kind (and text), or raise."""
        if self.kind == kind and (value is None or self.value == value):
            return self.advance()
        wanted = KIND_NAMES[kind] + (f' with value "{value}"' if value else "")
        found = self.value or KIND_NAMES[self.kind]
        raise SyntaxFault(
            f'Unexpected token of value "{found}" and type {KIND_NAMES[self.kind]}, '
            f"expected token of type {wanted}",
            self.current[2],
        )

    def enter(self) -> None:
        """Count one level of nesting."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise SyntaxFault("The expression is nested too deeply", self.current[2])

    def new_name(self) -> str:
        """Take the name of a variable that is made here."""
        _, name, pos = self.expect(NAME)
        if name in ("true", "false", "null", "none"):
            raise SyntaxFault(f"Can not assign a value to {name}", pos)
        return name

    def expression(self) -> nodes.Node:
        """Parse an expression, a ternary at its end included."""
        self.enter()
        result = self.binary(0)
        if self.at("?"):
            pos = self.advance()[2]
            then = self.expression()
            self.expect(PUNCTUATION, ":")
            result = operations.Choice(pos, result, then, self.expression())
        self.depth -= 1
        return result

    def binary(self, least: int) -> nodes.Node:
        """Parse operands joined by operators of at least the precedence `least`."""
        left = self.operand()
        while self.kind == OPERATOR:
            symbol = self.value
            precedence = _PRECEDENCE.get(symbol, -1)
            if precedence < least:
                break
            pos = self.advance()[2]
            if symbol == "|":
                where, name, arguments = self.called_name()
                left = calls.FilterCall(where, left, name, arguments)
            elif symbol == "is" or symbol == "is not":
                where, name, arguments = self.called_name()
                left = calls.TestCall(where, left, name, arguments, symbol == "is not")
            else:
                right = self.binary(precedence + 1)
                left = _joined(symbol, pos, left, right)
        return left

    def operand(self) -> nodes.Node:
        """Parse a unary operator with its operand, or a primary expression."""
        kind, value, pos = self.current
        if kind == NAME:
            return self.named()
        if kind in (STRING, INTERPOLATION_START):
            return self.postfix(self.string())
        if kind in (NUMBER, LONG):
            self.advance()
            return self.postfix(nodes.Literal(pos, _number(kind, value, pos)))
        if kind == PUNCTUATION:
            if value == "(":
                self.advance()
                inner = self.expression()
                self.expect(PUNCTUATION, ")")
                return self.postfix(inner)
            if value == "[":
                return self.list_literal()
            if value == "{":
                return self.map_literal()
        elif kind == OPERATOR and value in ("not", "-", "+"):
            self.advance()
            self.enter()
            inner = self.binary(_UNARY)
            self.depth -= 1
            if value == "not":
                return operations.Not(pos, inner)
            return operations.Sign(pos, inner, -1 if value == "-" else 1)
        raise SyntaxFault(f'Unexpected token "{KIND_NAMES[kind]}" of value "{value}"', pos)

    def named(self) -> nodes.Node:
        """Parse a constant, a call or a variable, and what follows it."""
        _, name, pos = self.advance()
        if name in _CONSTANTS:
            return self.postfix(nodes.Literal(pos, _CONSTANTS[name]))
        if self.at("("):
            self.called.add(name)
            return self.postfix(calls.FunctionCall(pos, name, self.arguments()))
        return self.postfix(nodes.Name(pos, name))

    def postfix(self, node: nodes.Node) -> nodes.Node:
        """Parse `.name`, `.name()` and `[key]` after `node`."""
        while self.kind == PUNCTUATION:
            if self.value == ".":
                self.advance()
                _, name, pos = self.expect(NAME)
                if self.at("("):
                    arguments = self.arguments()
                    if arguments.named:
                        raise SyntaxFault(
                            "Can not use named arguments when calling a bean method", pos
                        )
                    node = nodes.MethodCall(pos, node, name, arguments.positional)
                else:
                    node = nodes.Attribute(pos, node, name)
            elif self.value == "[":
                self.advance()
                pos = self.current[2]
                key = self.expression()
                self.expect(PUNCTUATION, "]")
                name = key.value if isinstance(key, nodes.Literal) else None
                if isinstance(name, str):
                    node = nodes.Attribute(pos, node, name)
                else:
                    node = nodes.Item(pos, node, key)
            elif self.value == "(":
                raise SyntaxFault('Unexpected "(": only a name can be called', self.current[2])
            else:
                break
        return node

    def string(self) -> nodes.Node:
        """Parse a string; one with `#{}` is several parts in a row."""
        pos = self.current[2]
        parts: list[nodes.Node] = []
        after_text = False
        while True:
            if self.kind == STRING and not after_text:
                where = self.current[2]
                parts.append(nodes.Literal(where, self.advance()[1]))
                after_text = True
            elif self.kind == INTERPOLATION_START:
                self.advance()
                parts.append(self.expression())
                self.expect(INTERPOLATION_END)
                after_text = False
            else:
                break
        if len(parts) == 1 and isinstance(parts[0], nodes.Literal):
            return parts[0]
        return parts[0] if len(parts) == 1 else operations.Concat(pos, parts)

    def list_literal(self) -> nodes.Node:
        """Parse `[a, b]`."""
        pos = self.advance()[2]
        items: list[nodes.Node] = []
        while not self.at("]"):
            if items:
                self.expect(PUNCTUATION, ",")
            items.append(self.expression())
        self.advance()
        return nodes.ListOf(pos, items)

    def map_literal(self) -> nodes.Node:
        """Parse `{key: value}`."""
        pos = self.advance()[2]
        entries: list[tuple[nodes.Node, nodes.Node]] = []
        while not self.at("}"):
            if entries:
                self.expect(PUNCTUATION, ",")
            key = self.expression()
            self.expect(PUNCTUATION, ":")
            entries.append((key, self.expression()))
        self.advance()
        return nodes.MapOf(pos, entries)

    def called_name(self) -> tuple[int, str, calls.CallArguments]:
        """Parse a name and, where there are brackets, arguments."""
        _, name, pos = self.expect(NAME)
        return pos, name, self.arguments() if self.at("(") else calls.NO_ARGUMENTS

    def arguments(self) -> calls.CallArguments:
        """Parse the arguments of a call, brackets included."""
        self.expect(PUNCTUATION, "(")
        positional: list[nodes.Node] = []
        named: list[tuple[str, nodes.Node | None]] = []
        while not self.at(")"):
            if positional or named:
                self.expect(PUNCTUATION, ",")
            following = self.tokens[self.index + 1] if self.kind == NAME else None
            if following and following[0] == PUNCTUATION and following[1] == "=":
                name = self.new_name()
                self.advance()
                named.append((name, self.expression()))
            elif named:
                raise SyntaxFault(
                    "Positional arguments must be declared before any named arguments.",
                    self.current[2],
                )
            else:
                positional.append(self.expression())
        self.advance()
        return calls.CallArguments(positional, named)


def _number(kind: int, digits: str, pos: int) -> object:
    if "." in digits:
        return float(digits)
    if len(digits.lstrip("0")) > 19 or int(digits) >= 2**63:
        raise SyntaxFault(f"The number {digits[:40]} is larger than {2**63 - 1}", pos)
    return Long(digits)


def _joined(symbol: str, pos: int, left: nodes.Node, right: nodes.Node) -> nodes.Node:
    """Give the node for `left symbol right`."""
    if symbol == "~":
        # a ~ b ~ c is one node: chains can be long, and their strings long too.
        parts = (*left.parts, right) if isinstance(left, operations.Concat) else (left, right)
        return operations.Concat(pos, parts)
    if symbol in ("??", "???"):
        return operations.Fallback(pos, left, right, symbol == "??")
    if symbol in ("and", "or"):
        return operations.Logic(pos, left, right, symbol == "or")
    if symbol == "contains":
        return operations.Contains(pos, left, right)
    if symbol == "isIn":
        return operations.IsIn(pos, left, right)
    if symbol == "..":
        return calls.Range(pos, left, right)
    if symbol in ("==", "equals", "!=", ">", "<", ">=", "<="):
        return operations.Comparison(pos, "==" if symbol == "equals" else symbol, left, right)
    return operations.Arithmetic(pos, symbol, left, right)

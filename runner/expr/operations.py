"""Expressions made with operators."""

from __future__ import annotations

from collections.abc import Sequence

from runner.expr import operators
from runner.expr.context import Context
from runner.expr.faults import Fault, LimitFault, Missing
from runner.expr.nodes import Node
from runner.expr.text import string_form


class Not(Node):
    """`not x`."""

    __slots__ = ("operand",)

    def __init__(self, pos: int, operand: Node) -> None:
        self.pos = pos
        self.operand = operand

    def evaluate(self, context: Context) -> object:
        """Give the opposite truth."""
        return not operators.truth(self.operand.evaluate(context))


class Sign(Node):
    """`-x` and `+x`."""

    __slots__ = ("factor", "operand")

    def __init__(self, pos: int, operand: Node, factor: int) -> None:
        self.pos = pos
        self.operand = operand
        self.factor = factor

    def evaluate(self, context: Context) -> object:
        """Multiply by 1 or -1."""
        return operators.arithmetic("*", self.operand.evaluate(context), self.factor)


class Arithmetic(Node):
    """`+ - * / %`. Whatever goes wrong inside, the message is the operator's."""

    __slots__ = ("failure", "left", "right", "symbol")

    def __init__(self, pos: int, symbol: str, left: Node, right: Node) -> None:
        self.pos = pos
        self.symbol = symbol
        self.left = left
        self.right = right
        self.failure = f"Could not perform {_ACTIONS[symbol]}"

    def evaluate(self, context: Context) -> object:
        """Evaluate both sides and calculate."""
        try:
            left, right = self.left.evaluate(context), self.right.evaluate(context)
            if self.symbol == "+":
                return operators.add(left, right, context.budget)
            if self.symbol == "-":
                return operators.subtract(left, right, context.budget)
            return operators.arithmetic(self.symbol, left, right)
        except LimitFault:
            raise
        except Fault as fault:
            raise wrapped(fault, self.failure, self.pos) from fault


class Comparison(Node):
    """`== != < > <= >=`. Whatever goes wrong inside, the message is the operator's."""

    __slots__ = ("failure", "left", "right", "symbol")

    def __init__(self, pos: int, symbol: str, left: Node, right: Node) -> None:
        self.pos = pos
        self.symbol = symbol
        self.left = left
        self.right = right
        self.failure = f"Could not perform {_ACTIONS[symbol]}"

    def evaluate(self, context: Context) -> object:
        """Evaluate both sides and compare."""
        try:
            left, right = self.left.evaluate(context), self.right.evaluate(context)
            if self.symbol == "==":
                return operators.equal(left, right, context.budget)
            if self.symbol == "!=":
                return not operators.equal(left, right, context.budget)
            return operators.compare(self.symbol, left, right)
        except LimitFault:
            raise
        except Fault as fault:
            raise wrapped(fault, self.failure, self.pos) from fault


# Kestra says "greater modulus" for both `%` and `<`.
_ACTIONS = {
    "+": "addition",
    "-": "subtraction",
    "*": "multiplication",
    "/": "division",
    "%": "greater modulus",
    "==": "equals comparison",
    "!=": "not equals comparison",
    ">": "greater than comparison",
    ">=": "greater than or equals comparison",
    "<": "greater modulus",
    "<=": "less than or equals comparison",
}


def wrapped(fault: Fault, message: str, pos: int) -> Fault:
    """Give the fault that hides `fault`; its hint tells what really happened."""
    from runner.expr.suggestions import explain

    return Fault(message, fault.pos if fault.pos >= 0 else pos, explain(fault))


class Concat(Node):
    """`a ~ b ~ c`, and strings with `#{}`: string forms in a row, null as nothing."""

    __slots__ = ("parts",)

    def __init__(self, pos: int, parts: Sequence[Node]) -> None:
        self.pos = pos
        self.parts = parts

    def evaluate(self, context: Context) -> object:
        """Join the string forms."""
        budget = context.budget
        texts: list[str] = []
        for part in self.parts:
            value = part.evaluate(context)
            if value is not None:
                texts.append(value if type(value) is str else string_form(value, budget))
        text = "".join(texts)
        budget.spend(len(text))
        return text


class Logic(Node):
    """`and` and `or`: the right side is looked at only when it decides."""

    __slots__ = ("left", "right", "stops_at")

    def __init__(self, pos: int, left: Node, right: Node, stops_at: bool) -> None:
        self.pos = pos
        self.left = left
        self.right = right
        self.stops_at = stops_at

    def evaluate(self, context: Context) -> object:
        """Give a boolean."""
        if operators.truth(self.left.evaluate(context)) is self.stops_at:
            return self.stops_at
        return operators.truth(self.right.evaluate(context))


class Choice(Node):
    """`a ? b : c`; here null counts as false."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, pos: int, condition: Node, then: Node, otherwise: Node) -> None:
        self.pos = pos
        self.condition = condition
        self.then = then
        self.otherwise = otherwise

    def evaluate(self, context: Context) -> object:
        """Evaluate the condition, and the side that it chooses."""
        condition = self.condition.evaluate(context)
        if condition is not None and operators.truth(condition):
            return self.then.evaluate(context)
        return self.otherwise.evaluate(context)


class Fallback(Node):
    """`a ?? b` (undefined or null) and `a ??? b` (undefined only)."""

    __slots__ = ("also_null", "left", "right")

    def __init__(self, pos: int, left: Node, right: Node, also_null: bool) -> None:
        self.pos = pos
        self.left = left
        self.right = right
        self.also_null = also_null

    def evaluate(self, context: Context) -> object:
        """Give the left value, or the right one where the left is missing."""
        try:
            value = self.left.evaluate(context)
        except Missing:
            return self.right.evaluate(context)
        if value is None and self.also_null:
            return self.right.evaluate(context)
        return value


class Contains(Node):
    """`a contains b`; `b` is not looked at when `a` is null."""

    __slots__ = ("left", "right")

    def __init__(self, pos: int, left: Node, right: Node) -> None:
        self.pos = pos
        self.left = left
        self.right = right

    def evaluate(self, context: Context) -> object:
        """Give a boolean."""
        left = self.left.evaluate(context)
        if left is None:
            return False
        return operators.contains(left, self.right.evaluate(context), context.budget)


class IsIn(Node):
    """`a isIn b`."""

    __slots__ = ("left", "right")

    def __init__(self, pos: int, left: Node, right: Node) -> None:
        self.pos = pos
        self.left = left
        self.right = right

    def evaluate(self, context: Context) -> object:
        """Give a boolean."""
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        return operators.is_in(left, right, context.budget)

"""Expressions, as a tree that evaluates itself.

Every node has `pos`, the offset in the template that an error points at, and `evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runner.expr import operators
from runner.expr.access import attribute, method
from runner.expr.context import Arguments, Context
from runner.expr.faults import Fault, LimitFault, Missing
from runner.expr.registry import Member, find, names
from runner.expr.text import string_form
from runner.expr.values import is_items

if TYPE_CHECKING:
    from runner.expr.tags import Tag


class Template:
    """A parsed template: its body, its macros and blocks, and the names of what it calls.

    `size` is the number of its tokens.
    """

    __slots__ = ("blocks", "body", "calls", "macros", "size")

    def __init__(self) -> None:
        self.body: Sequence[Tag] = ()
        self.macros: dict[str, Macro] = {}
        self.blocks: dict[str, Sequence[Tag]] = {}
        self.calls: set[str] = set()
        self.size = 0


class Node:
    """One expression."""

    __slots__ = ("pos",)

    pos: int

    def evaluate(self, context: Context) -> object:
        """Give the value of the expression.

        Raises:
            Fault: it can not be evaluated; `Missing` when a variable is undefined.
        """
        raise NotImplementedError

    def path(self) -> str:
        """Give the source text of an access such as `outputs.a['b c']`, for messages."""
        return "(…)"


class Literal(Node):
    """A number, a string, `true`, `null`."""

    __slots__ = ("value",)

    def __init__(self, pos: int, value: object) -> None:
        self.pos = pos
        self.value = value

    def evaluate(self, context: Context) -> object:
        """Give the literal's value."""
        return self.value


class Name(Node):
    """A variable."""

    __slots__ = ("name",)

    def __init__(self, pos: int, name: str) -> None:
        self.pos = pos
        self.name = name

    def evaluate(self, context: Context) -> object:
        """Give the variable's value."""
        try:
            if context.frames:
                return context.lookup(self.name)
            return context.variables[self.name]
        except KeyError:
            raise Missing(self.name, self, None) from None

    def path(self) -> str:
        """Give the name."""
        return self.name


class Attribute(Node):
    """`object.name`, or `object['name']` with a literal."""

    __slots__ = ("name", "object")

    def __init__(self, pos: int, object: Node, name: str) -> None:
        self.pos = pos
        self.object = object
        self.name = name

    def evaluate(self, context: Context) -> object:
        """Look the attribute up."""
        holder = self.object.evaluate(context)
        if type(holder) is dict:
            try:
                return holder[self.name]  # pyright: ignore[reportUnknownVariableType]
            except KeyError:
                raise Missing(self.name, self, holder) from None  # pyright: ignore[reportUnknownArgumentType]
        return attribute(holder, self.name, self, self.object)

    def path(self) -> str:
        """Give `a.b`, or `a['b c']` where the name needs it."""
        if self.name.isidentifier():
            return f"{self.object.path()}.{self.name}"
        return f"{self.object.path()}['{self.name}']"


class Item(Node):
    """`object[expression]`."""

    __slots__ = ("key", "object")

    def __init__(self, pos: int, object: Node, key: Node) -> None:
        self.pos = pos
        self.object = object
        self.key = key

    def evaluate(self, context: Context) -> object:
        """Evaluate object and key, and look the key up."""
        holder = self.object.evaluate(context)
        return attribute(holder, self.key.evaluate(context), self, self.object)

    def path(self) -> str:
        """Give `a[b.c]`; a key that is calculated is shown as `…`."""
        key = self.key
        inside = str(key.value) if isinstance(key, Literal) else key.path()
        return f"{self.object.path()}[{inside}]"


class MethodCall(Node):
    """`object.name(arguments)`: one of the few methods that values have."""

    __slots__ = ("arguments", "name", "object")

    def __init__(self, pos: int, object: Node, name: str, arguments: Sequence[Node]) -> None:
        self.pos = pos
        self.object = object
        self.name = name
        self.arguments = arguments

    def evaluate(self, context: Context) -> object:
        """Call the method."""
        holder = self.object.evaluate(context)
        values = [argument.evaluate(context) for argument in self.arguments]
        return method(holder, self.name, values, self, self.object)

    def path(self) -> str:
        """Give `a.size()`."""
        return f"{self.object.path()}.{self.name}()"


class ListOf(Node):
    """`[a, b]`."""

    __slots__ = ("items",)

    def __init__(self, pos: int, items: Sequence[Node]) -> None:
        self.pos = pos
        self.items = items

    def evaluate(self, context: Context) -> object:
        """Give a new list."""
        context.budget.built = True
        return [item.evaluate(context) for item in self.items]


class MapOf(Node):
    """`{key: value}`: the keys are expressions too."""

    __slots__ = ("entries",)

    def __init__(self, pos: int, entries: Sequence[tuple[Node, Node]]) -> None:
        self.pos = pos
        self.entries = entries

    def evaluate(self, context: Context) -> object:
        """Give a new map; of two equal keys the later one counts."""
        context.budget.built = True
        result: dict[object, object] = {}
        for key_node, value_node in self.entries:
            key = key_node.evaluate(context)
            if not operators.is_key(key):
                # Java takes any key; the text of a list or map is what printing it would show.
                key = string_form(key, context.budget)
            result[key] = value_node.evaluate(context)
        return result


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


class CallArguments:
    """What stands in the brackets of a call: first those by position, then those by name."""

    __slots__ = ("named", "positional")

    def __init__(
        self, positional: Sequence[Node], named: Sequence[tuple[str, Node | None]]
    ) -> None:
        self.positional = positional
        self.named = named

    def bind(self, expected: tuple[str, ...] | None, context: Context) -> dict[str, object]:
        """Evaluate the arguments and give them by name; unnamed ones are called `0`, `1`, ..."""
        if expected is None:
            return dict(self._unnamed(context))
        values: dict[str, object] = {}
        for index, node in enumerate(self.positional):
            if index >= len(expected):
                raise Fault(
                    f"The argument at position {index + 1} is not allowed. "
                    f"Only {len(expected)} argument(s) are allowed.",
                    node.pos,
                )
            values[expected[index]] = node.evaluate(context)
        for name, node in self.named:
            if name not in expected:
                at = node.pos if node else -1
                raise Fault(f"The following named argument does not exist: {name}", at)
            values[name] = node.evaluate(context) if node else None
        return values

    def _unnamed(self, context: Context) -> Iterator[tuple[str, object]]:
        for index, node in enumerate(self.positional):
            yield str(index), node.evaluate(context)


NO_ARGUMENTS = CallArguments((), ())


class FilterCall(Node):
    """`input | name(arguments)`."""

    __slots__ = ("arguments", "input", "member", "name")

    def __init__(self, pos: int, input: Node, name: str, arguments: CallArguments) -> None:
        self.pos = pos
        self.input = input
        self.name = name
        self.arguments = arguments
        self.member: Member | None = None

    def evaluate(self, context: Context) -> object:
        """Apply the filter; `default` alone also takes an input that is undefined."""
        member = self.member or self._find()
        arguments = self.arguments
        if arguments is NO_ARGUMENTS:
            values: dict[str, object] = {}
        else:
            values = arguments.bind(member.arguments, context)
        try:
            value = self.input.evaluate(context)
        except Missing:
            if self.name != "default":
                raise
            value = None
        return applied(self, member, Arguments(f"The '{self.name}' filter", values, context), value)

    def _find(self) -> Member:
        member = find("filter", self.name)
        if member is None:
            raise unknown("filter", self.name, f"Filter [{self.name}] does not exist.", self.pos)
        self.member = member
        return member


def applied(node: Node, member: Member, arguments: Arguments, *input: object) -> object:
    """Call a filter or function, give its faults a place, and count what it made."""
    try:
        result = member.body(*input, arguments)
    except Fault as fault:
        if fault.pos < 0:
            fault.pos = node.pos
        raise
    if isinstance(result, str):
        arguments.context.budget.spend(len(result))
    elif result is not None and not isinstance(result, bool):
        arguments.context.budget.built = True
        if is_items(result):
            arguments.context.budget.spend_items(len(result))
    if member.since:
        arguments.context.services.warn(
            f"The {member.kind} '{member.name}' needs Kestra {member.since}; "
            f"a flow for {arguments.context.services.target} can not use it."
        )
    return result


def unknown(kind: str, name: str, message: str, pos: int, more: Sequence[str] = ()) -> Fault:
    """Give the fault for a filter, function or test that does not exist, with a suggestion."""
    from runner.expr.suggestions import closest, elsewhere

    near = closest(name, [*names(kind), *more])
    hint = elsewhere(kind, name) or (f"did you mean '{near[0]}'?" if near else "")
    return Fault(message, pos, hint)


class TestCall(Node):
    """`x is name` and `x is not name`."""

    __slots__ = ("arguments", "input", "name", "negated")

    def __init__(
        self, pos: int, input: Node, name: str, arguments: CallArguments, negated: bool
    ) -> None:
        self.pos = pos
        self.input = input
        self.name = name
        self.arguments = arguments
        self.negated = negated

    def evaluate(self, context: Context) -> object:
        """Give a boolean; `defined` alone also takes an input that is undefined."""
        member = find("test", self.name)
        if member is None:
            raise unknown("test", self.name, f"Test [{self.name}] does not exist.", self.pos)
        values = self.arguments.bind(member.arguments, context)
        try:
            value = self.input.evaluate(context)
        except Missing:
            if self.name != "defined":
                raise
            value = None
        arguments = Arguments(f"The '{self.name}' test", values, context)
        return applied(self, member, arguments, value) is not self.negated


class FunctionCall(Node):
    """`name(arguments)`: a function, or a macro of the template."""

    __slots__ = ("arguments", "name")

    def __init__(self, pos: int, name: str, arguments: CallArguments) -> None:
        self.pos = pos
        self.name = name
        self.arguments = arguments

    def evaluate(self, context: Context) -> object:
        """Call it. A macro can not take the name of a function."""
        member = find("function", self.name)
        if member is not None:
            values = self.arguments.bind(member.arguments, context)
            return applied(self, member, Arguments(f"The '{self.name}' function", values, context))
        macro = context.template.macros.get(self.name)
        if macro is not None:
            return macro.call(self.arguments.bind(macro.names, context), context)
        raise unknown(
            "function",
            self.name,
            f"Function or Macro [{self.name}] does not exist.",
            self.pos,
            list(context.template.macros),
        )

    def path(self) -> str:
        """Give `name(…)`."""
        return f"{self.name}(…)"


class Macro:
    """A macro: it sees its own parameters only, and gives text."""

    __slots__ = ("body", "defaults", "names")

    def __init__(self, parameters: Sequence[tuple[str, Node | None]], body: Sequence[Tag]) -> None:
        self.names = tuple(name for name, _ in parameters)
        self.defaults = tuple(parameters)
        self.body = body

    def call(self, values: dict[str, object], context: Context) -> str:
        """Render the body with `values`; parameters not given have their default, or null."""
        from runner.expr.tags import render_text

        context.budget.round()
        frames, variables = context.frames, context.variables
        context.frames, context.variables = [{}], {}
        try:
            for name, default in self.defaults:
                context.frames[0][name] = default.evaluate(context) if default else None
            context.frames.append(values)
            return render_text(self.body, context)
        finally:
            context.frames, context.variables = frames, variables


class Range(Node):
    """`a..b`, the same as `range(a, b)`."""

    __slots__ = ("left", "right")

    def __init__(self, pos: int, left: Node, right: Node) -> None:
        self.pos = pos
        self.left = left
        self.right = right

    def evaluate(self, context: Context) -> object:
        """Give a list."""
        arguments = CallArguments((self.left, self.right), ())
        return FunctionCall(self.pos, "range", arguments).evaluate(context)


class Captured(Node):
    """The text that tags render: the input of `{% filter %}`."""

    __slots__ = ("body",)

    def __init__(self, pos: int, body: Sequence[Tag]) -> None:
        self.pos = pos
        self.body = body

    def evaluate(self, context: Context) -> object:
        """Render the body as text."""
        from runner.expr.tags import render_text

        return render_text(self.body, context)

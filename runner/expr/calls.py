"""Calls: of filters, tests, functions and macros, with their arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runner.expr.context import Arguments, Context
from runner.expr.faults import Fault, Missing
from runner.expr.nodes import Node
from runner.expr.registry import Member, find, names
from runner.expr.values import is_items

if TYPE_CHECKING:
    from runner.expr.tags import Tag


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

"""Expressions, as a tree that evaluates itself: literals, variables, access, structures.

Every node has `pos`, the offset in the template that an error points at, and `evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.expr import operators
from runner.expr.access import attribute, method
from runner.expr.context import Context
from runner.expr.faults import Missing
from runner.expr.text import string_form
from runner.model.hash_order import hash_ordered

if TYPE_CHECKING:
    from runner.expr.calls import Macro
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
    """`{key: value}`: the keys are expressions too, and stand in the order of a Java HashMap."""

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
        return hash_ordered(result) if len(result) > 1 else result


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

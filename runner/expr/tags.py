"""What a template consists of: text, prints and tags, which render themselves into a writer."""

from __future__ import annotations

from collections.abc import Sequence

from runner.expr import operators
from runner.expr.context import Context
from runner.expr.faults import Fault, LimitFault
from runner.expr.nodes import Node
from runner.expr.operations import wrapped
from runner.expr.text import print_text, string_form
from runner.expr.values import Entry, Loop, class_name, is_items, is_map


class Writer:
    """Collects the text that a template renders."""

    __slots__ = ("_budget", "_parts")

    def __init__(self, context: Context) -> None:
        self._budget = context.budget
        self._parts: list[str] = []

    def text(self, text: str) -> None:
        """Take template text."""
        self._parts.append(text)

    def value(self, value: object) -> None:
        """Take the value of a print, which is not null."""
        text = value if type(value) is str else print_text(value, self._budget)
        self._budget.spend(len(text))
        self._parts.append(text)

    def result(self) -> str:
        """Give everything as one text."""
        return "".join(self._parts)


class TypedWriter(Writer):
    """Keeps a lone value as it is (typed rendering); anything beside it makes it text."""

    __slots__ = ("_budget", "_parts", "_values")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._values: list[object] = []

    def text(self, text: str) -> None:
        """Take template text."""
        self.value(text)

    def value(self, value: object) -> None:
        """Take one value; a list or map can not stand beside anything."""
        if self._values:
            for one, other in ((self._values[0], value), (value, self._values[0])):
                if is_items(one) or is_map(one):
                    first, second = (one, other) if one is self._values[0] else (other, one)
                    raise Fault(f"Cannot concat {class_name(first)} with {class_name(second)}")
        self._values.append(value)

    def typed_result(self) -> object:
        """Give the lone value, the joined text of several, or None when there was nothing."""
        if len(self._values) < 2:
            return self._values[0] if self._values else None
        text = "".join([string_form(value, self._budget) for value in self._values])
        self._budget.spend(len(text))
        return text


class Tag:
    """A part of a template's body."""

    __slots__ = ()

    def render(self, context: Context, out: Writer) -> None:
        """Write what this part renders to `out`.

        Raises:
            Fault: an expression in it can not be evaluated.
        """
        raise NotImplementedError


def render_text(body: Sequence[Tag], context: Context) -> str:
    """Give the text that `body` renders."""
    out = Writer(context)
    for tag in body:
        tag.render(context, out)
    return out.result()


class Text(Tag):
    """Text between islands."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def render(self, context: Context, out: Writer) -> None:
        """Write the text."""
        context.budget.spend(len(self.text))
        out.text(self.text)


class Print(Tag):
    """`{{ expression }}`."""

    __slots__ = ("expression",)

    def __init__(self, expression: Node) -> None:
        self.expression = expression

    def render(self, context: Context, out: Writer) -> None:
        """Write the value; null writes nothing."""
        value = self.expression.evaluate(context)
        if value is not None:
            out.value(value)


class If(Tag):
    """`{% if %}`, with `elseif` and `else`."""

    __slots__ = ("branches", "otherwise")

    def __init__(
        self, branches: Sequence[tuple[Node, Sequence[Tag]]], otherwise: Sequence[Tag]
    ) -> None:
        self.branches = branches
        self.otherwise = otherwise

    def render(self, context: Context, out: Writer) -> None:
        """Render the first branch whose condition holds."""
        for tag in self._chosen(context):
            tag.render(context, out)

    def _chosen(self, context: Context) -> Sequence[Tag]:
        for condition, body in self.branches:
            if self._holds(condition, context):
                return body
        return self.otherwise

    @staticmethod
    def _holds(condition: Node, context: Context) -> bool:
        try:
            return operators.truth(condition.evaluate(context))
        except LimitFault:
            raise
        except Fault as fault:
            # Any error in a condition comes out as this one: Pebble's IfNode.
            message = "Wrong operand(s) type in conditional expression"
            raise wrapped(fault, message, condition.pos) from fault


class For(Tag):
    """`{% for x in items %}`, with `else` for no items."""

    __slots__ = ("body", "items", "name", "otherwise")

    def __init__(
        self, name: str, items: Node, body: Sequence[Tag], otherwise: Sequence[Tag]
    ) -> None:
        self.name = name
        self.items = items
        self.body = body
        self.otherwise = otherwise

    def render(self, context: Context, out: Writer) -> None:
        """Render the body for each item, in a frame of its own."""
        value = self.items.evaluate(context)
        if value is None:
            return
        items = self._sequence(value, context)
        if not items:
            for tag in self.otherwise:
                tag.render(context, out)
            return
        loop = Loop(len(items))
        if not context.frames:
            context.frames.append({})
        frame: dict[str, object] = {"loop": loop}
        context.frames.append(frame)
        try:
            for index, item in enumerate(items):
                context.budget.round()
                loop.index = index
                frame["loop"] = loop
                frame[self.name] = item
                for tag in self.body:
                    tag.render(context, out)
        finally:
            context.frames.pop()

    def _sequence(self, value: object, context: Context) -> Sequence[object]:
        if is_items(value):
            return value
        if is_map(value):
            return [Entry(key, item) for key, item in value.items()]
        text = string_form(value, context.budget)
        shown = text if len(text) <= 80 else text[:80] + "…"
        raise Fault(f"Not an iterable object. Value = [{shown}]", self.items.pos)


class Set(Tag):
    """`{% set name = expression %}`."""

    __slots__ = ("expression", "name")

    def __init__(self, name: str, expression: Node) -> None:
        self.name = name
        self.expression = expression

    def render(self, context: Context, out: Writer) -> None:
        """Assign the value to the variable."""
        context.assign(self.name, self.expression.evaluate(context))


class Block(Tag):
    """`{% block name %}`: it is printed here, and again by `block('name')`.

    Of several with one name, the last is printed at the place of each.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, context: Context, out: Writer) -> None:
        """Render the body."""
        for tag in context.template.blocks[self.name]:
            tag.render(context, out)

"""What goes wrong inside a template, before anyone knows the template's text.

Code in this package raises a `Fault`; `runner.expr.render` turns it into a `RenderFailed` with the
template, the line and the column. Faults are cheap: `??` throws them away by the thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.expr.nodes import Node


class Fault(Exception):
    """An evaluation error: `message` is Kestra's, `pos` the offset in the template or -1."""

    def __init__(self, message: str, pos: int = -1, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.pos = pos
        self.hint = hint


class Missing(Fault):
    """An undefined variable, attribute or index: what `??` and `default` catch.

    `node` is the access that failed and `holder` what was looked into; both serve the hint.
    """

    def __init__(self, name: str, node: Node, holder: object) -> None:
        super().__init__(name, node.pos)
        self.name = name
        self.node = node
        self.holder = holder


class SyntaxFault(Fault):
    """The template's text can not be parsed."""


class LimitFault(Fault):
    """A limit was reached: no operator hides this error behind its own."""

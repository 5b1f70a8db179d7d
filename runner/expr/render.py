"""The ways into the language: rendering text, lone values and whole structures.

What reads and evaluates templates is imported when there is one: not every flow has any.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, cast

from runner.errors import RenderFailed
from runner.expr.context import Context, Scope
from runner.expr.faults import Fault, Missing, SyntaxFault
from runner.expr.limits import MAX_ROUNDS, Budget
from runner.expr.values import plain

if TYPE_CHECKING:
    from runner.expr.nodes import Template

CACHE_ENTRIES = 1000
CACHE_WEIGHT = 16_000_000
"""Bound of what the kept templates weigh: about the bytes of memory that they take."""
_TOKEN_WEIGHT = 100


class _Cache:
    """Parsed templates by text, the least recently used going first; bounded by size too."""

    def __init__(self) -> None:
        self._templates: OrderedDict[str, Template] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    def get(self, text: str) -> Template:
        """Give the parsed template of `text`."""
        template = self._templates.get(text)
        if template is None:
            from runner.expr.parser import parse

            return self._add(text, parse(text))
        try:
            self._templates.move_to_end(text)
        except KeyError:
            return template  # another thread has dropped it just now
        return template

    def _add(self, text: str, template: Template) -> Template:
        with self._lock:
            if text in self._templates:
                return self._templates[text]
            self._templates[text] = template
            self._weight += _weight(text, template)
            while self._templates and (
                len(self._templates) > CACHE_ENTRIES or self._weight > CACHE_WEIGHT
            ):
                self._weight -= _weight(*self._templates.popitem(last=False))
        return template


def _weight(text: str, template: Template) -> int:
    return len(text) + _TOKEN_WEIGHT * template.size


_cache = _Cache()


def parsed(template: str) -> Template:
    """Give the parsed template, from the cache when it was used lately.

    Raises:
        RenderFailed: the template can not be parsed.
    """
    try:
        return _cache.get(template)
    except SyntaxFault as fault:
        raise _failure(fault, template, None) from None
    except RecursionError:
        raise _failure(_too_deep(), template, None) from None


def render(template: str, scope: Scope, *, recursive: bool = False) -> str:
    """Render `template` to text.

    With `recursive` the result is rendered again for as long as it changes.

    Raises:
        RenderFailed: the template can not be parsed or evaluated.
    """
    if "{" not in template:
        return template
    return render_within(template, scope, Budget(), recursive=recursive)


def render_within(template: str, scope: Scope, budget: Budget, *, recursive: bool) -> str:
    """Render like `render`, taking what it costs from `budget`."""
    if "{" not in template:
        return template
    text = _render_once(template, scope, budget)
    rounds = 0
    while recursive and text != template and "{" in text:
        rounds += 1
        if rounds > MAX_ROUNDS:
            raise RenderFailed("Too many rendering attempts", template=template)
        template, text = text, _render_once(text, scope, budget)
    return _without_raw_tags(text)


def _render_once(template: str, scope: Scope, budget: Budget) -> str:
    from runner.expr.tags import render_text

    compiled = parsed(template)
    context = Context(scope, compiled, budget)
    try:
        budget.spend_items(compiled.size)
        return render_text(compiled.body, context)
    except Fault as fault:
        raise _failure(fault, template, context) from None
    except RecursionError:
        raise _failure(_too_deep(), template, None) from None


def render_typed(template: str, scope: Scope) -> object:
    """Render `template`; a lone expression keeps its value, as plain data.

    Several values, or text beside a value, give text. Nothing at all gives None.

    Raises:
        RenderFailed: the template can not be parsed or evaluated, or has text beside a list or map.
    """
    if "{" not in template:
        return template
    from runner.expr.tags import TypedWriter

    compiled = parsed(template)
    context = Context(scope, compiled, Budget())
    out = TypedWriter(context)
    try:
        for tag in compiled.body:
            tag.render(context, out)
        value = plain(out.typed_result(), context.budget)
    except Fault as fault:
        raise _failure(fault, template, context) from None
    except RecursionError:
        raise _failure(_too_deep(), template, None) from None
    return _without_raw_tags(value) if isinstance(value, str) else value


def render_value(
    value: object, scope: Scope, *, typed: bool = False, recursive: bool = False
) -> object:
    """Render every string inside `value`, keys of maps included; what is no string stays.

    Where two keys render to the same text the first one wins. With `typed`, a string that is a
    lone expression becomes that expression's value.

    Raises:
        RenderFailed: a template in it can not be parsed or evaluated.
    """
    if isinstance(value, str):
        if typed:
            return render_typed(value, scope)
        return render(value, scope, recursive=recursive)
    if isinstance(value, Mapping):
        result: dict[object, object] = {}
        for key, item in cast("Mapping[object, object]", value).items():
            name = render(key, scope, recursive=recursive) if isinstance(key, str) else key
            if name not in result:
                result[name] = render_value(item, scope, typed=typed, recursive=recursive)
        return result
    if isinstance(value, (list, tuple)):
        return [
            render_value(item, scope, typed=typed, recursive=recursive)
            for item in cast("list[object]", value)
        ]
    return value


def is_truthy(text: str | None) -> bool:
    """Give the truth of a rendered condition (`runIf`, `If.condition`; specification 9).

    White space around it is ignored; only null, `false`, `0`, `-0` and nothing are false.
    """
    from runner.expr.access import trimmed

    return text is not None and trimmed(text) not in ("", "false", "0", "-0")


def uses(template: str, *names: str) -> bool:
    """Tell whether `template` calls one of these functions (false when it can not be parsed)."""
    if "{" not in template or not any(name in template for name in names):
        return False
    try:
        return not parsed(template).calls.isdisjoint(names)
    except RenderFailed:
        return False


def _without_raw_tags(text: str) -> str:
    if "endraw" not in text:
        return text
    from runner.expr.lexer import RAW

    return RAW.sub(r"\1", text)


def _too_deep() -> Fault:
    return Fault("The expression is nested too deeply")


def _failure(fault: Fault, template: str, context: Context | None) -> RenderFailed:
    """Give the error for a fault: Kestra's message, the place, a hint."""
    pos = min(max(fault.pos, 0), len(template))
    before = template[:pos].replace("\r\n", "\n").replace("\r", "\n")
    line = before.count("\n") + 1 if fault.pos >= 0 else 0
    column = len(before) - before.rfind("\n") if fault.pos >= 0 else 0
    if not isinstance(fault, Missing):
        kind = "parse" if isinstance(fault, SyntaxFault) else "eval"
        return RenderFailed(
            fault.message, kind=kind, template=template, line=line, column=column, hint=fault.hint
        )
    from runner.expr.suggestions import missing_hint

    shown = template if len(template) <= 200 else template[:200] + "…"
    return RenderFailed(
        f"Unable to find `{fault.name}` used in the expression `{shown}` at line {max(line, 1)}",
        kind="missing",
        template=template,
        line=line,
        column=column,
        hint=missing_hint(fault, context.visible() if context else {}),
    )

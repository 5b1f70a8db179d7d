"""The reference page of every filter, function and test, made from their docstrings.

`python -m runner.expr.reference > docs/expressions.md` writes it anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import NamedTuple

from runner.expr.registry import Member, find, names

_HEAD = """\
# Expressions

What can stand in `{{ }}` in a flow. This page is made from the program
(`python -m runner.expr.reference > docs/expressions.md`), and every example on it is run by a test.

`eyas eval '{{ … }}'` tries an expression out.

Missing variables are errors. `a ?? b` gives `b` when `a` is undefined or null, `a ??? b` only when
it is undefined. `~` joins texts, `|` calls a filter, `is` a test. Operators, strongest first:
`not` and signs · `??` `???` `..` `isIn` · `~` · `|` · `* / %` · `+ -` · comparisons ·
`is` `contains` · `and` · `or` · `? :`.
"""
_KINDS = {
    "filter": ("Filters", "`value | name(arguments)`. Null stays null unless it says otherwise."),
    "function": ("Functions", "`name(arguments)`. Arguments can be given by name."),
    "test": ("Tests", "`value is name`, `value is not name`."),
}


class Example(NamedTuple):
    """A template, and what it renders to."""

    template: str
    result: str


def examples(member: Member) -> list[Example]:
    """Give the examples in a docstring: lines after `>>>`, and the result below them."""
    found: list[Example] = []
    template: list[str] = []
    result: list[str] = []
    for line in [*(inspect.getdoc(member.body) or "").splitlines(), ">>> "]:
        if not line.startswith(">>> "):
            if template:
                result.append(line)
            continue
        if result:
            found.append(Example("\n".join(template), "\n".join(result).rstrip()))
            template, result = [], []
        template.append(line[4:])
    return found


def summary(member: Member) -> str:
    """Give the docstring without its examples."""
    text = inspect.getdoc(member.body) or ""
    return text.partition("\n>>> ")[0].strip()


def _signature(member: Member) -> str:
    arguments = member.arguments
    inside = "…" if arguments is None and member.kind == "function" else ", ".join(arguments or ())
    if member.kind == "function":
        return f"{member.name}({inside})"
    return f"{member.name}({inside})" if inside else member.name


def _entry(member: Member) -> Iterator[str]:
    since = f" *(Kestra {member.since})*" if member.since else ""
    yield f"### `{_signature(member)}`{since}\n"
    yield summary(member) + "\n"
    for example in examples(member):
        yield "```"
        yield example.template
        yield "→ " + example.result.replace("\n", "\n  ")
        yield "```\n"


def page() -> str:
    """Give the whole page as Markdown."""
    lines = [_HEAD]
    for kind, (title, text) in _KINDS.items():
        lines += [f"## {title}\n", f"{text}\n"]
        for name in sorted(names(kind), key=str.lower):
            member = find(kind, name)
            if member is not None:
                lines += _entry(member)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())

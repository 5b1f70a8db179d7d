"""Drawings in the notations of Mermaid and of Graphviz, and a flow as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from runner.cli.drawing import Box, Drawing, Region, Shape, about
from runner.cli.problems import printable
from runner.model.branches import Branch, branches_in, branches_of
from runner.model.flow import Flow, Task

_MERMAID: dict[Shape, tuple[str, str]] = {
    "flow": ("([", "])"),
    "trigger": ("[/", "/]"),
    "task": ("[", "]"),
    "group": ("[[", "]]"),
    "choice": ("{", "}"),
    "loop": ("{{", "}}"),
}
_DOT: dict[Shape, str] = {
    "flow": "oval",
    "trigger": "parallelogram",
    "task": "box",
    "group": "box3d",
    "choice": "diamond",
    "loop": "hexagon",
}


def mermaid(drawing: Drawing) -> str:
    """A Mermaid flowchart."""
    lines = ["flowchart TD", *_mermaid_region(drawing.root, "  ", top=True)]
    for arrow in drawing.arrows:
        line = "-.->" if arrow.aside else "-->"
        label = f'|"{_entities(arrow.label)}"|' if arrow.label else ""
        lines.append(f"  {arrow.source} {line}{label} {arrow.target}")
    if disabled := [box.id for box in drawing.root.boxes() if box.disabled]:
        lines.append("  classDef disabled stroke-dasharray: 4 4,opacity:0.6")
        lines.append(f"  class {','.join(disabled)} disabled")
    return "\n".join(lines)


def _mermaid_region(region: Region, indent: str, *, top: bool = False) -> Iterator[str]:
    inside = indent if top else indent + "  "
    if not top:
        yield f'{indent}subgraph {region.id} [" "]'
    for part in region.parts:
        if isinstance(part, Box):
            begin, end = _MERMAID[part.shape]
            text = "<br/>".join(_entities(row) for row in (part.title, part.about) if row)
            yield f'{inside}{part.id}{begin}"{text}"{end}'
        else:
            yield from _mermaid_region(part, inside)
    if not top:
        yield f"{indent}end"


def _entities(text: str) -> str:
    """The text without what Mermaid would read as markup."""
    return "".join(
        sign if sign.isalnum() or sign in " .:,;_-/(){}[]=+*|!?$%…" else f"#{ord(sign)};"
        for sign in printable(text)
    )


def dot(drawing: Drawing) -> str:
    """A graph in Graphviz's language."""
    title = next(box.title for box in drawing.root.boxes() if box.shape == "flow")
    lines = [f"digraph {_quoted(title)} {{", '  node [fontname="sans-serif"];']
    lines.append('  edge [fontname="sans-serif"];')
    lines += _dot_region(drawing.root, "  ", top=True)
    for arrow in drawing.arrows:
        facts = [f"label={_quoted(arrow.label)}"] if arrow.label else []
        facts += ["style=dashed"] if arrow.aside else []
        shown = f" [{', '.join(facts)}]" if facts else ""
        lines.append(f"  {arrow.source} -> {arrow.target}{shown};")
    return "\n".join([*lines, "}"])


def _dot_region(region: Region, indent: str, *, top: bool = False) -> Iterator[str]:
    inside = indent if top else indent + "  "
    if not top:
        yield f"{indent}subgraph cluster_{region.id} {{"
        yield f"{inside}style=rounded;"
    for part in region.parts:
        if isinstance(part, Box):
            label = _quoted("\n".join(row for row in (part.title, part.about) if row))
            dashed = ", style=dashed" if part.disabled else ""
            yield f"{inside}{part.id} [label={label}, shape={_DOT[part.shape]}{dashed}];"
        else:
            yield from _dot_region(part, inside)
    if not top:
        yield f"{indent}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def tree(flow: Flow) -> str:
    """The flow as an indented tree, for a person; with colours, which a pipe drops."""
    title = click.style(f"{flow.namespace}.{flow.id}", bold=True)
    lines = [title + (" (disabled)" if flow.disabled else "")]
    parts: list[tuple[str, list[str]]] = []
    if flow.triggers:
        triggers = [
            (_title(each.id, about(each), each.disabled), list[str]()) for each in flow.triggers
        ]
        parts.append(("triggers", _hung(triggers)))
    parts += [(branch.name, _tasks(branch)) for branch in branches_of(flow)]
    return "\n".join([*lines, *_hung(parts)])


def _tasks(branch: Branch) -> list[str]:
    """The tasks of a branch, and what is below each."""
    return _hung([(_task_title(task, branch), _below(task)) for task in branch.tasks])


def _below(task: Task) -> list[str]:
    """What is nested in a task; its only list of tasks needs no name."""
    branches = list(branches_in(task))
    if [branch.name for branch in branches] == ["tasks"]:
        return _tasks(branches[0])
    return _hung([(printable(branch.name), _tasks(branch)) for branch in branches])


def _task_title(task: Task, branch: Branch) -> str:
    waits = branch.after.get(task.id)
    after = f", after {', '.join(waits)}" if waits else ""
    return _title(task.id, about(task) + after, task.disabled)


def _title(name: str, facts: str, disabled: bool) -> str:
    more = f"{facts}, disabled" if disabled else facts
    return f"{click.style(name, bold=True)}  {click.style(more, dim=True)}"


def _hung(parts: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Titles with the lines that are below each, hung on branches of the tree."""
    lines: list[str] = []
    for number, (title, below) in enumerate(parts):
        last = number == len(parts) - 1
        lines.append(("└─ " if last else "├─ ") + title)
        lines += [("   " if last else "│  ") + line for line in below]
    return lines

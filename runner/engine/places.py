"""Where in a flow's file an expression stands that failed."""

from __future__ import annotations

from typing import Any

from runner.errors import RenderFailed
from runner.model.flow import Flow, Task
from runner.patterns import regex

# `key: |` and `key: >-`: the text begins on the next line.
_BLOCK = regex(r"[|>][-+\d]*\s*(#.*)?$")


def with_place(error: RenderFailed, flow: Flow, task: Task, value: Any) -> RenderFailed:
    """The error with the property and the line of the file, if `value` is a whole property."""
    if error.where:
        return error
    name = next((name for name, given in task.properties.items() if given is value), None)
    if name is None:
        return error.placed(f"task '{task.id}'")
    place = task.places.get(name)
    line = place.line if place is not None else 0
    rows = flow.source.splitlines()
    if 0 < line <= len(rows) and _BLOCK.search(rows[line - 1]):
        line += 1
    return error.placed(f"property '{name}' of task '{task.id}'", first_line=line)

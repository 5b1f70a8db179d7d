"""References to names with a dash, which would be read as a subtraction (flow-model 1.6).

Kestra looks for exactly two forms: `{{ inputs.my-key }}` alone, and an expression that begins
with `outputs.my-task.` and something; in what a task's type declares itself, and in the values of
the flow's outputs (FlowValidator.java, checkObjectFieldsWithPatterns). Everywhere else the
expression fails when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, cast

from runner.loading.common import Common
from runner.loading.source import Map, Mark
from runner.model.flow import Flow, Task

_OF_THE_FAMILY = {
    "io.kestra.plugin.scripts.": {"script", "commands", "containerImage"},
    "io.kestra.plugin.core.http.": {"encryptBody", "failOnEmptyResponse", "saveAs"},
    "io.kestra.plugin.core.state.": {"data", "errorOnMissing"},
}
"""Of types whose other properties come from a common parent: those that are their own."""

Family = Literal["input", "output"]


def check_references(flow: Flow, tasks: Sequence[Task], root: Map, common: Common) -> None:
    """Note references to dashed inputs and outputs that a task or an output of the flow makes."""
    inputs = _pattern((each.id for each in flow.inputs), r"\{\{\s*inputs.(%s)\s*\}\}")
    outputs = _pattern((each.id for each in tasks), r"\{\{\s*outputs\.(%s)\.[^}]+\s*\}\}")
    for task in tasks:
        node = common.nodes.get(task)
        if node is None:
            continue
        for text, mark in _texts(node, _own_properties(task, common)):
            _check("input", inputs, text, mark, f"offending tasks: [{task.id}]", common)
            _check("output", outputs, text, mark, f"offending tasks: [{task.id}]", common)
    for output in flow.outputs:
        node = common.nodes.get(output)
        if node is not None:
            for text, mark in _texts(node, {"value", "description"}):
                _check("output", outputs, text, mark, f"offending outputs: [{output.id}]", common)


def _pattern(names: Iterable[str], form: str) -> re.Pattern[str] | None:
    dashed = dict.fromkeys(re.escape(name) for name in names if "-" in name)
    return re.compile(form % "|".join(dashed), re.ASCII) if dashed else None


def _own_properties(task: Task, common: Common) -> set[str]:
    info = common.catalog.task(task.type)
    if info is None:
        return set()
    for family, names in _OF_THE_FAMILY.items():
        if info.name.startswith(family):
            return names
    return set(info.properties).difference(common.catalog.base("Task").properties)


def _check(
    family: Family,
    pattern: re.Pattern[str] | None,
    text: str,
    mark: Mark,
    where: str,
    common: Common,
) -> None:
    found = pattern.search(text) if pattern is not None and "-" in text else None
    if found is None:
        return
    common.complaints.add(
        f"Invalid Flow: Invalid {family} reference: use {family}s[key-name] instead of "
        f"{family}s.key-name — keys with dashes require bracket notation, {where}",
        mark,
        hint=f"write {family}s['{found[1]}']",
    )


def _texts(node: Map, names: set[str]) -> Iterator[tuple[str, Mark]]:
    """Each text of these properties that is not inside a task below, with its property's place."""
    for key, value in node.items():
        if key in names:
            for text in _texts_within(value):
                yield text, node.mark(key)


def _texts_within(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Map):
        if "type" in value and "id" in value:
            return
        for item in value.values():
            yield from _texts_within(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts_within(item)

"""Tasks that run without standing in the flow: the three steps of a ForEachItem.

Apart from what the steps do, so that looking at a flow does not import that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.model.flow import Flow, Task

TYPE = "io.kestra.plugin.core.flow.ForEachItem"
SPLIT = f"{TYPE}$ForEachItemSplit"
ITEMS = f"{TYPE}$ForEachItemExecutable"
MERGE = f"{TYPE}$ForEachItemMergeOutputs"


def hidden_tasks(parent: Task) -> tuple[Task, ...]:
    """The tasks that a ForEachItem runs in order, which its author does not see in the flow."""
    steps = {"split": SPLIT, "items": ITEMS, "merge": MERGE}
    return tuple(hidden_task(parent, step, type_) for step, type_ in steps.items())


def hidden_task(parent: Task, step: str, type_: str, **more: Any) -> Task:
    """One step of a ForEachItem; `more` are properties beside its parent's."""
    return Task(
        id=f"{parent.id}_{step}",
        type=type_,
        properties={**parent.properties, **more},
        log_level=parent.log_level,
    )


def all_tasks(flow: Flow) -> Iterator[Task]:
    """Every task of the flow in file order, hidden ones too."""
    for each in flow.walk():
        yield each
        if each.type == TYPE:
            yield from hidden_tasks(each)

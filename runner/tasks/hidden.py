"""Tasks that run without standing in the flow: steps of a ForEachItem, iterations of a Loop.

Apart from what the steps do, so that looking at a flow does not import that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.model.flow import Flow, Task

TYPE = "io.kestra.plugin.core.flow.ForEachItem"
SPLIT = f"{TYPE}$ForEachItemSplit"
ITEMS = f"{TYPE}$ForEachItemExecutable"
MERGE = f"{TYPE}$ForEachItemMergeOutputs"
LOOP = "io.kestra.plugin.core.flow.Loop"
ITERATION = f"{LOOP}$Iteration"
_OF_ITERATION = ("tasks", "outputs")


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


def iteration_task(parent: Task, item: Mapping[str, Any]) -> Task:
    """The task that runs those of a Loop for one item, which has `value` and `index`.

    Unless the loop transmits failures, one that failed is as good as others.
    """
    own = {name: parent.properties[name] for name in _OF_ITERATION if name in parent.properties}
    lenient = parent.properties.get("transmitFailed") is False
    return Task(
        id=f"{parent.id}_iteration",
        type=ITERATION,
        properties={**own, "item": item},
        allow_failure=lenient,
        allow_warning=lenient,
        log_level=parent.log_level,
    )


def all_tasks(flow: Flow) -> Iterator[Task]:
    """Every task of the flow in file order, hidden ones too."""
    for each in flow.walk():
        yield each
        if each.type == TYPE:
            yield from hidden_tasks(each)
        elif each.type == LOOP:
            yield iteration_task(each, {})

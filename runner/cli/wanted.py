"""What a run of a flow is asked for: its inputs, and what it takes of an earlier one."""

from __future__ import annotations

from runner.model.flow import Flow
from runner.records import record

LAST = "last"
"""Stands for the id of the flow's last execution."""


@record
class Again:
    """What is wanted of an earlier execution: one of the three, or nothing.

    `execution` is its id, or the beginning of it.
    """

    from_failed: bool = False
    from_task: str | None = None
    only_changed: bool = False
    execution: str = LAST

    @property
    def keeps_inputs(self) -> bool:
        """Whether it goes on with the inputs of the earlier execution."""
        return self.from_failed or self.from_task is not None


def wanted_inputs(flow: Flow) -> str:
    """What the flow takes, for whoever gave it something else."""
    if not flow.inputs:
        return "it has no inputs"
    described: list[str] = []
    for item in flow.inputs:
        facts = [item.type]
        if item.defaults is not None:
            facts.append(f"default {item.defaults}")
        elif item.required:
            facts.append("required")
        described.append(f"{item.id} ({', '.join(facts)})")
    return f"its inputs: {', '.join(described)}; give one with -i {flow.inputs[0].id}=VALUE"

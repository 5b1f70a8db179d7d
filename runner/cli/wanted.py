"""The inputs of a flow, in one line."""

from __future__ import annotations

from runner.model.flow import Flow


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

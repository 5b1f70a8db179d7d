"""What must hold before an execution is created: a flow that can run, and its `checks`."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from runner.engine.complaints import cause_of
from runner.errors import Conflict, FlowInvalid, RenderFailed
from runner.expr import Scope, is_truthy, render
from runner.model.flow import Check, Flow
from runner.records import record

_STRENGTH = ("CREATE_EXECUTION", "FAIL_EXECUTION", "BLOCK_EXECUTION")


@record
class FailedChecks:
    """The checks that failed: the strongest behavior among them, and all their messages."""

    behavior: Literal["BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"]
    message: str


def refusal(flow: Flow) -> None:
    """Raise if the flow cannot be started at all.

    A task of a type that Eyas does not have is no obstacle where it would not run (decision 2).
    """
    if flow.disabled:
        raise Conflict("Cannot execute a disabled flow")
    unsupported = [problem for problem in flow.problems if problem.kind == "unsupported"]
    if unsupported:
        raise FlowInvalid(unsupported)


def run_checks(flow: Flow, scope: Scope) -> FailedChecks | None:
    """The flow's checks that do not hold, or None (flow-model 3.11)."""
    failed = [found for check in flow.checks if (found := _failed(check, scope))]
    if not failed:
        return None
    strongest = max(failed, key=lambda check: _STRENGTH.index(check.behavior))
    text = "Flow execution blocked: one or more condition checks evaluated to false."
    messages = ", ".join(check.message for check in failed)
    return FailedChecks(strongest.behavior, f"{text}\nFailed checks: {messages}")


def _failed(check: Check, scope: Scope) -> Check | None:
    """The check if it does not hold; one that cannot be rendered blocks, whatever it says."""
    try:
        return None if is_truthy(render(check.condition, scope)) else check
    except RenderFailed as error:
        text = f"Failed to evaluate check condition. Cause: {cause_of(error)}"
        return replace(check, message=text, behavior="BLOCK_EXECUTION")

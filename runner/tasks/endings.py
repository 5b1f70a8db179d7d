"""What state a level, or a task, ends in (flow-model 3.3, 3.4)."""

from __future__ import annotations

from collections.abc import Iterable

from runner.model.flow import Task
from runner.model.state import State

_ORDER = (State.KILLED, State.FAILED, State.WARNING, State.PAUSED)


def guess(states: Iterable[State]) -> State:
    """The state of a level whose tasks' runs are in `states`."""
    found = set(states)
    return next((state for state in _ORDER if state in found), State.SUCCESS)


def softened(state: State, task: Task) -> State:
    """`state` after the task's allowFailure and allowWarning, in this order."""
    if state is State.FAILED and task.allow_failure:
        state = State.WARNING
    if state is State.WARNING and task.allow_warning:
        state = State.SUCCESS
    return state

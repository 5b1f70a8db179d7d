"""Which class or function runs which task type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runner.tasks.context import Result, RunContext

Work = Callable[[RunContext], Awaitable[Result | None]]
"""What a runnable task does in one attempt. It ends SUCCESS unless the Result says otherwise.

Raises `RunnerError`s for what the author can act on; the attempt is FAILED then. A `TaskFailed`
may carry outputs that are kept (`tasks.script.CommandFailed`)."""

_works: dict[str, Work] = {}


def task(*types: str) -> Callable[[Work], Work]:
    """Register a function as what runs the task types named, by their canonical names."""

    def register(work: Work) -> Work:
        for name in types:
            if name in _works:
                other = _works[name]
                raise ValueError(f"{name} is {other.__module__}.{other.__qualname__} already")
            _works[name] = work
        return work

    return register


def work_of(type_: str) -> Work | None:
    """What runs tasks of the canonical type `type_`; None if it is no runnable task of ours."""
    return _works.get(type_)

"""Which function runs which task type, and in which of three ways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from runner.model.execution import Outputs
from runner.records import record
from runner.tasks.context import FlowContext, Result, RunContext

Work = Callable[[RunContext], Awaitable[Result | None]]
"""What a runnable task does in one attempt. It ends SUCCESS unless the Result says otherwise.

Raises `RunnerError`s for what the author can act on; the attempt is FAILED then. A `TaskFailed`
may carry outputs that are kept (`tasks.script.CommandFailed`)."""

FlowWork = Callable[[FlowContext], Awaitable[Result | None]]
"""What a flowable does: it runs its children. Unless the Result names a state, the flowable's
state follows from its children's."""


class Kind(Enum):
    """How the engine treats a task type (flow-model 3.1): its histories differ."""

    RUNNABLE = "runnable"
    """Does work: CREATED, SUBMITTED, RUNNING, an ending. Has attempts, timeout and retry."""
    FLOWABLE = "flowable"
    """Has children, `errors` and `finally`; not submitted."""
    UPDATING = "updating"
    """Changes its execution; not submitted, never retried, and `allowFailure` does not help it."""
    STARTING = "starting"
    """Starts executions of other flows; not submitted, has no timeout."""


@record
class Registered:
    """A task type's way of running and the function that does it.

    `skipped` gives the outputs of a flowable that its `runIf` skipped (flow-model 3.5). A flowable
    that `chooses` needs its outputs to know what to run. What fails in a `lenient` one is a
    warning to what is around it. One that `counts` numbers the rounds of its tasks. A `pure` one
    does nothing but render, log and give outputs: should it be lost with its traces and done again,
    nobody could tell. One that `stages` does nothing else before it has its command executed.
    `foresee` prepares what the task will need, when it is about to come; it fails quietly.
    """

    kind: Kind
    work: Callable[[Any], Awaitable[Result | None]]
    skipped: Callable[[Any], Awaitable[Outputs | None]] | None = None
    chooses: bool = False
    lenient: bool = False
    pure: bool = False
    counts: bool = False
    stages: bool = False
    foresee: Callable[[Any], Awaitable[None]] | None = None


_registered: dict[str, Registered] = {}


def _register(types: tuple[str, ...], entry: Registered) -> None:
    for name in types:
        if name in _registered:
            other = _registered[name].work
            raise ValueError(f"{name} is {other.__module__}.{other.__qualname__} already")
        _registered[name] = entry


def task(
    *types: str,
    pure: bool = False,
    stages: bool = False,
    foresee: Callable[[RunContext], Awaitable[None]] | None = None,
) -> Callable[[Work], Work]:
    """Register what runs the runnable task types named, by their canonical names."""

    def register(work: Work) -> Work:
        entry = Registered(Kind.RUNNABLE, work, pure=pure, stages=stages, foresee=foresee)
        _register(types, entry)
        return work

    return register


def flowable(
    *types: str,
    skipped: Callable[[FlowContext], Awaitable[Outputs | None]] | None = None,
    chooses: bool = False,
    lenient: bool = False,
    pure: bool = False,
    counts: bool = False,
) -> Callable[[FlowWork], FlowWork]:
    """Register what runs the children of the flowable types named; see `Registered`."""

    def register(work: FlowWork) -> FlowWork:
        _register(types, Registered(Kind.FLOWABLE, work, skipped, chooses, lenient, pure, counts))
        return work

    return register


def updating(*types: str) -> Callable[[FlowWork], FlowWork]:
    """Register what task types do that change their execution."""

    def register(work: FlowWork) -> FlowWork:
        _register(types, Registered(Kind.UPDATING, work))
        return work

    return register


def starting(*types: str) -> Callable[[FlowWork], FlowWork]:
    """Register what task types do that start executions of other flows."""

    def register(work: FlowWork) -> FlowWork:
        _register(types, Registered(Kind.STARTING, work))
        return work

    return register


def registered(type_: str) -> Registered | None:
    """How to run tasks of the canonical type `type_`; None if no imported module registered it."""
    return _registered.get(type_)

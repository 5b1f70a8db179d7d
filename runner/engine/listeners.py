"""`listeners`: tasks that run when an execution has ended, before `afterExecution`.

Kestra 1.2 has them still, as deprecated; 2.0 has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.engine.conditions import Subject, one_holds
from runner.engine.context import scope_of_flow
from runner.engine.journal import Journal
from runner.errors import RunnerError
from runner.model.execution import Level
from runner.model.flow import Properties, Task

if TYPE_CHECKING:
    from runner.engine.engine import Engine


def called(engine: Engine, journal: Journal) -> Sequence[Task]:
    """The tasks of the flow's listeners whose conditions hold for the ended execution."""
    flow = journal.flow
    scope = scope_of_flow(engine, journal, ended=True)
    subject = Subject(flow=flow, scope=scope, execution=journal.execution)
    return [
        task
        for listener in flow.listeners
        if all(_holds(each, subject, journal) for each in listener.get("conditions") or ())
        for task in listener.get("tasks") or ()
    ]


def _holds(condition: Properties, subject: Subject, journal: Journal) -> bool:
    """Whether it holds; one that cannot be evaluated does not, and the log says so."""
    try:
        return one_holds(condition, subject)
    except RunnerError as error:
        text = f"Evaluate Condition Failed with error '{error}'"
        journal.log(Level.WARN, f"[condition: {condition['type']}] {text}")
        return False

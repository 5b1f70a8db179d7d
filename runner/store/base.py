"""The contract of every store: executions and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runner.model.execution import Execution, LogBatch, LogLine, Metric, TaskRun
from runner.model.triggers import Consequences

NO_CONSEQUENCES = Consequences()
"""Nothing follows."""


class Store(Protocol):
    """Keeps executions, task runs, log lines and metrics.

    Every write is one transaction that a cancellation does not split. Writes take effect in the
    order in which they were asked for, also when the first has not come back yet.
    """

    waits_for_disk: bool
    """Whether a write costs a trip to the disk, so that several are better put together."""

    async def save(
        self,
        execution: Execution | None,
        runs: Sequence[TaskRun] = (),
        batches: Sequence[LogBatch] = (),
        metrics: Sequence[Metric] = (),
        consequences: Consequences = NO_CONSEQUENCES,
    ) -> None:
        """Insert or replace the execution, the task runs and what follows, all or nothing.

        It is durable on return. Before that, add log lines and metrics as `append` does. Of several
        versions of a task run the last one counts.
        """
        ...

    async def discard_runs(self, execution_id: str, run_ids: Sequence[str]) -> None:
        """Forget task runs that the engine dropped (rounds of a loop, a restart)."""
        ...

    async def append(self, batches: Sequence[LogBatch], metrics: Sequence[Metric] = ()) -> None:
        """Add log lines (as the engine has them: in batches) and metrics, in this order.

        It comes back when everything that was handed over before is written too.
        """
        ...

    async def execution(self, execution_id: str) -> Execution:
        """The execution of that id.

        Raises:
            NotFound: there is none.
        """
        ...

    async def unfinished(self) -> list[Execution]:
        """The executions of which something is to be done, in the order of their creation."""
        ...

    async def task_runs(self, execution_id: str) -> list[TaskRun]:
        """The execution's task runs, in the order in which they were created."""
        ...

    async def logs(
        self, execution_id: str, after: int = 0, limit: int | None = None
    ) -> list[LogLine]:
        """At most `limit` of the execution's log lines after number `after`, in order.

        Numbers grow; those of one execution need not be consecutive.
        """
        ...

    async def metrics(self, execution_id: str) -> list[Metric]:
        """The execution's metrics, in the order in which they came."""
        ...

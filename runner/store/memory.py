"""A store in memory: what `eyas run` and tests of the engine use. Gone when the process ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.errors import NotFound
from runner.model.execution import Execution, LogBatch, LogLine, Metric, TaskRun
from runner.model.triggers import Consequences
from runner.store.base import NO_CONSEQUENCES
from runner.store.memory_triggers import MemoryTriggers


class MemoryStore:
    """A `Store` that keeps everything in dictionaries.

    `triggers` keeps where triggers stand, which `save` may change too.
    """

    waits_for_disk = False

    def __init__(self, triggers: MemoryTriggers | None = None) -> None:
        self.triggers = triggers or MemoryTriggers()
        self._executions: dict[str, Execution] = {}
        self._runs: dict[str, dict[str, TaskRun]] = {}
        self._batches: dict[str, list[tuple[int, LogBatch]]] = {}
        self._lines = 0
        self._metrics: dict[str, list[Metric]] = {}

    async def save(
        self,
        execution: Execution | None,
        runs: Sequence[TaskRun] = (),
        batches: Sequence[LogBatch] = (),
        metrics: Sequence[Metric] = (),
        consequences: Consequences = NO_CONSEQUENCES,
    ) -> None:
        """Add log lines and metrics, insert or replace the execution, task runs, what follows."""
        await self.append(batches, metrics)
        if execution is not None:
            self._executions[execution.id] = execution
        self._executions |= {each.id: each for each in consequences.executions}
        self.triggers.take(consequences)
        for run in runs:
            self._runs.setdefault(run.execution_id, {})[run.id] = run

    async def discard_runs(self, execution_id: str, run_ids: Sequence[str]) -> None:
        """Forget these task runs."""
        runs = self._runs.get(execution_id, {})
        for run_id in run_ids:
            runs.pop(run_id, None)

    async def append(self, batches: Sequence[LogBatch], metrics: Sequence[Metric] = ()) -> None:
        """Add log lines and metrics, in this order."""
        for batch in batches:
            kept = self._batches.setdefault(batch.execution_id, [])
            kept.append((self._lines + 1, batch))
            self._lines += len(batch.messages)
        for metric in metrics:
            self._metrics.setdefault(metric.execution_id, []).append(metric)

    async def execution(self, execution_id: str) -> Execution:
        """The execution of that id.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._executions[execution_id]
        except KeyError:
            raise NotFound(f"Execution '{execution_id}' not found") from None

    async def unfinished(self) -> list[Execution]:
        """The executions of which something is to be done, in the order of their creation."""
        return [each for each in self._executions.values() if not each.is_done]

    async def task_runs(self, execution_id: str) -> list[TaskRun]:
        """The execution's task runs, in the order in which they were created."""
        return list(self._runs.get(execution_id, {}).values())

    async def logs(
        self, execution_id: str, after: int = 0, limit: int | None = None
    ) -> list[LogLine]:
        """At most `limit` of the execution's log lines after number `after`, in order."""
        lines: list[LogLine] = []
        for first, batch in self._batches.get(execution_id, []):
            if first + len(batch.messages) > after + 1:
                lines.extend(line for line in lines_of(first, batch) if line.number > after)
            if limit is not None and len(lines) >= limit:
                return lines[:limit]
        return lines

    async def metrics(self, execution_id: str) -> list[Metric]:
        """The execution's metrics, in the order in which they came."""
        return list(self._metrics.get(execution_id, []))


def lines_of(first: int, batch: LogBatch) -> Iterator[LogLine]:
    """The lines of a batch, numbered from `first`."""
    for number, message in enumerate(batch.messages, first):
        yield LogLine(
            number=number,
            execution_id=batch.execution_id,
            namespace=batch.namespace,
            flow_id=batch.flow_id,
            level=batch.level,
            message=message,
            date=batch.date,
            task_id=batch.task_id,
            task_run_id=batch.task_run_id,
            attempt=batch.attempt,
            trigger_id=batch.trigger_id,
        )

"""A store in memory: what `eyas run` and tests of the engine use. Gone when the process ends."""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import NotFound
from runner.model.execution import Execution, LogLine, Metric, TaskRun


class MemoryStore:
    """A `Store` that keeps everything in dictionaries."""

    def __init__(self) -> None:
        self._executions: dict[str, Execution] = {}
        self._runs: dict[str, dict[str, TaskRun]] = {}
        self._lines: list[LogLine] = []
        self._numbers: dict[str, list[int]] = {}
        self._metrics: dict[str, list[Metric]] = {}

    async def save(self, execution: Execution | None, runs: Sequence[TaskRun] = ()) -> None:
        """Insert or replace the execution and the task runs."""
        if execution is not None:
            self._executions[execution.id] = execution
        for run in runs:
            self._runs.setdefault(run.execution_id, {})[run.id] = run

    async def discard_runs(self, execution_id: str, run_ids: Sequence[str]) -> None:
        """Forget these task runs."""
        runs = self._runs.get(execution_id, {})
        for run_id in run_ids:
            runs.pop(run_id, None)

    async def append(self, lines: Sequence[LogLine], metrics: Sequence[Metric] = ()) -> None:
        """Add log lines and metrics, in this order."""
        for line in lines:
            self._lines.append(line)
            self._numbers.setdefault(line.execution_id, []).append(len(self._lines))
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
        """The executions that have not ended, in the order in which they were created."""
        return [each for each in self._executions.values() if not each.state.is_terminal]

    async def task_runs(self, execution_id: str) -> list[TaskRun]:
        """The execution's task runs, in the order in which they were created."""
        return list(self._runs.get(execution_id, {}).values())

    async def logs(
        self, execution_id: str, after: int = 0, limit: int | None = None
    ) -> list[tuple[int, LogLine]]:
        """At most `limit` of the execution's log lines after number `after`, in order."""
        numbers = [n for n in self._numbers.get(execution_id, []) if n > after]
        return [(number, self._lines[number - 1]) for number in numbers[:limit]]

    async def metrics(self, execution_id: str) -> list[Metric]:
        """The execution's metrics, in the order in which they came."""
        return list(self._metrics.get(execution_id, []))

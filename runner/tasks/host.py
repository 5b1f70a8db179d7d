"""What a few tasks need of the program around their execution, beyond `RunContext`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, cast

from runner.errors import TaskFailed
from runner.model.execution import Execution, LogLine
from runner.model.flow import Task
from runner.model.state import State
from runner.tasks.context import Result, RunContext


class Host(Protocol):
    """The flows and executions beside the one that is running."""

    def namespaces(self) -> Collection[str]:
        """Namespaces in which there is a flow."""
        ...

    async def logs(self, execution_id: str) -> Sequence[LogLine]:
        """The lines of an execution's log so far, in order.

        Raises:
            NotFound: there is no such execution.
        """
        ...

    async def executions(
        self,
        *,
        namespace: str | None = None,
        flow_id: str | None = None,
        states: Collection[State] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Execution]:
        """Executions that match: a namespace with those below it, and when they were created.

        No states: any.
        """
        ...

    async def resume(self, execution_id: str, inputs: Mapping[str, Any]) -> None:
        """Resume a paused execution.

        Raises:
            NotFound: there is no such execution.
            Conflict: it is not paused.
        """
        ...

    async def purge(
        self, execution: Execution, *, execution_too: bool, logs: bool, metrics: bool, files: bool
    ) -> Mapping[str, int]:
        """Delete what is named of an execution that has ended; how many of each there were.

        The counts are under `executions`, `logs`, `metrics` and `files`.
        """
        ...

    async def toggle(self, namespace: str, flow_id: str, trigger_id: str, enabled: bool) -> None:
        """Enable or disable a trigger.

        Raises:
            NotFound: there is no such flow or trigger.
        """
        ...

    def read_task(self, text: str) -> Task:
        """The task that a YAML text describes, checked and with plugin defaults.

        Raises:
            FlowInvalid: it is not valid.
        """
        ...

    async def run_task(self, ctx: RunContext, task: Task) -> Result | None:
        """Do the work of the runnable `task` as that of the attempt that `ctx` stands for."""
        ...


class _Hosted(Protocol):
    @property
    def host(self) -> Host: ...


def host_of(ctx: RunContext) -> Host:
    """The program around the task's execution.

    Raises:
        TaskFailed: there is none, the execution runs by itself.
    """
    if not hasattr(ctx, "host"):
        raise TaskFailed(f"{ctx.task.type} works with a daemon only: start one with `eyas serve`")
    return cast("_Hosted", ctx).host

"""The program around an execution, as far as the engine knows it: `runner.tasks.host.Host`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runner.engine.context import Context
from runner.errors import FlowInvalid, TaskFailed
from runner.loading.flow import load as load_flow
from runner.model.execution import Execution, LogLine
from runner.model.flow import Task
from runner.model.state import State
from runner.tasks.context import Result, RunContext
from runner.tasks.modules import load
from runner.tasks.registry import Kind

if TYPE_CHECKING:
    from runner.engine.engine import Engine


_ID = re.compile(r"(?m)^id[ \t]*:")


class EngineHost:
    """What an engine alone can do; a daemon gives one that can search and purge too."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def namespaces(self) -> Collection[str]:
        """Namespaces in which there is a flow."""
        return {flow.namespace for flow in self.engine.flows.all()}

    async def logs(self, execution_id: str) -> Sequence[LogLine]:
        """The lines of an execution's log so far, in order; raises `NotFound`."""
        await self.engine.store.execution(execution_id)
        await self.engine.flush(execution_id)
        return await self.engine.store.logs(execution_id)

    async def executions(
        self,
        *,
        namespace: str | None = None,
        flow_id: str | None = None,
        states: Collection[State] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Execution]:
        """Fails: past executions are known to a daemon only."""
        raise _needs_daemon("Searching executions")

    async def resume(self, execution_id: str, inputs: Mapping[str, Any]) -> None:
        """Resume a paused execution; raises `NotFound` or `Conflict`."""
        await self.engine.resume(execution_id, inputs)

    async def purge(
        self, execution: Execution, *, execution_too: bool, logs: bool, metrics: bool, files: bool
    ) -> Mapping[str, int]:
        """Fails: a daemon alone keeps what could be purged."""
        raise _needs_daemon("Purging executions")

    async def toggle(self, namespace: str, flow_id: str, trigger_id: str, enabled: bool) -> None:
        """Fails: only a daemon has triggers."""
        raise _needs_daemon("Enabling or disabling a trigger")

    def read_task(self, text: str) -> Task:
        """The task that a YAML text describes, checked; raises `FlowInvalid`."""
        if not _ID.search(text) and not text.lstrip().startswith("{"):
            text = f"id: templated\n{text}"  # it may go without
        flow = load_flow(
            "id: templated\nnamespace: templated\ntasks:\n  -\n" + textwrap.indent(text, "    ")
        )
        if flow.problems:
            raise FlowInvalid(flow.problems)
        return flow.tasks[0]

    async def run_task(self, ctx: RunContext, task: Task) -> Result | None:
        """Do the work of the runnable `task` as that of the attempt that `ctx` stands for."""
        registered = load(task.type)
        if registered is None or registered.kind is not Kind.RUNNABLE:
            raise TaskFailed("The templated task must be a runnable task")
        if not isinstance(ctx, Context):
            raise TypeError(f"{type(ctx)} is not the engine's own context")
        return await registered.work(ctx.standing_for(task))


def _needs_daemon(what: str) -> TaskFailed:
    return TaskFailed(f"{what} works with a daemon only: start one with `eyas serve`")

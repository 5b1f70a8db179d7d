"""What tasks may ask of a daemon: past executions, purges, triggers (`runner.tasks.host.Host`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from runner.engine.engine import Engine
from runner.engine.host import EngineHost
from runner.model.execution import Execution
from runner.model.state import State
from runner.model.triggers import TriggerName
from runner.store.rows import stamp
from runner.store.search import Condition
from runner.store.sqlite import SqliteStore
from runner.triggers.triggers import Triggers


class DaemonHost(EngineHost):
    """An engine with a store that can be searched, and with triggers."""

    def __init__(self, engine: Engine, store: SqliteStore, triggers: Triggers) -> None:
        super().__init__(engine)
        self._store = store
        self._triggers = triggers

    async def executions(
        self,
        *,
        namespace: str | None = None,
        flow_id: str | None = None,
        states: Collection[State] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Execution]:
        """Executions that match: a namespace with those below it, and when they were created."""
        wanted: list[Condition] = []
        if namespace is not None:
            wanted.append(Condition("namespace", "PREFIX", (namespace,)))
        if flow_id is not None:
            wanted.append(Condition("flowId", "EQUALS", (flow_id,)))
        if states:
            wanted.append(Condition("state", "IN", tuple(map(str, states))))
        for operation, date in (("GREATER_THAN_OR_EQUAL_TO", since), ("LESS_THAN", until)):
            if date is not None:
                wanted.append(Condition("startDate", operation, (stamp(date),)))
        found, _ = await self._store.search(wanted)
        return [execution for execution, _ in found]

    async def purge(
        self, execution: Execution, *, execution_too: bool, logs: bool, metrics: bool, files: bool
    ) -> Mapping[str, int]:
        """Delete what is named of an execution that has ended; how many of each there were."""
        purged = {"executions": 0, "logs": 0, "metrics": 0, "files": 0}
        if files:
            purged["files"] = len(self.engine.storage.delete_execution(execution))
        if logs:
            own = Condition("executionId", "EQUALS", (execution.id,))
            purged["logs"] = await self._store.delete_logs([own])
        if metrics:
            purged["metrics"] = len(await self._store.metrics(execution.id))
            await self._store.delete_metrics(execution.id)
        if execution_too:
            await self._store.delete(execution.id)
            purged["executions"] = 1
        return purged

    async def toggle(self, namespace: str, flow_id: str, trigger_id: str, enabled: bool) -> None:
        """Enable or disable a trigger; raises `NotFound`."""
        await self._triggers.set_disabled(TriggerName(namespace, flow_id, trigger_id), not enabled)

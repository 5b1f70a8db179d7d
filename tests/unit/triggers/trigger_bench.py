"""An engine with triggers and a clock that stands still until it is told to move."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.engine.flows import FixedFlows
from runner.loading.flow import load
from runner.model.flow import Flow
from runner.model.state import State
from runner.model.triggers import TriggerName, TriggerState
from runner.store.memory_triggers import MemoryTriggers
from runner.testing import Bench, Ended, MemoryStore, bench
from runner.triggers.triggers import Triggers

T0 = datetime(2026, 1, 20, 9, 0, tzinfo=UTC)  # a Tuesday
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Clock:
    """A clock that shows what it was set to."""

    def __init__(self, now: datetime = T0) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class ChangingFlows(FixedFlows):
    """Flows of which others can take the place."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        super().__init__(flows)
        self.served = list(flows)

    def all(self) -> list[Flow]:
        """Every flow."""
        return self.served


@dataclass(frozen=True, kw_only=True)
class TriggerBench:
    """Triggers over the engine of a bench."""

    bench: Bench
    triggers: Triggers
    clock: Clock
    flows: ChangingFlows

    async def go(self, passed: timedelta = timedelta()) -> None:
        """Let time pass and everything happen that is due then, to its end."""
        self.clock.now += passed
        before = -1
        while before != (count := self._count()):
            before = count
            await self._ends()
            await self.triggers.tick()
            await self._ends()

    async def _ends(self) -> None:
        """Wait until what runs has ended, or is paused."""
        for flow in self.bench.flows:
            for execution in self.bench.store.executions_of(flow.id):
                ended = await self.bench.until(execution.id, _rests)
                if ended.state.is_terminal:
                    await self.bench.engine.wait_until_done(execution.id)

    def _count(self) -> int:
        return sum(len(self.bench.store.executions_of(flow.id)) for flow in self.bench.flows)

    def serve(self, *sources: str) -> None:
        """Put other flows into service."""
        self.flows.served = [load(source) for source in sources]
        self.triggers.changed()

    async def made(self, flow_id: str = "f") -> list[Ended]:
        """The executions of a flow."""
        return await self.bench.executions_of(flow_id)

    async def dates(self, flow_id: str = "f") -> list[str]:
        """The dates of the executions that schedules made of a flow."""
        return [
            each.execution.schedule_date.strftime("%d %H:%M:%S")
            for each in await self.made(flow_id)
            if each.execution.schedule_date is not None
        ]

    def state(self, trigger_id: str = "t", flow_id: str = "f") -> TriggerState:
        """Where a trigger stands."""
        return self.triggers.find(name_of(trigger_id, flow_id)).state


def _rests(seen: Ended) -> bool:
    return seen.state.is_terminal or seen.state is State.PAUSED


def name_of(trigger_id: str = "t", flow_id: str = "f") -> TriggerName:
    """The name of a trigger in the flows of these tests."""
    return TriggerName("demo", flow_id, trigger_id)


def flow(trigger: str, *, flow_id: str = "f", task: str = "", more: str = "") -> str:
    """A flow with one task and one trigger, `t`, whose YAML (in braces) is given."""
    task = task or "type: io.kestra.plugin.core.debug.Return, format: done"
    return f"id: {flow_id}\nnamespace: demo\n{more}\ntasks: [{{id: r, {task}}}]\n" + (
        f"triggers: [{{id: t, {trigger}}}]\n" if trigger else ""
    )


def schedule(cron: str, more: str = "") -> str:
    """The YAML of a Schedule in UTC."""
    seconds = ", withSeconds: true" if len(cron.split()) == 6 else ""
    zone = "" if "timezone" in more else ", timezone: UTC"
    core = "io.kestra.plugin.core.trigger.Schedule"
    return f'type: {core}, cron: "{cron}"{seconds}{zone}' + (f", {more}" if more else "")


def listen(more: str) -> str:
    """The YAML of a Flow trigger."""
    return f"type: io.kestra.plugin.core.trigger.Flow, {more}"


def condition(name: str, more: str) -> str:
    """The YAML of a condition."""
    return f"{{type: io.kestra.plugin.core.condition.{name}, {more}}}"


@asynccontextmanager
async def opened(
    *sources: str,
    clock: Clock | None = None,
    store: MemoryStore | None = None,
    states: MemoryTriggers | None = None,
    **options: Any,
) -> AsyncGenerator[TriggerBench]:
    """Open triggers over an engine with these flows; nothing has been due yet."""
    clock, store = clock or Clock(), store or MemoryStore()
    store.triggers = states or store.triggers
    async with bench(*sources, store=store, **options) as opened_bench:
        flows = ChangingFlows(opened_bench.flows)
        settings = opened_bench.engine.settings
        triggers = Triggers(opened_bench.engine, flows, store.triggers, settings, clock)
        await triggers.load()
        await triggers.tick()
        yield TriggerBench(bench=opened_bench, triggers=triggers, clock=clock, flows=flows)


def variables(ended: Ended) -> Mapping[str, Any]:
    """The variables of the trigger that made an execution."""
    cause = ended.execution.trigger
    return cause.variables if cause is not None else {}

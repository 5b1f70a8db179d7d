"""All triggers of the flows in service: what the daemon and its API know of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.abc

from runner.engine.engine import Engine
from runner.engine.flows import Flows
from runner.engine.journal import utc_now
from runner.errors import Conflict, InputInvalid, NotFound
from runner.model.execution import Execution, Label, TaskRun
from runner.model.flow import Flow, Trigger
from runner.model.triggers import Backfill, Consequences, TriggerName, TriggerState
from runner.records import record
from runner.settings import Settings
from runner.store.triggers import TriggerStore
from runner.triggers.flow import FlowTriggers
from runner.triggers.gathering import Gathering
from runner.triggers.polling import Poller
from runner.triggers.schedule import SCHEDULE
from runner.triggers.scheduler import Scheduler
from runner.triggers.states import States
from runner.triggers.webhook import WebhookAnswer, WebhookRequest, Webhooks
from runner.triggers.zones import local_zone

_TICK = timedelta(microseconds=1)


@record(kw_only=True)
class TriggerView:
    """A trigger in service and where it stands."""

    flow: Flow
    trigger: Trigger
    state: TriggerState

    @property
    def next_date(self) -> datetime | None:
        """The date that is evaluated next: that of a backfill as long as one goes on."""
        backfill = self.state.backfill
        if backfill is not None and not backfill.paused:
            return backfill.current
        return self.state.next_date

    @property
    def is_disabled(self) -> bool:
        """Whether the flow's text, a person or `stopAfter` disabled it."""
        return self.trigger.disabled or self.state.disabled


class Triggers:
    """Starts executions on schedules, calls and state changes.

    Start `run` before any execution; from its readiness on everything else may be called.
    """

    def __init__(
        self,
        engine: Engine,
        flows: Flows,
        store: TriggerStore,
        settings: Settings,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        place = local_zone(settings.environ)
        self._flows = flows
        self._clock = clock
        self._wake = anyio.Event()
        self._states = States(store, clock)
        self._gathering = Gathering(store)
        self._scheduler = Scheduler(engine, self._states, clock, place)
        self._listening = FlowTriggers(engine, self._gathering, self._is_off, clock, place)
        self._webhooks = Webhooks(engine, self._is_off, clock)
        self._poller = Poller(engine, self._states, clock)
        self._triggers: dict[TriggerName, tuple[Flow, Trigger]] = {}
        self._gone: set[TriggerName] = set()
        engine.on_state = self.on_state

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Evaluate schedules as their dates come, until cancelled."""
        await self.load()
        async with anyio.create_task_group() as group:
            group.start_soon(self._poller.run, name="polling triggers")
            task_status.started()
            while True:
                self._wake = wake = anyio.Event()
                await self.tick()
                with anyio.move_on_after(self._scheduler.wait_s()):
                    await wake.wait()

    async def load(self) -> None:
        """Take over what the store has, and the flows in service."""
        await self._states.load()
        await self._gathering.load(self._clock())
        self._scheduler.recover()
        self.changed()

    async def tick(self) -> None:
        """Do what is due now; `run` calls it."""
        while self._gone:
            await self._drop(self._gone.pop())
        await self._scheduler.tick()

    def changed(self) -> None:
        """Take over the flows in service, after one came, changed or went."""
        flows = list(self._flows.all())
        before = self._triggers
        self._triggers = {
            TriggerName(flow.namespace, flow.id, trigger.id): (flow, trigger)
            for flow in flows
            for trigger in flow.triggers
        }
        self._scheduler.put(flows)
        self._poller.put(flows)
        self._listening.put(flows)
        served = {(flow.namespace, flow.id) for flow in flows}
        self._gone = before.keys() - self._triggers.keys()
        self._gone |= {
            name
            for name in self._states.names()
            if name not in self._triggers and (name.namespace, name.flow_id) in served
        }
        self._wake.set()

    async def _drop(self, name: TriggerName) -> None:
        """Forget a trigger that was removed.

        If its whole flow went it may come back, as when a file is replaced: what a person set
        stays, but dates that pass meanwhile are not made up for.
        """
        if name in self._triggers:
            return
        served = any((each.namespace, each.flow_id) == name[:2] for each in self._triggers)
        if served or not self._states.of(name).disabled:
            await self._states.forget(name)
        else:
            await self._states.change(name, next_date=None, execution_id=None, backfill=None)

    def _is_off(self, name: TriggerName) -> bool:
        return self._states.of(name).disabled

    @asynccontextmanager
    async def on_state(
        self, execution: Execution, runs: Collection[TaskRun]
    ) -> AsyncGenerator[Consequences]:
        """Give what follows from an execution's change of state; see `OnState`.

        What waits for its end is unlocked, what listens to it is started.
        """
        async with self._listening.on_state(execution, runs) as consequences:
            states = [*self._poller.begun(execution), *self._ended(execution)]
            yield replace(consequences, states=states)
        self._wake.set()
        self._poller.wake()

    def _ended(self, execution: Execution) -> list[TriggerState]:
        """Let go of the trigger that started it, and disable it if it asked for that."""
        cause = execution.trigger
        if cause is None or not execution.state.is_terminal:
            return []
        name = TriggerName(execution.namespace, execution.flow_id, cause.id)
        known = self._triggers.get(name)
        if known is None or known[1].type != cause.type:
            return []
        changes: dict[str, Any] = {}
        if self._states.of(name).execution_id == execution.id:
            changes["execution_id"] = None
        # An execution that shows a failed evaluation is none of the trigger's (7.1).
        failing = execution.id in self._scheduler.failing
        if str(execution.state) in known[1].stop_after and not failing:
            changes["disabled"] = True
        return [self._states.set(name, **changes)] if changes else []

    async def poll(self, name: TriggerName) -> None:
        """Have a trigger that looks at something again and again do so now.

        Raises:
            NotFound: there is no such trigger that is enabled.
        """
        if not self._poller.serves(name):
            raise NotFound(f"Trigger '{'.'.join(name)}' does not poll, or is disabled")
        await self._poller.poll(name)

    async def webhook(
        self, namespace: str, flow_id: str, key: str, request: WebhookRequest
    ) -> WebhookAnswer:
        """Answer a call of a webhook; see `Webhooks.call` for what is raised."""
        return await self._webhooks.call(namespace, flow_id, key, request)

    def all(self) -> list[TriggerView]:
        """Every trigger of the flows in service."""
        return [
            TriggerView(flow=flow, trigger=trigger, state=self._states.of(name))
            for name, (flow, trigger) in self._triggers.items()
        ]

    def find(self, name: TriggerName) -> TriggerView:
        """The trigger of that name.

        Raises:
            NotFound: no flow in service has it.
        """
        known = self._triggers.get(name)
        if known is None:
            raise NotFound(f"Trigger '{'.'.join(name)}' not found")
        return TriggerView(flow=known[0], trigger=known[1], state=self._states.of(name))

    async def set_disabled(self, name: TriggerName, disabled: bool) -> TriggerView:
        """Disable or enable a trigger; an enabled schedule goes on with its next date.

        Raises:
            NotFound: there is no such trigger.
        """
        self.find(name)
        await self._states.change(name, disabled=disabled, next_date=None)
        return self._again(name)

    async def unlock(self, name: TriggerName) -> TriggerView:
        """Have a schedule go on although its last execution has not ended.

        Raises:
            NotFound: there is no such trigger.
            Conflict: it does not wait for an execution.
        """
        if self.find(name).state.execution_id is None:
            raise Conflict(f"Trigger '{name.trigger_id}' is not locked")
        await self._states.change(name, execution_id=None)
        return self._again(name)

    async def reset(self, name: TriggerName) -> TriggerView:
        """Forget where a trigger stands, as if it were new.

        Raises:
            NotFound: there is no such trigger.
        """
        self.find(name)
        await self._states.forget(name)
        return self._again(name)

    async def create_backfill(
        self,
        name: TriggerName,
        start: datetime,
        end: datetime | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        labels: Sequence[Label] = (),
        paused: bool = False,
    ) -> TriggerView:
        """Have a schedule make executions for its dates from `start` to `end` (None: now).

        Raises:
            NotFound: there is no such trigger.
            InputInvalid: it is no schedule, or has no date in that range.
            Conflict: it has a backfill already.
        """
        self.find(name)
        schedule = self._scheduler.find(name)
        if schedule is None or schedule.trigger.type != SCHEDULE:
            raise InputInvalid("A backfill is possible only for a Schedule that can be evaluated")
        if self._states.of(name).backfill is not None:
            raise Conflict(f"Trigger '{name.trigger_id}' has a backfill already")
        now = self._clock()
        end = (end or now).astimezone(UTC)
        first = schedule.calendar.next(start.astimezone(UTC) - _TICK)
        if first is None or first > end:
            raise InputInvalid("The schedule has no date between `start` and `end` of the backfill")
        backfill = Backfill(
            start=start,
            end=end,
            current=first,
            created=now,
            paused=paused,
            inputs=inputs,
            labels=tuple(labels),
        )
        await self._states.change(name, backfill=backfill)
        return self._again(name)

    async def pause_backfill(self, name: TriggerName, paused: bool = True) -> TriggerView:
        """Pause a backfill, or go on with it; while it is paused the schedule goes on.

        Raises:
            NotFound: there is no such trigger, or it has no backfill.
        """
        backfill = replace(self._backfill(name), paused=paused)
        await self._states.change(name, backfill=backfill)
        return self._again(name)

    async def delete_backfill(self, name: TriggerName) -> TriggerView:
        """End a backfill; executions that it made go on.

        Raises:
            NotFound: there is no such trigger, or it has no backfill.
        """
        self._backfill(name)
        await self._states.change(name, backfill=None)
        return self._again(name)

    def _backfill(self, name: TriggerName) -> Backfill:
        backfill = self.find(name).state.backfill
        if backfill is None:
            raise NotFound(f"Trigger '{name.trigger_id}' has no backfill")
        return backfill

    def _again(self, name: TriggerName) -> TriggerView:
        """Have the trigger looked at anew, and show where it stands."""
        self._scheduler.restart(name)
        self._wake.set()
        self._poller.wake()
        return self.find(name)

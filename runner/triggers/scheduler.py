"""The scheduler: starts an execution at every date of every schedule, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo

import anyio
import structlog

from runner.engine.engine import Engine
from runner.errors import Conflict, NotFound, RunnerError
from runner.failpoints import failpoint
from runner.model.execution import Execution
from runner.model.flow import Flow
from runner.model.triggers import Backfill, TriggerName, TriggerState
from runner.triggers.schedule import ON_DATES, SCHEDULE, Occasions, Schedule, read_schedule
from runner.triggers.scope import stable_id
from runner.triggers.states import States
from runner.triggers.zones import zoned_text

log = structlog.get_logger()

MAX_CATCH_UP = 100
"""So many missed dates of a schedule are made up for; older ones are dropped, and it says so."""

CLOCK_IS_SET = datetime(2020, 1, 1, tzinfo=UTC)
"""Before this, a board's clock has not been set yet, and no schedule is looked at."""

_LONGEST_WAIT_S = 30.0  # the clock may be set forward meanwhile
_AFTER_A_BUG = timedelta(seconds=10)
_MOST_COUNTED = 10_000
_TICK = timedelta(microseconds=1)


class Scheduler:
    """All schedules in service."""

    def __init__(
        self, engine: Engine, states: States, clock: Callable[[], datetime], place: tzinfo
    ) -> None:
        self._engine = engine
        self._states = states
        self._clock = clock
        self._place = place
        self._schedules: dict[TriggerName, Schedule] = {}
        self._unseen: set[TriggerName] = set()
        self._over: set[TriggerName] = set()
        self._resting: dict[TriggerName, datetime] = {}
        self._clock_warned = False
        self._shortage: str | None = None
        self.failing: set[str] = set()
        """Executions that are being made of dates that could not be evaluated."""

    def recover(self) -> None:
        """Treat every stored date as one that may have been missed while nothing ran."""
        self._unseen = set(self._states.names())

    def put(self, flows: Iterable[Flow]) -> None:
        """Take over the schedules of these flows in place of all others."""
        known, self._schedules = self._schedules, {}
        for flow in flows:
            for trigger in flow.triggers:
                if trigger.type not in (SCHEDULE, ON_DATES):
                    continue
                name = TriggerName(flow.namespace, flow.id, trigger.id)
                old = known.get(name)
                if old is not None and old.trigger is trigger and old.flow is flow:
                    self._schedules[name] = old
                    continue
                self._over.discard(name)
                self._resting.pop(name, None)
                try:
                    self._schedules[name] = read_schedule(
                        self._engine, flow, trigger, self._place, self._clock()
                    )
                except (RunnerError, ValueError) as error:
                    log.error("schedule.unusable", trigger=".".join(name), error=str(error))  # noqa: TRY400 # the author's mistake, not ours

    def find(self, name: TriggerName) -> Schedule | None:
        """The schedule of that name."""
        return self._schedules.get(name)

    def restart(self, name: TriggerName) -> None:
        """Have the next date of a schedule computed anew, once it has none."""
        self._over.discard(name)
        self._resting.pop(name, None)

    def wait_s(self) -> float:
        """Seconds until something is to be done, at most half a minute."""
        now = self._clock()
        if now < CLOCK_IS_SET or self._shortage is not None:
            return _LONGEST_WAIT_S
        dates = [date for each in self._schedules.values() if (date := self._time(each))]
        if not dates:
            return _LONGEST_WAIT_S
        return min(max((min(dates) - now).total_seconds(), 0.0), _LONGEST_WAIT_S)

    async def tick(self) -> None:
        """Do everything that is due."""
        now = self._clock()
        if now < CLOCK_IS_SET:
            if not self._clock_warned:
                log.warning("schedules.held", reason="the clock is not set", now=now.isoformat())
                self._clock_warned = True
            return
        shortage = self._engine.space.shortage()
        if shortage != self._shortage:
            self._shortage = shortage
            log.warning("schedules.held", reason=shortage or "there is room again: not any more")
        if shortage is not None:
            return
        async with anyio.create_task_group() as group:
            for schedule in list(self._schedules.values()):
                time = self._time(schedule)
                if time is not None and time <= now:
                    group.start_soon(self._work, schedule, name=f"schedule {schedule.name}")

    def _time(self, schedule: Schedule) -> datetime | None:
        """When to look at the schedule next, None if there is nothing to wait for."""
        name, state = schedule.name, self._states.of(schedule.name)
        rest = self._resting.get(name)
        if rest is not None:
            return rest
        if not schedule.is_on or state.disabled:
            return CLOCK_IS_SET if state.next_date is not None else None
        if name in self._unseen:
            return CLOCK_IS_SET
        if state.plan != schedule.plan or (state.next_date is None and name not in self._over):
            return CLOCK_IS_SET
        if state.execution_id is not None and not schedule.trigger.allow_concurrent:
            return None
        return _due(state)

    async def _work(self, schedule: Schedule) -> None:
        """Evaluate the schedule's dates up to now; a bug must not stop the others."""
        self._resting.pop(schedule.name, None)
        try:
            while (time := self._time(schedule)) is not None and time <= self._clock():
                if self._schedules.get(schedule.name) is not schedule:
                    return
                await self._settle(schedule)
                due = self._time(schedule)
                if due is not None and due <= self._clock():
                    await self._evaluate(schedule)
        except Exception:
            log.exception("schedule.crashed", trigger=".".join(schedule.name))
            self._resting[schedule.name] = self._clock() + _AFTER_A_BUG

    async def _settle(self, schedule: Schedule) -> None:
        """Bring the state in line with the schedule: off, new, edited, or seen after a start."""
        name, state, now = schedule.name, self._states.of(schedule.name), self._clock()
        if not schedule.is_on or state.disabled:
            self._unseen.discard(name)
            if state.next_date is not None:
                await self._states.change(name, next_date=None)
            return
        if name in self._unseen:
            state = await self._after_start(schedule, state, now)
            self._unseen.discard(name)
        if state.plan != schedule.plan or (state.next_date is None and name not in self._over):
            # New, edited or enabled: the first date is the next one.
            date, _ = await Occasions(self._engine, schedule, now).next(now)
            await self._move(schedule, date, plan=schedule.plan)

    async def _after_start(
        self, schedule: Schedule, state: TriggerState, now: datetime
    ) -> TriggerState:
        """Let go of an execution that ended meanwhile, and see to missed dates."""
        if state.execution_id is not None:
            execution = await self._existing(state.execution_id)
            if execution is None or execution.state.is_terminal:
                state = await self._states.change(state.name, execution_id=None)
        missed = state.next_date is not None and state.next_date <= now
        if not missed or state.plan != schedule.plan or schedule.recover == "ALL":
            return state
        if schedule.recover == "NONE":
            date, _ = await Occasions(self._engine, schedule, now).next(now)
        else:
            date = schedule.calendar.previous(now + _TICK)
        return await self._move(schedule, date)

    async def _move(
        self, schedule: Schedule, date: datetime | None, **changes: object
    ) -> TriggerState:
        """Note the next date of the schedule; None: there is none any more."""
        if date is None:
            self._over.add(schedule.name)
        return await self._states.change(schedule.name, next_date=date, **changes)

    async def _evaluate(self, schedule: Schedule) -> None:
        """Make the execution of the date that is due, if the date fits."""
        state, now = self._states.of(schedule.name), self._clock()
        backfill = _active(state)
        date = backfill.current if backfill else await self._not_too_late(schedule, state, now)
        if date is None or date > now:
            return
        occasions = Occasions(self._engine, schedule, now)
        following, fits = await occasions.next(date)
        shown = following if fits else None
        try:
            if occasions.fits(date):
                await self._start(schedule, occasions, date, shown, backfill)
        except Conflict as error:
            log.warning("schedule.refused", trigger=".".join(schedule.name), error=str(error))
        except RunnerError as error:
            when = zoned_text(date, schedule.place)
            message = (
                f"[trigger: {schedule.trigger.id}] [date: {when}] "
                f"Evaluate Failed with error '{error}'"
            )
            await self._fail(schedule, occasions, date, shown, backfill, message)
        failpoint("schedule.started")
        await self._advance(schedule, date, following, backfill)

    async def _start(
        self,
        schedule: Schedule,
        occasions: Occasions,
        date: datetime,
        following: datetime | None,
        backfill: Backfill | None,
    ) -> None:
        """Start the execution of a date, unless a crash came between it and the note of it."""
        name, execution_id = schedule.name, _id(schedule, date, backfill)
        inputs = occasions.inputs(backfill)
        cause = await occasions.cause(date, following)
        before = await self._existing(execution_id)
        waits = not schedule.trigger.allow_concurrent
        if before is not None:
            if waits and not before.state.is_terminal:
                self._states.hold(name, execution_id)
            return
        # Noted first: the execution may end before `start` has returned.
        if waits:
            self._states.hold(name, execution_id)
        try:
            await self._engine.start(
                schedule.flow,
                inputs=inputs,
                labels=occasions.labels(backfill),
                trigger=cause,
                schedule_date=date,
                execution_id=execution_id,
                checked=False,
            )
        except RunnerError:
            self._states.hold(name, None)
            raise

    async def _fail(
        self,
        schedule: Schedule,
        occasions: Occasions,
        date: datetime,
        following: datetime | None,
        backfill: Backfill | None,
        message: str,
    ) -> None:
        """Have a failed execution show that a date could not be evaluated."""
        execution_id = _id(schedule, date, backfill)
        if await self._existing(execution_id) is not None:
            return
        self.failing.add(execution_id)
        try:
            await self._engine.start_failed(
                schedule.flow,
                message,
                labels=occasions.labels(backfill),
                trigger=await occasions.cause(date, following),
                schedule_date=date,
                execution_id=execution_id,
            )
        finally:
            self.failing.discard(execution_id)

    async def _advance(
        self,
        schedule: Schedule,
        date: datetime,
        following: datetime | None,
        backfill: Backfill | None,
    ) -> None:
        """Note that a date is done."""
        if backfill is None:
            await self._move(schedule, following, last_date=date)
            return
        current = self._states.of(schedule.name).backfill
        if current is None or current.created != backfill.created:
            return  # deleted or replaced meanwhile
        rest = None
        if following is not None and following <= current.end:
            rest = replace(current, current=following)
        await self._states.change(schedule.name, backfill=rest, last_date=date)

    async def _not_too_late(
        self, schedule: Schedule, state: TriggerState, now: datetime
    ) -> datetime | None:
        """The date that is due, after those were dropped for which it is too late."""
        date = state.next_date
        if date is None:
            return None
        first = date
        if schedule.late is not None and date + schedule.late < now:
            first = schedule.calendar.next(now - schedule.late - _TICK)
        elif now - date > timedelta(minutes=1):
            first = self._of_the_last(schedule, date, now)
        if first != date:
            await self._move(schedule, first)
        return first

    def _of_the_last(self, schedule: Schedule, date: datetime, now: datetime) -> datetime:
        """The oldest of the last dates that are made up for, of those from `date` to `now`."""
        calendar, ahead, count = schedule.calendar, date, 1
        while (later := calendar.next(ahead)) is not None and later <= now:
            ahead, count = later, count + 1
            if count > _MOST_COUNTED:
                break
        if count <= MAX_CATCH_UP:
            return date
        first = now + _TICK
        for _ in range(MAX_CATCH_UP):
            first = calendar.previous(first) or first
        dropped = f"{count - MAX_CATCH_UP}{'+' if count > _MOST_COUNTED else ''}"
        log.warning("schedule.dates_dropped", trigger=".".join(schedule.name), dropped=dropped)
        return first

    async def _existing(self, execution_id: str) -> Execution | None:
        try:
            return await self._engine.store.execution(execution_id)
        except NotFound:
            return None


def _active(state: TriggerState) -> Backfill | None:
    return state.backfill if state.backfill is not None and not state.backfill.paused else None


def _due(state: TriggerState) -> datetime | None:
    """The date that is evaluated next: a backfill's as long as one goes on."""
    backfill = _active(state)
    return backfill.current if backfill else state.next_date


def _id(schedule: Schedule, date: datetime, backfill: Backfill | None) -> str:
    again = backfill.created.isoformat() if backfill else ""
    return stable_id("schedule", *schedule.name, date.isoformat(), again)

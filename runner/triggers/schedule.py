"""One schedule: what its trigger says, which dates it has, and the execution of a date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, cast

import anyio.lowlevel

from runner.engine.conditions import (
    Subject,
    for_schedules,
    holds,
    read_moment,
    when_holds,
)
from runner.engine.engine import Engine
from runner.engine.variables import Variables
from runner.errors import RenderFailed, RunnerError
from runner.expr import Scope, render, render_value
from runner.model import convert
from runner.model.execution import Label, TriggerCause
from runner.model.flow import Flow, Properties, Trigger
from runner.model.triggers import Backfill, TriggerName
from runner.records import record
from runner.triggers.calendars import Calendar, Cron, Dates
from runner.triggers.scope import journal_before, rendered_labels, scope_of_trigger
from runner.triggers.zones import zone, zoned_text

SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"
ON_DATES = "io.kestra.plugin.core.trigger.ScheduleOnDates"

MOST_LOOKED_AT = 5_000
"""So many dates that fail the conditions are passed over at a time."""


@record(kw_only=True, eq=False)
class Schedule:
    """A trigger of type Schedule or ScheduleOnDates in service.

    `plan` tells its dates from those of another schedule. `late` is how old a date may be.
    """

    name: TriggerName
    flow: Flow
    trigger: Trigger
    calendar: Calendar
    place: tzinfo
    plan: str
    conditions: Sequence[Properties]
    recover: Literal["ALL", "LAST", "NONE"]
    late: timedelta | None

    @property
    def is_on(self) -> bool:
        """Whether flow and trigger are enabled in the flow's text."""
        return not self.flow.disabled and not self.trigger.disabled


def read_schedule(
    engine: Engine, flow: Flow, trigger: Trigger, place: tzinfo, now: datetime
) -> Schedule:
    """The schedule that a trigger describes; `place` is the zone of one that names none.

    Raises:
        RunnerError, ValueError: its zone or one of its dates cannot be rendered or read.
    """
    properties = trigger.properties
    scope = scope_of_trigger(engine, journal_before(engine, flow, now), trigger)
    named = properties.get("timezone")
    if named is not None:
        place = zone(render(str(named), scope))
    if trigger.type == SCHEDULE:
        seconds = properties.get("withSeconds") is True
        calendar: Calendar = Cron(properties["cron"], place, with_seconds=seconds)
        plan = f"{properties['cron']}|{place}|{seconds}"
    else:
        dates = _dates(properties["dates"], scope, place)
        calendar = Dates(dates)
        plan = " ".join(date.isoformat() for date in dates)
    return Schedule(
        name=TriggerName(flow.namespace, flow.id, trigger.id),
        flow=flow,
        trigger=trigger,
        calendar=calendar,
        place=place,
        plan=plan,
        conditions=for_schedules(trigger.conditions),
        recover=properties.get("recoverMissedSchedules") or "ALL",
        late=properties.get("lateMaximumDelay"),
    )


def _dates(given: Any, scope: Scope, place: tzinfo) -> list[datetime]:
    if isinstance(given, str):
        import json

        given = json.loads(render(given, scope))
        if not isinstance(given, list):
            raise ValueError("`dates` is no list")
    texts = [render(convert.text(each) or "", scope) for each in cast("list[Any]", given)]
    return sorted(_date(text, place) for text in texts)


def _date(text: str, place: tzinfo) -> datetime:
    """A date with an offset, or without one as a time in `place`."""
    try:
        return read_moment(text).astimezone(UTC)
    except ValueError:
        return datetime.fromisoformat(text).replace(tzinfo=place).astimezone(UTC)


class Occasions:
    """The dates of one schedule that satisfy its conditions, and what is done on them."""

    def __init__(self, engine: Engine, schedule: Schedule, now: datetime) -> None:
        self._schedule = schedule
        self._journal = journal_before(engine, schedule.flow, now)
        self._scope = scope_of_trigger(engine, self._journal, schedule.trigger)

    def fits(self, date: datetime) -> bool:
        """Whether the conditions hold on that date.

        Raises:
            RunnerError: one cannot be evaluated.
        """
        schedule = self._schedule
        when = schedule.trigger.properties.get("when")
        if not schedule.conditions and when is None:
            return True
        calendar, place = schedule.calendar, schedule.place

        def text(moment: datetime | None) -> str | None:
            return None if moment is None else zoned_text(moment, place)

        # Made when they are asked for: most conditions are about the date alone.
        known = Variables(
            {
                "date": lambda: text(date),
                "next": lambda: text(calendar.next(date)),
                "previous": lambda: text(calendar.previous(date)),
            }
        )
        scope = self._scope.with_variables(trigger=known, schedule=known)
        subject = Subject(flow=schedule.flow, scope=scope)
        return holds(schedule.conditions, subject) and when_holds(when, scope)

    async def next(self, after: datetime) -> tuple[datetime | None, bool]:
        """The next date that fits, True; or one up to which none fits, False."""
        return await self._search(after, forward=True)

    async def previous(self, before: datetime) -> datetime | None:
        """The last date before that fits, None if none is found."""
        date, fits = await self._search(before, forward=False)
        return date if fits else None

    async def _search(self, start: datetime, *, forward: bool) -> tuple[datetime | None, bool]:
        calendar = self._schedule.calendar
        step = calendar.next if forward else calendar.previous
        date = step(start)
        for count in range(1, MOST_LOOKED_AT):
            if date is None:
                return None, False
            try:
                if self.fits(date):
                    return date, True
            except RunnerError:
                return date, True  # shown as a failed execution when it is due
            if count % 100 == 0:
                await anyio.lowlevel.checkpoint()
            date = step(date)
        return date, False

    def inputs(self, backfill: Backfill | None) -> dict[str, Any]:
        """The trigger's inputs, and a backfill's over them.

        Raises:
            RenderFailed: one cannot be rendered. `trigger` holds no dates here, as in Kestra.
        """
        given = {**(self._schedule.trigger.inputs or {}), **((backfill and backfill.inputs) or {})}
        found: dict[str, Any] = {}
        for name, value in given.items():
            try:
                found[name] = render_value(value, self._scope)
            except RenderFailed as error:
                raise error.placed(f"inputs.{name}") from error
        return found

    def labels(self, backfill: Backfill | None) -> tuple[Label, ...]:
        """The labels of an execution, from the trigger and a backfill."""
        labels = (*self._schedule.trigger.labels, *(backfill.labels if backfill else ()))
        return rendered_labels(labels, self._scope)

    async def cause(self, date: datetime, following: datetime | None) -> TriggerCause:
        """The trigger as executions show it; a list of dates shows none."""
        trigger, place = self._schedule.trigger, self._schedule.place
        variables: dict[str, str] = {}
        if trigger.type == SCHEDULE:
            dates = {"date": date, "next": following, "previous": await self.previous(date)}
            variables = {k: zoned_text(each, place) for k, each in dates.items() if each}
        return TriggerCause(id=trigger.id, type=trigger.type, variables=variables)

"""Executions on schedules, with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import anyio
import pytest
from trigger_bench import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    Clock,
    condition,
    flow,
    name_of,
    opened,
    schedule,
    variables,
)

from runner.errors import Conflict, InputInvalid, NotFound
from runner.model.execution import Label, Level
from runner.model.state import State
from runner.store.memory_triggers import MemoryTriggers
from runner.testing import MemoryStore

HOURLY = schedule("0 * * * *")
PAUSING = "type: io.kestra.plugin.core.flow.Pause"
FAILING = "type: io.kestra.plugin.core.execution.Fail"


async def test_the_first_date_is_the_next_one() -> None:
    async with opened(flow(HOURLY)) as bench:
        assert bench.state().next_date == T0 + HOUR
        await bench.go(HOUR - SECOND)
        assert await bench.made() == []
        await bench.go(SECOND)
        assert await bench.dates() == ["20 10:00:00"]
        assert bench.state().next_date == T0 + 2 * HOUR
        assert bench.state().last_date == T0 + HOUR


async def test_an_execution_knows_its_date_and_those_around_in_the_zone_of_the_schedule() -> None:
    trigger = schedule("30 2 * * *", "timezone: Europe/Paris, labels: {by: schedule}")
    clock = Clock(datetime(2026, 3, 28, 12, tzinfo=UTC))
    async with opened(flow(trigger, more="labels: {team: data}"), clock=clock) as bench:
        await bench.go(DAY)
        (made,) = await bench.made()

    assert variables(made) == {
        "date": "2026-03-29T03:00:00+02:00",
        "next": "2026-03-30T02:30:00+02:00",
        "previous": "2026-03-28T02:30:00+01:00",
    }
    assert made.execution.schedule_date == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert Label("by", "schedule") in made.execution.labels
    assert Label("team", "data") in made.execution.labels


async def test_inputs_see_the_trigger_and_are_parsed() -> None:
    trigger = schedule("0 * * * *", 'inputs: {j: "in {{ trigger.id }}", n: "{{ 2 + 3 }}"}')
    inputs = (
        "inputs: [{id: i, type: STRING, defaults: dflt}, {id: j, type: STRING}, {id: n, type: INT}]"
    )
    async with opened(flow(trigger, more=inputs)) as bench:
        await bench.go(HOUR)
        (made,) = await bench.made()

    assert made.execution.inputs == {"i": "dflt", "j": "in t", "n": 5}


async def test_a_missing_input_leaves_a_failed_execution_at_every_date() -> None:
    trigger = schedule("0 * * * *", "stopAfter: [FAILED]")
    async with opened(flow(trigger, more="inputs: [{id: j, type: STRING}]")) as bench:
        await bench.go(HOUR)
        await bench.go(HOUR)
        first, second = await bench.made()

    assert first.history == [State.CREATED, State.FAILED]
    assert first.runs == []
    (line,) = first.logs(Level.ERROR)
    assert line.startswith("[trigger: t] [date: 2026-01-20T10:00:00Z] Evaluate Failed with error")
    assert line.endswith("'Missing required input:j'")
    assert second.execution.schedule_date == T0 + 2 * HOUR


async def test_an_input_that_cannot_be_rendered_leaves_a_failed_execution() -> None:
    trigger = schedule("0 * * * *", 'inputs: {j: "{{ trigger.date }}"}')
    async with opened(flow(trigger, more="inputs: [{id: j, type: STRING}]")) as bench:
        await bench.go(HOUR)
        (made,) = await bench.made()

    assert made.state is State.FAILED
    (line,) = made.logs(Level.ERROR)
    assert "Unable to find `date` used in the expression `{{ trigger.date }}`" in line
    assert "inputs.j" in line


async def test_a_date_waits_until_the_last_execution_has_ended() -> None:
    async with opened(flow(HOURLY, task=PAUSING)) as bench:
        await bench.go(HOUR)
        await bench.go(2 * HOUR)
        (made,) = await bench.made()
        assert bench.state().execution_id == made.execution.id

        await bench.bench.engine.resume(made.execution.id)
        await bench.bench.engine.wait_until_done(made.execution.id)
        assert bench.state().execution_id is None
        await bench.go()
        assert await bench.dates() == ["20 10:00:00", "20 11:00:00"]


async def test_with_allow_concurrent_no_date_waits() -> None:
    trigger = schedule("0 * * * *", "allowConcurrent: true")
    async with opened(flow(trigger, task=PAUSING)) as bench:
        await bench.go(3 * HOUR)
        assert await bench.dates() == ["20 10:00:00", "20 11:00:00", "20 12:00:00"]


async def test_an_ending_in_a_listed_state_stops_the_schedule() -> None:
    trigger = schedule("* * * * * *", "stopAfter: [FAILED]")
    async with opened(flow(trigger, task=FAILING)) as bench:
        await bench.go(SECOND)
        assert bench.state().disabled
        await bench.go(DAY)
        assert len(await bench.made()) == 1

        await bench.triggers.set_disabled(name_of(), False)
        await bench.go()
        assert bench.state().next_date == bench.clock.now + SECOND


async def test_dates_that_fail_the_conditions_are_passed_over() -> None:
    weekend = condition("Weekend", 'date: "{{ trigger.date }}"')
    trigger = schedule("0 9 * * *", f"conditions: [{weekend}]")
    async with opened(flow(trigger)) as bench:
        assert bench.state().next_date == datetime(2026, 1, 24, 9, tzinfo=UTC)
        await bench.go(14 * DAY)
        first, *_ = await bench.made()
        assert await bench.dates() == [
            "24 09:00:00",
            "25 09:00:00",
            "31 09:00:00",
            "01 09:00:00",
        ]

    assert variables(first) == {
        "date": "2026-01-24T09:00:00Z",
        "next": "2026-01-25T09:00:00Z",
        "previous": "2026-01-18T09:00:00Z",
    }


async def test_a_condition_that_cannot_be_evaluated_is_shown_as_a_failed_execution() -> None:
    broken = condition("Expression", 'expression: "{{ nope }}"')
    async with opened(flow(schedule("0 * * * *", f"conditions: [{broken}]"))) as bench:
        await bench.go(HOUR)
        (made,) = await bench.made()

    assert made.state is State.FAILED
    (line,) = made.logs(Level.ERROR)
    assert "Evaluate Failed with error 'Unable to find `nope`" in line


async def test_conditions_on_executions_are_ignored_on_a_schedule() -> None:
    status = condition("ExecutionStatus", "in: [FAILED]")
    async with opened(flow(schedule("0 * * * *", f"conditions: [{status}]"))) as bench:
        await bench.go(HOUR)
        assert [each.state for each in await bench.made()] == [State.SUCCESS]


async def test_conditions_that_never_hold_do_not_stop_the_rest() -> None:
    never = condition("Expression", 'expression: "false"')
    async with opened(
        flow(schedule("* * * * * *", f"conditions: [{never}]")),
        flow(HOURLY, flow_id="g"),
    ) as bench:
        await bench.go(HOUR)
        assert await bench.made() == []
        assert await bench.dates("g") == ["20 10:00:00"]


async def test_the_property_when_lets_dates_through() -> None:
    trigger = schedule("0 * * * *", "when: \"{{ trigger.date | date('HH') == '11' }}\"")
    async with opened(flow(trigger)) as bench:
        await bench.go(5 * HOUR)
        assert await bench.dates() == ["20 11:00:00"]


@pytest.mark.parametrize(
    ("recover", "expected"),
    [
        ("ALL", ["20 10:00:00", "20 11:00:00", "20 12:00:00"]),
        ("LAST", ["20 12:00:00"]),
        ("NONE", []),
    ],
)
async def test_missed_dates_are_made_up_for_as_the_schedule_says(
    recover: str, expected: list[str]
) -> None:
    source = flow(schedule("0 * * * *", f"recoverMissedSchedules: {recover}"))
    clock, states = Clock(), MemoryTriggers()
    async with opened(source, clock=clock, states=states) as bench:
        assert bench.state().next_date == T0 + HOUR

    clock.now += 3 * HOUR + MINUTE
    async with opened(source, clock=clock, states=states) as bench:
        await bench.go()
        assert await bench.dates() == expected
        await bench.go(HOUR)
        assert await bench.dates() == [*expected, "20 13:00:00"]


async def test_dates_that_pass_while_everything_runs_are_not_missed() -> None:
    trigger = schedule("0 * * * *", "recoverMissedSchedules: NONE")
    async with opened(flow(trigger)) as bench:
        await bench.go(3 * HOUR)
        assert await bench.dates() == ["20 10:00:00", "20 11:00:00", "20 12:00:00"]


async def test_of_very_many_missed_dates_the_last_hundred_are_made_up_for() -> None:
    clock, states = Clock(), MemoryTriggers()
    async with opened(flow(schedule("* * * * *")), clock=clock, states=states):
        clock.now += DAY
    async with opened(flow(schedule("* * * * *")), clock=clock, states=states) as bench:
        await bench.go()
        dates = await bench.dates()

    assert len(dates) == 100
    assert (dates[0], dates[-1]) == ("21 07:21:00", "21 09:00:00")


async def test_dates_older_than_the_maximum_delay_are_dropped() -> None:
    trigger = schedule("*/10 * * * *", "lateMaximumDelay: PT15M")
    async with opened(flow(trigger)) as bench:
        await bench.go(HOUR + 5 * MINUTE)
        assert await bench.dates() == ["20 09:50:00", "20 10:00:00"]


async def test_an_edited_schedule_begins_anew() -> None:
    async with opened(flow(HOURLY)) as bench:
        await bench.go(5 * MINUTE)
        bench.serve(flow(schedule("30 * * * *")))
        await bench.go()
        assert bench.state().next_date == T0 + 30 * MINUTE
        await bench.go(HOUR)
        assert await bench.dates() == ["20 09:30:00"]


async def test_an_edit_of_something_else_keeps_the_date() -> None:
    async with opened(flow(HOURLY)) as bench:
        bench.clock.now += 3 * HOUR
        bench.serve(flow(HOURLY, more="description: other"))
        await bench.go()
        assert await bench.dates() == ["20 10:00:00", "20 11:00:00", "20 12:00:00"]


async def test_nothing_of_a_removed_schedule_is_evaluated_or_kept() -> None:
    states = MemoryTriggers()
    async with opened(flow(HOURLY), states=states) as bench:
        bench.serve(flow(""))
        await bench.go(3 * HOUR)
        assert await bench.made() == []
        assert await states.states() == []
        bench.serve(flow(HOURLY))
        await bench.go()
        assert bench.state().next_date == T0 + 4 * HOUR


async def test_a_flow_that_goes_and_comes_stays_disabled() -> None:
    async with opened(flow(HOURLY)) as bench:
        await bench.triggers.set_disabled(name_of(), True)
        bench.serve()
        await bench.go(3 * HOUR)
        bench.serve(flow(HOURLY))
        await bench.go(3 * HOUR)
        assert bench.state().disabled
        assert await bench.made() == []


async def test_a_disabled_flow_has_no_dates_and_goes_on_with_the_next() -> None:
    async with opened(flow(HOURLY)) as bench:
        bench.serve(flow(HOURLY, more="disabled: true"))
        await bench.go(3 * HOUR)
        assert bench.state().next_date is None
        bench.serve(flow(HOURLY))
        await bench.go(HOUR)
        assert await bench.dates() == []
        await bench.go(HOUR)
        assert await bench.dates() == ["20 14:00:00"]


async def test_a_date_whose_execution_exists_is_not_started_again() -> None:
    """A crash came between the execution and the note that its date is done."""
    store, states, clock = MemoryStore(), MemoryTriggers(), Clock()
    async with opened(flow(HOURLY), store=store, states=states, clock=clock) as bench:
        (before,) = await states.states()
        await bench.go(HOUR)
        (made,) = await bench.made()
    await states.save_state(before)

    async with opened(flow(HOURLY), store=store, states=states, clock=clock) as bench:
        await bench.go()
        (again,) = await bench.made()
        assert again.execution.history == made.execution.history
        assert bench.state().next_date == T0 + 2 * HOUR


async def test_a_lock_on_an_execution_that_ended_in_a_crash_is_let_go() -> None:
    states, clock = MemoryTriggers(), Clock()
    async with opened(flow(HOURLY, task=PAUSING), states=states, clock=clock) as bench:
        await bench.go(HOUR)
        assert bench.state().execution_id is not None

    # The new store does not know the execution.
    async with opened(flow(HOURLY), states=states, clock=clock) as bench:
        await bench.go(HOUR)
        assert await bench.dates() == ["20 11:00:00"]


async def test_no_date_fires_twice_when_the_clock_goes_back() -> None:
    async with opened(flow(HOURLY)) as bench:
        await bench.go(2 * HOUR)
        await bench.go(-2 * HOUR)
        await bench.go(2 * HOUR)
        assert await bench.dates() == ["20 10:00:00", "20 11:00:00"]
        await bench.go(HOUR)
        assert await bench.dates() == ["20 10:00:00", "20 11:00:00", "20 12:00:00"]


async def test_schedules_are_held_until_the_clock_is_set() -> None:
    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC))
    async with opened(flow(HOURLY), clock=clock) as bench:
        await bench.go(DAY)
        assert bench.state().next_date is None
        clock.now = T0
        await bench.go()
        assert await bench.made() == []
        assert bench.state().next_date == T0 + HOUR


async def test_five_hundred_schedules_of_one_second_all_fire() -> None:
    sources = [flow(schedule("0 10 * * *"), flow_id=f"f{n}") for n in range(500)]
    async with opened(*sources) as bench:
        await bench.go(HOUR)
        made = [await bench.dates(f"f{n}") for n in range(500)]

    assert made == [["20 10:00:00"]] * 500


async def test_dates_of_a_list_have_no_variables() -> None:
    offset = "{{ '2026-01-20T11:30:00+01:00' }}"
    dates = f'["2026-01-20T10:00:00Z", "{offset}", "2026-01-20T13:00:00"]'
    core = "io.kestra.plugin.core.trigger.ScheduleOnDates"
    trigger = f"type: {core}, dates: {dates}, timezone: Europe/Paris"
    async with opened(flow(trigger)) as bench:
        await bench.go(DAY)
        assert await bench.dates() == ["20 10:00:00", "20 10:30:00", "20 12:00:00"]
        assert [variables(each) for each in await bench.made()] == [{}, {}, {}]
        assert bench.state().next_date is None
        await bench.go(DAY)
        assert len(await bench.made()) == 3


async def test_a_backfill_makes_executions_for_past_dates_and_then_the_schedule_goes_on() -> None:
    inputs = "inputs: [{id: day, type: STRING, defaults: none}]"
    async with opened(flow(schedule("0 9 * * *"), more=inputs)) as bench:
        view = await bench.triggers.create_backfill(
            name_of(),
            datetime(2026, 1, 10, 9, tzinfo=UTC),
            datetime(2026, 1, 12, 9, tzinfo=UTC),
            inputs={"day": "past"},
            labels=[Label("why", "lost")],
        )
        assert view.next_date == datetime(2026, 1, 10, 9, tzinfo=UTC)
        await bench.go()
        made = await bench.made()
        assert await bench.dates() == ["10 09:00:00", "11 09:00:00", "12 09:00:00"]
        assert bench.state().backfill is None
        await bench.go(DAY)
        *_, last = await bench.made()

    assert all(each.execution.inputs == {"day": "past"} for each in made)
    assert all(Label("why", "lost") in each.execution.labels for each in made)
    assert variables(made[0])["date"] == "2026-01-10T09:00:00Z"
    assert last.execution.schedule_date == T0 + DAY
    assert last.execution.inputs == {"day": "none"}


async def test_a_second_backfill_of_the_same_dates_runs_them_again() -> None:
    async with opened(flow(schedule("0 9 * * *"))) as bench:
        for _ in range(2):
            bench.clock.now += SECOND
            await bench.triggers.create_backfill(name_of(), T0 - 2 * DAY, T0 - DAY)
            await bench.go()
        assert len(await bench.made()) == 4


async def test_a_backfill_is_paused_and_deleted() -> None:
    async with opened(flow(schedule("0 9 * * *"), task=PAUSING)) as bench:
        name = name_of()
        await bench.triggers.create_backfill(name, T0 - 3 * DAY, paused=True)
        await bench.go()
        assert await bench.made() == []
        await bench.triggers.pause_backfill(name, False)
        await bench.go()
        assert await bench.dates() == ["17 09:00:00"]
        with pytest.raises(Conflict, match="has a backfill already"):
            await bench.triggers.create_backfill(name, T0 - DAY)
        await bench.triggers.delete_backfill(name)
        assert bench.state().backfill is None
        with pytest.raises(NotFound, match="has no backfill"):
            await bench.triggers.delete_backfill(name)


async def test_a_backfill_without_a_date_is_refused() -> None:
    async with opened(flow(schedule("0 9 * * *"))) as bench:
        with pytest.raises(InputInvalid, match="has no date between"):
            await bench.triggers.create_backfill(name_of(), T0 + MINUTE, T0 + HOUR)


async def test_a_lock_can_be_taken_off() -> None:
    async with opened(flow(HOURLY, task=PAUSING)) as bench:
        with pytest.raises(Conflict, match="not locked"):
            await bench.triggers.unlock(name_of())
        await bench.go(HOUR)
        await bench.triggers.unlock(name_of())
        await bench.go(HOUR)
        assert await bench.dates() == ["20 10:00:00", "20 11:00:00"]


async def test_a_schedule_with_an_unknown_zone_stops_no_other() -> None:
    broken = (
        "type: io.kestra.plugin.core.trigger.ScheduleOnDates,"
        ' dates: ["2026-01-20T10:00:00Z"], timezone: "{{ \'Mars/Base\' }}"'
    )
    async with opened(flow(broken), flow(HOURLY, flow_id="g")) as bench:
        await bench.go(HOUR)
        assert await bench.made() == []
        assert len(await bench.made("g")) == 1


async def test_the_loop_fires_what_is_due_and_wakes_when_flows_change() -> None:
    every_second = schedule("* * * * * *", "stopAfter: [SUCCESS]")
    async with opened(flow(every_second), flow(HOURLY, flow_id="g")) as bench:
        bench.clock.now += HOUR
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                await group.start(bench.triggers.run)
                await _until(lambda: bench.state().disabled)
                await _until(lambda: bench.state(flow_id="g").next_date == T0 + 2 * HOUR)
                bench.serve(flow(schedule("30 * * * *"), flow_id="g"))
                half_past = T0 + HOUR + 30 * MINUTE
                await _until(lambda: bench.state(flow_id="g").next_date == half_past)
                group.cancel_scope.cancel()
        assert len(await bench.made()) == 1
        assert len(await bench.made("g")) == 1


async def _until(met: Callable[[], bool]) -> None:
    while not met():
        await anyio.lowlevel.checkpoint()

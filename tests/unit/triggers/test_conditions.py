"""Conditions, each on its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from trigger_bench import T0

from runner.engine.conditions import CORE, ConditionFailed, Subject, one_holds
from runner.errors import RenderFailed
from runner.expr import Scope
from runner.model.execution import Execution, Label
from runner.model.flow import Flow
from runner.model.state import History, State
from runner.triggers.windows import span
from runner.triggers.zones import zone

FLOW = Flow(id="f", namespace="demo.team", tasks=())
EXECUTION = Execution(
    id="x",
    namespace="company.team",
    flow_id="up",
    flow_revision=1,
    history=History.begin(State.CREATED, T0).moved(State.FAILED, T0),
    labels=(Label("team", "data"), Label("n", "5")),
    outputs={"ok": True},
)


def holds(name: str, date: str = "", **properties: Any) -> bool:
    """Whether a condition holds, of the execution or, if a date is given, of a schedule."""
    trigger = {"date": date} if date else {"flowId": "up"}
    subject = Subject(
        flow=FLOW,
        scope=Scope({"trigger": trigger, "flow": {"id": "f"}}),
        execution=None if date else EXECUTION,
    )
    return one_holds({"type": CORE + name, **properties}, subject)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("0", True),
        ("anything", True),
        ("{{ flow.id == 'f' }}", True),
        ("false", False),
        (" false\n", False),
        ("  ", False),
        ("{{ flow.id == 'g' }}", False),
    ],
)
def test_an_expression_is_true_unless_it_is_blank_or_false(text: str, expected: bool) -> None:
    assert holds("Expression", expression=text) is expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"after": "2026-01-20T08:59:59Z"}, True),
        ({"after": "2026-01-20T09:00:00Z"}, False),
        ({"before": "2026-01-20T10:00:01+01:00"}, True),
        ({"before": "2026-01-20T10:00:00+01:00"}, False),
        ({"after": "2026-01-20T08:00:00Z", "before": "2026-01-20T10:00:00Z"}, True),
        ({"after": "2026-01-20T09:30:00Z", "before": "2026-01-20T10:00:00Z"}, False),
    ],
)
def test_a_date_is_strictly_between_moments(bounds: dict[str, str], expected: bool) -> None:
    assert holds("DateTimeBetween", "2026-01-20T09:00:00Z", **bounds) is expected


@pytest.mark.parametrize(
    ("date", "bounds", "expected"),
    [
        ("2026-01-20T09:00:00Z", {"after": "08:00:00Z", "before": "10:00:00Z"}, True),
        ("2026-01-20T09:00:00Z", {"after": "09:00:00Z"}, False),
        ("2026-01-20T09:00:00Z", {"before": "11:00:00+02:00"}, False),
        ("2026-01-20T09:00:00+02:00", {"before": "08:00:00Z"}, True),
        ("2026-01-20T23:30:00Z", {"after": "22:00:00Z", "before": "06:00:00Z"}, True),
        ("2026-01-20T12:00:00Z", {"after": "22:00:00Z", "before": "06:00:00Z"}, False),
    ],
)
def test_a_time_is_strictly_between_times_of_day(
    date: str, bounds: dict[str, str], expected: bool
) -> None:
    assert holds("TimeBetween", date, **bounds) is expected


def test_the_day_of_a_date_is_the_one_in_its_own_zone() -> None:
    late = "2026-01-20T23:30:00-05:00"  # a Tuesday there, Wednesday in UTC
    assert holds("DayWeek", late, dayOfWeek="TUESDAY")
    assert not holds("DayWeek", late, dayOfWeek="WEDNESDAY")
    assert holds("DayWeek", "2026-01-22", dayOfWeek="THURSDAY")


@pytest.mark.parametrize(
    ("day", "which", "expected"),
    [
        ("05", "FIRST", True),
        ("12", "SECOND", True),
        ("19", "THIRD", True),
        ("26", "FOURTH", True),
        ("26", "LAST", True),
        ("19", "LAST", False),
        ("12", "FIRST", False),
        ("06", "FIRST", False),
    ],
)
def test_a_weekday_is_counted_within_its_month(day: str, which: str, expected: bool) -> None:
    date = f"2026-01-{day}T09:00:00Z"
    assert holds("DayWeekInMonth", date, dayOfWeek="MONDAY", dayInMonth=which) is expected


def test_saturday_and_sunday_are_the_weekend() -> None:
    days = [holds("Weekend", f"2026-01-{day}T09:00:00Z") for day in range(19, 26)]
    assert days == [False] * 5 + [True] * 2


def test_not_wants_none_to_hold_and_or_any() -> None:
    yes, no = ({"type": f"{CORE}Expression", "expression": text} for text in ("true", "false"))
    assert [holds("Not", conditions=each) for each in ([no, no], [yes, no], [yes])] == [
        True,
        False,
        False,
    ]
    assert [holds("Or", conditions=each) for each in ([no, yes], [no], [yes])] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("ExecutionStatus", {"in": ["FAILED", "KILLED"]}, True),
        ("ExecutionStatus", {"in": ["SUCCESS"]}, False),
        ("ExecutionStatus", {"in": "{{ ['FAILED'] }}"}, True),
        ("ExecutionStatus", {"notIn": ["FAILED"]}, False),
        ("ExecutionStatus", {"notIn": ["SUCCESS"]}, True),
        ("ExecutionFlow", {"namespace": "company.team", "flowId": "{{ trigger.flowId }}"}, True),
        ("ExecutionFlow", {"namespace": "company", "flowId": "up"}, False),
        ("ExecutionNamespace", {"namespace": "company.team"}, True),
        ("ExecutionNamespace", {"namespace": "comp"}, False),
        ("ExecutionNamespace", {"namespace": "comp", "prefix": "true"}, True),
        ("ExecutionNamespace", {"namespace": "comp", "prefix": True}, True),
        ("ExecutionNamespace", {"namespace": "comp", "comparison": "PREFIX"}, True),
        ("ExecutionNamespace", {"namespace": "team", "comparison": "SUFFIX"}, True),
        ("ExecutionNamespace", {"namespace": "team", "comparison": "EQUALS"}, False),
        ("ExecutionLabels", {"labels": {"team": "data", "n": 5}}, True),
        ("ExecutionLabels", {"labels": [{"key": "team", "value": "data"}]}, True),
        ("ExecutionLabels", {"labels": {"team": "other"}}, False),
        ("ExecutionOutputs", {"expression": "{{ trigger.outputs.ok }}"}, True),
        ("ExecutionOutputs", {"expression": "{{ not trigger.outputs.ok }}"}, False),
        ("HasRetryAttempt", {"in": ["FAILED"]}, False),
        ("FlowCondition", {"namespace": "demo.team", "flowId": "f"}, True),
        ("FlowCondition", {"namespace": "company.team", "flowId": "up"}, False),
        ("FlowNamespaceCondition", {"namespace": "demo", "prefix": True}, True),
        ("FlowNamespaceCondition", {"namespace": "demo"}, False),
    ],
)
def test_conditions_on_executions(name: str, properties: dict[str, Any], expected: bool) -> None:
    assert holds(name, **properties) is expected


@pytest.mark.parametrize(
    ("name", "date", "properties", "message"),
    [
        ("ExecutionStatus", "2026-01-20T09:00:00Z", {"in": ["FAILED"]}, "null execution"),
        ("DateTimeBetween", "2026-01-20T09:00:00Z", {}, "no before nor after"),
        ("DateTimeBetween", "2026-01-20T09:00:00", {"after": "2026-01-20T09:00:00Z"}, "time zone"),
        ("TimeBetween", "2026-01-20T09:00:00Z", {"after": "08:00:00"}, "has no offset"),
        ("DayWeek", "2026-01-20T09:00:00Z", {"dayOfWeek": "FUNDAY"}, "FUNDAY"),
        ("DayWeek", "yesterday", {"dayOfWeek": "MONDAY"}, "yesterday"),
        ("MultipleCondition", "", {}, "MultipleCondition"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_says_why(
    name: str, date: str, properties: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConditionFailed, match=message):
        holds(name, date, **properties)


def test_an_expression_that_cannot_be_rendered_says_why() -> None:
    with pytest.raises(RenderFailed, match="nope"):
        holds("Expression", expression="{{ nope }}")


@pytest.mark.parametrize(
    ("window", "begin", "length"),
    [
        ({}, "20T00:00:00", timedelta(days=1, milliseconds=-1)),
        ({"window": timedelta(hours=6)}, "20T14:00:00", timedelta(hours=6, milliseconds=-1)),
        (
            {"window": timedelta(minutes=15)},
            "20T14:30:00",
            timedelta(minutes=15, milliseconds=-1),
        ),
        (
            {"window": timedelta(days=1), "windowAdvance": timedelta(hours=-4)},
            "19T20:00:00",
            timedelta(days=1, milliseconds=-1),
        ),
        (
            {"type": "SLIDING_WINDOW", "window": timedelta(hours=1)},
            "20T14:37:12",
            timedelta(hours=1),
        ),
        (
            {"type": "DAILY_TIME_DEADLINE", "deadline": "15:00:00Z"},
            "20T00:00:00",
            timedelta(hours=15),
        ),
        (
            {
                "type": "DAILY_TIME_WINDOW",
                "startTime": "08:00:00+02:00",
                "endTime": "16:00:00+02:00",
            },
            "20T06:00:00",
            timedelta(hours=8),
        ),
    ],
)
def test_a_window_has_a_begin_and_an_end(
    window: dict[str, Any], begin: str, length: timedelta
) -> None:
    now = datetime(2026, 1, 20, 14, 37, 12, tzinfo=UTC)
    start, end = span(window, now, UTC)
    assert (start, end - start) == (datetime.fromisoformat(f"2026-01-{begin}+00:00"), length)


def test_a_day_begins_at_midnight_of_the_place() -> None:
    now = datetime(2026, 1, 20, 23, 30, tzinfo=UTC)
    start, _ = span({}, now, zone("Europe/Paris"))
    assert start == datetime(2026, 1, 20, 23, 0, tzinfo=UTC)


def test_a_window_without_its_times_says_so() -> None:
    with pytest.raises(ConditionFailed, match="startTime"):
        span({"type": "DAILY_TIME_WINDOW"}, T0, UTC)

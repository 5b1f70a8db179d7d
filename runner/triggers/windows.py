"""Preconditions of Flow triggers: conditions that several executions meet within a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from runner.engine.conditions import (
    MULTIPLE,
    ConditionFailed,
    Subject,
    has_labels,
    one_holds,
    when_holds,
)
from runner.expr import is_truthy, render
from runner.model.execution import Execution
from runner.model.flow import Properties, Trigger
from runner.records import record

_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)

Test = Callable[[Subject], bool]


@record(kw_only=True)
class Preconditions:
    """Conditions by name, `needed` of which must be met within the time that `window` describes.

    `by_flow`: the outputs of the executions that meet them are told apart by their flows.
    """

    id: str
    tests: Mapping[str, Test]
    needed: int
    window: Mapping[str, Any]
    reset_on_success: bool = True
    by_flow: bool = False


def preconditions_of(trigger: Trigger) -> list[Preconditions]:
    """The preconditions of a Flow trigger, and its conditions of type MultipleCondition."""
    found = [*_dependencies_of(trigger)]
    own = trigger.properties.get("preconditions")
    if own is not None:
        flows: Sequence[Properties] = own.get("flows") or ()
        where: Sequence[Properties] = own.get("where") or ()
        tests = {f"flow {n}": _upstream(each) for n, each in enumerate(flows)}
        tests |= {f"where {each['id']}": _filtered(each) for each in where}
        found.append(_read(own, tests))
    return found + [
        _read(each, {name: _tested(test) for name, test in each["conditions"].items()})
        for each in trigger.conditions
        if each["type"] == MULTIPLE
    ]


def _dependencies_of(trigger: Trigger) -> Iterator[Preconditions]:
    """What a Flow trigger says with `dependsOn`, as Kestra has it since 2.0."""
    properties = trigger.properties
    wanted: Sequence[Properties] = properties.get("dependsOn") or ()
    if not wanted:
        return
    needed = properties.get("minSatisfied")
    if needed is None:
        needed = 1 if properties.get("mode") == "ANY" else len(wanted)
    yield Preconditions(
        id="dependsOn",
        tests={f"dependsOn {n}": _dependency(each) for n, each in enumerate(wanted)},
        needed=min(needed, len(wanted)),
        window=_window(properties.get("window") or {}),
        by_flow=True,
    )


def _dependency(wanted: Properties) -> Test:
    upstream = _upstream(wanted)
    return lambda subject: upstream(subject) and when_holds(wanted.get("when"), subject.scope)


def _window(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The window of `dependsOn` as Kestra 1.2 writes one."""
    if "deadline" in given:
        return {"type": "DAILY_TIME_DEADLINE", "deadline": given["deadline"]}
    if "from" in given:
        times = {"startTime": given["from"], "endTime": given["to"]}
        return {"type": "DAILY_TIME_WINDOW", **times}
    if "lookback" in given:
        return {"type": "SLIDING_WINDOW", "window": given["lookback"]}
    if "every" in given:
        return {"window": given["every"], "windowAdvance": given.get("offset")}
    return {}


def _read(properties: Properties, tests: Mapping[str, Test]) -> Preconditions:
    window = properties.get("timeWindow")
    if window is None:
        window = {k: properties[k] for k in ("window", "windowAdvance") if k in properties}
    return Preconditions(
        id=properties["id"],
        tests=tests,
        needed=len(tests),
        window=window,
        reset_on_success=properties.get("resetOnSuccess") is not False,
    )


def _tested(condition: Properties) -> Test:
    return lambda subject: one_holds(condition, subject)


def _upstream(wanted: Properties) -> Test:
    def test(subject: Subject) -> bool:
        execution = subject.cause
        return (
            execution.namespace == wanted["namespace"]
            and wanted.get("flowId") in (None, execution.flow_id)
            and (wanted.get("states") is None or str(execution.state) in wanted["states"])
            and has_labels(execution, wanted.get("labels") or {})
        )

    return test


def _filtered(where: Properties) -> Test:
    def test(subject: Subject) -> bool:
        results = (_filter(each, subject) for each in where["filters"])
        return any(results) if where.get("operand") == "OR" else all(results)

    return test


def _filter(properties: Properties, subject: Subject) -> bool:
    operation, value = properties["type"], properties.get("value")
    values: Sequence[str] = properties.get("values") or ()
    actual = _field(properties["field"], value, subject)
    match operation:
        case "EQUAL_TO":
            return actual == value
        case "NOT_EQUAL_TO":
            return actual != value
        case "IN":
            return actual in values
        case "NOT_IN":
            return actual not in values
        case "IS_TRUE":
            return is_truthy(actual)
        case "IS_FALSE":
            return not is_truthy(actual)
        case "IS_NULL":
            return not actual
        case "IS_NOT_NULL":
            return bool(actual)
        case "STARTS_WITH":
            return actual.startswith(value or "")
        case "ENDS_WITH":
            return actual.endswith(value or "")
        case "CONTAINS":
            return (value or "") in actual
        case "REGEX":
            try:
                return re.fullmatch(value or "", actual) is not None
            except re.error as error:
                raise ConditionFailed(f"'{value}' is no regular expression: {error}") from error
        case _:
            raise ConditionFailed(f"unknown filter type '{operation}'")


def _field(name: str, value: str | None, subject: Subject) -> str:
    execution: Execution = subject.cause
    match name:
        case "FLOW_ID":
            return execution.flow_id
        case "NAMESPACE":
            return execution.namespace
        case "STATE":
            return str(execution.state)
        case _:
            return render(value or "", subject.scope)


def span(window: Mapping[str, Any], now: datetime, place: tzinfo) -> tuple[datetime, datetime]:
    """Begin and end, in UTC, of the window that `now` falls into, or that of its day.

    `place` is where days begin.

    Raises:
        ConditionFailed: a time in it cannot be read.
    """
    local = now.astimezone(place).replace(microsecond=0)
    length: timedelta = window.get("window") or _DAY
    match window.get("type") or "DURATION_WINDOW":
        case "SLIDING_WINDOW":
            begin = now
            end = now + length
        case "DAILY_TIME_WINDOW":
            begin = _at(window, "startTime", local)
            end = _at(window, "endTime", local)
        case "DAILY_TIME_DEADLINE":
            begin = local.replace(hour=0, minute=0, second=0)
            end = _at(window, "deadline", local)
        case _:
            begin = _rounded(local, length) + (window.get("windowAdvance") or timedelta())
            end = begin + length - _MILLISECOND
    return begin.astimezone(UTC), end.astimezone(UTC)


def _rounded(local: datetime, length: timedelta) -> datetime:
    """The begin of a window of that length: midnight, or a multiple of its minutes in the hour."""
    if length >= _DAY:
        local = local.replace(hour=0)
    if length >= timedelta(hours=1):
        local = local.replace(minute=0)
    minutes = int(length.total_seconds()) // 60
    if minutes:
        local = local.replace(minute=local.minute // minutes * minutes, second=0)
    return local


def _at(window: Mapping[str, Any], name: str, local: datetime) -> datetime:
    """A time of the window on the day of `local`; one with an offset is meant there."""
    text = str(window.get(name) or "")
    try:
        clock = time.fromisoformat(text)
    except ValueError as error:
        raise ConditionFailed(f"'{text}' is no time such as 09:00:00 ({name})") from error
    if clock.tzinfo is not None:
        local = local.astimezone(clock.tzinfo)
    return datetime.combine(local.date(), clock, clock.tzinfo or local.tzinfo)

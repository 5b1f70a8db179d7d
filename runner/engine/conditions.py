"""Conditions of triggers (flow-model 7.6)."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from runner.errors import RunnerError
from runner.expr import Scope, is_truthy, render
from runner.model import convert
from runner.model.execution import Execution
from runner.model.flow import Flow, Properties
from runner.records import record

CORE = "io.kestra.plugin.core.condition."
MULTIPLE = f"{CORE}MultipleCondition"

_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_NTH = {"FIRST": 1, "SECOND": 2, "THIRD": 3, "FOURTH": 4}


class ConditionFailed(RunnerError):
    """A condition cannot be evaluated."""


@record(kw_only=True)
class Subject:
    """What conditions are about.

    `flow` is the flow that has the trigger, `execution` the one that may trigger it (None: a
    schedule). `outputs` are those of the execution's flow, None if it gave none.
    """

    flow: Flow
    scope: Scope
    execution: Execution | None = None

    @property
    def cause(self) -> Execution:
        """The execution.

        Raises:
            ConditionFailed: there is none.
        """
        if self.execution is None:
            raise ConditionFailed("Invalid condition with null execution")
        return self.execution


Test = Callable[[Subject, Properties], bool]

_TESTS: dict[str, Test] = {}
_OF_SCHEDULES: set[str] = set()


def condition(name: str, *, of_schedules: bool = False) -> Callable[[Test], Test]:
    """Register what tells whether a condition of that name holds."""

    def register(test: Test) -> Test:
        if name in _TESTS:
            raise ValueError(f"condition {name}: both {_TESTS[name]} and {test}")
        _TESTS[name] = test
        if of_schedules:
            _OF_SCHEDULES.add(CORE + name)
        return test

    return register


def condition_names() -> list[str]:
    """The types of conditions that can be evaluated."""
    return [*(CORE + name for name in _TESTS), MULTIPLE]


def holds(conditions: Iterable[Properties], subject: Subject) -> bool:
    """Whether all conditions hold; those after the first that does not are not looked at.

    Raises:
        RenderFailed, ConditionFailed: one cannot be evaluated.
    """
    return all(one_holds(each, subject) for each in conditions)


def one_holds(properties: Properties, subject: Subject) -> bool:
    """Whether a condition holds.

    Raises:
        RenderFailed, ConditionFailed: it cannot be evaluated.
    """
    name = str(properties["type"]).removeprefix(CORE)
    test = _TESTS.get(name)
    if test is None:
        raise ConditionFailed(f"Eyas does not have the condition '{properties['type']}'")
    try:
        return test(subject, properties)
    except ValueError as error:
        raise ConditionFailed(f"{error} (condition {name})") from error


def for_schedules(conditions: Iterable[Properties]) -> list[Properties]:
    """Those conditions that a schedule heeds; it ignores the others, as in Kestra."""
    return [each for each in conditions if each["type"] in _OF_SCHEDULES]


def when_holds(when: Any, scope: Scope) -> bool:
    """Whether the property `when` of a trigger, as Kestra has it since 2.0, lets it fire."""
    return when is None or is_truthy(render(str(when), scope))


def _text(subject: Subject, properties: Properties, name: str, default: str = "") -> str:
    value = properties.get(name)
    return render(convert.text(value) or "" if value is not None else default, subject.scope)


def _texts(subject: Subject, properties: Properties, name: str) -> Sequence[str] | None:
    """A rendered list; a text may be the JSON of one."""
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        rendered = render(value, subject.scope)
        return [part.strip(" \"'") for part in rendered.strip("[] ").split(",")]
    return [render(str(item), subject.scope) for item in value]


def _date_text(subject: Subject, properties: Properties) -> str:
    return _text(subject, properties, "date", "{{ trigger.date }}")


def read_moment(text: str) -> datetime:
    """An ISO date with time and offset, that offset kept; raises `ValueError`."""
    moment = datetime.fromisoformat(re.sub(r"\[.*\]$", "", text.strip()))
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone")
    return moment


def _read_day(text: str) -> date:
    """The day of an ISO date, with or without a time, as it stands there."""
    return datetime.fromisoformat(re.sub(r"\[.*\]$", "", text.strip())).date()


@condition("Expression", of_schedules=True)
def _expression(subject: Subject, properties: Properties) -> bool:
    # Everything but `false` and blank text: "0" is true here.
    return _text(subject, properties, "expression").strip() not in ("", "false")


@condition("DateTimeBetween", of_schedules=True)
def _date_time_between(subject: Subject, properties: Properties) -> bool:
    moment = read_moment(_date_text(subject, properties))
    after, before = properties.get("after"), properties.get("before")
    if after is None and before is None:
        raise ConditionFailed("Invalid condition with no before nor after")
    if after is not None and moment <= read_moment(_text(subject, properties, "after")):
        return False
    return before is None or moment < read_moment(_text(subject, properties, "before"))


@condition("TimeBetween", of_schedules=True)
def _time_between(subject: Subject, properties: Properties) -> bool:
    moment = _elapsed(_date_text(subject, properties))
    after, before = properties.get("after"), properties.get("before")
    if after is None and before is None:
        raise ConditionFailed("Invalid condition with no before nor after")
    if before is None:
        return moment > _elapsed(_text(subject, properties, "after"))
    if after is None:
        return moment < _elapsed(_text(subject, properties, "before"))
    low = _elapsed(_text(subject, properties, "after"))
    high = _elapsed(_text(subject, properties, "before"))
    return low < moment < high if low < high else moment > low or moment < high


def _elapsed(text: str) -> timedelta:
    """How long after midnight UTC a time of day with an offset is; may be below 0 or over 24 h."""
    text = re.sub(r"\[.*\]$", "", text.strip())
    if "T" in text:
        clock = read_moment(text).timetz()
    else:
        clock = time.fromisoformat(text)
        if clock.tzinfo is None:
            raise ValueError(f"'{text}' has no offset, such as 08:00:00+02:00")
    offset = clock.utcoffset() or timedelta()
    seconds = clock.hour * 3600 + clock.minute * 60 + clock.second
    return timedelta(seconds=seconds, microseconds=clock.microsecond) - offset


@condition("DayWeek", of_schedules=True)
def _day_week(subject: Subject, properties: Properties) -> bool:
    day = _read_day(_date_text(subject, properties))
    return day.weekday() == _weekday(_text(subject, properties, "dayOfWeek"))


def _weekday(name: str) -> int:
    if name not in _DAYS:
        raise ValueError(f"'{name}' is no day: use {', '.join(_DAYS)}")
    return _DAYS.index(name)


@condition("DayWeekInMonth", of_schedules=True)
def _day_week_in_month(subject: Subject, properties: Properties) -> bool:
    day = _read_day(_date_text(subject, properties))
    if day.weekday() != _weekday(_text(subject, properties, "dayOfWeek")):
        return False
    which = _text(subject, properties, "dayInMonth")
    if which == "LAST":
        return day.day + 7 > calendar.monthrange(day.year, day.month)[1]
    if which not in _NTH:
        raise ValueError(f"'{which}' is none of {', '.join([*_NTH, 'LAST'])}")
    return (day.day + 6) // 7 == _NTH[which]


@condition("Weekend", of_schedules=True)
def _weekend(subject: Subject, properties: Properties) -> bool:
    return _read_day(_date_text(subject, properties)).weekday() >= 5


@condition("PublicHoliday", of_schedules=True)
def _public_holiday(subject: Subject, properties: Properties) -> bool:
    import importlib

    try:
        holidays = importlib.import_module("holidays")
    except ModuleNotFoundError as error:
        raise ConditionFailed(
            "PublicHoliday needs the Python package 'holidays', which is not installed here"
        ) from error
    day = _read_day(_date_text(subject, properties))
    country = _text(subject, properties, "country") or "US"
    part = _text(subject, properties, "subDivision") or None
    try:
        return day in holidays.country_holidays(country.upper(), subdiv=part and part.upper())
    except NotImplementedError as error:
        raise ConditionFailed(f"No holidays are known for '{country}' {part or ''}") from error


@condition("Not", of_schedules=True)
def _not(subject: Subject, properties: Properties) -> bool:
    return not any(one_holds(each, subject) for each in properties["conditions"])


@condition("Or", of_schedules=True)
def _or(subject: Subject, properties: Properties) -> bool:
    return any(one_holds(each, subject) for each in properties["conditions"])


@condition("ExecutionStatus")
def _execution_status(subject: Subject, properties: Properties) -> bool:
    state = str(subject.cause.state)
    wanted, unwanted = _texts(subject, properties, "in"), _texts(subject, properties, "notIn")
    return (wanted is None or state in wanted) and (unwanted is None or state not in unwanted)


@condition("ExecutionFlow")
def _execution_flow(subject: Subject, properties: Properties) -> bool:
    return subject.cause.namespace == _text(
        subject, properties, "namespace"
    ) and subject.cause.flow_id == _text(subject, properties, "flowId")


@condition("ExecutionNamespace")
def _execution_namespace(subject: Subject, properties: Properties) -> bool:
    namespace, wanted = subject.cause.namespace, _text(subject, properties, "namespace")
    how = _text(subject, properties, "comparison")
    if how == "PREFIX" or (not how and _text(subject, properties, "prefix") == "true"):
        return namespace.startswith(wanted)
    return namespace.endswith(wanted) if how == "SUFFIX" else namespace == wanted


@condition("ExecutionLabels")
def _execution_labels(subject: Subject, properties: Properties) -> bool:
    return has_labels(subject.cause, properties["labels"])


def has_labels(execution: Execution, wanted: Any) -> bool:
    """Whether the execution has all labels, given as a map or a list of keys and values."""
    if isinstance(wanted, Mapping):
        pairs = list(cast("Mapping[str, Any]", wanted).items())
    else:
        pairs = [(each["key"], each["value"]) for each in cast("Sequence[Any]", wanted)]
    have = {(label.key, label.value) for label in execution.labels}
    return all((key, convert.text(value)) in have for key, value in pairs)


@condition("ExecutionOutputs", of_schedules=True)
def _execution_outputs(subject: Subject, properties: Properties) -> bool:
    outputs = subject.execution and subject.execution.outputs
    if not outputs:
        return False
    scope = subject.scope.with_variables(trigger={"outputs": outputs})
    return convert.boolean(render(str(properties["expression"]), scope).strip())


@condition("HasRetryAttempt")
def _has_retry_attempt(subject: Subject, properties: Properties) -> bool:
    # Kestra 1.2 compares states with texts here, so that it never holds (flow-model 7.6).
    return False


@condition("FlowCondition")
def _flow(subject: Subject, properties: Properties) -> bool:
    flow = subject.flow
    return (flow.namespace, flow.id) == (properties["namespace"], properties["flowId"])


@condition("FlowNamespaceCondition")
def _flow_namespace(subject: Subject, properties: Properties) -> bool:
    namespace, wanted = subject.flow.namespace, properties["namespace"]
    return namespace.startswith(wanted) if properties.get("prefix") else namespace == wanted

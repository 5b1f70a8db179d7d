"""Conditions of triggers (flow-model 7.6). All of a list must hold; the first false one ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, cast

from runner.errors import RenderFailed
from runner.expr import render, render_value
from runner.model.state import State
from runner.model.texts import java_text
from runner.model.times import read_instant
from runner.triggers.cause import Happening

Condition = Mapping[str, Any]
Test = Callable[[Condition, Happening], bool]

PACKAGE = "io.kestra.plugin.core.condition."

_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_WEEKS = ("FIRST", "SECOND", "THIRD", "FOURTH")


def hold(conditions: Sequence[Condition], about: Happening, warn: Callable[[str], None]) -> bool:
    """Whether every condition holds; `warn` hears why one that cannot be evaluated does not."""
    for condition in conditions:
        name = str(condition.get("type", "")).removeprefix(PACKAGE)
        test = _TESTS.get(name)
        try:
            if test is None or not test(condition, about):
                return False
        except (RenderFailed, ValueError, TypeError) as error:
            warn(
                f"[namespace: {about.flow.namespace}] [flow: {about.flow.id}] [condition: {name}] "
                f"Evaluate Condition Failed with error '{error}'"
            )
            return False
    return True


def is_supported(condition: Condition) -> bool:
    """Whether a condition of that type can be evaluated here."""
    return str(condition.get("type", "")).removeprefix(PACKAGE) in _TESTS


def _expression(condition: Condition, about: Happening) -> bool:
    """Text that is not blank and not `false`; `0` is true here, unlike in `runIf`."""
    text = render(java_text(condition["expression"]), about.scope).strip()
    return text not in ("", "false")


def _not(condition: Condition, about: Happening) -> bool:
    """None of its conditions holds."""
    return not any(_holds(each, about) for each in _nested(condition))


def _or(condition: Condition, about: Happening) -> bool:
    """At least one of its conditions holds."""
    return any(_holds(each, about) for each in _nested(condition))


def _execution_status(condition: Condition, about: Happening) -> bool:
    """The state of the execution that is looked at is among `in` and not among `notIn`."""
    if about.upstream is None:
        return False
    return _among(condition, about.upstream.state)


def _execution_flow(condition: Condition, about: Happening) -> bool:
    """The execution that is looked at is one of that flow."""
    upstream = about.upstream
    return upstream is not None and (upstream.namespace, upstream.flow_id) == (
        _text(condition, "namespace", about),
        _text(condition, "flowId", about),
    )


def _execution_namespace(condition: Condition, about: Happening) -> bool:
    """Its namespace equals, begins or ends with a text; no dot is needed where it ends."""
    if about.upstream is None:
        return False
    namespace, wanted = about.upstream.namespace, _text(condition, "namespace", about)
    default = "PREFIX" if condition.get("prefix") in (True, "true") else "EQUALS"
    match str(condition.get("comparison") or default).upper():
        case "PREFIX":
            return namespace.startswith(wanted)
        case "SUFFIX":
            return namespace.endswith(wanted)
        case _:
            return namespace == wanted


def _execution_labels(condition: Condition, about: Happening) -> bool:
    """The execution that is looked at has all these labels."""
    if about.upstream is None:
        return False
    has = {(label.key, label.value) for label in about.upstream.labels}
    return has.issuperset(_labels(condition.get("labels")))


def _execution_outputs(condition: Condition, about: Happening) -> bool:
    """It gave outputs, and the expression, which sees them in `trigger.outputs`, is true."""
    if not about.outputs:
        return False
    scope = about.scope.with_variables(trigger={"outputs": about.outputs})
    return render(java_text(condition["expression"]), scope).strip() not in ("", "false")


def _has_retry_attempt(condition: Condition, about: Happening) -> bool:
    """A task of it was tried more than once, and a try ended in such a state."""
    tried = [attempts for attempts in about.attempts if len(attempts) > 1]
    return any(_among(condition, state) for attempts in tried for state in attempts)


def _flow(condition: Condition, about: Happening) -> bool:
    """The flow that has the trigger is that one."""
    return (about.flow.namespace, about.flow.id) == (
        _text(condition, "namespace", about),
        _text(condition, "flowId", about),
    )


def _flow_namespace(condition: Condition, about: Happening) -> bool:
    """The flow that has the trigger is in that namespace, or with `prefix` in one like it."""
    wanted = _text(condition, "namespace", about)
    if condition.get("prefix") in (True, "true"):
        return about.flow.namespace.startswith(wanted)
    return about.flow.namespace == wanted


def _date_time_between(condition: Condition, about: Happening) -> bool:
    """The date is strictly after and before."""
    moment = _date(condition, about)
    after, before = condition.get("after"), condition.get("before")
    return (after is None or moment > _moment(after, about)) and (
        before is None or moment < _moment(before, about)
    )


def _time_between(condition: Condition, about: Happening) -> bool:
    """The time of day is strictly after and before; a range over midnight wraps."""
    moment = _date(condition, about)
    after, before = _offset_time(condition.get("after")), _offset_time(condition.get("before"))
    zone = (after or before or moment.timetz()).tzinfo
    now = moment.astimezone(zone).timetz()
    if after is not None and before is not None and after > before:
        return now > after or now < before
    return (after is None or now > after) and (before is None or now < before)


def _day_week(condition: Condition, about: Happening) -> bool:
    """The date is such a day of the week."""
    wanted = _text(condition, "dayOfWeek", about).upper()
    return _DAYS[_date(condition, about).weekday()] == wanted


def _day_week_in_month(condition: Condition, about: Happening) -> bool:
    """The date is the first to fourth, or the last, such day of the week in its month."""
    moment = _date(condition, about).date()
    if _DAYS[moment.weekday()] != _text(condition, "dayOfWeek", about).upper():
        return False
    which = _text(condition, "dayInMonth", about).upper()
    if which == "LAST":
        return (moment + timedelta(days=7)).month != moment.month
    return which in _WEEKS and _WEEKS.index(which) == (moment.day - 1) // 7


def _weekend(condition: Condition, about: Happening) -> bool:
    """The date is a Saturday or Sunday."""
    return _date(condition, about).weekday() >= _DAYS.index("SATURDAY")


_TESTS: dict[str, Test] = {
    "Expression": _expression,
    "Not": _not,
    "Or": _or,
    "ExecutionStatus": _execution_status,
    "ExecutionFlow": _execution_flow,
    "ExecutionNamespace": _execution_namespace,
    "ExecutionLabels": _execution_labels,
    "ExecutionOutputs": _execution_outputs,
    "HasRetryAttempt": _has_retry_attempt,
    "FlowCondition": _flow,
    "FlowNamespaceCondition": _flow_namespace,
    "DateTimeBetween": _date_time_between,
    "TimeBetween": _time_between,
    "DayWeek": _day_week,
    "DayWeekInMonth": _day_week_in_month,
    "Weekend": _weekend,
}


def _holds(condition: Condition, about: Happening) -> bool:
    test = _TESTS.get(str(condition.get("type", "")).removeprefix(PACKAGE))
    return test is not None and test(condition, about)


def _nested(condition: Condition) -> Sequence[Condition]:
    return cast("Sequence[Condition]", condition.get("conditions") or ())


def _among(condition: Condition, state: State) -> bool:
    wanted, unwanted = condition.get("in"), condition.get("notIn")
    return (not wanted or state.value in wanted) and (not unwanted or state.value not in unwanted)


def _labels(given: Any) -> set[tuple[str, str]]:
    """Labels written as a map or as a list of pairs."""
    if isinstance(given, Mapping):
        items = cast("Mapping[Any, Any]", given)
        return {(str(key), java_text(value)) for key, value in items.items()}
    pairs = cast("Sequence[Mapping[str, Any]]", given or ())
    return {(str(pair["key"]), java_text(pair["value"])) for pair in pairs}


def _text(condition: Condition, name: str, about: Happening) -> str:
    return java_text(render_value(condition.get(name, ""), about.scope))


def _date(condition: Condition, about: Happening) -> datetime:
    """The date that a condition is about: `{{ trigger.date }}` unless it names another."""
    given = condition.get("date")
    return about.date if given is None else _moment(given, about)


def _moment(given: Any, about: Happening) -> datetime:
    text = render(java_text(given), about.scope)
    try:
        moment = datetime.fromisoformat(text.partition("[")[0])
    except ValueError:
        return read_instant(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=about.date.tzinfo)


def _offset_time(given: Any) -> time | None:
    if given is None:
        return None
    parsed = time.fromisoformat(java_text(given))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

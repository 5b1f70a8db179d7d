"""Reads triggers and conditions, and checks schedules and time windows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from runner.loading.common import IGNORED, Common, without
from runner.loading.complaints import Complaints
from runner.loading.cron import CronInvalid, check_cron
from runner.loading.labels import read_labels
from runner.loading.source import Map, Mark, plain
from runner.model.catalog import TypeInfo
from runner.model.execution import Level
from runner.model.flow import Properties, Trigger

_CORE = "io.kestra.plugin.core"
_WINDOW_KEYS = {
    "DURATION_WINDOW": {"window", "windowAdvance"},
    "SLIDING_WINDOW": {"window"},
    "DAILY_TIME_DEADLINE": {"deadline"},
    "DAILY_TIME_WINDOW": {"startTime", "endTime"},
}
_WINDOWS = {
    frozenset(names)
    for names in (("deadline",), ("from", "to"), ("every",), ("every", "offset"), ("lookback",))
}
_LISTS = {"IN", "NOT_IN"}
"""Filters of a Flow trigger that compare with `values`; all others take `value`."""


class Triggers:
    """Reads the triggers of one flow."""

    def __init__(self, common: Common) -> None:
        self._common = common

    def trigger(self, node: Any, mark: Mark, path: str) -> Trigger | None:
        """The trigger written at `mark`; None after a problem that leaves nothing to look at."""
        common = self._common
        if not isinstance(node, Map):
            common.no_map(node, mark, path, "AbstractTrigger")
            return None
        type_name = common.type_name(node, path, "trigger")
        if type_name is None:
            return None
        info = common.catalog.trigger(type_name)
        if info is not None:
            common.mention_old_name(node, type_name, info, path)
            return self._built(node, info.name, info, path)
        # The flow can still be started by hand (flow-model 7.5).
        if not common.is_foreign(node, type_name, path, "trigger", "warning"):
            return None
        base = common.catalog.base("Trigger")
        apart = {key for key in node if key not in base.properties}
        known = self._built(without(node, apart), type_name, base, path)
        rest = {key: plain(node[key]) for key in apart if key != "type"}
        return self._kept(replace(known, properties=rest), node)

    def condition(self, node: Any, mark: Mark, path: str) -> Properties | None:
        """The condition written at `mark`, with its canonical type; None after a problem."""
        found = self._common.typed_map(node, mark, path, "condition")
        if found is not None and found["type"] == f"{_CORE}.condition.ExecutionLabels":
            read_labels(cast("Map", node), path, self._common.complaints)
        return found

    def _built(self, node: Map, type_name: str, info: TypeInfo, path: str) -> Trigger:
        common = self._common
        if "assets" in node:
            common.no_assets(node, path)
        labels = read_labels(node, path, common.complaints)
        own = without(node, {"type", "labels", "assets"})
        found = common.converter.properties(own, info, path)
        for name in (*IGNORED, "description"):
            found.pop(name, None)
        level = found.pop("logLevel", None)
        conditions = [*found.pop("conditions", ()), *found.pop("scheduleConditions", ())]
        trigger = Trigger(
            id=found.pop("id", ""),
            type=type_name,
            disabled=found.pop("disabled", False),
            conditions=tuple(conditions),
            labels=labels,
            inputs=found.pop("inputs", None),
            stop_after=tuple(found.pop("stopAfter", ())),
            allow_concurrent=found.pop("allowConcurrent", False),
            fail_on_trigger_error=found.pop("failOnTriggerError", False),
            log_level=None if level is None else Level(level),
            properties=found,
        )
        return self._kept(trigger, node)

    def _kept(self, trigger: Trigger, node: Map) -> Trigger:
        self._common.nodes[trigger] = node
        return trigger


def check_trigger(trigger: Trigger, path: str, common: Common) -> None:
    """Note what is wrong with a trigger's times, and conditions that it cannot have."""
    node = common.nodes.get(trigger)
    if node is None:
        return
    complaints = common.complaints
    if trigger.type == f"{_CORE}.trigger.Schedule":
        _check_schedule(trigger, node, path, complaints)
    if trigger.type == f"{_CORE}.trigger.Flow":
        preconditions = cast("Mapping[str, Any]", trigger.properties.get("preconditions") or {})
        window = cast("Mapping[str, Any]", preconditions.get("timeWindow") or {})
        where = f"{path}.preconditions.timeWindow"
        _check_window(window, where, node.mark("preconditions"), complaints)
        _check_dependencies(trigger, node, path, complaints)
        _check_filters(
            preconditions, f"{path}.preconditions", node.mark("preconditions"), complaints
        )
    if trigger.type == f"{_CORE}.trigger.Webhook":
        for condition in trigger.conditions:
            if str(condition.get("type")).endswith(".MultipleCondition"):
                complaints.add(
                    "invalid webhook: conditions of type [MultipleCondition] are not supported",
                    node.mark("conditions"),
                    path,
                )


def _check_dependencies(trigger: Trigger, node: Map, path: str, complaints: Complaints) -> None:
    """What is wrong with `dependsOn` and its window, which only Kestra 2.0 has."""
    properties = trigger.properties
    depends = cast("Sequence[Any]", properties.get("dependsOn") or ())
    for name in ("mode", "minSatisfied", "window"):
        if name in properties and not depends:
            complaints.add(f"'{name}' needs 'dependsOn'", node.mark(name), path)
    needed = properties.get("minSatisfied")
    if depends and isinstance(needed, int) and needed > len(depends):
        count = len(depends)
        complaints.add(
            f"'minSatisfied' is {needed}, and there are {count} dependencies",
            node.mark("minSatisfied"),
            path,
        )
    window = cast("Mapping[str, Any]", properties.get("window") or {})
    if window and frozenset(window) not in _WINDOWS:
        complaints.add(
            "a window has 'deadline', or 'from' and 'to', or 'every' and perhaps 'offset', or "
            "'lookback'",
            node.mark("window"),
            f"{path}.window",
        )


def _check_schedule(trigger: Trigger, node: Map, path: str, complaints: Complaints) -> None:
    cron = trigger.properties.get("cron")
    if isinstance(cron, str):
        try:
            check_cron(cron, with_seconds=trigger.properties.get("withSeconds") is True)
        except CronInvalid as wrong:
            complaints.add(
                f"invalid cron expression '{cron}': {wrong}",
                node.mark("cron"),
                path,
                hint="minute hour day-of-month month day-of-week, such as '0 9 * * 1-5'",
            )
    zone = trigger.properties.get("timezone")
    if isinstance(zone, str) and not is_zone(zone):
        complaints.add(
            f"timezone '({zone})' is not a valid time-zone ID",
            node.mark("timezone"),
            path,
            hint="such as Europe/Paris, UTC or +02:00",
        )


def _check_window(window: Mapping[str, Any], path: str, mark: Mark, complaints: Complaints) -> None:
    kind = window.get("type") or "DURATION_WINDOW"
    allowed = _WINDOW_KEYS[kind]
    for key in window:
        if key not in allowed and key != "type":
            complaints.add(
                f"Time window of type '{kind}' cannot have '{key}'",
                mark,
                path,
                hint=f"it has {', '.join(sorted(allowed))}",
            )
    for key in sorted(allowed) if kind.startswith("DAILY_") else ():
        if window.get(key) is None:
            complaints.add(f"Time window of type '{kind}' must have '{key}'", mark, path)


def _check_filters(
    preconditions: Mapping[str, Any], path: str, mark: Mark, complaints: Complaints
) -> None:
    """Note filters that have the wrong one of `value` and `values`."""
    branches = cast("Sequence[Mapping[str, Any]]", preconditions.get("where") or ())
    for position, branch in enumerate(branches):
        filters = cast("Sequence[Mapping[str, Any]]", branch.get("filters") or ())
        for number, each in enumerate(filters):
            kind = each.get("type")
            if kind is None:
                continue
            own = f"{path}.where[{position}].filters[{number}]"
            wanted, other = ("values", "value") if kind in _LISTS else ("value", "values")
            if each.get(wanted) is None:
                complaints.add(f"`{wanted}` cannot be null for type {kind}", mark, own)
            elif each.get(other) is not None:
                complaints.add(f"`{other}` must be null for type {kind}", mark, own)


def is_zone(name: str) -> bool:
    """Whether it is a time zone's id as Java takes it: a place, `UTC`, `Z` or an offset."""
    if re.fullmatch(r"(?:(?:UTC|GMT|UT)?[-+]\d{1,2}(?::?\d{2}(?::?\d{2})?)?|Z|UTC|GMT|UT)", name):
        return True
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

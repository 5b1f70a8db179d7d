"""Reads retries and SLAs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

from runner.loading.common import Common
from runner.loading.complaints import Complaints
from runner.loading.labels import read_labels
from runner.loading.source import Map, Mark
from runner.model.convert import duration_text
from runner.model.flow import Retry, Sla

_RETRY_FIELDS = {
    "interval": "interval",
    "minInterval": "min_interval",
    "maxInterval": "max_interval",
    "delayFactor": "delay_factor",
    "maxAttempts": "max_attempts",
    "maxDuration": "max_duration",
    "warningOnRetry": "warning_on_retry",
    "behavior": "behavior",
}


class Policies:
    """Reads the retries and SLAs of one flow."""

    def __init__(self, common: Common) -> None:
        self._common = common

    def retry(self, node: Any, mark: Mark, path: str) -> Retry | None:
        """The retry written at `mark`; None if there is none, or after a problem."""
        common = self._common
        found = common.worded_map(node, mark, path, "retries", common.catalog.retry)
        if found is None:
            return None
        kind = found.pop("type")
        _check_intervals(found, mark, path, common.complaints)
        return Retry(type=kind, **{_RETRY_FIELDS[name]: value for name, value in found.items()})

    def sla(self, node: Any, mark: Mark, path: str) -> Sla | None:
        """The SLA written at `mark`; None after a problem."""
        common = self._common
        found = common.worded_map(node, mark, path, "slas", common.catalog.sla)
        if found is None or "behavior" not in found or "id" not in found:
            return None
        return Sla(
            id=found["id"],
            type=found["type"],
            behavior=found["behavior"],
            duration=found.get("duration"),
            assertion=found.get("assert"),
            labels=read_labels(cast("Map", node), path, common.complaints),
        )


def _check_intervals(
    found: Mapping[str, Any], mark: Mark, path: str, complaints: Complaints
) -> None:
    """Note intervals of a retry that contradict each other."""
    order = ("minInterval", "interval", "maxInterval", "maxDuration")
    given = [(name, found[name]) for name in order if isinstance(found.get(name), timedelta)]
    for (name, value), (limit_name, limit) in pairwise(given):
        if value >= limit:
            complaints.add(
                f"'{name}' must be less than '{limit_name}' but is {duration_text(value)}",
                mark,
                path,
                hint=f"{limit_name} is {duration_text(limit)}",
            )

"""What a script says in a marker line, `::{...}::`: outputs, metrics, log entries, assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from runner.model.execution import Level
from runner.records import record


@record
class LogEntry:
    """A log entry with a level of its own; `message` may have line breaks in it."""

    level: Level
    message: str


@record(kw_only=True)
class MetricEntry:
    """One measured value. `value` of a timer is in whole milliseconds.

    `name` and `tags` are None where the script gave none (Kestra keeps metrics without a name, and
    counts no tags and `{}` as two series), `timestamp` where the time of arrival is meant.
    """

    name: str | None
    type: Literal["counter", "timer", "gauge"]
    value: float
    tags: Mapping[str, str] | None = None
    timestamp: datetime | None = None

    @property
    def series(self) -> tuple[str, str | None, tuple[tuple[str, str], ...] | None]:
        """What metrics have in common that are merged into one."""
        tags = None if self.tags is None else tuple(sorted(self.tags.items()))
        return self.type, self.name, tags


@record(kw_only=True)
class Marker:
    """The content of one marker line; all fields are empty for a line that is not valid.

    `outputs` are to be merged into the task's `vars`, key by key; so are `encrypted_outputs`,
    whose values are secrets. `problems` are texts for WARN entries that come before `logs`.
    `assets` is a list or an object, as the script gave it, or None.
    """

    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    encrypted_outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: tuple[MetricEntry, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    assets: Any = None
    problems: tuple[str, ...] = ()

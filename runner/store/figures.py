"""What monitoring wants to know of the store, counted from the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from runner.model.state import State

_WAITING = ("CREATED", "QUEUED", "PAUSED")


@dataclass(frozen=True, slots=True)
class Ended:
    """Executions of one flow that ended in one state: how many, and how long they took in all."""

    namespace: str
    flow_id: str
    state: str
    count: int
    seconds: float

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the figure."""
        return {
            "namespace_id": self.namespace,
            "flow_id": self.flow_id,
            "state": self.state,
            "tenant_id": "main",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts of executions; `started` by namespace and id of the flow."""

    started: Mapping[tuple[str, str], int]
    ended: tuple[Ended, ...]
    running: int
    waiting: int
    store_bytes: int


def read_figures(db: sqlite3.Connection, store_bytes: int) -> Figures:
    """Count what the database holds."""
    started: dict[tuple[str, str], int] = {}
    ended: list[Ended] = []
    running = waiting = 0
    sql = (
        "SELECT namespace, flow_id, state, ended, count(*),"
        " coalesce(sum((julianday(end_date) - julianday(start_date)) * 86400), 0)"
        " FROM executions WHERE kind IS NULL GROUP BY namespace, flow_id, state, ended"
    )
    for namespace, flow_id, state, is_ended, count, seconds in db.execute(sql):
        started[namespace, flow_id] = started.get((namespace, flow_id), 0) + count
        if is_ended or State(state).is_terminal:
            ended.append(Ended(namespace, flow_id, state, count, seconds))
        elif state in _WAITING:
            waiting += count
        else:
            running += count
    return Figures(
        started=started,
        ended=tuple(sorted(ended, key=lambda each: (each.namespace, each.flow_id, each.state))),
        running=running,
        waiting=waiting,
        store_bytes=store_bytes,
    )

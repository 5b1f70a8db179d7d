"""What to look for among executions and log lines, and the SQL for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.errors import RunnerError

Sql = tuple[str, list[Any]]
"""A condition in SQL and the values of its placeholders."""

_COMPARISONS = {
    "GREATER_THAN": ">",
    "LESS_THAN": "<",
    "GREATER_THAN_OR_EQUAL_TO": ">=",
    "LESS_THAN_OR_EQUAL_TO": "<=",
}

EXECUTIONS: Mapping[str, str] = {
    "id": "id",
    "executionId": "id",
    "namespace": "namespace",
    "flowId": "flow_id",
    "flowRevision": "flow_revision",
    "state": "state",
    "startDate": "start_date",
    "endDate": "end_date",
    "triggerId": "trigger_id",
    "triggerExecutionId": "trigger_execution_id",
}
"""Columns of executions by the name of the field."""

LINES: Mapping[str, str] = {
    "executionId": "execution_id",
    "namespace": "namespace",
    "flowId": "flow_id",
    "taskId": "task_id",
    "taskRunId": "task_run_id",
    "attemptNumber": "attempt",
    "triggerId": "trigger_id",
    "startDate": "date",
    "endDate": "date",
}
"""Columns of log lines by the name of the field."""

EXECUTION_ORDER: Mapping[str, str] = {
    "id": "id",
    "namespace": "namespace",
    "flowId": "flow_id",
    "state.current": "state",
    "state.startDate": "start_date",
    "state.endDate": "end_date",
    "state.duration": "julianday(end_date) - julianday(start_date)",
}
"""What executions can be sorted by."""


class QueryInvalid(RunnerError):
    """A search names a field, an operation, a value or an order that does not exist."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: a field's name, an operation of http-api 2.3, and its values (text)."""

    field: str
    operation: str
    values: tuple[str, ...]


def where(conditions: Sequence[Condition], columns: Mapping[str, str]) -> Sql:
    """The conditions, all of which must hold, as SQL; `1` when there is none.

    Raises:
        QueryInvalid: a field or operation is not known.
    """
    parts: list[str] = []
    values: list[Any] = []
    for condition in conditions:
        text, given = _one(condition, columns)
        parts.append(f"({text})")
        values.extend(given)
    return " AND ".join(parts) or "1", values


def _one(condition: Condition, columns: Mapping[str, str]) -> Sql:
    special = _SPECIAL.get(condition.field)
    if special is not None and (condition.field in _EVERYWHERE or columns is EXECUTIONS):
        return special(condition)
    column = columns.get(condition.field)
    if column is None:
        raise QueryInvalid(f"Invalid query filters: unknown field '{condition.field}'")
    return _compare(column, condition)


def _compare(column: str, condition: Condition) -> Sql:
    values = list(condition.values)
    first = values[0] if values else ""
    match condition.operation:
        case "EQUALS" | "IN":
            return f"{column} IN ({_marks(values)})", values
        case "NOT_EQUALS" | "NOT_IN":
            return f"{column} IS NULL OR {column} NOT IN ({_marks(values)})", values
        case "STARTS_WITH":
            return f"substr({column}, 1, length(?)) = ?", [first, first]
        case "ENDS_WITH":
            return f"{column} LIKE ? ESCAPE '\\'", [f"%{_escaped(first)}"]
        case "CONTAINS":
            return f"{column} LIKE ? ESCAPE '\\'", [f"%{_escaped(first)}%"]
        case "PREFIX":
            return f"{column} = ? OR {column} LIKE ? ESCAPE '\\'", [first, f"{_escaped(first)}.%"]
        case "REGEX":
            return f"matches(?, {column})", [first]
        case operation if operation in _COMPARISONS:
            return f"{column} {_COMPARISONS[operation]} ?", [first]
        case operation:
            raise QueryInvalid(f"Invalid query filters: unknown operation '{operation}'")


def _label(condition: Condition) -> Sql:
    """Labels, each as `key:value`: every one must be there (none, for the negative forms)."""
    held = "EXISTS (SELECT 1 FROM json_each(labels) WHERE json_each.value = ?)"
    if condition.operation.startswith("NOT"):
        held = f"NOT {held}"
    return " AND ".join([held] * len(condition.values)), list(condition.values)


def _text_anywhere(condition: Condition) -> Sql:
    like = f"%{_escaped(condition.values[0])}%"
    columns = ("id", "namespace", "flow_id")
    return " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in columns), [like] * 3


def _scope(condition: Condition) -> Sql:
    system = "SYSTEM" in condition.values
    if system and "USER" in condition.values:
        return "1", []
    wanted = system is not condition.operation.startswith("NOT")
    return ("namespace = 'system'" if wanted else "namespace <> 'system'"), []


def _child(condition: Condition) -> Sql:
    child = ("CHILD" in condition.values) is not condition.operation.startswith("NOT")
    return f"trigger_execution_id IS {'NOT ' if child else ''}NULL", []


NORMAL_ONLY = "number NOT IN (SELECT number FROM executions WHERE kind IS NOT NULL)"
"""Holds for what a search finds that names no kind; it leaves counting by an index as it is."""


def _kind(condition: Condition) -> Sql:
    negated = "NOT" if condition.operation.startswith("NOT") else ""
    marks = _marks(condition.values)
    return f"coalesce(kind, 'NORMAL') {negated} IN ({marks})", list(condition.values)


def _level(condition: Condition) -> Sql:
    """Levels compare by severity, whatever the operation."""
    order = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
    name = condition.values[0].upper()
    if name not in order:
        raise QueryInvalid(f"Invalid query filters: unknown level '{condition.values[0]}'")
    return "level >= ?", [order.index(name)]


_SPECIAL = {
    "q": _text_anywhere,
    "labels": _label,
    "scope": _scope,
    "childFilter": _child,
    "kind": _kind,
    "level": _level,
}
_EVERYWHERE = frozenset({"scope", "level"})


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _escaped(text: str) -> str:
    """The text with what LIKE takes for a pattern escaped."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

"""What an author wrote: a flow, its tasks, inputs and triggers, checked, defaults in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from typing import Any, Literal

from runner.errors import Problem
from runner.model.execution import Label, Level
from runner.records import record

Properties = Mapping[str, Any]
"""A task's own properties by name: plain YAML values, with `Task`s where the type says Task."""


@record
class Place:
    """Line and column, counted from 1, of a node in the flow's file."""

    line: int
    column: int


@record(kw_only=True)
class Retry:
    """When a failed task is tried again (flow-model 3.6).

    `max_attempts` includes the first run; None for both limits: for ever. `interval` is unused
    by `random`, `min_interval` by the others.
    """

    type: Literal["constant", "exponential", "random"]
    interval: timedelta = timedelta()
    min_interval: timedelta = timedelta()
    max_interval: timedelta = timedelta.max
    delay_factor: float = 2.0
    max_attempts: int | None = None
    max_duration: timedelta | None = None
    warning_on_retry: bool = False
    behavior: Literal["RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION"] = "RETRY_FAILED_TASK"


@record(kw_only=True, eq=False)
class Task:
    """One task of a flow.

    `type` is the canonical name, `type_as_written` the one that the author used. `properties`
    holds what the author and the plugin defaults gave, unrendered, without the properties every
    task has; a property that was not given is absent (its default stands in the catalogue).
    `timeout` and
    `run_if` are unrendered. `places` gives the place of a property by its path below the task.
    """

    id: str
    type: str
    properties: Properties = field(default_factory=dict[str, Any])
    description: str | None = None
    disabled: bool = False
    run_if: str = "true"
    timeout: Any = None
    retry: Retry | None = None
    allow_failure: bool = False
    allow_warning: bool = False
    log_level: Level | None = None
    log_to_file: bool = False
    task_cache: Mapping[str, Any] | None = None
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])
    old_type: str | None = None

    @property
    def type_as_written(self) -> str:
        """The type by the name that the author used, which may be an old one."""
        return self.old_type or self.type

    def children(self, name: str = "tasks") -> tuple[Task, ...]:
        """The enabled tasks listed under property `name`, none if it is absent."""
        return tuple(task for task in self.properties.get(name) or () if not task.disabled)

    def walk(self) -> Iterator[Task]:
        """This task and every task below it, in the order of the file."""
        yield self
        yield from _tasks_within(self.properties)


def _tasks_within(value: Any) -> Iterator[Task]:
    if isinstance(value, Task):
        yield from value.walk()
    elif isinstance(value, Mapping):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType] # YAML border
            yield from _tasks_within(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:  # pyright: ignore[reportUnknownVariableType] # YAML border
            yield from _tasks_within(item)


@record(kw_only=True, eq=False)
class Trigger:
    """One trigger of a flow; `type` is the canonical name, `properties` its own ones, unrendered.

    `conditions` are raw maps with a canonical `type`.
    """

    id: str
    type: str
    properties: Properties = field(default_factory=dict[str, Any])
    disabled: bool = False
    conditions: tuple[Properties, ...] = ()
    labels: tuple[Label, ...] = ()
    inputs: Mapping[str, Any] | None = None
    stop_after: tuple[str, ...] = ()
    allow_concurrent: bool = False
    fail_on_trigger_error: bool = False
    log_level: Level | None = None


@record(kw_only=True, eq=False)
class Input:
    """One declared input (flow-model 2).

    `type` is Kestra's word (`STRING`, `INT`...). `defaults` is unrendered; None: there is none.
    `properties` holds what only this type has (`validator`, `min`, `values`, `itemType`...).
    """

    id: str
    type: str
    required: bool = True
    defaults: Any = None
    prefill: Any = None
    description: str | None = None
    display_name: str | None = None
    depends_on: tuple[str, ...] = ()
    condition: str | None = None
    properties: Properties = field(default_factory=dict[str, Any])


@record(kw_only=True, eq=False)
class Output:
    """One declared output of a flow; `value` is unrendered."""

    id: str
    type: str
    value: Any
    required: bool = True
    description: str | None = None
    display_name: str | None = None


@record(kw_only=True)
class Concurrency:
    """How many executions of the flow may run at a time, and what becomes of one more."""

    limit: int
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"


@record(kw_only=True)
class Sla:
    """A promise about executions; `duration` for MAX_DURATION, `assertion` for the other type."""

    id: str
    type: Literal["MAX_DURATION", "EXECUTION_ASSERTION"]
    behavior: Literal["FAIL", "CANCEL", "NONE"]
    duration: timedelta | None = None
    assertion: str | None = None
    labels: tuple[Label, ...] = ()


@record(kw_only=True)
class Check:
    """A condition that must hold for an execution to be created (flow-model 3.11)."""

    condition: str
    message: str
    style: str = "INFO"
    behavior: Literal["BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"] = "BLOCK_EXECUTION"


@record(kw_only=True, eq=False)
class Flow:
    """A flow that passed validation.

    `source` is its text. `problems` are those that do not make it invalid: warnings, and types
    that Kestra has and Eyas has not (`kind="unsupported"`), for which starting it is refused.
    `file` is where it was read from, empty when it came from elsewhere.
    """

    id: str
    namespace: str
    tasks: tuple[Task, ...]
    errors: tuple[Task, ...] = ()
    finally_: tuple[Task, ...] = ()
    after_execution: tuple[Task, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    variables: Mapping[str, Any] | None = None
    labels: tuple[Label, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    concurrency: Concurrency | None = None
    retry: Retry | None = None
    sla: tuple[Sla, ...] = ()
    checks: tuple[Check, ...] = ()
    listeners: tuple[Properties, ...] = ()
    plugin_defaults: tuple[Properties, ...] = ()
    description: str | None = None
    disabled: bool = False
    revision: int = 1
    source: str = ""
    file: str = ""
    problems: tuple[Problem, ...] = ()

    def walk(self) -> Iterator[Task]:
        """Every task of the flow, nested ones and those of all branches too, in file order."""
        ends = (self.listener_tasks, self.after_execution)
        for branch in (self.tasks, self.errors, self.finally_, *ends):
            for task in branch:
                yield from task.walk()

    @property
    def listener_tasks(self) -> tuple[Task, ...]:
        """The tasks of all listeners."""
        return tuple(task for each in self.listeners for task in each.get("tasks") or ())

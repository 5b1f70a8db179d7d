"""Script tasks of a flow as they are known before it runs: for what can be fetched in advance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.cli.eval import EvalServices
from runner.engine.variables import environment, instant_text, of_flow
from runner.errors import TaskFailed
from runner.expr import Scope, render_typed, render_value
from runner.loading.flow import load_file
from runner.model import convert
from runner.model.catalog import PropertyInfo, catalog, type_expression
from runner.model.execution import Execution, Level, TaskRun, new_id
from runner.model.flow import Flow, Task
from runner.model.state import History, State
from runner.runners.base import Command, Leavings, TaskRunner
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.tasks.context import Executed

_SCRIPTS = "io.kestra.plugin.scripts."


def script_tasks(files: Sequence[Path], settings: Settings) -> Iterator[tuple[Flow, Task]]:
    """Every script task of the flows in `files` that is not disabled.

    Raises:
        FlowInvalid: a file holds no valid flow.
    """
    for file in files:
        flow = load_file(file, settings=settings)
        for task in flow.walk():
            if task.type.startswith(_SCRIPTS) and not task.disabled:
                yield flow, task


class PlannedContext:
    """A task's `RunContext` without an execution: inputs have their defaults, there are no outputs.

    What depends on more cannot be rendered. `lines` is what was logged. With `since`, packages
    are taken as not new enough if they were made before.
    """

    shared_dir = resumed = None
    attempt = 0

    def __init__(
        self,
        flow: Flow,
        task: Task,
        settings: Settings,
        runners: TaskRunners,
        since: datetime | None = None,
    ) -> None:
        self.flow, self.task = flow, task
        self.settings, self.runners = settings, runners
        self.storage = Storage(settings.state_dir / "storage")
        self.kv = KeyValues(self.storage.root)
        self.lines: list[tuple[Level, str]] = []
        self.leaving = Leavings()
        history = History.begin(State.RUNNING, since or datetime.now(UTC))
        of: dict[str, Any] = {"namespace": flow.namespace, "flow_id": flow.id, "history": history}
        self.execution = Execution(id=new_id(), flow_revision=flow.revision, **of)
        self.task_run = TaskRun(id=new_id(), execution_id=self.execution.id, task_id=task.id, **of)
        known = catalog().task(task.type)
        self._properties: Mapping[str, PropertyInfo] = known.properties if known else {}
        self._services = EvalServices(
            settings.environ, namespace=flow.namespace, env_prefix=settings.env_prefix
        )

    def now(self) -> datetime:
        """The current time."""
        return datetime.now(UTC)

    def _scope(self, more: Mapping[str, object]) -> Scope:
        flow, settings = self.flow, self.settings
        inputs = {each.id: each.defaults for each in flow.inputs if each.defaults is not None}
        known: dict[str, object] = {
            "flow": of_flow(flow),
            "execution": {
                "id": self.execution.id,
                "startDate": instant_text(self.execution.history.start),
            },
            "inputs": inputs,
            "vars": flow.variables,
            "envs": environment(settings.environ, settings.env_prefix),
            "globals": {},
            "kestra": {"environment": {}, "url": ""},
        }
        return Scope(variables={**known, **more}, services=self._services)

    async def render(self, value: Any, /, **more: object) -> Any:
        """`value` with every expression in it rendered."""
        return render_value(value, self._scope(more))

    async def render_typed(self, value: Any, /, **more: object) -> Any:
        """The same; a lone expression keeps its value's type."""
        if isinstance(value, str):
            return render_typed(value, self._scope(more))
        return render_value(value, self._scope(more), typed=True)

    async def _property(self, name: str, type_: str, more: Mapping[str, object]) -> Any:
        value = self.task.properties.get(name)
        if value is None:
            info = self._properties.get(name)
            value = info.default if info is not None else None
        if value is None:
            return None
        try:
            return convert.convert(await self.render(value, **more), type_expression(type_))
        except ValueError as error:
            raise TaskFailed(f"property '{name}': {error}") from error

    async def text(self, name: str, /, **more: object) -> str | None:
        """A property as text."""
        return await self._property(name, "string", more)

    async def flag(self, name: str, /, **more: object) -> bool:
        """A property that is true or false."""
        return bool(await self._property(name, "boolean", more))

    async def integer(self, name: str, /, **more: object) -> int | None:
        """A property that is a whole number."""
        return await self._property(name, "integer", more)

    async def duration(self, name: str, /, **more: object) -> timedelta | None:
        """A property that is a duration."""
        return await self._property(name, "duration", more)

    async def texts(self, name: str, /, **more: object) -> Sequence[str]:
        """A property that is a list of texts."""
        return await self._property(name, "list<string>", more) or ()

    async def mapping(self, name: str, /, **more: object) -> Mapping[str, Any]:
        """A property that is a map."""
        return await self._property(name, "map", more) or {}

    def log(self, level: Level, message: str) -> None:
        """Keep a line."""
        self.lines.append((level, message))

    def count(self, name: str, value: float, **tags: str) -> None:
        """Nothing is measured."""

    def time(self, name: str, duration: timedelta, **tags: str) -> None:
        """Nothing is measured."""

    def gauge(self, name: str, value: float, **tags: str) -> None:
        """Nothing is measured."""

    async def execute(self, runner: TaskRunner, command: Command) -> Executed:
        """Nothing is executed.

        Raises:
            TaskFailed: always.
        """
        raise TaskFailed("The task has not begun")

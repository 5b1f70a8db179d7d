"""A small RunContext for tests of script tasks: real rendering, files and processes, no engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from runner.errors import TaskFailed
from runner.expr import Scope, render_typed, render_value
from runner.model import convert
from runner.model.catalog import catalog, type_expression
from runner.model.execution import Execution, Level, TaskRun
from runner.model.flow import Flow, Task
from runner.model.state import History, State
from runner.runners.base import Command, Leavings, Stream, TaskRunner
from runner.runners.docker_options import DockerOptions
from runner.runners.process import ProcessRunner
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.tasks.context import Executed

PROCESS = {"type": "io.kestra.plugin.core.runner.Process"}
NOW = datetime(2026, 1, 2, tzinfo=UTC)
ID = "5yQ0kTz9AbCdEfGhIjKlMn"


class ProcessOnly(TaskRunners):
    """Task runners that run everything as a process, and remember what was asked for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._process = ProcessRunner(settings)
        self.asked: list[DockerOptions] = []

    def process(self) -> TaskRunner:
        return self._process

    def docker(self, options: DockerOptions, warn: object = None) -> TaskRunner:
        self.asked.append(options)
        return self._process


@dataclass
class Bench:
    """One script task and what became of it: `commands` that were run, `logs`, `metrics`."""

    folder: Path
    type: str = "shell.Commands"
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    variables: dict[str, object] = field(default_factory=dict[str, object])
    environ: dict[str, str] = field(default_factory=dict[str, str])
    shared_dir: Path | None = None
    task_runner: str = "docker"
    logs: list[tuple[Level, str]] = field(default_factory=list[tuple[Level, str]])
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    commands: list[Command] = field(default_factory=list[Command])
    attempt: int = 0
    leaving: Leavings = field(default_factory=Leavings)
    resumed: None = None

    def __post_init__(self) -> None:
        import os

        self.folder.mkdir(exist_ok=True)
        self.temp = self.folder / "tmp"
        environ = {"PATH": os.environ["PATH"], **self.environ}
        self.settings = Settings(
            state_dir=self.folder / "state",
            tmp_dir=self.temp,
            environ=environ,
            task_runner=cast("Any", self.task_runner),
            stop_grace=timedelta(seconds=1),
        )
        self.temp.mkdir(exist_ok=True)
        self.storage = Storage(self.folder / "storage")
        self.kv = KeyValues(self.folder / "kv")
        self.runners = ProcessOnly(self.settings)
        name = f"io.kestra.plugin.scripts.{self.type}"
        self.task = Task(id="t", type=name, properties=self.properties)
        history = History.begin(State.RUNNING, NOW)
        shared: dict[str, Any] = {"namespace": "a.b", "flow_id": "f", "history": history}
        self.execution = Execution(id=ID, flow_revision=1, **shared)
        self.task_run = TaskRun(id=ID[::-1], execution_id=ID, task_id="t", **shared)
        self.flow = Flow(id="f", namespace="a.b", tasks=(self.task,))
        self._types = getattr(catalog().task(name), "properties")  # noqa: B009 # never None here

    def now(self) -> datetime:
        return NOW

    def _scope(self, more: Mapping[str, object]) -> Scope:
        own: dict[str, object] = {"flow": {"id": "f", "namespace": "a.b"}}
        return Scope({**own, **self.variables, **more})

    async def render(self, value: Any, **more: object) -> Any:
        return render_value(value, self._scope(more))

    async def render_typed(self, value: Any, **more: object) -> Any:
        if isinstance(value, str):
            return render_typed(value, self._scope(more))
        return render_value(value, self._scope(more), typed=True)

    async def _as(self, type_: str, name: str, more: Mapping[str, object]) -> Any:
        value = self.properties.get(name)
        if value is None:
            value = self._types[name].default if name in self._types else None
        try:
            return convert.convert(await self.render(value, **more), type_expression(type_))
        except convert.ConversionFailed as error:
            raise TaskFailed(str(error)) from error

    async def text(self, name: str, **more: object) -> str | None:
        return await self._as("string", name, more)

    async def flag(self, name: str, **more: object) -> bool:
        return bool(await self._as("boolean", name, more))

    async def integer(self, name: str, **more: object) -> int | None:
        return await self._as("integer", name, more)

    async def duration(self, name: str, **more: object) -> timedelta | None:
        return await self._as("duration", name, more)

    async def texts(self, name: str, **more: object) -> Sequence[str]:
        return await self._as("list<string>", name, more) or ()

    async def mapping(self, name: str, **more: object) -> Mapping[str, Any]:
        return await self._as("map<string>", name, more) or {}

    def log(self, level: Level, message: str) -> None:
        self.logs.append((level, message))

    def count(self, name: str, value: float, **tags: str) -> None:
        self.metrics[name] = value

    def time(self, name: str, duration: timedelta, **tags: str) -> None:
        self.metrics[name] = duration.total_seconds()

    def gauge(self, name: str, value: float, **tags: str) -> None:
        self.metrics[name] = value

    async def execute(self, runner: TaskRunner, command: Command) -> Executed:
        self.commands.append(command)
        chunks: dict[Stream, bytes] = dict.fromkeys(Stream, b"")

        async def emit(stream: Stream, chunk: bytes) -> None:
            chunks[stream] += chunk

        outcome = await runner.run(command, emit)
        for stream, level in ((Stream.STDOUT, Level.INFO), (Stream.STDERR, Level.ERROR)):
            self.logs += [(level, line) for line in chunks[stream].decode().splitlines()]
        return Executed(outcome=outcome, vars={})

    def lines(self, level: Level = Level.INFO) -> list[str]:
        """The log's lines of one level."""
        return [message for found, message in self.logs if found is level]

    def left(self) -> list[str]:
        """What is left in the folder for temporary files."""
        return sorted(path.name for path in self.temp.iterdir())

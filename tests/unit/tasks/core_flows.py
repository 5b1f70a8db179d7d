"""Runs small flows of core tasks on a real engine, with files and keys in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from runner.engine.engine import Engine
from runner.engine.flows import FixedFlows
from runner.loading.flow import load
from runner.model.execution import LogLine, Metric, Outputs
from runner.model.state import State
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.memory import MemoryStore

CORE = "io.kestra.plugin.core"


@dataclass
class Ended:
    """How an execution ended: states and outputs by task id, lines and metrics in order."""

    state: State
    states: Mapping[str, State]
    outputs: Mapping[str, Outputs | None]
    lines: list[LogLine]
    metrics: list[Metric]

    def messages(self, task_id: str | None = None) -> list[tuple[str, str]]:
        """Level and message of the lines of one task, or of all."""
        found = [line for line in self.lines if task_id is None or line.task_id == task_id]
        return [(str(line.level), line.message) for line in found]

    def error(self, task_id: str) -> str:
        """The last error of a task."""
        return [text for level, text in self.messages(task_id) if level == "ERROR"][-1]

    def measured(self, task_id: str) -> dict[str, float]:
        """The counters of a task by name."""
        found = [metric for metric in self.metrics if metric.task_id == task_id]
        return {str(metric.name): metric.value for metric in found if metric.type == "counter"}


@dataclass
class Flows:
    """A place where flows of namespace `a.b` run one after the other, with the same files."""

    folder: Path
    storage: Storage = field(init=False)
    kv: KeyValues = field(init=False)

    def __post_init__(self) -> None:
        self.storage = Storage(self.folder / "storage")
        self.kv = KeyValues(self.folder / "storage")

    def text(self, uri: object) -> str:
        """The content of a stored file."""
        return self.storage.open(str(uri)).read_bytes().decode()

    async def run(self, tasks: str, more: str = "", **inputs: Any) -> Ended:
        """Run a flow with these tasks; `core.` at the start of a type stands for Kestra's own."""
        text = f"id: f\nnamespace: a.b\n{more}\ntasks:\n{tasks}\n"
        flow = load(text.replace("type: core.", f"type: {CORE}."))
        store = MemoryStore()
        settings = Settings(
            state_dir=self.folder, tmp_dir=self.folder / "tmp", environ={"SECRET_S": "c2VjcmV0LXg="}
        )
        runners = TaskRunners(settings)
        async with Engine(
            settings, store, FixedFlows([flow]), self.storage, self.kv, runners
        ) as engine:
            execution = await engine.start(flow, inputs=inputs)
            with anyio.fail_after(20):
                execution = await engine.wait(execution.id)
            runs = await store.task_runs(execution.id)
            return Ended(
                state=execution.state,
                states={run.task_id: run.state for run in runs},
                outputs={run.task_id: run.outputs for run in runs},
                lines=await store.logs(execution.id),
                metrics=await store.metrics(execution.id),
            )

"""Tasks that reach beyond their execution: what they ask of the program around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from core_flows import CORE

from runner.errors import NotFound, TaskFailed
from runner.expr import Scope, render_typed, render_value
from runner.model.catalog import catalog, type_expression
from runner.model.convert import convert
from runner.model.execution import Execution, Level, LogLine, TaskRun
from runner.model.flow import Flow, Task
from runner.model.state import History, State
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.tasks.context import Result, RunContext
from runner.tasks.modules import load

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def execution(id_: str, state: State, flow_id: str = "f") -> Execution:
    history = History.begin(state, NOW)
    return Execution(id=id_, namespace="a.b", flow_id=flow_id, flow_revision=1, history=history)


def line(message: str, level: Level, task_id: str | None) -> LogLine:
    return LogLine(
        number=1,
        execution_id="E",
        namespace="a.b",
        flow_id="f",
        level=level,
        message=message,
        date=NOW,
        task_id=task_id,
    )


@dataclass
class FakeHost:
    """Remembers what it was asked, and answers from what it was given."""

    known: Sequence[Execution] = ()
    lines: Sequence[LogLine] = ()
    asked: list[Any] = field(default_factory=list[Any])

    def namespaces(self) -> Collection[str]:
        return ["a.b", "with.flows"]

    async def logs(self, execution_id: str) -> Sequence[LogLine]:
        self.asked.append(execution_id)
        return self.lines

    async def executions(self, **wanted: Any) -> Sequence[Execution]:
        self.asked.append({key: value for key, value in wanted.items() if value})
        return [found for found in self.known if wanted["flow_id"] in (None, found.flow_id)]

    async def resume(self, execution_id: str, inputs: Mapping[str, Any]) -> None:
        self.asked.append((execution_id, dict(inputs)))

    async def purge(self, execution: Execution, **what: bool) -> Mapping[str, int]:
        self.asked.append((execution.id, sorted(key for key, value in what.items() if value)))
        return {"executions": 1, "logs": 10, "metrics": 2, "files": 3}

    async def toggle(self, *where: Any) -> None:
        self.asked.append(where)

    def read_task(self, text: str) -> Task:
        kind, _, value = text.partition(":")
        return Task(id="inner", type=f"{CORE}.{kind}", properties={"format": value.strip()})

    async def run_task(self, ctx: RunContext, task: Task) -> Result | None:
        return await work(replace_task(cast("Hosted", ctx), task))


@dataclass
class Hosted:
    """One task run of which the host is a fake; as much of a RunContext as these tasks use."""

    folder: Path
    task: Task
    host: FakeHost

    def __post_init__(self) -> None:
        self.storage = Storage(self.folder)
        self.kv = KeyValues(self.folder)
        self.execution = execution("E", State.RUNNING)
        self.flow = Flow(id="f", namespace="a.b", tasks=(self.task,))
        self.task_run = TaskRun(
            id="R",
            execution_id="E",
            namespace="a.b",
            flow_id="f",
            task_id="t",
            history=self.execution.history,
        )
        self.counted: dict[str, float] = {}

    def _scope(self, more: Mapping[str, object]) -> Scope:
        return Scope({"flow": {"id": "f", "namespace": "a.b"}, **more})

    async def render(self, value: Any, /, **more: object) -> Any:
        return render_value(value, self._scope(more))

    async def render_typed(self, value: Any, /, **more: object) -> Any:
        return render_typed(value, self._scope(more))

    async def _as(self, type_: str, name: str, more: Mapping[str, object]) -> Any:
        info = catalog().task(self.task.type)
        value = self.task.properties.get(name)
        if value is None and info is not None and name in info.properties:
            value = info.properties[name].default
        return convert(await self.render(value, **more), type_expression(type_))

    async def text(self, name: str, **more: object) -> str | None:
        return await self._as("string", name, more)

    async def flag(self, name: str, **more: object) -> bool:
        return bool(await self._as("boolean", name, more))

    async def duration(self, name: str, **more: object) -> timedelta | None:
        return await self._as("duration", name, more)

    async def texts(self, name: str, **more: object) -> Sequence[str]:
        return await self._as("list<string>", name, more) or ()

    async def mapping(self, name: str, **more: object) -> Mapping[str, Any]:
        return await self._as("map", name, more) or {}

    def count(self, name: str, value: float, /, **tags: str) -> None:
        self.counted[name] = value

    def time(self, name: str, duration: timedelta, /, **tags: str) -> None:
        self.counted[name] = duration.total_seconds()


def replace_task(ctx: Hosted, task: Task) -> Hosted:
    return replace(ctx, task=task)


async def work(ctx: Hosted) -> Result | None:
    found = load(ctx.task.type)
    assert found is not None
    return await found.work(ctx)


async def run(folder: Path, host: FakeHost, type_: str, **properties: Any) -> dict[str, Any]:
    task = Task(id="t", type=f"{CORE}.{type_}", properties=properties)
    result = await work(Hosted(folder, task, host))
    return dict((result.outputs if result else None) or {})


async def test_a_log_is_fetched_as_a_file_of_items(tmp_path: Path) -> None:
    lines = [
        line("one", Level.INFO, "a"),
        line("two", Level.DEBUG, "a"),
        line("three", Level.ERROR, "b"),
        line("four", Level.INFO, None),
    ]
    host = FakeHost(lines=lines)

    whole = await run(tmp_path, host, "log.Fetch")
    some = await run(tmp_path, host, "log.Fetch", executionId="X", tasksId=["b"], level="TRACE")

    assert (whole["size"], some["size"]) == (3, 1)
    assert host.asked == ["E", "X"]
    text = Storage(tmp_path).open(some["uri"]).read_text()
    assert text.startswith('{"namespace":"a.b","flowId":"f","taskId":"b"')
    assert '"message":"three"' in text


async def test_executions_are_counted_per_flow_or_namespace(tmp_path: Path) -> None:
    host = FakeHost([execution("1", State.SUCCESS, "x"), execution("2", State.FAILED, "y")])

    per_flow = await run(
        tmp_path,
        host,
        "execution.Count",
        flows=[{"namespace": "a.b", "flowId": "x"}, {"namespace": "a.b", "flowId": "z"}],
        startDate="2026-01-01",
        states=["SUCCESS"],
        expression="{{ count >= 1 }}",
    )
    own = await run(
        tmp_path, host, "execution.Count", startDate="2026-01-01T00:00:00Z", expression="{{ true }}"
    )

    assert per_flow == {
        "results": [{"namespace": "a.b", "flowId": "x", "count": 1}],
        "total": 1,
    }
    assert own == {"results": [{"namespace": "a.b", "count": 2}], "total": 2}
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert host.asked[0] == {
        "namespace": "a.b",
        "flow_id": "x",
        "states": [State.SUCCESS],
        "since": since,
    }


async def test_old_executions_are_purged_but_never_the_running_one(tmp_path: Path) -> None:
    host = FakeHost(
        [
            execution("old", State.SUCCESS),
            execution("open", State.RUNNING),
            execution("E", State.SUCCESS),
        ]
    )

    found = await run(
        tmp_path, host, "execution.PurgeExecutions", endDate="2026-01-01", purgeMetric=False
    )
    logs = await run(tmp_path, host, "log.PurgeLogs", endDate="2026-01-01")

    assert found == {
        "executionsCount": 1,
        "logsCount": 10,
        "metricsCount": 2,
        "storagesCount": 3,
    }
    assert logs == {"count": 10}
    assert [asked for asked in host.asked if isinstance(asked, tuple)] == [
        ("old", ["execution_too", "files", "logs"]),
        ("old", ["logs"]),
    ]


async def test_a_bad_moment_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="endDate: Text 'soon' could not be parsed"):
        await run(tmp_path, FakeHost(), "log.PurgeLogs", endDate="soon")


async def test_an_execution_is_resumed_and_a_trigger_toggled(tmp_path: Path) -> None:
    host = FakeHost()

    await run(tmp_path, host, "execution.Resume", executionId="X", inputs={"a": "{{ flow.id }}"})
    await run(tmp_path, host, "trigger.Toggle", trigger="s", enabled=True)
    await run(tmp_path, host, "trigger.Toggle", trigger="s", namespace="n", flowId="g")

    assert host.asked == [("X", {"a": "f"}), ("a.b", "f", "s", True), ("n", "g", "s", False)]


async def test_a_templated_task_does_what_its_text_says(tmp_path: Path) -> None:
    found = await run(
        tmp_path,
        FakeHost(),
        "templating.TemplatedTask",
        spec="debug.Return: from {{ flow.id }}",
    )

    assert found == {"value": "from f"}


async def test_a_templated_task_is_not_another_one(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"cannot be of type 'io\.kestra\."):
        await run(
            tmp_path,
            FakeHost(),
            "templating.TemplatedTask",
            spec="templating.TemplatedTask: x",
        )


async def test_keys_of_a_namespace_need_a_flow_in_it_or_below(tmp_path: Path) -> None:
    await run(tmp_path, FakeHost(), "kv.Set", namespace="with", key="k", value="v")
    await run(tmp_path, FakeHost(), "kv.Set", namespace="a", key="k", value="v")

    with pytest.raises(NotFound) as caught:
        await run(tmp_path, FakeHost(), "kv.Set", namespace="conf.nowhere", key="k", value="v")
    assert str(caught.value) == (
        "Cannot access the KV store. The namespace 'conf.nowhere' does not exist."
    )


async def test_without_a_daemon_such_a_task_says_what_it_needs(tmp_path: Path) -> None:
    task = Task(id="t", type=f"{CORE}.execution.Resume", properties={"executionId": "X"})
    ctx = Hosted(tmp_path, task, FakeHost())
    del ctx.host

    with pytest.raises(TaskFailed, match="eyas serve"):
        await work(ctx)

"""The running task's view of its execution: `RunContext` and `FlowContext` of the tasks layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engine.adoption import Known
from runner.engine.complaints import cause_of, hint_of
from runner.engine.frame import Frame
from runner.engine.journal import FLUSH_INTERVAL_S, Journal
from runner.engine.output import Reader
from runner.engine.places import with_place
from runner.engine.services import EngineServices
from runner.engine.variables import Variables, of_task, root
from runner.errors import RenderFailed, RunnerError, TaskFailed
from runner.expr import Scope, render_typed, render_value
from runner.model import convert
from runner.model.catalog import PropertyInfo, TypeExpression, catalog, type_expression
from runner.model.execution import Execution, Label, Level, Metric, Outputs, TaskRun
from runner.model.flow import Flow, Task
from runner.model.state import State
from runner.runners.base import Command, Leavings, TaskRunner
from runner.runners.intents import Left
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.tasks.context import Child, Executed, Finished, Group, Resumption
from runner.tasks.hidden import ITERATION
from runner.tasks.host import Host
from runner.tasks.registry import registered

if TYPE_CHECKING:
    from runner.engine.driver import Driver
    from runner.engine.engine import Engine


_BOOLEAN, _INTEGER = type_expression("boolean"), type_expression("integer")
_DURATION = type_expression("duration")
_TEXTS, _MAP = type_expression("list<string>"), type_expression("map")


def scope_of_flow(engine: Engine, journal: Journal, *, ended: bool) -> Scope:
    """What expressions outside of any task see (flow outputs, SLA, checks)."""
    settings = engine.settings
    makers = root(journal, settings.environ, settings.env_prefix, ended=ended)
    return Scope(variables=Variables(makers), services=EngineServices(engine, journal))


class Context:
    """One attempt of one task run; the methods are described in `runner.tasks.context`."""

    def __init__(self, driver: Driver, frame: Frame, task: Task, run_id: str) -> None:
        self._driver = driver
        self._frame = frame
        self._run_id = run_id
        self._services = EngineServices(driver.engine, driver.journal)
        self.task = task
        known = catalog().task(task.type)
        self._properties: Mapping[str, PropertyInfo] = known.properties if known else {}

    @property
    def task_run(self) -> TaskRun:
        return self._driver.journal.runs[self._run_id]

    @property
    def execution(self) -> Execution:
        return self._driver.journal.execution

    @property
    def flow(self) -> Flow:
        return self._driver.journal.flow

    @property
    def settings(self) -> Settings:
        return self._driver.engine.settings

    @property
    def storage(self) -> Storage:
        return self._driver.engine.storage

    @property
    def kv(self) -> KeyValues:
        return self._driver.engine.kv

    @property
    def runners(self) -> TaskRunners:
        return self._driver.engine.runners

    @property
    def host(self) -> Host:
        return self._driver.engine.host

    @property
    def shared_dir(self) -> Path | None:
        return self._frame.shared_dir

    @property
    def leaving(self) -> Leavings:
        return self._driver.leaving_of(self._run_id)

    @property
    def resumed(self) -> Left | None:
        rest = self._driver.adopted.rests.get(self._run_id)
        return rest.left if rest is not None else None

    @property
    def left_folder(self) -> Path | None:
        return self._driver.adopted.folders.get(self._run_id)

    @property
    def attempt(self) -> int:
        return max(len(self.task_run.attempts) - 1, 0)

    def standing_for(self, task: Task) -> Context:
        """The same attempt, as another task sees it that does its work."""
        return Context(self._driver, self._frame, task, self._run_id)

    def now(self) -> datetime:
        return self._driver.journal.now()

    def _scope(self, more: Mapping[str, object]) -> Scope:
        driver, settings, frame = self._driver, self.settings, self._frame
        after = frame.is_after
        makers = root(driver.journal, settings.environ, settings.env_prefix, ended=after)
        # A flowable stands in its own frame; what is around it is outside.
        own = frame.run is not None and frame.run.id == self._run_id
        if own and frame.parent is not None and self.task.type != ITERATION:
            frame = frame.parent
        makers.update(of_task(driver.journal, frame, self.task, self.task_run))
        makers.update({name: (lambda value=value: value) for name, value in more.items()})
        return Scope(variables=Variables(makers), services=self._services)

    async def render(self, value: Any, /, **more: object) -> Any:
        try:
            return render_value(value, self._scope(more))
        except RenderFailed as error:
            raise with_place(error, self.flow, self.task, value) from error

    async def render_typed(self, value: Any, /, **more: object) -> Any:
        scope = self._scope(more)
        try:
            if isinstance(value, str):
                return render_typed(value, scope)
            return render_value(value, scope, typed=True)
        except RenderFailed as error:
            raise with_place(error, self.flow, self.task, value) from error

    async def _property(self, name: str, more: Mapping[str, object]) -> Any:
        value = self.task.properties.get(name)
        if value is None:
            info = self._properties.get(name)
            value = info.default if info is not None else None
        return None if value is None else await self.render(value, **more)

    async def text(self, name: str, /, **more: object) -> str | None:
        value = await self._property(name, more)
        return None if value is None else convert.text(value)

    async def flag(self, name: str, /, **more: object) -> bool:
        value = await self._property(name, more)
        return False if value is None else self._converted(name, _BOOLEAN, value)

    async def integer(self, name: str, /, **more: object) -> int | None:
        value = await self._property(name, more)
        return None if value is None else self._converted(name, _INTEGER, value)

    async def duration(self, name: str, /, **more: object) -> timedelta | None:
        value = await self._property(name, more)
        return None if value is None else self._converted(name, _DURATION, value)

    async def texts(self, name: str, /, **more: object) -> Sequence[str]:
        value = await self._property(name, more)
        return () if value is None else self._converted(name, _TEXTS, value)

    async def mapping(self, name: str, /, **more: object) -> Mapping[str, Any]:
        value = await self._property(name, more)
        return {} if value is None else self._converted(name, _MAP, value)

    def _converted(self, name: str, type_: TypeExpression, value: Any) -> Any:
        try:
            return convert.convert(value, type_)
        except convert.CastFailed as error:
            raise TaskFailed(str(error)) from error
        except ValueError as error:
            where = f"property '{name}' of task '{self.task.id}'"
            raise TaskFailed(f"Invalid value for {where}: {error}") from error

    async def timeout(self) -> timedelta | None:
        """The task's `timeout`, rendered; None if it has none."""
        if self.task.timeout is None:
            return None
        return self._converted("timeout", _DURATION, await self.render(self.task.timeout))

    def log(self, level: Level, message: str) -> None:
        if self.task.log_level is None or level.rank >= self.task.log_level.rank:
            self._driver.journal.log(level, message, self.task_run)

    def complain(self, error: RunnerError, before: str = "") -> None:
        self.log(Level.ERROR, before + cause_of(error))
        hint = hint_of(error)
        if hint:
            # Not in the line above: people compare and search those.
            self.log(Level.DEBUG, hint)

    def count(self, name: str, value: float, **tags: str) -> None:
        self._measure(name, "counter", value, tags)

    def time(self, name: str, duration: timedelta, **tags: str) -> None:
        self._measure(name, "timer", duration.total_seconds() * 1000, tags)

    def gauge(self, name: str, value: float, **tags: str) -> None:
        self._measure(name, "gauge", value, tags)

    def _measure(self, name: str, type_: str, value: float, tags: Mapping[str, str]) -> None:
        run, journal = self.task_run, self._driver.journal
        journal.add_metric(
            Metric(
                execution_id=run.execution_id,
                namespace=run.namespace,
                flow_id=run.flow_id,
                task_id=run.task_id,
                task_run_id=run.id,
                name=name,
                type=type_,
                value=value,
                date=journal.now(),
                tags=tags,
            )
        )

    async def execute(self, runner: TaskRunner, command: Command) -> Executed:
        known = await self._known() if command.resumed is not None else None
        reader = Reader(
            self._driver.journal,
            self.task,
            self.task_run,
            docker=runner.keeps_returns,
            known=known,
        )
        command = replace(command, recorded=self._driver.journal.recorded)
        try:
            outcome = await runner.run(command, reader.emit)
        finally:
            reader.close()
        reader.recover(outcome.markers)
        reader.publish()
        return Executed(outcome=outcome, vars=reader.vars)

    async def _known(self) -> Known:
        """What is stored of this attempt already."""
        store, run = self._driver.engine.store, self.task_run
        lines = await store.logs(run.execution_id)
        return Known.of(run, self.attempt, lines, await store.metrics(run.execution_id))

    async def run(
        self, tasks: Sequence[Task], *, value: str | None = None, iteration: int | None = None
    ) -> bool:
        return await self._driver.in_order(self._frame, tasks, value=value, iteration=iteration)

    async def run_groups(self, groups: Sequence[Group], limit: int = 0) -> bool:
        return await self._driver.run_groups(self._frame, groups, limit)

    async def run_in(self, folder: Path, tasks: Sequence[Task]) -> bool:
        around = self._frame
        inner = Frame(around.parent, around.task, around.run, folder, trail=around.trail)
        goes_on = await self._driver.in_order(inner, tasks)
        if self._driver.stopping and not inner.is_after:
            await self._kill_unbegun(tasks)
        return goes_on

    async def _kill_unbegun(self, tasks: Sequence[Task]) -> None:
        """Record the tasks of a killed job that it did not come to: CREATED, then KILLED."""
        journal = self._driver.journal
        begun = {run.task_id for run in self.children()}
        for task in tasks:
            if task.id not in begun:
                run = journal.new_run(task, self._run_id)
                journal.add(run)
                await journal.save(run.moved(State.KILLED, journal.now()))

    async def flush(self) -> None:
        """Write the log lines that wait."""
        await self._driver.journal.flush()

    async def begin(self) -> None:
        """Record that the task runs, if it was not recorded when it was created."""
        run = self.task_run
        if run.state in (State.CREATED, State.RESTARTED, State.RESUBMITTED):
            await self._driver.journal.move_run(run.id, State.RUNNING)

    async def set_outputs(self, outputs: Outputs) -> None:
        await self.begin()
        known = registered(self.task.type)
        run = replace(self.task_run, outputs=dict(outputs))
        pure = known is not None and known.pure
        await self._driver.journal.save(run, within_s=FLUSH_INTERVAL_S if pure else None)

    async def discard_children(self, iteration: int) -> None:
        journal = self._driver.journal
        # What stands deeper stays, with its outputs, as on Kestra.
        await journal.discard([run.id for run in journal.children(self._run_id)])
        await journal.save(replace(self.task_run, iteration=iteration))

    def children(self) -> Sequence[TaskRun]:
        return self._driver.journal.children(self._run_id)

    async def pause(self, until: datetime | None, *, cancels: bool = False) -> Resumption:
        await self._driver.journal.flush()
        outside = self._frame.parent or self._frame
        pauses = self._driver.pauses
        return await pauses.pause(outside, self.task_run, until, self.task, cancels=cancels)

    async def rest(self, until: datetime) -> bool:
        await self._driver.journal.flush()
        return await self._driver.pauses.rest(until)

    async def update(
        self,
        *,
        variables: Mapping[str, Any] | None = None,
        labels: Sequence[Label] | None = None,
    ) -> None:
        journal = self._driver.journal
        if variables is not None:
            await journal.save(execution=replace(journal.execution, variables=variables))
        if labels is not None:
            await self._driver.add_labels(labels)

    async def end_execution(self, state: State) -> None:
        await self._driver.end(state, stop=state is State.KILLED, from_=self._frame)

    async def start(self, children: Sequence[Child]) -> Sequence[Execution]:
        return await self._driver.engine.children.start(
            children, self._driver, self.task_run, self.task
        )

    async def restart(self, number: int | None = None) -> Execution | None:
        return await self._driver.engine.children.restart(self.task_run, number)

    async def ended(
        self, execution_id: str, wanted: Mapping[str, Any] | None = None, *, typed: bool = True
    ) -> Finished:
        return await self._driver.engine.children.ended(execution_id, wanted or {}, typed=typed)

"""Triggers that look at something again and again: scripts, and answers of HTTP servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import anyio
import structlog

from runner.engine.conditions import Subject, for_schedules, holds, when_holds
from runner.engine.engine import Engine
from runner.engine.flows import FixedFlows
from runner.errors import Conflict, RunnerError, TaskFailed
from runner.expr import Scope, is_truthy, render
from runner.model import convert
from runner.model.execution import Execution, Level, Outputs, TriggerCause, new_id
from runner.model.flow import Flow, Task, Trigger
from runner.model.state import State
from runner.model.texts import java_text
from runner.model.times import instant_text
from runner.model.triggers import TriggerName, TriggerState
from runner.records import record
from runner.store.memory import MemoryStore
from runner.triggers.scope import journal_before, rendered_labels, scope_of_trigger
from runner.triggers.states import States

log = structlog.get_logger()

_MINUTE = timedelta(minutes=1)
_LONGEST_WAIT_S = 30.0


@record(kw_only=True)
class Way:
    """How triggers of a type look: with a task of which type, given which properties of theirs."""

    task: str
    kind: Literal["script", "http"]
    not_given: frozenset[str] = frozenset({"interval", "when"})


_SHELL = "io.kestra.plugin.scripts.shell."
_SCRIPTS = frozenset({"interval", "when", "exitCondition", "edge"})
WAYS: Mapping[str, Way] = {
    f"{_SHELL}ScriptTrigger": Way(task=f"{_SHELL}Script", kind="script", not_given=_SCRIPTS),
    f"{_SHELL}CommandsTrigger": Way(task=f"{_SHELL}Commands", kind="script", not_given=_SCRIPTS),
    "io.kestra.plugin.core.http.Trigger": Way(
        task="io.kestra.plugin.core.http.Request",
        kind="http",
        not_given=frozenset({"interval", "when", "responseCondition"}),
    ),
}


@record(kw_only=True)
class Looked:
    """What a look found: how the task ended, what it gave, and why it failed if it did."""

    state: State
    outputs: Outputs
    error: str


class Poller:
    """All triggers in service that look at something."""

    def __init__(self, engine: Engine, states: States, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._states = states
        self._clock = clock
        self._served: dict[TriggerName, tuple[Flow, Trigger]] = {}
        self._next: dict[TriggerName, datetime] = {}
        self._busy: set[TriggerName] = set()
        self._starting: dict[str, dict[str, Any]] = {}
        self._wake = anyio.Event()

    def put(self, flows: Iterable[Flow]) -> None:
        """Take over the triggers of these flows in place of all others."""
        before = self._served
        self._served = {
            TriggerName(flow.namespace, flow.id, trigger.id): (flow, trigger)
            for flow in flows
            for trigger in flow.triggers
            if trigger.type in WAYS and not trigger.disabled and not flow.disabled
        }
        for name, served in self._served.items():
            if name not in self._next or before.get(name) != served:
                self._next[name] = self._clock()
        self._next = {name: self._next[name] for name in self._served}
        self._wake.set()

    def wake(self) -> None:
        """Look again at what is due: a trigger was enabled, or let go."""
        self._wake.set()

    def serves(self, name: TriggerName) -> bool:
        """Whether there is such a trigger."""
        return name in self._served

    async def run(self) -> None:
        """Look whenever it is time, until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                self._wake = wake = anyio.Event()
                now = self._clock()
                for name in self._free():
                    if self._wait_of(name, now) <= timedelta():
                        self._busy.add(name)
                        group.start_soon(self.poll, name, name=f"trigger {'.'.join(name)}")
                with anyio.move_on_after(self._wait_s(now)):
                    await wake.wait()

    def _free(self) -> list[TriggerName]:
        """The triggers that may look: neither disabled, nor busy, nor waiting for an execution.

        None of them while there is no room for executions.
        """
        found: list[TriggerName] = []
        if self._engine.space.shortage() is not None:
            return found
        for name, (_, trigger) in self._served.items():
            state = self._states.of(name)
            locked = state.execution_id is not None and not trigger.allow_concurrent
            if not (state.disabled or locked or name in self._busy):
                found.append(name)
        return found

    def _wait_s(self, now: datetime) -> float:
        seconds = [self._wait_of(name, now).total_seconds() for name in self._free()]
        return min(max(min(seconds, default=_LONGEST_WAIT_S), 0.0), _LONGEST_WAIT_S)

    def _wait_of(self, name: TriggerName, now: datetime) -> timedelta:
        """How long until a trigger looks; not at all if the clock went back beyond the last."""
        wait = self._next[name] - now
        return wait if wait <= self._interval(name) else timedelta()

    def _interval(self, name: TriggerName) -> timedelta:
        return self._served[name][1].properties.get("interval") or _MINUTE

    async def poll(self, name: TriggerName) -> None:
        """Look once, and start an execution if what is found says so."""
        flow, trigger = self._served[name]
        self._busy.add(name)
        try:
            await self._poll(name, flow, trigger)
        except Exception:
            log.exception("trigger.crashed", trigger=".".join(name))
        finally:
            self._busy.discard(name)
            if name in self._served:
                # The interval is between two looks; each begins when the one before has ended.
                self._next[name] = self._clock() + self._interval(name)
            self._wake.set()

    async def _poll(self, name: TriggerName, flow: Flow, trigger: Trigger) -> None:
        journal = journal_before(self._engine, flow, self._clock())
        scope = scope_of_trigger(self._engine, journal, trigger)
        cause: TriggerCause | None = None
        try:
            subject = Subject(flow=flow, scope=scope)
            if not holds(for_schedules(trigger.conditions), subject):
                return
            if not when_holds(trigger.properties.get("when"), scope):
                return
            found = await self._look(flow, trigger)
            if WAYS[trigger.type].kind == "http":
                variables = _of_answer(trigger, found, scope)
            else:
                variables = await self._of_script(name, trigger, found, scope)
            if variables is None:
                return
            cause = TriggerCause(id=trigger.id, type=trigger.type, variables=variables)
            await self._start(name, flow, trigger, cause, scope)
        except Conflict as error:
            log.warning("trigger.refused", trigger=".".join(name), error=str(error))
        except (RunnerError, ValueError) as error:
            log.warning("trigger.failed", trigger=".".join(name), error=str(error))
            if trigger.fail_on_trigger_error or cause is not None:
                cause = cause or TriggerCause(id=trigger.id, type=trigger.type)
                text = f"[trigger: {trigger.id}] Evaluate Failed with error '{error}'"
                await self._engine.start_failed(flow, text, trigger=cause)

    async def _look(self, flow: Flow, trigger: Trigger) -> Looked:
        """Run the task of a trigger in an engine of its own, of which nothing is kept."""
        way = WAYS[trigger.type]
        given = {k: v for k, v in trigger.properties.items() if k not in way.not_given}
        alone = Flow(
            id=flow.id,
            namespace=flow.namespace,
            tasks=(Task(id=trigger.id, type=way.task, properties=given),),
            variables=flow.variables,
            labels=flow.labels,
            revision=flow.revision,
        )
        engine, store = self._engine, MemoryStore()
        async with Engine(
            engine.settings,
            store,
            FixedFlows([alone]),
            engine.storage,
            engine.kv,
            engine.runners,
        ) as private:
            execution = await private.start(alone, checked=False)
            await private.wait_until_done(execution.id)
        (run,) = await store.task_runs(execution.id)
        lines = await store.logs(execution.id)
        errors = [line.message for line in lines if line.level is Level.ERROR]
        return Looked(state=run.state, outputs=run.outputs or {}, error="\n".join(errors[-3:]))

    async def _of_script(
        self, name: TriggerName, trigger: Trigger, found: Looked, scope: Scope
    ) -> dict[str, Any] | None:
        """The variables of an execution if the script's end meets the condition, else None."""
        code = found.outputs.get("exitCode")
        if code is None:
            raise TaskFailed(found.error or "The script could not be run")
        wanted = render(str(trigger.properties["exitCondition"]), scope).strip()
        given = found.outputs.get("vars") if code == 0 else None
        met = _met(wanted, code, given)
        before = self._states.of(name).met
        edge = render(convert.text(trigger.properties.get("edge")) or "true", scope)
        if not met or (before and is_truthy(edge)):
            if met != before:
                await self._states.change(name, met=met)
            return None
        variables = {"timestamp": instant_text(self._clock()), "condition": wanted}
        return {**variables, "exitCode": code, **({} if given is None else {"vars": given})}

    async def _start(
        self, name: TriggerName, flow: Flow, trigger: Trigger, cause: TriggerCause, scope: Scope
    ) -> None:
        """Start the execution that a look asks for; the trigger waits for its end."""
        execution_id = new_id()
        changes: dict[str, Any] = {"last_date": self._clock()}
        if WAYS[trigger.type].kind == "script":
            changes["met"] = True
        if not trigger.allow_concurrent:
            changes["execution_id"] = execution_id
        self._starting[execution_id] = changes
        try:
            await self._engine.start(
                flow,
                labels=rendered_labels(trigger.labels, scope),
                trigger=cause,
                execution_id=execution_id,
                checked=False,
            )
        except RunnerError:
            await self._states.change(name, **{**changes, "execution_id": None})
            raise
        finally:
            self._starting.pop(execution_id, None)

    def begun(self, execution: Execution) -> list[TriggerState]:
        """What a trigger has become by an execution that it starts; stored together with it."""
        changes, cause = self._starting.pop(execution.id, None), execution.trigger
        if changes is None or cause is None:
            return []
        name = TriggerName(execution.namespace, execution.flow_id, cause.id)
        return [self._states.set(name, **changes)]


def _met(condition: str, code: int, given: Any) -> bool:
    """Whether a script's end meets the condition: `exit N`, or a pattern found in its `vars`."""
    exact = re.fullmatch(r"exit\s+(\d+)", condition, re.IGNORECASE)
    if exact is not None:
        return int(exact[1]) == code
    if given is None:
        return False
    text = java_text(given)
    try:
        return re.search(condition, text) is not None
    except re.error:
        return condition in text


def _of_answer(trigger: Trigger, found: Looked, scope: Scope) -> dict[str, Any] | None:
    """The variables of an execution if an HTTP answer meets the condition, else None."""
    if found.state is not State.SUCCESS:
        raise TaskFailed(found.error or "The request failed")
    outputs = found.outputs
    response = {
        "statusCode": outputs.get("code"),
        "body": outputs.get("body"),
        "headers": outputs.get("headers"),
    }
    condition = trigger.properties.get("responseCondition") or "{{ response.statusCode < 400 }}"
    if not is_truthy(render(str(condition), scope.with_variables(response=response))):
        return None
    return {name: value for name, value in outputs.items() if value is not None}

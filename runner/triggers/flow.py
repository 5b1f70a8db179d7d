"""Flow triggers: executions that start when those of other flows change their state."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime, tzinfo
from typing import Any

import structlog

from runner.engine.conditions import MULTIPLE, Subject, one_holds, when_holds
from runner.engine.engine import CORRELATION, Engine
from runner.engine.journal import Journal
from runner.engine.variables import nested_labels
from runner.errors import NotFound, RenderFailed, RunnerError
from runner.expr import Scope, render_value
from runner.model.catalog import catalog
from runner.model.execution import Execution, Label, Level, TaskRun, TriggerCause
from runner.model.flow import Flow, Properties, Trigger
from runner.model.state import State
from runner.model.triggers import Consequences, TriggerName
from runner.records import record
from runner.triggers.gathering import Gathering
from runner.triggers.scope import nested, rendered_labels, scope_of_cause, stable_id
from runner.triggers.windows import Preconditions, preconditions_of

log = structlog.get_logger()

FLOW = "io.kestra.plugin.core.trigger.Flow"


@record(kw_only=True)
class Listener:
    """A Flow trigger in service. `states` are those of others that it looks at."""

    flow: Flow
    trigger: Trigger
    states: frozenset[str]
    conditions: Sequence[Properties]
    preconditions: Sequence[Preconditions]

    @property
    def name(self) -> TriggerName:
        """Which trigger it is."""
        return TriggerName(self.flow.namespace, self.flow.id, self.trigger.id)


class FlowTriggers:
    """All Flow triggers in service. `is_off` tells which of them a person has disabled."""

    def __init__(
        self,
        engine: Engine,
        gathering: Gathering,
        is_off: Callable[[TriggerName], bool],
        clock: Callable[[], datetime],
        place: tzinfo,
    ) -> None:
        self._engine = engine
        self._gathering = gathering
        self._is_off = is_off
        self._clock = clock
        self._place = place
        self._listeners: list[Listener] = []

    def put(self, flows: Iterable[Flow]) -> None:
        """Take over the Flow triggers of these flows in place of all others."""
        self._listeners = [
            _read(flow, trigger)
            for flow in flows
            for trigger in flow.triggers
            if trigger.type == FLOW and not trigger.disabled and not flow.disabled
        ]

    @asynccontextmanager
    async def on_state(
        self, execution: Execution, runs: Collection[TaskRun]
    ) -> AsyncGenerator[Consequences]:
        """Give what listens to the state that the execution is in now; it begins at the end.

        Within the context all of it is stored, together with the state.
        """
        listeners = self._listening_to(execution)
        gathers = any(each.preconditions for each in listeners)
        async with self._gathering.turn if gathers else nullcontext():
            begun = [await self._answer(each, execution, runs) for each in listeners]
            journals = [journal for journal in begun if journal is not None]
            windows, over = self._gathering.changed() if gathers else ([], [])
            yield Consequences(
                executions=[journal.execution for journal in journals], windows=windows, over=over
            )
        for journal in journals:
            self._engine.spawn(journal)

    def _listening_to(self, execution: Execution) -> list[Listener]:
        state = execution.state
        if state is State.CREATED:  # the beginning is no change
            return []
        return [
            each
            for each in self._listeners
            if str(state) in each.states
            and (each.flow.namespace, each.flow.id) != (execution.namespace, execution.flow_id)
            and not self._is_off(each.name)
        ]

    async def _answer(
        self, listener: Listener, execution: Execution, runs: Collection[TaskRun]
    ) -> Journal | None:
        """The execution that the listener starts, not yet stored; None: it starts none."""
        journal = Journal(listener.flow, execution, self._engine.store, runs=runs)
        try:
            return await self._consider(listener, execution, journal)
        except Exception:
            log.exception("flow_trigger.crashed", trigger=".".join(listener.name))
            return None
        finally:
            await journal.flush()

    async def _consider(
        self, listener: Listener, execution: Execution, journal: Journal
    ) -> Journal | None:
        """Prepare an execution of the listening flow if all conditions are met."""
        scope = scope_of_cause(self._engine, journal)
        subject = Subject(flow=listener.flow, scope=scope, execution=execution)
        if not all(self._holds(each, subject, journal) for each in listener.conditions):
            return None
        try:
            if not when_holds(listener.trigger.properties.get("when"), scope):
                return None
        except RenderFailed as error:
            journal.log(Level.WARN, _failed(listener.flow, "when", error))
            return None
        outputs = execution.outputs
        if listener.preconditions:
            others = self._met(listener, subject, journal)
            if others is None:
                return None
            outputs = await self._gathered(listener, execution, others)
        return await self._prepared(listener, execution, dict(outputs or {}), scope, journal)

    def _holds(self, condition: Properties, subject: Subject, journal: Journal) -> bool:
        """Whether it holds; one that cannot be evaluated does not, and the log says so."""
        try:
            return one_holds(condition, subject)
        except RunnerError as error:
            journal.log(Level.WARN, _failed(subject.flow, str(condition["type"]), error))
            return False

    def _met(self, listener: Listener, subject: Subject, journal: Journal) -> Sequence[str] | None:
        """The other executions that met the preconditions together with this one.

        None: not all of them are met.
        """
        execution_id = subject.cause.id
        met = {
            listener.name._replace(trigger_id=each.id): (each, self._tested(each, subject, journal))
            for each in listener.preconditions
        }
        try:
            together = self._gathering.add(met, execution_id, self._clock(), self._place)
        except RunnerError as error:
            journal.log(Level.WARN, _failed(subject.flow, "timeWindow", error))
            return None
        return together and [each for each in together if each != execution_id]

    def _tested(self, each: Preconditions, subject: Subject, journal: Journal) -> list[str]:
        """The names of those conditions that the execution meets."""
        found: list[str] = []
        for name, test in each.tests.items():
            try:
                if test(subject):
                    found.append(name)
            except RunnerError as error:
                journal.log(Level.WARN, _failed(subject.flow, name, error))
        return found

    async def _gathered(
        self, listener: Listener, execution: Execution, others: Sequence[str]
    ) -> Mapping[str, Any]:
        """The outputs of this and the other executions: by their flows, or merged."""
        outputs = dict(execution.outputs or {})
        by_flow = any(each.by_flow for each in listener.preconditions)
        if by_flow:
            outputs = {execution.flow_id: outputs} if outputs else {}
        for execution_id in others:
            try:
                other = await self._engine.store.execution(execution_id)
            except NotFound:
                continue  # deleted since
            if by_flow and other.outputs:
                outputs = {other.flow_id: dict(other.outputs), **outputs}
            elif not by_flow:
                outputs = nested(dict(other.outputs or {}), outputs)
        return outputs

    async def _prepared(
        self,
        listener: Listener,
        execution: Execution,
        outputs: dict[str, Any],
        scope: Scope,
        journal: Journal,
    ) -> Journal | None:
        flow, trigger = listener.flow, listener.trigger
        # Counted, as a pause comes more than once; what recovery adds after a crash does not count.
        count = sum(change.state is execution.state for change in execution.history.changes)
        nth = f"{execution.state} {count}"
        execution_id = stable_id("flow", *listener.name, execution.id, nth)
        if await self._exists(execution_id):
            return None
        seen = scope.with_variables(trigger={"outputs": outputs}) if outputs else scope
        about = f"Failed to trigger flow {flow.namespace}.{flow.id} for trigger {trigger.id}"
        try:
            inputs: Any = trigger.inputs and render_value(trigger.inputs, seen)
        except RenderFailed as error:
            journal.log(Level.WARN, f"{about}, invalid inputs")
            log.warning("flow_trigger.inputs", trigger=".".join(listener.name), error=str(error))
            return None
        try:
            return await self._engine.prepare(
                flow,
                inputs=inputs,
                labels=_labels(trigger, execution, scope, journal),
                trigger=_cause(trigger, execution, outputs),
                execution_id=execution_id,
                parsed=False,
            )
        except RunnerError as error:
            journal.log(Level.WARN, f"{about}: {error}")
            return None

    async def _exists(self, execution_id: str) -> bool:
        try:
            await self._engine.store.execution(execution_id)
        except NotFound:
            return False
        return True


def _read(flow: Flow, trigger: Trigger) -> Listener:
    states = trigger.properties.get("states")
    if states is None:
        info = catalog().trigger(FLOW)
        states = info.properties["states"].default if info is not None else ()
    return Listener(
        flow=flow,
        trigger=trigger,
        states=frozenset(states),
        conditions=[each for each in trigger.conditions if each["type"] != MULTIPLE],
        preconditions=preconditions_of(trigger),
    )


def _failed(flow: Flow, condition: str, error: RunnerError) -> str:
    return (
        f"[namespace: {flow.namespace}] [flow: {flow.id}] [condition: {condition}] "
        f"Evaluate Condition Failed with error '{error}'"
    )


def _labels(
    trigger: Trigger, execution: Execution, scope: Scope, journal: Journal
) -> tuple[Label, ...]:
    """The trigger's labels, and that which ties what causes each other together."""
    ties = [label for label in execution.labels if label.key == CORRELATION]
    return (*rendered_labels(trigger.labels, scope, journal), *ties)


def _cause(trigger: Trigger, execution: Execution, outputs: dict[str, Any]) -> TriggerCause:
    variables: dict[str, Any] = {
        "executionId": execution.id,
        "executionLabels": _label_tree(execution.labels),
        "namespace": execution.namespace,
        "flowId": execution.flow_id,
        "flowRevision": execution.flow_revision,
        "state": str(execution.state),
    }
    if outputs:
        variables["outputs"] = outputs
    return TriggerCause(id=trigger.id, type=trigger.type, variables=variables)


def _label_tree(labels: Sequence[Label]) -> dict[str, Any]:
    return nested_labels(tuple(label for label in labels if label.key != CORRELATION))

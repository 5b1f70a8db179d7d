"""Webhooks: executions that start when somebody calls an address that holds a key."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, cast

import structlog

from runner.engine.conditions import Subject, holds, when_holds
from runner.engine.engine import Engine
from runner.engine.journal import Journal
from runner.errors import Conflict, InputInvalid, NotFound, RenderFailed, RunnerError
from runner.expr import Scope, render, render_value
from runner.model.execution import Execution, TriggerCause
from runner.model.flow import Flow, Trigger
from runner.model.jsons import read_json
from runner.model.triggers import TriggerName
from runner.records import record
from runner.triggers.scope import journal_before, rendered_labels, scope_of_trigger

log = structlog.get_logger()

WEBHOOK = "io.kestra.plugin.core.trigger.Webhook"


@record(kw_only=True)
class WebhookRequest:
    """A call: its body as it came, and headers and query parameters with all their values."""

    body: bytes = b""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    parameters: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


@record(kw_only=True)
class WebhookAnswer:
    """What a call led to.

    `execution` is None if the trigger's conditions are not met (answer 204): nothing was started.
    It has ended if the trigger waits. `outputs_only`: the answer is the flow's outputs.
    `content_type` is that of the answer if the trigger names one.
    """

    execution: Execution | None
    waited: bool = False
    outputs_only: bool = False
    content_type: str | None = None


class Webhooks:
    """Answers calls. `is_off` tells which triggers a person has disabled."""

    def __init__(
        self,
        engine: Engine,
        is_off: Callable[[TriggerName], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._is_off = is_off
        self._clock = clock

    async def call(
        self, namespace: str, flow_id: str, key: str, request: WebhookRequest
    ) -> WebhookAnswer:
        """Start an execution of the flow whose webhook has that key.

        Raises:
            NotFound: there is no such flow, or none of its webhooks has the key.
            Conflict: flow or trigger are disabled.
            InputInvalid: an input cannot be rendered, is missing or wrong.
            FlowInvalid: the flow has tasks that Eyas cannot run.
        """
        try:
            flow = self._engine.flows.find(namespace, flow_id)
        except NotFound:
            raise NotFound("Flow not found") from None
        journal = journal_before(self._engine, flow, self._clock())
        trigger = self._find(flow, key, journal)
        if flow.disabled:
            raise Conflict("Cannot execute a disabled flow")
        if trigger.disabled or self._is_off(TriggerName(namespace, flow_id, trigger.id)):
            raise Conflict("Cannot execute a disabled trigger")
        variables: dict[str, Any] = {
            "body": read_body(request.body),
            "headers": {name: list(values) for name, values in request.headers.items()},
            "parameters": {name: list(values) for name, values in request.parameters.items()},
        }
        scope = scope_of_trigger(self._engine, journal, trigger).with_variables(trigger=variables)
        if not self._wanted(flow, trigger, journal, scope):
            return WebhookAnswer(execution=None)
        execution = await self._engine.start(
            flow,
            inputs=_inputs(trigger, scope),
            labels=rendered_labels(trigger.labels, scope),
            trigger=TriggerCause(id=trigger.id, type=trigger.type, variables=variables),
            checked=False,
            # Without `inputs` Kestra resolves none at all (flow-model 7.4).
            parsed=trigger.inputs is not None,
        )
        waits = trigger.properties.get("wait") is True
        if waits:
            execution = await self._engine.wait(execution.id)
        return WebhookAnswer(
            execution=execution,
            waited=waits,
            outputs_only=waits and trigger.properties.get("returnOutputs") is True,
            content_type=trigger.properties.get("responseContentType"),
        )

    def _find(self, flow: Flow, key: str, journal: Journal) -> Trigger:
        """The webhook of that key; how long it takes tells nothing about the keys."""
        found: Trigger | None = None
        for trigger in flow.triggers:
            if trigger.type != WEBHOOK:
                continue
            scope = scope_of_trigger(self._engine, journal, trigger)
            try:
                expected = render(str(trigger.properties["key"]), scope)
            except RenderFailed as error:
                where = f"{flow.namespace}.{flow.id}.{trigger.id}"
                log.warning("webhook.key_unusable", trigger=where, error=str(error))
                continue
            same = hmac.compare_digest(expected.encode(), key.encode("utf-8", "surrogatepass"))
            if same and expected and found is None:
                found = trigger
        if found is None:
            raise NotFound("Webhook not found")
        return found

    def _wanted(self, flow: Flow, trigger: Trigger, journal: Journal, scope: Scope) -> bool:
        """Whether the conditions are met; one that cannot be evaluated is not."""
        # Kestra evaluates them on the execution that would be started.
        execution = journal.execution
        subject = Subject(flow=flow, scope=scope, execution=execution)
        try:
            return holds(trigger.conditions, subject) and when_holds(
                trigger.properties.get("when"), scope
            )
        except RunnerError as error:
            where = f"{flow.namespace}.{flow.id}.{trigger.id}"
            log.warning("webhook.condition_failed", trigger=where, error=str(error))
            return False


def _inputs(trigger: Trigger, scope: Scope) -> Any:
    try:
        return trigger.inputs and render_value(trigger.inputs, scope)
    except RenderFailed as error:
        raise InputInvalid(str(error.placed("inputs"))) from error


def read_body(body: bytes) -> Any:
    """A body as flows see it: a JSON object or list as such, anything else as text.

    Members of objects that are null are left out, as Kestra does.
    """
    text = body.decode("utf-8", "replace")
    if not text.lstrip(" \t\r\n").startswith(("{", "[")):
        return text
    try:
        return _without_nulls(read_json(text))
    except (ValueError, RecursionError):
        return text


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return {name: _without_nulls(item) for name, item in members if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in cast("list[Any]", value)]
    return value

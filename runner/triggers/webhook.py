"""Executions started by a call to a flow's webhook (flow-model 7.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, cast

import structlog

from runner.engine.engine import Engine
from runner.engine.journal import utc_now
from runner.errors import Conflict, NotFound, RenderFailed
from runner.expr import render, render_value
from runner.model.execution import Execution, TriggerCause
from runner.model.flow import Flow, Trigger
from runner.triggers.cause import Happening, rendered_labels, scope_of_cause
from runner.triggers.conditions import hold

log = structlog.get_logger()

TYPE = "io.kestra.plugin.core.trigger.Webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a caller sent."""

    body: str
    headers: Mapping[str, Sequence[str]]
    parameters: Mapping[str, Sequence[str]]


def find_webhook(engine: Engine, flow: Flow, key: str) -> Trigger:
    """The flow's webhook of that key.

    Raises:
        NotFound: it has none.
    """
    for trigger in flow.triggers:
        if trigger.type != TYPE or trigger.disabled:
            continue
        cause = TriggerCause(id=trigger.id, type=trigger.type)
        try:
            wanted = render(
                str(trigger.properties.get("key", "")), scope_of_cause(engine, flow, cause)
            )
        except RenderFailed as error:
            log.warning("webhook.key_not_rendered", flow=flow.id, error=str(error))
            continue
        if compare_digest(wanted.encode(), key.encode()):
            return trigger
    raise NotFound("Webhook not found")


async def call_webhook(
    engine: Engine, flow: Flow, trigger: Trigger, call: Call
) -> Execution | None:
    """Start an execution for a call; None if a condition of the trigger does not hold.

    Raises:
        Conflict: the flow is disabled.
        InputInvalid: an input of the flow is missing or wrong.
    """
    if flow.disabled:
        raise Conflict("Cannot execute a disabled flow")
    variables: dict[str, Any] = {
        "body": _parsed(call.body),
        "headers": dict(call.headers),
        "parameters": dict(call.parameters),
    }
    cause = TriggerCause(id=trigger.id, type=trigger.type, variables=variables)
    scope = scope_of_cause(engine, flow, cause)
    about = Happening(scope=scope, flow=flow, date=utc_now())
    if not hold(trigger.conditions, about, _warn):
        return None
    inputs: dict[str, Any] | None = None
    if trigger.inputs is not None:
        inputs = cast("dict[str, Any]", render_value(dict(trigger.inputs), scope))
    labels = rendered_labels(trigger, scope)
    for warning in labels.warnings:
        _warn(warning)
    return await engine.start(
        flow,
        inputs=inputs,
        labels=labels.labels,
        trigger=cause,
        # Without inputs of its own Kestra resolves none, required ones neither (7.4).
        parsed=inputs is not None,
    )


def _parsed(body: str) -> Any:
    """A JSON object or list without its null members, or else the text."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return _without_nulls(value) if isinstance(value, dict | list) else body


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] # JSON border
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]  # pyright: ignore[reportUnknownVariableType] # JSON border
    return value


def _warn(message: str) -> None:
    log.warning("webhook.warning", message=message)

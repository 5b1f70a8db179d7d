"""The JSON documents of flows, tasks, inputs and triggers (http-api 4.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from runner.api.shapes import TENANT, Json, labels_json, plain
from runner.loading.repository import FlowFile
from runner.model.flow import Flow, Input, Output, Retry, Task, Trigger
from runner.model.times import duration_text


def flow_json(flow: Flow, *, source: bool = False) -> Json:
    """A flow, with its text if `source`."""
    return _present(
        {
            "tenantId": TENANT,
            "id": flow.id,
            "namespace": flow.namespace,
            "revision": flow.revision,
            "description": flow.description,
            "inputs": [input_json(each) for each in flow.inputs] or None,
            "outputs": [output_json(each) for each in flow.outputs] or None,
            "disabled": flow.disabled,
            "deleted": False,
            "draft": False,
            "labels": labels_json(flow.labels) or None,
            "variables": plain(flow.variables),
            "tasks": [task_json(each) for each in flow.tasks],
            "errors": [task_json(each) for each in flow.errors] or None,
            "finally": [task_json(each) for each in flow.finally_] or None,
            "afterExecution": [task_json(each) for each in flow.after_execution] or None,
            "triggers": [trigger_json(each) for each in flow.triggers] or None,
            "concurrency": flow.concurrency
            and {"limit": flow.concurrency.limit, "behavior": flow.concurrency.behavior},
            "retry": flow.retry and _retry_json(flow.retry),
            "pluginDefaults": plain(list(flow.plugin_defaults)) or None,
            "source": flow.source if source else None,
        }
    )


def broken_json(file: FlowFile, *, source: bool = False) -> Json:
    """A file that is no valid flow, as a flow without tasks that says why."""
    namespace, flow_id = file.name or ("", file.path)
    return _present(
        {
            "tenantId": TENANT,
            "id": flow_id,
            "namespace": namespace,
            "revision": 1,
            "disabled": False,
            "deleted": False,
            "draft": False,
            "tasks": [],
            "exception": "\n".join(str(each) for each in file.problems),
            "source": file.text if source else None,
        }
    )


def written_json(flow: Flow) -> Json:
    """What the bulk routes answer: kestrapy 1.0.8 cannot read more of some flows."""
    return {
        "tenantId": TENANT,
        "id": flow.id,
        "namespace": flow.namespace,
        "revision": flow.revision,
        "disabled": flow.disabled,
        "deleted": False,
        "tasks": [],
        "source": flow.source,
    }


def reduced(flow: Flow) -> Json:
    """What somebody who runs the flow needs of it: its inputs, and ids and types of the rest."""
    return _present(
        {
            "tenantId": TENANT,
            "id": flow.id,
            "namespace": flow.namespace,
            "revision": flow.revision,
            "description": flow.description,
            "disabled": flow.disabled,
            "deleted": False,
            "labels": labels_json(flow.labels) or None,
            "inputs": [input_json(each) for each in flow.inputs] or None,
            "tasks": [{"id": each.id, "type": each.type} for each in flow.tasks],
            "triggers": [{"id": each.id, "type": each.type} for each in flow.triggers] or None,
        }
    )


def input_json(declared: Input) -> Json:
    """One declared input; `defaults` and `prefill` are text, as upstream has them."""
    depends = {"inputs": list(declared.depends_on), "condition": declared.condition}
    return _present(
        {
            "id": declared.id,
            "type": declared.type,
            "description": declared.description,
            "displayName": declared.display_name,
            "required": declared.required,
            "defaults": _text(declared.defaults),
            "prefill": _text(declared.prefill),
            "dependsOn": _present(depends) if declared.depends_on else None,
            **cast("Json", plain(declared.properties)),
        }
    )


def output_json(output: Output) -> Json:
    """One declared output."""
    return _present(
        {
            "id": output.id,
            "type": output.type,
            "value": plain(output.value),
            "description": output.description,
            "displayName": output.display_name,
            "required": None if output.required else False,
        }
    )


def task_json(task: Task) -> Json:
    """A task as it was written, plugin defaults in place."""
    return _present(
        {
            "id": task.id,
            "type": task.type,
            "description": task.description,
            **{name: _property(value) for name, value in task.properties.items()},
            "disabled": task.disabled or None,
            "runIf": task.run_if if task.run_if != "true" else None,
            "timeout": None if task.timeout is None else _property(task.timeout),
            "retry": task.retry and _retry_json(task.retry),
            "allowFailure": task.allow_failure or None,
            "allowWarning": task.allow_warning or None,
            "logLevel": task.log_level and task.log_level.value,
            "logToFile": task.log_to_file or None,
            "taskCache": plain(task.task_cache),
        }
    )


def trigger_json(trigger: Trigger) -> Json:
    """A trigger as it was written."""
    return _present(
        {
            "id": trigger.id,
            "type": trigger.type,
            **{name: _property(value) for name, value in trigger.properties.items()},
            "disabled": trigger.disabled or None,
            "conditions": [_property(each) for each in trigger.conditions] or None,
            "labels": labels_json(trigger.labels) or None,
            "inputs": plain(trigger.inputs),
            "stopAfter": list(trigger.stop_after) or None,
        }
    )


def _retry_json(retry: Retry) -> Json:
    shown = {
        "constant": ("interval",),
        "exponential": ("interval", "max_interval", "delay_factor"),
        "random": ("min_interval", "max_interval"),
    }[retry.type]
    return _present(
        {
            "type": retry.type,
            "interval": _duration(retry.interval) if "interval" in shown else None,
            "minInterval": _duration(retry.min_interval) if "min_interval" in shown else None,
            "maxInterval": _duration(retry.max_interval) if "max_interval" in shown else None,
            "delayFactor": retry.delay_factor if "delay_factor" in shown else None,
            "maxAttempts": retry.max_attempts,
            "maxAttempt": retry.max_attempts,
            "maxDuration": retry.max_duration and _duration(retry.max_duration),
            "warningOnRetry": retry.warning_on_retry,
            "behavior": retry.behavior,
        }
    )


def _duration(duration: timedelta) -> str | None:
    return None if duration == timedelta.max else duration_text(duration)


def _property(value: Any) -> Any:
    """A property's value, with the tasks in it as documents."""
    if isinstance(value, Task):
        return task_json(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {str(key): _property(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [_property(item) for item in cast("list[Any]", value)]
    return plain(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(plain(value), ensure_ascii=False)


def _present(document: Json) -> Json:
    return {key: value for key, value in document.items() if value is not None}

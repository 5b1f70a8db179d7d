"""Which module holds which task type: a run imports only what its flow uses."""

from __future__ import annotations

from importlib import import_module

from runner.tasks.languages import COMMANDS_TYPES, SCRIPT_TYPES
from runner.tasks.registry import Registered, registered

_CORE = "io.kestra.plugin.core"

_FAMILIES: dict[str, tuple[str, ...]] = {
    "branches": tuple(
        f"{_CORE}.flow.{name}"
        for name in ("Sequential", "Parallel", "AllowFailure", "If", "Switch", "Dag")
    ),
    "loops": tuple(
        f"{_CORE}.flow.{name}"
        for name in ("ForEach", "EachSequential", "EachParallel", "LoopUntil")
    ),
    "loop": (f"{_CORE}.flow.Loop", f"{_CORE}.flow.Loop$Iteration"),
    "pause": (f"{_CORE}.flow.Pause",),
    "subflow": (f"{_CORE}.flow.Subflow",),
    "foreach_item": tuple(
        f"{_CORE}.flow.ForEachItem{step}"
        for step in (
            "",
            "$ForEachItemSplit",
            "$ForEachItemExecutable",
            "$ForEachItemMergeOutputs",
        )
    ),
    "working_directory": (f"{_CORE}.flow.WorkingDirectory",),
    "updating": tuple(
        f"{_CORE}.execution.{name}" for name in ("SetVariables", "UnsetVariables", "Labels", "Exit")
    ),
    "log": (f"{_CORE}.log.Log", f"{_CORE}.debug.Echo"),
    "debug": (f"{_CORE}.debug.Return",),
    "sleep": (f"{_CORE}.flow.Sleep",),
    "execution": (f"{_CORE}.execution.Fail", f"{_CORE}.execution.Assert"),
    "output": (f"{_CORE}.output.OutputValues",),
    "kv": tuple(f"{_CORE}.kv.{name}" for name in ("Set", "Get", "GetKeys", "Delete", "PurgeKV")),
    "state": tuple(f"{_CORE}.state.{name}" for name in ("Set", "Get", "Delete")),
    "storage": tuple(
        f"{_CORE}.storage.{name}"
        for name in (
            "Write",
            "Size",
            "Delete",
            "Concat",
            "Split",
            "Reverse",
            "PurgeCurrentExecutionFiles",
        )
    ),
    "items": (f"{_CORE}.storage.DeduplicateItems", f"{_CORE}.storage.FilterItems"),
    "local_files": (f"{_CORE}.storage.LocalFiles",),
    "namespace": tuple(
        f"{_CORE}.namespace.{name}"
        for name in ("UploadFiles", "DownloadFiles", "DeleteFiles", "PurgeFiles")
    ),
    "metric": (f"{_CORE}.metric.Publish",),
    "http": (f"{_CORE}.http.Request", f"{_CORE}.http.Download"),
    "maintenance": (
        f"{_CORE}.log.Fetch",
        f"{_CORE}.log.PurgeLogs",
        f"{_CORE}.execution.Count",
        f"{_CORE}.execution.PurgeExecutions",
        f"{_CORE}.execution.Resume",
        f"{_CORE}.trigger.Toggle",
    ),
    "templating": (f"{_CORE}.templating.TemplatedTask",),
    "script": (*SCRIPT_TYPES, *COMMANDS_TYPES),
}

MODULES: dict[str, str] = {
    type_: f"runner.tasks.{module}" for module, types in _FAMILIES.items() for type_ in types
}
"""Module of every task type, by its canonical name."""


def load(type_: str) -> Registered | None:
    """How to run tasks of the canonical type `type_`; None if they are none of ours."""
    module = MODULES.get(type_)
    if module is None:
        return None
    import_module(module)
    return registered(type_)

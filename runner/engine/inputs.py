"""Inputs of an execution: what was given, what is missing, and what its flow declares of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from runner.engine.input_tree import nested, secrets_in, value_at
from runner.errors import InputInvalid
from runner.expr import Scope
from runner.model.execution import Execution
from runner.model.flow import Flow, Input, Task
from runner.model.hash_order import hash_ordered
from runner.model.texts import java_text
from runner.records import record
from runner.storage.files import Storage

_FILE_SCHEMES = ("kestra://", "nsfile://")
_DISABLED = object()


@record
class Upload:
    """A file given for a FILE input: its name, and where it is or what is in it.

    `move` takes the file at a path away instead of copying it.
    """

    name: str
    content: Path | bytes
    move: bool = False


@record(kw_only=True)
class Resolved:
    """The inputs that an execution starts with.

    `values` are nested by the dots of their ids, None if nothing is declared; `warnings` belong
    into its log, `secrets` out of it.
    """

    values: Mapping[str, Any] | None
    warnings: Sequence[str] = ()
    secrets: Sequence[str] = ()


async def resolve_inputs(
    flow: Flow,
    given: Mapping[str, Any],
    scope: Scope,
    *,
    storage: Storage,
    execution: Execution,
    declared: Sequence[Input] | None = None,
) -> Resolved:
    """Resolve `given` against the flow's inputs, or `declared` ones (flow-model 2).

    A value is text, JSON-like, or an `Upload` or path for a FILE. `scope` is what defaults and
    conditions see; its `inputs` are replaced by those that an input depends on. Files are stored
    as the execution's, and deleted again if an input is wrong.

    Raises:
        InputInvalid: the first input that is missing or wrong.
    """
    declared = flow.inputs if declared is None else declared
    resolution = _Resolution(declared, given, scope, storage, execution)
    try:
        for item in declared:
            await resolution.of(item)
    except InputInvalid:
        for uri in resolution.uploads:
            storage.delete(uri)
        raise
    found = {id_: value for id_, value in resolution.known.items() if value is not _DISABLED}
    owner = f"{flow.namespace}.{flow.id}"
    # Kestra looks for others only if more were given than there are.
    others = [name for name in given if name not in found] if len(found) < len(given) else []
    tree = nested({item.id: found[item.id] for item in declared if item.id in found})
    return Resolved(
        values=tree if declared else None,
        warnings=[
            f"Input {name} was provided for workflow {owner} "
            "but isn't declared in the workflow inputs"
            for name in others
        ],
        secrets=secrets_in(declared, tree),
    )


@record(kw_only=True)
class Checked:
    """An input as it would be taken: its value, or what is wrong with what was given for it.

    `enabled`: its condition holds, and those of the inputs that it depends on.
    """

    declared: Input
    value: Any
    enabled: bool
    is_default: bool
    error: str | None


async def check_inputs(
    declared: Sequence[Input],
    given: Mapping[str, Any],
    scope: Scope,
    *,
    storage: Storage,
    execution: Execution,
) -> list[Checked]:
    """What each of the `declared` inputs would be, and nothing is kept of uploaded files."""
    resolution = _Resolution(declared, given, scope, storage, execution)
    found: list[Checked] = []
    try:
        for item in declared:
            value, error = None, None
            try:
                value = await resolution.of(item)
            except InputInvalid as refused:
                error = str(refused)
            enabled = value is not _DISABLED
            found.append(
                Checked(
                    declared=item,
                    value=value if enabled else None,
                    enabled=enabled,
                    is_default=enabled and value is not None and given.get(item.id) is None,
                    error=error,
                )
            )
    finally:
        for uri in resolution.uploads:
            storage.delete(uri)
    return found


async def resume_inputs(
    flow: Flow,
    task: Task,
    given: Mapping[str, Any],
    scope: Scope,
    *,
    storage: Storage,
    execution: Execution,
) -> Mapping[str, Any]:
    """The values that a person gives to resume the Pause `task`, nested by their ids.

    Raises:
        InputInvalid: one of its `onResume` inputs is missing or wrong.
    """
    declared = cast("Sequence[Input]", task.properties.get("onResume") or ())
    resolved = await resolve_inputs(
        flow, given, scope, storage=storage, execution=execution, declared=declared
    )
    return resolved.values or {}


class _Resolution:
    """One pass over declared inputs; `known` holds what is settled, by id."""

    def __init__(
        self,
        declared: Sequence[Input],
        given: Mapping[str, Any],
        scope: Scope,
        storage: Storage,
        execution: Execution,
    ) -> None:
        self._declared = {item.id: item for item in declared}
        self._given = given
        self._scope = scope
        self._storage = storage
        self._execution = execution
        self.known: dict[str, Any] = {}
        self.uploads: list[str] = []

    async def of(self, item: Input) -> Any:
        """The value of `item`, or `_DISABLED`; those it depends on are resolved first."""
        if item.id not in self.known:
            self.known[item.id] = await self._resolve(item)
        return self.known[item.id]

    async def _resolve(self, item: Input) -> Any:
        from runner.engine.input_values import choices_of, default_of, holds, read_yaml, typed

        around: dict[str, Any] = {}
        for name in item.depends_on:
            value = await self.of(self._declared[name])
            if value is _DISABLED:
                return _DISABLED
            around[name] = value
        scope = self._scope.with_variables(inputs=nested(around))
        if item.condition is not None and not holds(item.condition, scope):
            return _DISABLED
        choices = choices_of(item, scope)
        value = self._given.get(item.id)
        if value is None:
            value = default_of(item, scope, choices)
        if value is None:
            if item.required:
                raise InputInvalid(f"Missing required input:{item.id}")
            return None
        if item.type == "FILE":
            return await self._file(item, value)
        return typed(item, value, choices, partial(read_yaml, scope=scope))

    async def _file(self, item: Input, value: Any) -> str:
        from runner.engine.input_values import invalid

        if isinstance(value, str):
            if value.startswith(_FILE_SCHEMES):
                return value
            # Kestra reads a file of the server here; nobody who may only start flows should.
            raise invalid(item, f"`{value}` is no stored file: upload it, or give a kestra:// URI")
        if isinstance(value, Path):
            value = Upload(value.name, value)
        if not isinstance(value, Upload):
            raise invalid(item, f"`{java_text(value)}` is no file")
        allowed = cast("Sequence[str]", item.properties.get("allowedFileExtensions") or ())
        if allowed and not value.name.lower().endswith(tuple(end.lower() for end in allowed)):
            listed = ", ".join(allowed)
            raise invalid(item, f"`{value.name}` must have one of the extensions `[{listed}]`")
        name = value.name
        if not Path(name).suffix:
            name += item.properties.get("extension") or ".upl"
        uri = await anyio.to_thread.run_sync(
            partial(
                self._storage.put_input,
                self._execution,
                item.id,
                name,
                value.content,
                move=value.move,
            )
        )
        self.uploads.append(uri)
        return uri


def inputs_for_rendering(
    flow: Flow, inputs: Mapping[str, Any] | None, scope: Scope | None = None
) -> Mapping[str, Any] | None:
    """The variable `inputs`: the execution's, and defaults of those that it lacks.

    A default with a dotted id comes a second time under that id, and the order is a HashMap's, as
    in Kestra. One that cannot be rendered or converted is left out. None: the flow has no inputs
    and none were given.
    """
    missing = [
        item for item in flow.inputs if item.defaults is not None and item.id not in (inputs or {})
    ]
    if not missing:
        return None if inputs is None else _ordered(inputs)
    scope = scope or Scope({"flow": {"id": flow.id, "namespace": flow.namespace}})
    added: dict[str, Any] = {}
    for item in missing:
        value = value_at(inputs, item.id) if inputs is not None and "." in item.id else None
        try:
            value = _plain_default(item, scope) if value is None else value
        except InputInvalid:
            continue
        if value is not None:
            added[item.id] = value
    return _ordered(inputs or {}, added)


def _ordered(inputs: Mapping[str, Any], added: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Inputs as Kestra has them: sorted when they were read, then copied to a HashMap."""
    return hash_ordered({**dict(sorted(inputs.items())), **(added or {})})


def _plain_default(item: Input, scope: Scope) -> Any:
    if item.type == "FILE":
        return item.defaults
    from runner.engine.input_values import default_of, read_yaml, typed

    value = default_of(item, scope, None)
    return typed(item, value, None, partial(read_yaml, scope=scope))

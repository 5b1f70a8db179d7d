"""Outputs of a flow, rendered when its execution ends (flow-model 6.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from runner.errors import RenderFailed
from runner.expr import Scope, render_value
from runner.model.execution import Outputs
from runner.model.flow import Flow, Output
from runner.model.texts import java_text
from runner.records import record


@record(kw_only=True)
class Rendered:
    """A flow's outputs, or why there are none; `warnings` and `error` belong into its log."""

    outputs: Outputs | None = None
    warnings: Sequence[str] = ()
    error: str | None = None


async def render_outputs(flow: Flow, scope: Scope, *, typed: bool = True) -> Rendered:
    """Render and convert the outputs of `flow`; one that fails leaves the execution with none.

    `outputs` is None if the flow declares none. Not `typed`: they are rendered only.
    """
    found: dict[str, Any] = {}
    warnings: list[str] = []
    for output in flow.outputs:
        where = f"outputs.{output.id}.value"
        try:
            value = render_value(output.value, scope)
        except RenderFailed as error:
            if output.required:
                return Rendered(warnings=warnings, error=str(error.placed(where)))
            warnings.append(
                f"Failed to render optional flow output '{output.id}'. Output is ignored."
            )
            continue
        try:
            found[output.id] = _typed(output, value, scope) if typed else value
        except ValueError as error:
            message = f"Invalid value for output `{output.id}`. Cause: {error}"
            return Rendered(warnings=warnings, error=message)
    return Rendered(outputs=found if flow.outputs else None, warnings=warnings)


def render_wanted(wanted: Mapping[str, Any], scope: Scope) -> Rendered:
    """Render outputs that are declared by who wants them; they have no types."""
    try:
        return Rendered(outputs=cast("Outputs", render_value(wanted, scope)))
    except RenderFailed as error:
        return Rendered(error=str(error))


def _typed(output: Output, value: Any, scope: Scope) -> Any:
    """`value` by the output's type, which is parsed but not checked; null counts as `""`."""
    from runner.engine.input_values import read_yaml
    from runner.model import values

    if value is None:
        value = ""
    if output.type == "FILE":
        return java_text(value)
    parsed = values.parse(output.type, value, partial(read_yaml, scope=scope))
    if output.type in ("ARRAY", "MULTISELECT"):
        return parsed
    return values.plain(parsed, six_digits=False)

"""From a declared input as it stands in a flow to an `Input`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from runner.model.flow import Input

_COMMON = frozenset(
    {
        "id",
        "name",
        "type",
        "required",
        "defaults",
        "prefill",
        "description",
        "displayName",
        "dependsOn",
    }
)


def read_input(declared: Mapping[str, Any]) -> Input:
    """The input that a checked map declares; `name` is an old word for `id`."""
    depends = cast("Mapping[str, Any]", declared.get("dependsOn") or {})
    return Input(
        id=str(declared.get("id") or declared.get("name")),
        type=str(declared["type"]),
        required=declared.get("required", True) is not False,
        defaults=declared.get("defaults"),
        prefill=declared.get("prefill"),
        description=declared.get("description"),
        display_name=declared.get("displayName"),
        depends_on=tuple(cast("Sequence[str]", depends.get("inputs") or ())),
        condition=depends.get("condition"),
        properties={key: value for key, value in declared.items() if key not in _COMMON},
    )

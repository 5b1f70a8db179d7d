"""The option `--set pluginDefaults.TYPE.PROPERTY=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.errors import SettingInvalid

_PREFIX = "pluginDefaults."


def parsed_defaults(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Plugin defaults as a flow has them, from `pluginDefaults.TYPE.PROPERTY=VALUE`.

    TYPE reaches up to the first part that begins with a capital letter; VALUE is a YAML scalar.

    Raises:
        SettingInvalid: a text has another form.
    """
    return [_parsed(text) for text in texts]


def _parsed(text: str) -> dict[str, Any]:
    from runner.loading.source import resolve

    name, equals, value = text.partition("=")
    parts = name.removeprefix(_PREFIX).split(".")
    last = next((i for i, part in enumerate(parts) if part[:1].isupper()), None)
    if not (equals and name.startswith(_PREFIX) and last is not None and parts[last + 1 :]):
        raise SettingInvalid(f"'--set {text}': write it as --set {_PREFIX}TYPE.PROPERTY=VALUE")
    values: Any = resolve(value)
    for part in reversed(parts[last + 1 :]):
        values = {part: values}
    return {"type": ".".join(parts[: last + 1]), "forced": True, "values": values}

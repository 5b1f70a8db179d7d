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
        SettingInvalid: a text has another form, or names a type or property that does not exist.
    """
    return [_checked(text, _parsed(text)) for text in texts]


def _checked(text: str, default: dict[str, Any]) -> dict[str, Any]:
    """The default, unless it fits nothing at all: it would have no effect, silently.

    The beginning of types' names is a type here (flow-model 8), and what Eyas has not is Kestra's.
    """
    from runner.loading.complaints import did_you_mean, type_hint
    from runner.model.catalog import catalog

    types = catalog()
    type_name: str = default["type"]
    names = list(types.names())
    info = types.any_kind(type_name)
    if info is not None:
        unknown = [key for key in default["values"] if key not in info.properties]
        if not unknown:
            return default
        problem = f"No property '{unknown[0]}' exists in plugin '{type_name}'"
        hint = did_you_mean(unknown[0], info.properties)
    elif types.is_elsewhere(type_name) or any(name.startswith(type_name) for name in names):
        return default
    else:
        problem = f"no task, trigger or task runner has the type {type_name}"
        hint = type_hint(type_name, names)
    raise SettingInvalid(f"'--set {text}': {problem}" + (f" ({hint})" if hint else ""))


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

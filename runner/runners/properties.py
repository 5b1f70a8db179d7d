"""Reading the properties of a task runner: rendered values of any type into exact ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from runner.errors import TaskFailed
from runner.patterns import regex

Word = TypeVar("Word", bound=str)

_SIZE = regex(r"(\d+)(KB|MB|GB)?", re.IGNORECASE)
_UNITS = {"": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_DURATION = regex(
    r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)


def parse_size(text: str) -> int:
    """Bytes of a size as Kestra spells it: an integer, optionally with KB, MB or GB (of 1024).

    Raises:
        TaskFailed: any other spelling (script-tasks 6.5; Docker's `64m` is refused as well).
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise TaskFailed(
            f"Invalid size with value '{text}'\n"
            "Write whole bytes, or a whole number with KB, MB or GB: 512MB."
        )
    return int(found[1]) * _UNITS[(found[2] or "").upper()]


class PropertyReader:
    """Reads one map of properties. Every getter gives None for a property that is not set.

    All getters raise `TaskFailed`, naming the property, for a value of the wrong type.
    """

    def __init__(self, properties: Mapping[str, Any], prefix: str = "") -> None:
        self._properties = properties
        self._prefix = prefix

    def raw(self, name: str) -> Any:
        """The value itself."""
        return self._properties.get(name)

    def bad(self, name: str, value: object, wanted: str) -> TaskFailed:
        """The error for a value that is not `wanted`."""
        return TaskFailed(f"Invalid {self._prefix}{name} '{value}': {wanted} is needed")

    def text(self, name: str) -> str | None:
        """A scalar as text; an empty one counts as not set."""
        value = self.raw(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str | int | float):
            raise self.bad(name, value, "a text")
        return plain(value)

    def choice(self, name: str, allowed: Sequence[Word]) -> Word:
        """One of the words `allowed`; the first if the property is not set."""
        value = self.text(name)
        if value is None:
            return allowed[0]
        for word in allowed:
            if word == value:
                return word
        raise self.bad(name, value, "one of " + ", ".join(allowed))

    def flag(self, name: str) -> bool | None:
        """True or False."""
        word = self.text(name)
        if word is None:
            return None
        if word.lower() not in ("true", "false"):
            raise self.bad(name, word, "true or false")
        return word.lower() == "true"

    def flag_or(self, name: str, default: bool) -> bool:
        """True or False, `default` if the property is not set."""
        value = self.flag(name)
        return default if value is None else value

    def number(self, name: str) -> float | None:
        """A number that is not negative."""
        text = self.text(name)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError as error:
            raise self.bad(name, text, "a number") from error
        if not 0 <= number < 1e9:
            raise self.bad(name, text, "a number from 0")
        return number

    def integer(self, name: str) -> int | None:
        """A whole number."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError as error:
            raise self.bad(name, text, "a whole number") from error

    def size(self, name: str) -> int | None:
        """Bytes of a size."""
        text = self.text(name)
        return None if text is None else parse_size(text)

    def duration(self, name: str) -> timedelta | None:
        """An ISO 8601 duration of days and less."""
        value = self.raw(name)
        if isinstance(value, timedelta):
            return value
        text = self.text(name)
        if text is None:
            return None
        found = _DURATION.fullmatch(text)
        if found is None or text.upper() == "P":
            raise self.bad(name, text, "an ISO 8601 duration such as PT10S")
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)

    def items(self, name: str) -> Sequence[Any] | None:
        """A list, or the JSON text of one."""
        value = self.raw(name)
        if value is None:
            return None
        found = from_json(value) if isinstance(value, str) else value
        if not isinstance(found, list | tuple):
            raise self.bad(name, value, "a list")
        return cast("Sequence[Any]", found)

    def texts(self, name: str) -> Sequence[str] | None:
        """A list of scalars, as texts."""
        found = self.items(name)
        return None if found is None else tuple(plain(item) for item in found)

    def pairs(self, name: str) -> Mapping[str, str]:
        """A map of scalars, as texts; empty if the property is not set."""
        return {key: plain(value) for key, value in self.part(name)._properties.items()}

    def part(self, name: str) -> PropertyReader:
        """A reader of a nested map; of an empty one if the property is not set."""
        value = self.raw(name)
        if value is not None and not isinstance(value, Mapping):
            raise self.bad(name, value, "a map")
        return PropertyReader(cast("Mapping[str, Any]", value or {}), f"{self._prefix}{name}.")

    def parts(self, name: str) -> Sequence[PropertyReader]:
        """Readers of the maps in a list."""
        found = self.items(name) or ()
        keyed = {f"{name}[{number}]": item for number, item in enumerate(found)}
        return [PropertyReader(keyed, self._prefix).part(key) for key in keyed]


def plain(value: object) -> str:
    """A scalar as the text that YAML and expressions use for it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_json(text: str) -> object:
    """What the JSON `text` says; None if it is not JSON."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return None

# ruff: noqa: TID252, PTH123
# (see __init__.py; pathlib would be loaded for this alone)
"""Reads the rows that Kestra stores: an Ion file, most often text with one struct per line."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

_BINARY = b"\xe0\x01\x00\xea"
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?"
)
_ISO_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


def read(path: str) -> list[dict[str, Any]]:
    """The records of the file as plain Python values.

    Decimals become floats, timestamps and texts that look like one `datetime`s, blobs texts.
    `amazon.ion` is used if it is installed; without it there is no binary Ion.

    Raises:
        ValueError: the file is not what can be read here, or a value in it is not a struct.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        values: Iterable[Any] = _json_lines(data)
    except ValueError:
        values = _ion_values(data, path)
    records: list[dict[str, Any]] = []
    for number, value in enumerate(values, 1):
        if not hasattr(value, "items"):  # amazon.ion's structs are no dicts
            kind = type(value).__name__
            raise ValueError(f"{path}: value {number} is of type {kind}, not a struct")
        records.append(plain(value))
    return records


def _json_lines(data: bytes) -> list[Any]:
    """Most files are JSON in fact, and the json module is the fastest reader there is."""
    text = data.decode("utf-8")
    lines = text.split("\n")
    return [json.loads(line, parse_constant=_refuse) for line in lines if line.strip()]


def _refuse(token: str) -> Any:
    raise ValueError(token)


def _ion_values(data: bytes, path: str) -> Iterator[Any]:
    from importlib import import_module

    try:
        return import_module("amazon.ion.simpleion").loads(data, single_value=False)
    except ImportError:
        if data.startswith(_BINARY):
            raise ValueError(
                f"{path} is binary Ion: add `amazon.ion` to the task's `dependencies`"
            ) from None
        from ._ion_text import values

        return values(data.decode("utf-8"))


def plain(value: Any) -> Any:
    """`value` as plain Python data, also when it came from amazon.ion."""
    kind = type(value).__name__
    if kind == "IonPyNull":
        return None
    if kind == "IonPyBool":
        return bool(value)
    if kind in ("Decimal", "IonPyDecimal"):
        return float(value)
    if kind == "IonPySymbol":
        return value.text
    if isinstance(value, str):
        return moment(value) if _ISO_TEXT.fullmatch(value) else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - JSON
    return value


def moment(text: str) -> datetime | str:
    """The time that `text` says, aware if it names a zone; the text itself if there is no such."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return text
    *fields, second, fraction, zone = match.groups()
    year, month, day, hour, minute = map(int, fields)
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, int(second or 0), micro, _zone(zone))
    except ValueError:
        return text


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in ("Z", "+00:00", "-00:00"):
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)

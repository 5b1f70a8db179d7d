"""The `::{...}::` protocol: what a script's marker lines say (script-tasks 3.2 to 3.4)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, cast

from runner.engine.lines import marker_body
from runner.engine.metrics import NotReadable, WrittenNumber, metric_of, scalar_text
from runner.model.execution import Level
from runner.model.marker import LogEntry, Marker, MetricEntry
from runner.patterns import regex

MAX_DEPTH = 200
"""Levels of lists and objects inside each other; deeper ones make the line unreadable."""

MAX_DIGITS = 1000
"""Characters of a number; Kestra's own limit."""

_LEVELS = {level.value: level for level in Level}
_NUMBERED = {
    str(number): level
    for number, level in enumerate((Level.ERROR, Level.WARN, Level.INFO, Level.DEBUG, Level.TRACE))
}
# Texts of JSON, which have to be skipped to find what is outside of them.
_TEXT = r'"(?:[^"\\]|\\.)*"'
_CONSTANT = regex(rf"{_TEXT}|(-?Infinity|NaN)", re.DOTALL)
_BRACKET = regex(rf'{_TEXT}|"|([\[{{])|([\]}}])', re.DOTALL)


def parse_lines(lines: Sequence[str]) -> Iterator[Sequence[str] | Marker]:
    """Runs of plain lines, and the markers between them, in order."""
    # Most output has no markers: one search over all of it costs a small part of one per line.
    if "::{" not in "\n".join(lines):
        if lines:
            yield lines
        return
    start = 0
    for at in [at for at, line in enumerate(lines) if line.startswith("::{")]:
        marker = parse_marker(lines[at])
        if marker is not None:
            if start < at:
                yield lines[start:at]
            yield marker
            start = at + 1
    if start < len(lines):
        yield lines[start:] if start else lines


def parse_marker(line: str) -> Marker | None:
    """What a line says; None for a line that is no marker and has to be logged as it is.

    A line is taken whole or not at all: of one that is wrong only `Marker.problems` are left. But
    a metric or log entry that Kestra's engine would choke on is left out by itself.
    """
    body = marker_body(line)
    if body is None:
        return None
    try:
        return _marker(_decode(body))
    except NotReadable as error:
        first = f"Invalid outputs '{error.message}'"
        problems = (first,) if error.cause is None else (first, error.cause)
        return Marker(problems=problems)


def _decode(body: str) -> Mapping[str, Any]:
    """The object at the start of `body`; text after it is ignored, as on Kestra."""
    try:
        value, _ = _DECODER.raw_decode(body)
    except json.JSONDecodeError as error:
        raise _syntax_error(body, error.pos, error.msg) from error
    except _Constant as error:
        raise _constant_error(body, error.token) from error
    except RecursionError as error:
        raise NotReadable(f"nested deeper than {MAX_DEPTH} levels") from error
    if _depth_exceeds(value, MAX_DEPTH):
        raise NotReadable(f"nested deeper than {MAX_DEPTH} levels")
    if "\\ud" in body or "\\uD" in body:
        # Half of a character cannot be stored: it becomes `?`, which is what Kestra stores.
        text = json.dumps(value, ensure_ascii=False)
        value = json.loads(text.encode("utf-8", "replace"))
    return value


def _marker(content: Mapping[str, Any]) -> Marker:
    assets = _plain(content.get("assets"))
    if assets is not None and not isinstance(assets, dict | list):
        raise NotReadable(f"assets must be a list or an object, not {_kind(assets)}")
    problems: list[str] = []
    metrics: list[MetricEntry] = []
    for index, raw in enumerate(_items(content, "metrics")):
        metric = metric_of(raw, f"metrics[{index}]")
        if isinstance(metric, str):
            problems.append(f"Invalid metric '{_compact(raw)}': {metric}")
        else:
            metrics.append(metric)
    logs = [_log_of(raw, f"logs[{i}]") for i, raw in enumerate(_items(content, "logs"))]
    return Marker(
        outputs=_object(content, "outputs"),
        encrypted_outputs=_object(content, "encryptedOutputs"),
        metrics=tuple(metrics),
        logs=tuple(entry for entry in logs if entry is not None),
        assets=assets,
        problems=tuple(problems),
    )


def _object(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    if value is not None and not isinstance(value, dict):
        raise NotReadable(f"{key} must be an object, not {_kind(value)}")
    return cast("Mapping[str, Any]", _plain(value or {}))


def _plain(value: Any) -> Any:
    """A value without `WrittenNumber`s."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    return float(value) if isinstance(value, WrittenNumber) else value


def _items(content: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = content.get(key)
    if value is not None and not isinstance(value, list):
        raise NotReadable(f"{key} must be a list, not {_kind(value)}")
    return cast("Sequence[Any]", value or ())


def _log_of(raw: Any, where: str) -> LogEntry | None:
    """A log entry; None without a message. One without a level is a warning in its place."""
    if raw is not None and not isinstance(raw, dict):
        raise NotReadable(f"{where} must be an object, not {_kind(raw)}")
    entry = cast("Mapping[str, Any]", raw or {})
    level = entry.get("level")
    known = None if level is None else _level_of(level, where)
    message = entry.get("message")
    text = None if message is None else scalar_text(message, f"{where}.message")
    if known is None:
        return LogEntry(Level.WARN, f"Invalid log '{_compact(raw)}'")
    return None if text is None else LogEntry(known, text)


def _level_of(level: Any, where: str) -> Level:
    """A level by its name, or by its number: Kestra counts from ERROR, 0, to TRACE, 4."""
    if isinstance(level, str) and level in _LEVELS:
        return _LEVELS[level]
    if not isinstance(level, bool | float) and str(level) in _NUMBERED:
        return _NUMBERED[str(level)]
    raise NotReadable(
        f"unknown level {_compact(level)} in {where}: known are [{', '.join(_LEVELS)}]"
    )


class _Constant(ValueError):
    """A number that Python knows and JSON does not."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.token = token


def _refuse_constant(token: str) -> NoReturn:
    raise _Constant(token)


def _whole_number(token: str) -> int:
    if len(token) > MAX_DIGITS:
        raise NotReadable(f"Number value length ({len(token)}) exceeds the maximum ({MAX_DIGITS})")
    return int(token)


def _real_number(token: str) -> float:
    if len(token) > MAX_DIGITS:
        raise NotReadable(f"Number value length ({len(token)}) exceeds the maximum ({MAX_DIGITS})")
    return WrittenNumber(token)


_DECODER = json.JSONDecoder(
    parse_int=_whole_number, parse_float=_real_number, parse_constant=_refuse_constant
)


def _constant_error(body: str, token: str) -> NotReadable:
    """Kestra's two texts for NaN and its like; they can be read and compared (golden q02)."""
    found = next(match for match in _CONSTANT.finditer(body) if match[1])
    cause = (
        f"Non-standard token '{token}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to "
        "allow\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
        f"line: 1, column: {found.end() + 1}]"
    )
    return NotReadable(f"{cause}\nJSON has no {token}: send null or a text", cause)


def _syntax_error(body: str, at: int, reason: str) -> NotReadable:
    """The error for text that is no JSON; Kestra repeats it if it is below the top level."""
    depth = 0
    for match in _BRACKET.finditer(body, 0, at):
        depth += bool(match[1]) - bool(match[2])
    message = f"{reason} (line: 1, column: {at + 1})"
    return NotReadable(message, message if depth > 1 else None)


def _depth_exceeds(value: Any, limit: int) -> bool:
    """True if lists and objects are nested deeper than `limit`."""
    level: list[Any] = [value]
    for _ in range(limit + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += (v for v in item.values() if isinstance(v, dict | list))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - JSON
            elif isinstance(item, list):
                below += (v for v in item if isinstance(v, dict | list))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - JSON
        if not below:
            return False
        level = below
    return True


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _kind(value: Any) -> str:
    kinds = (dict, "an object"), (list, "a list"), (str, "a text"), (bool, "a boolean")
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")

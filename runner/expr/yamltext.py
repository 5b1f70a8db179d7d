"""YAML as the filter `yaml` writes it and the function `yaml()` reads it.

Kestra's reader and writer are Jackson's: YAML 1.1 scalars without dates and base 60, no anchors;
strings quoted only where they would be read as something else (and some more).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from runner.expr.faults import Fault
from runner.expr.limits import MAX_DEPTH, Budget
from runner.expr.text import decimal_text, double_text, float32_text, string_form
from runner.expr.values import (
    Entry,
    Float32,
    Instant,
    LocalDateTime,
    Loop,
    is_decimal,
    is_items,
    is_map,
    temporal,
)
from runner.patterns import regex

_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"])
_SPECIAL = regex(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_DOUBLE = regex(r"[\[\]{},]|\A~|:(?:\s|\Z)|(?:\A|\s)#")
_SINGLE = regex(r"""\A(?:[-?](?: |\n|\Z)|['"@%&*!|>`]| |---|\.\.\.)| \Z|\A0[0-9_]+\Z""", re.ASCII)
# A key that could be read as a number gets quotes; a value does not.
_NUMBER_LIKE_KEY = regex(r"[-+.0-9]")
_QUOTED_KEY = regex(r"\A[\[\]{},]|:(?:\s|\Z)|(?:\A|\s)#")


def write_yaml(value: object, budget: Budget) -> str:
    """Give `value` as YAML, ending in a newline."""
    lines = _Emitter(budget)
    if is_map(value) and value:
        lines.map(value, 0, 0)
    elif is_items(value) and value:
        lines.items(value, 0, 0)
    else:
        lines.add("--- " * (value == "") + lines.scalar(value, 2))
    text = "\n".join(lines.lines) + "\n"
    budget.spend(len(text))
    return text


class _Emitter:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Add a line, which may itself have several."""
        self.budget.spend(len(line))
        self.lines.append(line)

    def map(self, entries: Mapping[object, object], indent: int, depth: int) -> None:
        """Write the entries, each key moved to the right by `indent`."""
        self._check(len(entries), depth)
        pad = " " * indent
        for key, item in entries.items():
            name = self._key(key)
            if name.startswith("? "):
                self._after_long_key(name, item, indent, depth)
            elif is_map(item) and item:
                self.add(f"{pad}{name}:")
                self.map(item, indent + 2, depth + 1)
            elif is_items(item) and item:
                self.add(f"{pad}{name}:")
                self.items(item, indent, depth + 1)
            else:
                self.add(f"{pad}{name}: {self.scalar(item, indent + 2)}")

    def _after_long_key(self, name: str, item: object, indent: int, depth: int) -> None:
        """Write an entry whose key stands on a line of its own, after `?`."""
        self.add(f"{' ' * indent}{name}")
        start = len(self.lines)
        if is_map(item) and item:
            self.map(item, indent + 2, depth + 1)
        elif is_items(item) and item:
            self.items(item, indent + 2, depth + 1)
        else:
            self.add(" " * (indent + 2) + self.scalar(item, indent + 2))
        self.lines[start] = f"{' ' * indent}: {self.lines[start][indent + 2 :]}"

    def items(self, items: list[object] | tuple[object, ...], indent: int, depth: int) -> None:
        """Write the items, each dash one further to the right than `indent`."""
        self._check(len(items), depth)
        pad = " " * (indent + 1)
        for item in items:
            if is_map(item) and item:
                self.add(f"{pad}-")
                self.map(item, indent + 2, depth + 1)
            elif is_items(item) and item:
                self.add(f"{pad}-")
                self.items(item, indent + 2, depth + 1)
            else:
                self.add(f"{pad}- {self.scalar(item, indent + 2)}")

    def _check(self, count: int, depth: int) -> None:
        self.budget.spend_items(count + 1)
        if depth > MAX_DEPTH:
            raise Fault(f"The value has more than {MAX_DEPTH} lists and maps inside one another")

    def _key(self, key: object) -> str:
        text = string_form(key, self.budget)
        if not text or "\n" in text:
            return f"? {_double_quoted(text)}"
        if text.lower() in _WORDS or _NUMBER_LIKE_KEY.match(text) or text[0] == "~":
            return _double_quoted(text)
        if _SPECIAL.search(text):
            return _double_quoted(text)
        return _single_quoted(text) if _QUOTED_KEY.search(text) or _SINGLE.search(text) else text

    def scalar(self, value: object, indent: int) -> str:
        """Give a value that is written after its key or dash."""
        if isinstance(value, str):
            return _quoted(value, indent)
        if value is None:
            return "null"
        if isinstance(value, float):
            return float32_text(value) if isinstance(value, Float32) else double_text(value)
        if isinstance(value, Entry):
            value = {value.key: value.value}
        if isinstance(value, Loop):
            value = value.fields()
        if is_map(value) or is_items(value):
            return "{}" if is_map(value) else "[]"
        if is_decimal(value):
            return decimal_text(value)
        moment = temporal(value)
        if isinstance(moment, LocalDateTime):
            return _quoted(moment.json_text(), indent)
        if isinstance(moment, Instant):
            return _quoted(str(moment), indent)
        return string_form(value, self.budget)


def _quoted(text: str, indent: int) -> str:
    """Give a string, in quotes or as a block where it needs that."""
    if "\n" in text:
        return _block(text, indent)
    if not text or text.lower() in _WORDS or _DOUBLE.search(text) or _SPECIAL.search(text):
        return _double_quoted(text)
    return _single_quoted(text) if _SINGLE.search(text) else text


def _single_quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _block(text: str, indent: int) -> str:
    if _SPECIAL.search(text) or " \n" in text or text.endswith(" "):
        return _double_quoted(text)
    body = text.rstrip("\n")
    trailing = len(text) - len(body)
    mark = "|-" if not trailing else "|" if trailing == 1 and body else "|+"
    hint = "2" if body[:1] in (" ", "\n", "") else ""
    pad = " " * indent
    lines = [pad + line if line else "" for line in (body if body else "").split("\n")]
    lines += [""] * (trailing - 1 if mark == "|+" else 0)
    return f"{mark[0]}{hint}{mark[1:]}\n" + "\n".join(lines)


_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\t": "\\t",
    "\r": "\\r",
    "\0": "\\0",
    "\b": "\\b",
    "\f": "\\f",
    "\x07": "\\a",
    "\x0b": "\\v",
    "\x1b": "\\e",
    "\x85": "\\N",
    "\u2028": "\\L",
    "\u2029": "\\P",
}


def _double_quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(char) or _hex(char) for char in text) + '"'


def _hex(char: str) -> str:
    code = ord(char)
    if 0x20 <= code < 0x7F or (code >= 0xA0 and code != 0xFEFF):
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


# --- reading

_MOST_EVENTS = 500_000
_INT = regex(r"[-+]?(?:0b_*[01_]+|0x_*[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = regex(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.[0-9_]+(?:[eE][-+]?[0-9]+)?)"
)
_TRUE = frozenset(["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"])
_FALSE = frozenset(["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"])
_NULLS = frozenset(["~", "null", "Null", "NULL"])


def read_yaml(text: str) -> object:
    """Give the value of the first document of `text`.

    Raises:
        ValueError: the text is no YAML, or empty.
    """
    import yaml

    loader = cast("Any", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    events = cast("Iterator[object]", yaml.parse(text, Loader=loader))
    try:
        return _Reader(events).document()
    except yaml.YAMLError as error:
        problem = str(getattr(error, "problem", None) or error).partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(problem + place) from error


class _Reader:
    """Builds values from parser events; an alias is the text of its name."""

    def __init__(self, events: Iterator[object]) -> None:
        self.events = events
        self.count = 0

    def next(self) -> tuple[str, Any]:
        """Give the next event's name and the event."""
        self.count += 1
        if self.count > _MOST_EVENTS:
            raise ValueError("the document is too large")
        event = next(self.events)
        return type(event).__name__, event

    def document(self) -> object:
        """Read the first document."""
        self.next()
        name, _ = self.next()
        if name == "StreamEndEvent":
            raise ValueError("No content to map due to end-of-input")
        return self.value(*self.next(), 0)

    def value(self, name: str, event: Any, depth: int) -> object:
        """Read the value that starts with `event`."""
        if depth > MAX_DEPTH:
            raise ValueError("the document is nested too deeply")
        if name == "AliasEvent":
            return str(event.anchor)
        if name == "ScalarEvent":
            return _scalar(event)
        if name == "SequenceStartEvent":
            items: list[object] = []
            while (entry := self.next())[0] != "SequenceEndEvent":
                items.append(self.value(*entry, depth + 1))
            return items
        entries: dict[str, object] = {}
        while (entry := self.next())[0] != "MappingEndEvent":
            key_name, key = entry
            if key_name not in ("ScalarEvent", "AliasEvent"):
                raise ValueError("Expected a field name (Scalar value in YAML)")
            field = str(key.value if key_name == "ScalarEvent" else key.anchor)
            entries[field] = self.value(*self.next(), depth + 1)
        return entries


def _scalar(event: Any) -> object:
    text = str(event.value)
    tag = str(event.tag).rpartition(":")[2] if event.tag else ""
    if tag == "str" or (not event.implicit[0] and tag not in _TYPED_TAGS):
        return text
    if not text or text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return _int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if re.fullmatch(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", text):
        raise ValueError(f"Invalid number ({text})")
    return text


_TYPED_TAGS = frozenset(["int", "float", "bool", "null"])


def _int(text: str) -> int:
    if len(text) > 1000:
        raise ValueError("the number has too many digits")
    sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-")
    if digits.startswith("0b"):
        return sign * int(digits[2:], 2)
    if digits.startswith("0x"):
        return sign * int(digits[2:], 16)
    if len(digits) > 1 and digits[0] == "0":
        return sign * int(digits, 8)
    return sign * int(digits or "0")

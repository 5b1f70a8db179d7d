"""From a file's bytes to plain data with positions, by Kestra's YAML dialect (flow-model 1.2).

The parser's events are read one by one with limits, never recursively, so no file can take the
process down. Aliases are text, merge keys are keys like any other, dates stay text, and a key
that comes twice is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn, cast

import yaml

from runner.errors import FlowInvalid, Problem
from runner.loading.scalars import Refused, resolve, resolved, tagged
from runner.loading.syntax import character_problem, surrogate_problem, syntax_problem
from runner.patterns import regex

__all__ = ["Items", "Map", "Mark", "decode", "plain", "read", "resolve"]

MAX_CHARACTERS = 3 * 1024 * 1024
MAX_DEPTH = 50
MAX_NODES = 300_000
MAX_DUPLICATES = 50
MAX_JOINED_LINES = 100

# PyYAML without libyaml is slower and gives the same events.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Mark(NamedTuple):
    """Where a value stands: its line and column and its key's (from 1), and its text if plain."""

    line: int
    column: int
    key_line: int
    key_column: int
    text: str | None = None


NOWHERE = Mark(0, 0, 0, 0)


class Map(dict[str, Any]):
    """A YAML map, in the order of the file, with the place of each value and its own."""

    __slots__ = ("column", "line", "marks")

    def __init__(self, line: int = 0, column: int = 0) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.marks: dict[str, Mark] = {}

    def mark(self, key: str) -> Mark:
        """Where the value of `key` stands; the map's own place if there is no such key."""
        return self.marks.get(key) or Mark(self.line, self.column, self.line, self.column)

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set the value of `key` and its place."""
        self[key] = value
        self.marks[key] = mark


class Items(list[Any]):
    """A YAML list with the place of each item and its own."""

    __slots__ = ("column", "line", "marks")

    def __init__(self, line: int = 0, column: int = 0) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.marks: list[Mark] = []

    def mark(self, position: int) -> Mark:
        """Where the item at `position` stands."""
        return self.marks[position]

    def put(self, value: Any, mark: Mark) -> None:
        """Add an item and its place."""
        self.append(value)
        self.marks.append(mark)


def plain(value: Any) -> Any:
    """The value with plain dicts and lists in place of those that know their places."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


def decode(data: bytes, file: str = "") -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark.

    Raises:
        FlowInvalid: it is neither, or too big.
    """
    if len(data) > 4 * MAX_CHARACTERS:
        raise FlowInvalid([_too_big(file)])
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding, name = "utf-16", "UTF-16"
    else:
        encoding, name = "utf-8-sig", "UTF-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        raise FlowInvalid(
            [
                Problem(
                    message=f"The file is not {name}: byte {error.start} is no part of a character",
                    file=file,
                    line=line,
                    column=error.start - (before.rfind(b"\n") + 1) + 1,
                    hint="save the file as UTF-8",
                )
            ]
        ) from error


def read(text: str, file: str = "") -> Map:
    """The map that is the first document of `text`.

    Raises:
        FlowInvalid: the text is no YAML, no map, or beyond the limits; every key that comes
            twice is a problem of its own.
    """
    if len(text) > MAX_CHARACTERS:
        raise FlowInvalid([_too_big(file)])
    return _read(text, file, MAX_JOINED_LINES)


def _read(text: str, file: str, joins: int) -> Map:
    """See `read`; `joins`: on so many lines at most two escapes are taken as one."""
    builder = _Builder(file)
    try:
        root = builder.build(_events(text))
    except yaml.MarkedYAMLError as error:
        joined = _with_joined_pairs(text, error) if joins else None
        if joined is not None:
            return _read(joined, file, joins - 1)
        raise FlowInvalid([*builder.problems, syntax_problem(error, file, text)]) from error
    except UnicodeEncodeError as error:
        raise FlowInvalid([surrogate_problem(error, file, text)]) from error
    except yaml.YAMLError as error:
        raise FlowInvalid([*builder.problems, character_problem(error, file, text)]) from error
    if not isinstance(root, Map):
        builder.problems.append(_no_map(root, file))
    if builder.problems:
        raise FlowInvalid(builder.problems)
    return cast("Map", root)


_PAIR = regex(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def _with_joined_pairs(text: str, error: yaml.MarkedYAMLError) -> str | None:
    r"""The text with `\ud83d\ude00` as one escape on the line that libyaml does not take for it.

    JSON writes characters outside of the basic plane so, and Kestra's parser joins the two. None:
    that is not what is wrong.
    """
    mark: Any = error.problem_mark
    if mark is None or "invalid Unicode character escape" not in str(error.problem):
        return None
    lines = text.removeprefix("\ufeff").split("\n")
    number, column = int(mark.line), int(mark.column)
    line = lines[number]
    # What is before stands perhaps in another kind of quotes, where it is no escape.
    begin = max(column - len("\\ud83d"), 0)
    joined = _PAIR.sub(_as_one_escape, line[begin:])
    if joined == line[begin:]:
        return None
    lines[number] = line[:begin] + joined
    return "\n".join(lines)


def _as_one_escape(pair: re.Match[str]) -> str:
    high, low = (int(pair[number], 16) for number in (1, 2))
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"


def _events(text: str) -> Iterator[Any]:
    """The events of the first document, read by libyaml one at a time."""
    parser: Any = _Parser(text.removeprefix("\ufeff"))
    try:
        while True:
            event = parser.get_event()
            if event is None or isinstance(event, yaml.DocumentEndEvent):
                return
            yield event
    finally:
        parser.dispose()


_STARTS: frozenset[type[object]] = frozenset({yaml.MappingStartEvent, yaml.SequenceStartEvent})
_ENDS: frozenset[type[object]] = frozenset({yaml.MappingEndEvent, yaml.SequenceEndEvent})
_VALUES: frozenset[type[object]] = _STARTS | {yaml.ScalarEvent, yaml.AliasEvent}


class _Builder:
    """Builds the data of a document from its events, on a stack of its own."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._nodes = 0

    def build(self, events: Iterator[Any]) -> Any:
        """The document's value; a document without one gives None."""
        root: Any = None
        stack: list[Map | Items] = []
        # The key whose value comes next, and where it stands, for each map on the stack.
        keys: list[tuple[str, Any] | None] = []
        for event in events:
            kind = cast("type[object]", type(event))
            if kind in _ENDS:
                stack.pop()
                keys.pop()
                continue
            if kind not in _VALUES:
                continue
            self._nodes += 1
            if self._nodes > MAX_NODES:
                self._refuse(f"more than {MAX_NODES} values", event)
            parent = stack[-1] if stack else None
            if isinstance(parent, Map) and keys[-1] is None:
                keys[-1] = (self._key(event, parent), event.start_mark)
                continue
            value, raw = self._value(event, kind)
            mark = event.start_mark
            line, column = mark.line + 1, mark.column + 1
            if parent is None:
                root = value
            elif isinstance(parent, Map):
                key, start = cast("tuple[str, Any]", keys[-1])
                keys[-1] = None
                parent[key] = value
                parent.marks[key] = Mark(line, column, start.line + 1, start.column + 1, raw)
            else:
                parent.append(value)
                parent.marks.append(Mark(line, column, line, column, raw))
            if kind in _STARTS:
                if len(stack) >= MAX_DEPTH:
                    self._refuse(f"nested deeper than {MAX_DEPTH} levels", event)
                stack.append(value)
                keys.append(None)
        return root

    def _value(self, event: Any, kind: type[object]) -> tuple[Any, str | None]:
        """What an event begins: an empty map or list, or a scalar with its text."""
        mark = event.start_mark
        if kind is yaml.ScalarEvent:
            return self._scalar(event)
        if kind is yaml.MappingStartEvent:
            return Map(mark.line + 1, mark.column + 1), None
        if kind is yaml.SequenceStartEvent:
            return Items(mark.line + 1, mark.column + 1), None
        return str(event.anchor), None

    def _key(self, event: Any, parent: Map) -> str:
        """The text of a key; every key is text, as written."""
        if isinstance(event, yaml.AliasEvent):
            key = str(event.anchor)
        elif isinstance(event, yaml.ScalarEvent):
            key = str(event.value)
        else:
            self._refuse(
                "YAML syntax error: Invalid structure. Check indentation and ensure all fields "
                "are properly formatted.",
                event,
                hint="a value that begins with {{ or [ or { must be in quotes",
            )
        if key in parent and len(self.problems) < MAX_DUPLICATES:
            mark: Any = event.start_mark
            first = parent.marks[key]
            self.problems.append(
                Problem(
                    message=f"Duplicate field '{key}'",
                    file=self.file,
                    line=mark.line + 1,
                    column=mark.column + 1,
                    hint=f"it is on line {first.key_line} already",
                )
            )
        return key

    def _scalar(self, event: Any) -> tuple[Any, str | None]:
        """The value of a scalar, and its text when that says more than the value."""
        value: str = event.value
        if value == "":
            return "", None
        tag: str | None = event.tag
        if tag is None or tag == "!":
            if not event.implicit[0] or tag == "!":
                return value, None
            found = resolved(value)
        else:
            found = tagged(tag, value)
        if isinstance(found, Refused):
            self._refuse(found.why, event, hint="put it in quotes")
        return found, None if isinstance(found, str) else value

    def _refuse(self, message: str, event: Any, hint: str = "") -> NoReturn:
        mark = event.start_mark
        problem = Problem(
            message=message,
            file=self.file,
            line=mark.line + 1,
            column=mark.column + 1,
            hint=hint,
        )
        raise FlowInvalid([*self.problems, problem])


def _too_big(file: str) -> Problem:
    return Problem(
        message=f"The incoming YAML document exceeds the limit: {MAX_CHARACTERS} code points.",
        file=file,
        line=1,
        column=1,
        hint="put large data in files or inputs",
    )


def _no_map(root: Any, file: str) -> Problem:
    if root is None or root == "":
        message, hint = "No content: the flow is empty", "a flow needs id, namespace and tasks"
    else:
        message = "Cannot construct a flow: a flow is a map with id, namespace and tasks"
        hint = "a list or a text is no flow"
    return Problem(message=message, file=file, line=1, column=1, hint=hint)

"""The formats of jq strings: `@csv`, `@base64`, `@sh`..."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from urllib.parse import quote

from runner.expr.jq.values import (
    JqError,
    Json,
    fields_of,
    is_array,
    is_container,
    is_number,
    is_object,
    items_of,
    shown,
)
from runner.expr.jsontext import write_json
from runner.expr.limits import Budget
from runner.expr.text import double_text


def number(value: float) -> Json:
    """Give a number as jq writes it: NaN as null, infinity as the largest number."""
    if value != value:
        return None
    if value in (float("inf"), float("-inf")):
        value = 1.7976931348623157e308 if value > 0 else -1.7976931348623157e308
    return int(value) if abs(value) < 2**63 and value == int(value) else value


def text(value: Json) -> str:
    """`@text`: strings as they are, everything else as JSON."""
    if isinstance(value, str):
        return value
    return dump(value)


def dump(value: Json, depth: int = 0) -> str:
    """Give `value` as JSON text, nulls in objects included."""
    if depth > 250:
        raise JqError("the value is nested too deeply")
    if is_object(value):
        fields = (
            f"{write_json(name, Budget())}:{dump(item, depth + 1)}"
            for name, item in fields_of(value).items()
        )
        return f"{{{','.join(fields)}}}"
    if is_array(value):
        return f"[{','.join(dump(item, depth + 1) for item in items_of(value))}]"
    if isinstance(value, float):
        plain = number(value)
        if isinstance(plain, float):
            written = double_text(plain)
            return written.replace("E-", "e-") if "E-" in written else written.replace("E", "e+")
        value = plain
    return write_json(value, Budget())


def _row(value: Json, name: str, separator: str, quoted: Callable[[str], str]) -> str:
    if not is_array(value):
        raise JqError(f"{shown(value)} cannot be {name}-formatted, only array")
    cells: list[str] = []
    for cell in items_of(value):
        if isinstance(cell, str):
            cells.append(quoted(cell))
        elif cell is None or (isinstance(cell, float) and cell != cell):
            cells.append("")
        elif isinstance(cell, bool) or is_number(cell):
            cells.append(dump(cell))
        else:
            raise JqError(f"{shown(cell)} is not valid in a csv row")
    return separator.join(cells)


def _csv(value: Json) -> str:
    return _row(value, "csv", ",", lambda cell: '"' + cell.replace('"', '""') + '"')


_TSV = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}


def _tsv(value: Json) -> str:
    return _row(
        value,
        "tsv",
        "\t",
        lambda cell: re.sub(r"[\t\n\r\\]", lambda found: _TSV[found.group()], cell),
    )


_HTML = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "'": "&apos;", '"': "&quot;"}


def _html(value: Json) -> str:
    return re.sub("[<>&'\"]", lambda found: _HTML[found.group()], text(value))


def _uri(value: Json) -> str:
    return quote(text(value), safe="-_.!~*'()", errors="replace")


def _sh(value: Json) -> str:
    words = items_of(value) if is_array(value) else [value]
    quoted: list[str] = []
    for word in words:
        if is_container(word):
            raise JqError(f"{shown(word)} cannot be escaped for shell")
        quoted.append(
            "'" + word.replace("'", "'\\''") + "'" if isinstance(word, str) else dump(word)
        )
    return " ".join(quoted)


def _base64(value: Json) -> str:
    return b64encode(text(value).encode(errors="replace")).decode()


def _base64d(value: Json) -> str:
    encoded = text(value)
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", encoded):
        raise JqError(f"{shown(value)} is not valid base64 data")
    bare = encoded.rstrip("=")
    if len(bare) % 4 == 1:
        raise JqError(f"{shown(value)} is not valid base64 data")
    return b64decode(bare + "=" * (-len(bare) % 4)).decode(errors="replace")


FORMATS: dict[str, Callable[[Json], str]] = {
    "@text": text,
    "@json": dump,
    "@csv": _csv,
    "@tsv": _tsv,
    "@html": _html,
    "@uri": _uri,
    "@sh": _sh,
    "@base64": _base64,
    "@base64d": _base64d,
}

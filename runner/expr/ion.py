"""Amazon Ion as text: what `toIon` writes and `fromIon` reads."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import cast

from runner.expr.faults import Fault
from runner.expr.limits import MAX_DEPTH, Budget
from runner.expr.text import decimal_text, double_text, float32_text, int_text, string_form
from runner.expr.values import (
    Duration,
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

_SYMBOL = regex(r"[A-Za-z_$][A-Za-z0-9_$]*")
_KEYWORDS = frozenset(("null", "true", "false", "nan"))
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\0": "\\0",
    "\b": "\\b",
    "\f": "\\f",
    "\x07": "\\a",
    "\x0b": "\\v",
}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))}


def write_ion(value: object, budget: Budget, depth: int = 0) -> str:
    """Give `value` as Ion text."""
    if depth > MAX_DEPTH:
        raise Fault(f"The value has more than {MAX_DEPTH} lists and maps inside one another")
    if is_items(value):
        budget.spend_items(len(value) + 1)
        return f"[{','.join([write_ion(item, budget, depth + 1) for item in value])}]"
    if isinstance(value, Entry):
        value = {value.key: value.value}
    if isinstance(value, Loop):
        value = value.fields()
    if is_map(value):
        budget.spend_items(len(value) + 1)
        fields = [
            f"{_symbol(string_form(key, budget))}:{write_ion(item, budget, depth + 1)}"
            for key, item in value.items()
        ]
        return f"{{{','.join(fields)}}}"
    return _scalar(value, budget)


def _scalar(value: object, budget: Budget) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int_text(value)
    if isinstance(value, float):
        return _float(float32_text(value) if isinstance(value, Float32) else double_text(value))
    if is_decimal(value):
        text = decimal_text(value)
        return text if "." in text else text + "."
    moment = temporal(value)
    if moment is None:
        raise Fault(f"A value of type {type(value).__name__} has no Ion form")
    return _temporal(moment)


def _temporal(moment: Instant | LocalDateTime | date | Duration) -> str:
    """Give a value of time: a timestamp with milliseconds where Ion has a type for it."""
    if isinstance(moment, Instant):
        text = str(Instant(moment.nanos // 1_000_000 * 1_000_000)).removesuffix("Z")
        return text + ("Z" if "." in text else ".000Z")
    if isinstance(moment, LocalDateTime):
        text = moment.json_text()
        return f'LocalDateTime::"{text.rstrip("0") if "." in text else text}"'
    return str(moment)


def _float(text: str) -> str:
    """Give a float from Java's text: `1.5e0`, `100e0`, `1.0e7`."""
    if text in ("NaN", "Infinity", "-Infinity"):
        return {"NaN": "nan", "Infinity": "+inf", "-Infinity": "-inf"}[text]
    if "E" in text:
        return text.replace("E", "e")
    return text.removesuffix(".0") + "e0"


def _symbol(name: str) -> str:
    if _SYMBOL.fullmatch(name) and name not in _KEYWORDS and not re.fullmatch(r"\$\d+", name):
        return name
    return "'" + _escaped(name).replace('\\"', '"').replace("'", "\\'") + "'"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(char) or _CONTROLS.get(ord(char), char) for char in text)


# --- reading

_SKIP = regex(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = regex(
    r"[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eEdD][+-]?[0-9]+)?)"
)
_TIMESTAMP = regex(
    r"\d{4}(?:T|-\d\d(?:T|-\d\d(?:T(?:\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?)?))"
)
_LONG_STRING = regex(r"'''((?:[^'\\]|\\.|'(?!''))*)'''", re.DOTALL)
_STRING = regex(r'"((?:[^"\\\n]|\\.)*)"', re.DOTALL)
_QUOTED_SYMBOL = regex(r"'((?:[^'\\\n]|\\.)*)'", re.DOTALL)
_LOB = regex(r"\{\{(.*?)\}\}", re.DOTALL)
_OPERATOR = regex(r"[!#%&*+\-./;<=>?@^`|~]+")
_UNESCAPED = {
    "0": "\0",
    "a": "\x07",
    "b": "\b",
    "t": "\t",
    "n": "\n",
    "f": "\f",
    "r": "\r",
    "v": "\x0b",
}


def read_ion(text: str, budget: Budget) -> list[object]:
    """Give the values of an Ion text.

    Raises:
        ValueError: the text is no Ion.
    """
    return _Reader(text, budget).all()


class _Reader:
    def __init__(self, text: str, budget: Budget) -> None:
        self.text = text
        self.pos = 0
        self.budget = budget

    def all(self) -> list[object]:
        """Read values up to the end."""
        values: list[object] = []
        while not self.at_end():
            if self.match(re.compile(r"\$ion_\d+_\d+(?![\w$])")):
                continue
            values.append(self.value(0))
        return values

    def at_end(self) -> bool:
        """Skip white space and comments; tell whether nothing is left."""
        found = _SKIP.match(self.text, self.pos)
        self.pos = found.end() if found else self.pos
        return self.pos >= len(self.text)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take what the pattern matches here."""
        found = pattern.match(self.text, self.pos)
        if found:
            self.pos = found.end()
        return found

    def fail(self, what: str) -> ValueError:
        """Give the error for this place."""
        line = self.text.count("\n", 0, self.pos) + 1
        return ValueError(f"{what} at line {line}")

    def value(self, depth: int) -> object:
        """Read one value; annotations before it are dropped."""
        self.budget.spend_items(1)
        if depth > MAX_DEPTH:
            raise self.fail("nested too deeply")
        if self.at_end():
            raise self.fail("unexpected end")
        char = self.text[self.pos]
        if char == "{":
            lob = self.match(_LOB)
            return self.lob(lob.group(1)) if lob else self.struct(depth)
        if char in "[(":
            return self.items(depth, "]" if char == "[" else ")")
        if char == '"':
            return self.string()
        if self.text.startswith("'''", self.pos):
            return self.long_string()
        if char.isdigit() or (char in "+-" and self.text[self.pos + 1 : self.pos + 2].isdigit()):
            return self.number()
        for word, number in (("+inf", "inf"), ("-inf", "-inf")):
            if self.text.startswith(word, self.pos):
                self.pos += 4
                return float(number)
        return self.symbol(depth)

    def symbol(self, depth: int) -> object:
        """Read a symbol, a keyword, or an annotation and the value after it."""
        quoted = self.text[self.pos] == "'"
        found = self.match(_QUOTED_SYMBOL if quoted else _SYMBOL)
        if found is None:
            raise self.fail(f"unexpected character '{self.text[self.pos]}'")
        name = _unescape(found.group(1)) if quoted else found.group()
        before = self.pos
        if not self.at_end() and self.text.startswith("::", self.pos):
            self.pos += 2
            return self.value(depth + 1)
        self.pos = before
        if quoted:
            return name
        if name == "null":
            self.match(re.compile(r"\.\w+"))
            return None
        if name in ("true", "false"):
            return name == "true"
        return float("nan") if name == "nan" else name

    def struct(self, depth: int) -> object:
        """Read `{name: value}`."""
        self.pos += 1
        fields: dict[str, object] = {}
        while True:
            if self.at_end():
                raise self.fail("unclosed struct")
            if self.text[self.pos] == "}":
                self.pos += 1
                return fields
            name = self.field_name()
            if self.at_end() or self.text[self.pos] != ":":
                raise self.fail("expected ':'")
            self.pos += 1
            fields[name] = self.value(depth + 1)
            self.comma("}")

    def field_name(self) -> str:
        """Read the name of a field."""
        if self.text.startswith("'''", self.pos):
            return str(self.long_string())
        if self.text[self.pos] == '"':
            return str(self.string())
        found = self.match(_QUOTED_SYMBOL)
        if found:
            return _unescape(found.group(1))
        found = self.match(_SYMBOL)
        if found is None:
            raise self.fail("expected a field name")
        return found.group()

    def comma(self, closing: str) -> None:
        """Take the comma after a member, unless the container ends."""
        if self.at_end():
            raise self.fail("unexpected end")
        if self.text[self.pos] == ",":
            self.pos += 1
        elif self.text[self.pos] != closing:
            raise self.fail("expected ','")

    def items(self, depth: int, closing: str) -> list[object]:
        """Read `[a, b]` or `(a b)`."""
        self.pos += 1
        values: list[object] = []
        while True:
            if self.at_end():
                raise self.fail("unclosed list")
            if self.text[self.pos] == closing:
                self.pos += 1
                return values
            if closing == ")" and not self.text[self.pos : self.pos + 2].strip("+-").isdigit():
                operator = self.match(_OPERATOR)
                if operator:
                    values.append(operator.group())
                    continue
            values.append(self.value(depth + 1))
            if closing == "]":
                self.comma(closing)

    def string(self) -> object:
        """Read `"text"`."""
        found = self.match(_STRING)
        if found is None:
            raise self.fail("unclosed string")
        return _unescape(found.group(1))

    def long_string(self) -> object:
        """Read `'''text'''`; several in a row are one string."""
        parts: list[str] = []
        while not self.at_end():
            found = self.match(_LONG_STRING)
            if found is None:
                break
            parts.append(_unescape(found.group(1)))
        if not parts:
            raise self.fail("unclosed string")
        return "".join(parts)

    def number(self) -> object:
        """Read a number or a timestamp."""
        found = self.match(_TIMESTAMP)
        if found:
            return _timestamp(found.group())
        found = self.match(_NUMBER)
        if found is None:
            raise self.fail("invalid number")
        if self.text[self.pos : self.pos + 1].isalnum():
            raise self.fail("invalid number")
        text = found.group().replace("_", "").lower()
        digits = text.lstrip("+-")
        if len(digits) > 1000:
            raise self.fail("the number has too many digits")
        if digits[:2] in ("0x", "0b"):
            size = int(digits[2:], 16 if digits[1] == "x" else 2)
            return -size if text[0] == "-" else size
        if "e" in digits:
            return float(text)
        if "d" in digits or "." in digits:
            return _decimal(text)
        return int(text)

    def lob(self, content: str) -> object:
        """Give a blob as its Base64 text, a clob as its text."""
        clob = _STRING.fullmatch(content.strip())
        return _unescape(clob.group(1)) if clob else "".join(content.split())


def _timestamp(text: str) -> object:
    """Give a timestamp: a date when it is a midnight in UTC, else a moment in milliseconds."""
    day, _, time = text.partition("T")
    day = day + "-01" * (2 - day.count("-"))
    clock, offset = re.fullmatch(r"([\d:.]*)(Z|[+-]\d\d:\d\d)?", time, re.ASCII).groups("")  # type: ignore[union-attr]
    try:
        if offset not in ("", "Z", "-00:00", "+00:00"):
            datetime.fromisoformat(f"{day}T{clock[:12]}{offset}")
            return (
                f"{day}T{clock[:12].removesuffix(':00') if clock.count(':') > 1 else clock}{offset}"
            )
        if not clock.strip("0:."):
            return date.fromisoformat(day)
        whole, _, fraction = clock.partition(".")
        return Instant.parse(f"{day}T{whole}.{fraction[:3] or '0'}Z")
    except ValueError:
        raise ValueError(f"invalid timestamp {text}") from None


def _decimal(text: str) -> object:
    from decimal import Decimal, DecimalException

    try:
        return Decimal(text.replace("d", "e").removesuffix("."))
    except DecimalException:
        raise ValueError(f"invalid decimal {text[:60]}") from None


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(
        r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\r\n|.))",
        _unescaped,
        text,
        flags=re.DOTALL,
    )


def _unescaped(found: re.Match[str]) -> str:
    digits = cast("str | None", found.group(1) or found.group(2) or found.group(3))
    if digits:
        code = int(digits, 16)
        if code > 0x10FFFF:
            raise ValueError(f"invalid escape {found.group()}")
        return chr(code)
    char = found.group(4)
    return "" if char in ("\n", "\r\n") else _UNESCAPED.get(char, char)

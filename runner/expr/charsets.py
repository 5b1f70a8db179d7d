"""Sets of characters, as sorted ranges of code points, and the ones that Java has names for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Ranges = tuple[tuple[int, int], ...]
"""Ranges of code points, both ends included; sorted and apart from each other."""

LAST = 0x10FFFF
ALL: Ranges = ((0, LAST),)
LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x85, 0x85), (0x2028, 0x2029))


def united(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Give what is in any of the ranges."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return tuple(result)


def inverse(ranges: Ranges) -> Ranges:
    """Give what is in none of the ranges."""
    result: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if low > start:
            result.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        result.append((start, LAST))
    return tuple(result)


def common(one: Ranges, other: Ranges) -> Ranges:
    """Give what is in both."""
    return inverse(united((*inverse(one), *inverse(other))))


def escape(code: int) -> str:
    """Give one character as a regular expression, outside or inside a class."""
    char = chr(code)
    if char.isascii() and char.isalnum():
        return char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def pattern(ranges: Ranges) -> str:
    """Give the class `[…]` of the ranges."""
    if not ranges:
        return "(?!)"
    if ranges == ALL:
        return "(?s:.)"
    shorter, mark = ranges, ""
    if ranges[0][0] == 0 and ranges[-1][1] == LAST:
        shorter, mark = inverse(ranges), "^"
    parts = [
        escape(low) if low == high else f"{escape(low)}-{escape(high)}" for low, high in shorter
    ]
    return f"[{mark}{''.join(parts)}]"


def of(text: str) -> Ranges:
    """Give the set of the characters in `text`, where `a-z` is a range."""
    ranges: list[tuple[int, int]] = []
    index = 0
    while index < len(text):
        if text[index + 1 : index + 2] == "-" and index + 2 < len(text):
            ranges.append((ord(text[index]), ord(text[index + 2])))
            index += 3
        else:
            ranges.append((ord(text[index]), ord(text[index])))
            index += 1
    return united(ranges)


_DIGIT = of("0-9")
_WORD = of("a-zA-Z_0-9")
_SPACE = of(" \t\n\x0b\f\r")
_HORIZONTAL = of(" \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000")
_VERTICAL = of("\n\x0b\f\r\x85\u2028\u2029")
_SHORTHANDS = {"d": _DIGIT, "w": _WORD, "s": _SPACE, "h": _HORIZONTAL, "v": _VERTICAL}


def shorthand(char: str, unicode: bool) -> Ranges | None:
    """Give the set that `\\d`, `\\W`... stand for; None when `char` is none of these."""
    ranges = _SHORTHANDS.get(char.lower())
    if ranges is None:
        return None
    if unicode and char.lower() in "dws":
        ranges = family({"d": "Nd", "w": "IsWord", "s": "IsWhite_Space"}[char.lower()]) or ranges
    return inverse(ranges) if char.isupper() else ranges


_ASCII_FAMILIES = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": "\x00-\x7f",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": "!-/:-@[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": " \t",
    "Cntrl": "\x00-\x1f\x7f",
    "XDigit": "0-9a-fA-F",
    "Space": " \t\n\x0b\f\r",
}
_CATEGORY_NAMES = {
    "alphabetic": "L Nl",
    "letter": "L",
    "uppercase": "Lu",
    "lowercase": "Ll",
    "titlecase": "Lt",
    "digit": "Nd",
    "punctuation": "P",
    "control": "Cc",
    "white_space": "Zs Zl Zp",
    "alnum": "L Nl Nd",
    "word": "L M Nd Pc Nl",
    "assigned": "L M N P S Z Cc Cf Co Cs",
    "lc": "Lu Ll Lt",
    "ld": "L Nd",
    "l1": "",
    "any": "",
}
_JAVA_NAMES = {
    "javaLowerCase": "Ll",
    "javaUpperCase": "Lu",
    "javaLetter": "L",
    "javaDigit": "Nd",
    "javaLetterOrDigit": "L Nd",
    "javaAlphabetic": "L Nl",
    "javaTitleCase": "Lt",
    "javaWhitespace": "Zs Zl Zp",
}
_SCRIPTS = frozenset(
    ("latin", "greek", "cyrillic", "arabic", "hebrew", "thai", "hangul", "hiragana", "katakana")
).union(("devanagari", "armenian", "georgian", "bengali", "tamil", "telugu", "ethiopic", "khmer"))


@lru_cache(64)
def family(name: str) -> Ranges | None:
    """Give the set that `\\p{name}` stands for, or None for an unknown name."""
    if name in _ASCII_FAMILIES:
        return of(_ASCII_FAMILIES[name])
    if name in _JAVA_NAMES:
        return _with_blanks(_JAVA_NAMES[name])
    key = name.partition("=")[2] or name
    plain = key.lower()
    if plain.startswith("is"):
        plain = plain[2:]
        key = key[2:]
    if plain in ("any", "all"):
        return ALL
    if plain == "l1":
        return ((0, 0xFF),)
    if plain in _CATEGORY_NAMES and (name.startswith("Is") or plain in ("lc", "ld")):
        return _with_blanks(_CATEGORY_NAMES[plain])
    if plain in ("han", "ideographic"):
        return _by_name("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL")
    if plain in _SCRIPTS:
        return _by_name(plain.upper() + " ")
    return _categories().get(key) if len(key) <= 2 else None


def _with_blanks(names: str) -> Ranges:
    categories = _categories()
    found = united(part for name in names.split() for part in categories.get(name, ()))
    return united((*found, *_SPACE, (0x85, 0x85))) if "Zs" in names.split() else found


_ASSIGNED_TO = 0x32400
"""Behind this code point come only private use and a few tags."""


@lru_cache(1)
def _categories() -> dict[str, Ranges]:
    """Give the characters of every general category, `L` and `Lu` alike."""
    from unicodedata import category

    runs: dict[str, list[tuple[int, int]]] = {}
    previous, start = category("\0"), 0
    for code in range(1, _ASSIGNED_TO + 1):
        current = category(chr(code))
        if current != previous or code == _ASSIGNED_TO:
            runs.setdefault(previous, []).append((start, code - 1))
            previous, start = current, code
    runs.setdefault("Cf", []).extend(((0xE0001, 0xE0001), (0xE0020, 0xE007F)))
    runs.setdefault("Mn", []).append((0xE0100, 0xE01EF))
    runs.setdefault("Co", []).extend(((0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)))
    result = {name: united(ranges) for name, ranges in runs.items()}
    assigned = united(part for name, ranges in result.items() if name != "Cn" for part in ranges)
    result["Cn"] = inverse(assigned)
    for letter in "LMNPSZC":
        result[letter] = united(
            part for name, ranges in result.items() if name[0] == letter for part in ranges
        )
    return result


@lru_cache(32)
def _by_name(*prefixes: str) -> Ranges:
    """Give the characters whose Unicode names start with one of the prefixes."""
    from unicodedata import name

    return united(
        (code, code) for code in range(_ASSIGNED_TO) if name(chr(code), "").startswith(prefixes)
    )

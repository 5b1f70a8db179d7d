"""Whether a text is a URI, by Java's rules and in Java's words."""

from __future__ import annotations

from runner.patterns import regex

_SCHEME = regex(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_LEGAL = regex(r"(?:[A-Za-z0-9_!~*'().;/?:@&=+$,\[\]#-]|%[0-9A-Fa-f]{2}|[^\x00-\x9f\s])*")


def check_uri(text: str) -> str:
    """`text`, which is a URI.

    Raises `ValueError` with Java's text: `Illegal character in path at index 3: not a uri`.
    """
    at = len(_match(text))
    if at < len(text):
        part = _part_at(text, at)
        if text[at] == "%":
            raise ValueError(f"Malformed escape pair at index {at}: {text}")
        raise ValueError(f"Illegal character in {part} at index {at}: {text}")
    scheme = _SCHEME.match(text)
    if text.startswith(":"):
        raise ValueError(f"Expected scheme name at index 0: {text}")
    if scheme and scheme.end() == len(text):
        raise ValueError(f"Expected scheme-specific part at index {len(text)}: {text}")
    after = text[scheme.end() :] if scheme else text
    if after == "//":
        raise ValueError(f"Expected authority at index {len(text)}: {text}")
    return text


def _match(text: str) -> str:
    found = _LEGAL.match(text)
    legal = found[0] if found else ""
    # A second `#` is part of no URI.
    first, mark, second = legal.partition("#")
    return first + mark + second.partition("#")[0] if "#" in second else legal


def _part_at(text: str, at: int) -> str:
    """Which part of a URI index `at` belongs to."""
    before = text[:at]
    if "#" in before:
        return "fragment"
    if "?" in before:
        return "query"
    scheme = _SCHEME.match(before)
    rest = before[scheme.end() :] if scheme else before
    if rest.startswith("//"):
        return "path" if "/" in rest[2:] else "authority"
    return "opaque part" if scheme and not rest.startswith("/") else "path"

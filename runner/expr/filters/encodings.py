"""Filters that encode and hash."""

from __future__ import annotations

import re

from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.filters.strings import as_text, only_text
from runner.expr.registry import filter_
from runner.expr.values import is_text


@filter_("base64encode")
def base64encode(value: object, arguments: Arguments) -> object:
    """Base64 of the string form in UTF-8.

    >>> {{ 'kestra' | base64encode }}
    a2VzdHJh
    """
    from base64 import b64encode

    if value is None:
        return None
    return b64encode(as_text(value, arguments).encode(errors="replace")).decode()


@filter_("base64decode")
def base64decode(value: object, arguments: Arguments) -> object:
    """The text in Base64. Padding may be missing.

    >>> {{ 'a2VzdHJh' | base64decode }}
    kestra
    """
    if value is None:
        return None
    if not is_text(value):
        raise Fault("This filter applies to String")
    return decode_base64(value).decode(errors="replace")


def decode_base64(text: str) -> bytes:
    """Decode Base64 as Java does: the standard alphabet, padding complete or left out."""
    from base64 import b64decode

    whole = re.fullmatch(r"([A-Za-z0-9+/]*)(={0,2})", text)
    if whole is None or len(whole.group(1)) % 4 == 1 or (whole.group(2) and len(text) % 4):
        raise Fault("Please provide a correctly Base64 encoded string containing an UTF-8 string")
    return b64decode(whole.group(1) + "=" * (-len(whole.group(1)) % 4))


def _hash_filter(name: str, known: str) -> None:
    def body(value: object, arguments: Arguments) -> object:
        import hashlib

        if value is None:
            return None
        if not is_text(value):
            raise Fault("Need a string to hash")
        digest = hashlib.new(name, value.encode(errors="replace"), usedforsecurity=False)
        return digest.hexdigest()

    body.__doc__ = f"""The {name.upper()} hash of a string in UTF-8, in lower case hex.

    >>> {{{{ 'abc' | {name} | abbreviate(15) }}}}
    {known}
    """
    filter_(name)(body)


_hash_filter("md5", "900150983cd2...")
_hash_filter("sha1", "a9993e364706...")
_hash_filter("sha256", "ba7816bf8f01...")
_hash_filter("sha512", "ddaf35a19361...")


@filter_("urlencode")
def urlencode(value: object, arguments: Arguments) -> object:
    """Form encoding: a blank is `+`, everything but `A-Za-z0-9.-*_` is escaped.

    >>> {{ 'a b~*' | urlencode }}
    a+b%7E*
    """
    from urllib.parse import quote_from_bytes

    if value is None:
        return None
    raw = only_text(value, arguments).encode(errors="replace")
    return quote_from_bytes(raw, safe="*- ").replace(" ", "+").replace("~", "%7E")


@filter_("urldecode")
def urldecode(value: object, arguments: Arguments) -> object:
    """The text in form encoding.

    >>> {{ 'a+b%2Fc' | urldecode }}
    a b/c
    """
    from urllib.parse import unquote_plus

    if value is None:
        return None
    text = only_text(value, arguments)
    broken = re.search(r"%(?![0-9A-Fa-f]{2})", text)
    if broken:
        raise Fault("URLDecoder: Incomplete or illegal hex characters in escape (%) pattern")
    return unquote_plus(text, errors="replace")

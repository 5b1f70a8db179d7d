"""Functions that encrypt and decrypt."""

from __future__ import annotations

from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.filters.encodings import decode_base64
from runner.expr.registry import function

_MOST_BYTES = 100_000


def _key(arguments: Arguments) -> bytes:
    key = decode_base64(arguments.needed_text("key"))
    if len(key) not in (16, 24, 32):
        raise Fault(f"Invalid AES key length: {len(key)} bytes")
    return key


def _text(arguments: Arguments, name: str) -> str | None:
    if "key" not in arguments or name not in arguments:
        raise Fault(f"{arguments.called} expects two arguments 'key' and '{name}'.")
    text = arguments.text(name)
    if text and len(text) > _MOST_BYTES:
        raise Fault(f"{arguments.called} takes at most {_MOST_BYTES} characters.")
    return text


@function("encrypt", "key plaintext")
def encrypt(arguments: Arguments) -> object:
    """The text encrypted with AES-GCM, in Base64. `key` is the Base64 of 16, 24 or 32 bytes.

    >>> {{ decrypt(vars.key, encrypt(vars.key, 'x')) }}
    x
    """
    from base64 import b64encode

    from runner.expr import aes

    text = _text(arguments, "plaintext")
    if not text:
        return text
    key = _key(arguments)
    nonce = arguments.context.services.random().getrandbits(96).to_bytes(12, "big")
    return b64encode(nonce + aes.encrypt(key, nonce, text.encode(errors="replace"))).decode()


@function("decrypt", "key encrypted")
def decrypt(arguments: Arguments) -> object:
    """The text that `encrypt` encrypted with the same key.

    >>> {{ decrypt(vars.key, encrypt(vars.key, 'x')) }}
    x
    """
    from runner.expr import aes

    text = _text(arguments, "encrypted")
    if not text:
        return text
    key, raw = _key(arguments), decode_base64(text)
    try:
        return aes.decrypt(key, raw[:12], raw[12:]).decode(errors="replace")
    except ValueError as error:
        raise Fault(f"{error}: the text was not encrypted with this key") from error

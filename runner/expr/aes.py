"""AES-GCM for `encrypt` and `decrypt`, which handle a secret or two: clarity before speed."""

from __future__ import annotations

from functools import lru_cache
from hmac import compare_digest


@lru_cache(1)
def _tables() -> tuple[bytes, bytes]:
    """Give the S-box, and multiplication by 2 in the field of AES."""
    power, log = [0] * 256, [0] * 256
    value = 1
    for exponent in range(255):
        power[exponent], log[value] = value, exponent
        value ^= value << 1
        if value & 0x100:
            value ^= 0x11B
    box = bytearray(256)
    for byte in range(256):
        inverse = power[(255 - log[byte]) % 255] if byte else 0
        box[byte] = 0x63
        for shift in range(5):
            box[byte] ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
    double = bytes((byte << 1 ^ (0x11B if byte & 0x80 else 0)) & 0xFF for byte in range(256))
    return bytes(box), double


def _round_keys(key: bytes) -> list[bytes]:
    box, double = _tables()
    size = len(key) // 4
    words = [key[index : index + 4] for index in range(0, len(key), 4)]
    constant = 1
    for index in range(size, 4 * (size + 7)):
        word = words[-1]
        if index % size == 0:
            word = bytes(box[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = double[constant]
        elif size > 6 and index % size == 4:
            word = bytes(box[byte] for byte in word)
        words.append(bytes(one ^ other for one, other in zip(words[-size], word, strict=True)))
    return [b"".join(words[index : index + 4]) for index in range(0, len(words), 4)]


def _encrypt_block(keys: list[bytes], block: bytes) -> bytes:
    box, double = _tables()
    state = bytes(one ^ other for one, other in zip(block, keys[0], strict=True))
    for number, key in enumerate(keys[1:], 1):
        shifted = [box[state[(index + 4 * (index % 4)) % 16]] for index in range(16)]
        if number < len(keys) - 1:
            mixed: list[int] = []
            for column in range(0, 16, 4):
                a, b, c, d = shifted[column : column + 4]
                every = a ^ b ^ c ^ d
                mixed += (
                    a ^ every ^ double[a ^ b],
                    b ^ every ^ double[b ^ c],
                    c ^ every ^ double[c ^ d],
                    d ^ every ^ double[d ^ a],
                )
            shifted = mixed
        state = bytes(one ^ other for one, other in zip(shifted, key, strict=True))
    return state


def _counter_mode(keys: list[bytes], nonce: bytes, text: bytes) -> bytes:
    stream = b"".join(
        _encrypt_block(keys, nonce + number.to_bytes(4, "big"))
        for number in range(2, 2 + (len(text) + 15) // 16)
    )
    return bytes(one ^ other for one, other in zip(text, stream, strict=False))


def _tag(keys: list[bytes], nonce: bytes, encrypted: bytes) -> bytes:
    factor = int.from_bytes(_encrypt_block(keys, bytes(16)), "big")
    padded = encrypted + bytes(-len(encrypted) % 16) + (len(encrypted) * 8).to_bytes(16, "big")
    total = 0
    for start in range(0, len(padded), 16):
        total = _product(total ^ int.from_bytes(padded[start : start + 16], "big"), factor)
    mask = int.from_bytes(_encrypt_block(keys, nonce + b"\0\0\0\1"), "big")
    return (total ^ mask).to_bytes(16, "big")


def _product(one: int, other: int) -> int:
    """Multiply in the field of GCM."""
    result = 0
    for bit in range(127, -1, -1):
        if one >> bit & 1:
            result ^= other
        other = other >> 1 ^ (0xE1 << 120 if other & 1 else 0)
    return result


def encrypt(key: bytes, nonce: bytes, text: bytes) -> bytes:
    """Give `text` encrypted, its tag of 16 bytes at the end. `key` has 16, 24 or 32 bytes."""
    keys = _round_keys(key)
    encrypted = _counter_mode(keys, nonce, text)
    return encrypted + _tag(keys, nonce, encrypted)


def decrypt(key: bytes, nonce: bytes, encrypted: bytes) -> bytes:
    """Give the text of what `encrypt` gave.

    Raises:
        ValueError: the key is another one, or the text was changed.
    """
    keys = _round_keys(key)
    body, tag = encrypted[:-16], encrypted[-16:]
    if len(tag) != 16 or not compare_digest(_tag(keys, nonce, body), tag):
        raise ValueError("Tag mismatch")
    return _counter_mode(keys, nonce, body)

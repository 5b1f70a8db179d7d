"""Whose process is at the other end of a loopback connection: the kernel knows."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

Address = tuple[str, int]
"""An address as sockets give it; what follows the port does not matter."""

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI")
_ANY_STATE = 0xFFFFFFFF
_UID_AT = _HEADER.size + 4 + 48 + 12  # behind the message's state, addresses, and three counters
_REPLY_BYTES = 4096
_TIMEOUT_S = 1.0


def peer_uid(local: Address, remote: Address) -> int | None:
    """The user whose process has the other end of a connection; None if that is not known."""
    try:
        return _ask_kernel(local, remote)
    except OSError:  # no such interface here, or switched off
        return _look_up(local, remote)


def _ask_kernel(local: Address, remote: Address) -> int | None:
    """Ask for that one socket: how many others there are makes no difference."""
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    ports = struct.pack("!HH", remote[1], local[1])
    ends = _packed(family, remote).ljust(16, b"\0") + _packed(family, local).ljust(16, b"\0")
    identity = ports + ends + struct.pack("=III", 0, _ANY_STATE, _ANY_STATE)
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + identity
    size = _HEADER.size + len(body)
    header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_TIMEOUT_S)
        kernel.send(header + body)
        reply = kernel.recv(_REPLY_BYTES)
    if len(reply) < _UID_AT + 4 or _HEADER.unpack_from(reply)[1] != _SOCK_DIAG_BY_FAMILY:
        raise OSError("no socket of that address")
    (uid,) = struct.unpack_from("=I", reply, _UID_AT)
    return uid


def _look_up(local: Address, remote: Address) -> int | None:
    """Look for the socket in the kernel's table of all; slow where there are many."""
    table = Path("/proc/net/tcp6" if ":" in local[0] else "/proc/net/tcp")
    wanted = f" {_hex(remote)} {_hex(local)} "
    try:
        with table.open() as lines:
            return next((int(line.split()[7]) for line in lines if wanted in line), None)
    except OSError:  # not Linux: the caller must show a token
        return None


def _hex(address: Address) -> str:
    """An address as the table writes it: 32-bit words in the machine's byte order."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    words = struct.unpack(f"={len(_packed(family, address)) // 4}I", _packed(family, address))
    return f"{''.join(f'{word:08X}' for word in words)}:{address[1]:04X}"


def _packed(family: int, address: Address) -> bytes:
    return socket.inet_pton(family, address[0].partition("%")[0])

"""Who is at the other end of a loopback connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from runner.api import peer

CONNECT = """\
import os, socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
os.setgid(65534); os.setuid(65534)
other = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sys.stdin.read()
"""

WAYS = [peer.peer_uid, peer._ask_kernel, peer._look_up]  # pyright: ignore[reportPrivateUsage] # each way by itself


def listener(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"{host} is not here")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_our_own_connection_is_ours(host: str) -> None:
    with (
        listener(host) as server,
        socket.create_connection((host, server.getsockname()[1])),
    ):
        connection, remote = server.accept()
        with connection:
            found = [way(connection.getsockname(), remote) for way in WAYS]

    assert found == [os.getuid()] * 3


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_belongs_to_who_opened_it(host: str) -> None:
    with (
        listener(host) as server,
        subprocess.Popen(
            [sys.executable, "-c", CONNECT, host, str(server.getsockname()[1])],
            stdin=subprocess.PIPE,
        ) as process,
    ):
        found: list[list[int | None]] = []
        for _ in range(2):
            connection, remote = server.accept()
            with connection:
                found.append([way(connection.getsockname(), remote) for way in WAYS])
        process.communicate()

    assert found == [[0] * 3, [65534] * 3]


def test_a_connection_that_is_not_there_is_nobodys() -> None:
    assert peer.peer_uid(("127.0.0.1", 1), ("127.0.0.1", 2)) is None

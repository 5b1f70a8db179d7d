"""A body that does not come, or comes in drops, does not keep a request open."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from functools import partial

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

from runner.api.problems import errors_as_json
from runner.api.slow import no_slow_bodies

PATIENCE_S = 0.1


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    """The port of a server that tells how long a body is; `/slow` takes its time after that."""

    async def length(request: web.Request) -> web.Response:
        body = await request.read()
        if request.path == "/slow":
            await anyio.sleep(3 * PATIENCE_S)
        return web.Response(text=str(len(body)))

    app = web.Application(middlewares=[no_slow_bodies(PATIENCE_S, 1000), errors_as_json])
    app.router.add_post("/{path:.*}", length)
    runner = web.AppRunner(app, lingering_time=PATIENCE_S)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def answer(port: int, path: str, length: int, body: bytes) -> str:
    """What is answered to a request that says it has `length` bytes, and sends `body`."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        found = connection.makefile("rb")
        status = found.readline().decode().split()[1]
        ends = "close" if length != len(body) and found.read() else "open"
    return f"{status} {ends}"


async def test_a_body_that_stops_is_given_up_and_its_connection_closed(port: int) -> None:
    for body in (b"", b"x" * 50):
        ask = partial(answer, port, "/", 100, body)
        assert await anyio.to_thread.run_sync(ask) == "408 close"


async def test_a_whole_body_may_be_worked_on_for_long(port: int) -> None:
    ask = partial(answer, port, "/slow", 5, b"12345")
    assert await anyio.to_thread.run_sync(ask) == "200 open"


async def test_a_body_that_comes_steadily_may_take_long(port: int) -> None:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n")
        for _ in range(10):
            await stream.send(b"x" * 2000)
            await anyio.sleep(PATIENCE_S / 4)
        assert b"200 OK" in await stream.receive()

"""A container's output: attached to while it runs, read from the log where that was cut off."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
import anyio
import anyio.lowlevel

from runner.errors import RunnerUnavailable
from runner.runners.base import Emit, Stream
from runner.runners.docker_client import Attached, Engine
from runner.runners.docker_entry import EndMarks

_HEADER_BYTES = 8
_LOG_HOLDS_BYTES = 8 * 1024 * 1024
"""How much output the engine's bounded log has kept for certain (see docker_request)."""


class Output:
    """Hands a container's output to `emit`, and knows how far it came.

    `marks` are those by which its command tells its end; None: it tells nothing. `ended` is set
    when no more comes, `settled` then or as soon as the command has told its end.
    """

    def __init__(self, emit: Emit, marks: EndMarks | None = None) -> None:
        self._emit = emit
        self._marks = marks
        self._sent = {Stream.STDOUT: 0, Stream.STDERR: 0}
        self._last = datetime.now(UTC)
        self.busy = False
        self.chunks = 0
        self.ended = anyio.Event()
        self.settled = anyio.Event()

    @property
    def status(self) -> int | None:
        """The exit status that the command told after all of its output; None: it did not yet."""
        return self._marks.status if self._marks is not None and self._marks.complete else None

    async def follow(self, attached: Attached, scope: anyio.CancelScope) -> None:
        """Emit what comes through an attached stream, until its end or until `scope` is cancelled.

        Its end says nothing about the container: the engine may have gone (reliability D3).
        """
        with scope:
            while (message := await self._next(attached)) is not None:
                await self._send(Stream(message[0]), message[1])
                await anyio.lowlevel.checkpoint()
        await self._close()

    async def follow_log(self, engine: Engine, container: str, scope: anyio.CancelScope) -> None:
        """Like `follow`, from the container's first line on: what the engine's log still has."""
        # Whether the container is still there is found out elsewhere.
        with scope, suppress(RunnerUnavailable):
            await self.catch_up(engine, container)
        await self._close()

    async def _close(self) -> None:
        """Nothing more comes: what was taken for the beginning of a mark was output."""
        try:
            for stream in Stream:
                if self._marks is not None and (rest := self._marks.rest(stream)):
                    await self._emit(stream, rest)
        finally:
            self.ended.set()
            self.settled.set()

    @property
    def may_lack_lines(self) -> bool:
        """Whether the engine's log may have been too short for all that was printed."""
        return max(self._sent.values()) >= _LOG_HOLDS_BYTES

    async def _next(self, attached: Attached) -> tuple[int, bytes] | None:
        try:
            return await attached.read_out()
        except (aiohttp.ClientError, OSError):
            return None

    async def _send(self, stream: Stream, data: bytes) -> None:
        self.chunks += 1
        self._sent[stream] += len(data)
        self._last = datetime.now(UTC)
        if self._marks is not None:
            data = self._marks.feed(stream, data)
        if data:
            self.busy = True
            await self._emit(stream, data)
            self.busy = False
        if self.status is not None:
            self.settled.set()

    async def drain(self, grace_s: float) -> None:
        """Wait for the stream's end, but not when nothing has come for `grace_s`."""
        while not self.ended.is_set():
            before = self.chunks
            with anyio.move_on_after(grace_s):
                await self.ended.wait()
            if not self.ended.is_set() and self.chunks == before and not self.busy:
                return

    async def catch_up(self, engine: Engine, container: str) -> bool:
        """Emit from the engine's log what has not been emitted yet, until the container's end.

        Gives False if lines may be missing or doubled: the log was too long to find the place.
        """
        exact = max(self._sent.values()) < _LOG_HOLDS_BYTES
        params = {"stdout": "1", "stderr": "1", "follow": "1"}
        if not exact:
            params["since"] = f"{self._last.timestamp():.9f}"
        skip = dict(self._sent) if exact else dict.fromkeys(self._sent, 0)
        path = f"containers/{container}/logs"
        async with engine.request("GET", path, params=params) as response:
            async for stream, data in _frames(response):
                left = data[skip[stream] :]
                skip[stream] -= len(data) - len(left)
                if left:
                    await self._send(stream, left)
        return exact


async def _frames(response: aiohttp.ClientResponse) -> AsyncGenerator[tuple[Stream, bytes]]:
    """The frames of a log, until it ends or the engine has gone.

    Raises:
        RunnerUnavailable: what came is no log.
    """
    while True:
        try:
            head = await response.content.readexactly(_HEADER_BYTES)
            data = await response.content.readexactly(int.from_bytes(head[4:], "big"))
        except EOFError:
            return
        if head[0] not in (Stream.STDOUT, Stream.STDERR):
            raise RunnerUnavailable("The Docker engine sent a log that cannot be read")
        yield Stream(head[0]), data

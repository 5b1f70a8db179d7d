"""Executions and logs as they change, as server-sent events (http-api 2.7).

Following is reading: take the change event, read what is new, send it, wait for the event. There
is no queue, so a slow reader costs nothing. Frames carry their kind in `id:`, as Kestra's do.
"""

from __future__ import annotations

import json

import anyio
from aiohttp import web

from runner.api.executions import shown
from runner.api.logs import Chosen
from runner.api.services import services
from runner.api.shapes import Json, log_json

ROUTES = web.RouteTableDef()

_PING_S = 15.0
_AFTER_END_S = 10.0
_LINES_AT_ONCE = 1000


@ROUTES.get("/executions/{execution}/follow")
async def follow_execution(request: web.Request) -> web.StreamResponse:
    """The execution now, at each change, and when it has ended."""
    api, execution_id = services(request), request.match_info["execution"]
    change = api.engine.changed(execution_id)
    found = await api.store.found(execution_id)
    async with _Stream(request) as stream:
        await stream.send("start", shown(api, *found))
        while not found[0].state.is_terminal:
            await stream.wait(change)
            change = api.engine.changed(execution_id)
            latest = await api.store.found(execution_id)
            if latest != found and not latest[0].state.is_terminal:
                await stream.send("progress", shown(api, *latest))
            found = latest
        await stream.send("end", shown(api, *found))
    return stream.response


@ROUTES.get("/logs/{execution}/follow")
async def follow_logs(request: web.Request) -> web.StreamResponse:
    """The lines of an execution: those that are there, then each as it comes."""
    api, execution_id = services(request), request.match_info["execution"]
    chosen = Chosen(request)
    await api.store.execution(execution_id)
    async with _Stream(request) as stream:
        await stream.send("start", {})
        after, ended_at = 0, None
        while ended_at is None or anyio.current_time() < ended_at + _AFTER_END_S:
            change = api.engine.changed(execution_id)
            if ended_at is None and (await api.store.execution(execution_id)).state.is_terminal:
                ended_at = anyio.current_time()  # the last lines may still be on their way
            while lines := await api.store.logs(execution_id, after, _LINES_AT_ONCE):
                after = lines[-1].number
                for line in filter(chosen.has, lines):
                    await stream.send("progress", log_json(line))
            left = None if ended_at is None else ended_at + _AFTER_END_S - anyio.current_time()
            await stream.wait(change, left)
        await stream.send("end", {})
    return stream.response


class _Stream:
    """An answer that goes on: frames, and a comment now and then so that nobody gives up.

    Leaving it ends the answer. A reader who is gone ends it too, without an error.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )

    async def __aenter__(self) -> _Stream:
        await self.response.prepare(self._request)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if kind is None:
            await self.response.write_eof()
        return kind is not None and issubclass(kind, ConnectionError)

    async def send(self, kind: str, document: Json) -> None:
        """Send a frame of that kind."""
        data = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        await self.response.write(f"id: {kind}\ndata: {data}\n\n".encode("utf-8", "replace"))

    async def wait(self, change: anyio.Event, most_s: float | None = None) -> None:
        """Return when the change came or `most_s` passed, or when it was time for a comment."""
        with anyio.move_on_after(_PING_S if most_s is None else min(_PING_S, max(most_s, 0))) as it:
            await change.wait()
        if it.cancelled_caught:
            await self.response.write(b": ping\n\n")

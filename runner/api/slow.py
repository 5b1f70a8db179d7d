"""Bodies that do not come: who sends next to nothing is sent away (reliability M8)."""

from __future__ import annotations

import anyio
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from runner.api.problems import problem

PATIENCE_S = 10.0
"""How long a body may take for `LEAST_BYTES`."""

LEAST_BYTES = 10 * 1024


def no_slow_bodies(patience_s: float = PATIENCE_S, least_bytes: int = LEAST_BYTES) -> Middleware:
    """A middleware that gives up a request with 408 whose body comes more slowly than this.

    Stands around whatever turns errors into answers. Once a body is complete, the handler may
    take as long as it wants.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.content.is_eof():
            return await handler(request)
        answer: web.StreamResponse | None = None
        error: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, request, group.cancel_scope, patience_s, least_bytes)
            try:
                answer = await handler(request)
            except (ConnectionError, web.HTTPException) as raised:
                error = raised  # not out of the group, which would wrap it
            group.cancel_scope.cancel()
        if error is not None:
            raise error
        if answer is None:
            answer = problem(request, 408, "Bad Request: the body does not come; send it faster")
            answer.force_close()
        return answer

    return middleware


async def _watch(
    request: web.Request, scope: anyio.CancelScope, patience_s: float, least_bytes: int
) -> None:
    """Cancel `scope` if the request's body comes too slowly; return when it is complete."""
    before = request.content.total_bytes
    while True:
        await anyio.sleep(patience_s)
        if request.content.is_eof():
            return
        if request.content.total_bytes - before < least_bytes:
            scope.cancel()
            return
        before = request.content.total_bytes

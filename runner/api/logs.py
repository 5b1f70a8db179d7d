"""Log lines: of one execution, of all, as text."""

from __future__ import annotations

from aiohttp import web

from runner.api.answers import attachment, empty, json_response
from runner.api.filters import conditions, paging, sorting, text_of, without
from runner.api.services import BadRequest, services
from runner.api.shapes import instant, log_json, page
from runner.errors import NotFound
from runner.model.execution import Level, LogLine
from runner.store.search import Condition

ROUTES = web.RouteTableDef()

_CHUNK_LINES = 5000


@ROUTES.get("/logs/search")
async def search(request: web.Request) -> web.Response:
    """A page of the lines of all executions, newest first."""
    wanted = conditions(request)
    limit, offset = paging(request)
    lines, total = await services(request).store.search_logs(
        without(wanted, "q"),
        containing=text_of(wanted, "q"),
        newest_first=("timestamp", "asc") not in sorting(request),
        limit=limit,
        offset=offset,
    )
    return json_response(page([log_json(line) for line in lines], total) | {"type": "OFFSET"})


@ROUTES.get("/logs/{execution}")
async def of_execution(request: web.Request) -> web.Response:
    """The lines of an execution by time; none at all if it is not known."""
    lines, _ = await services(request).store.search_logs(_wanted(request), newest_first=False)
    return json_response([log_json(line) for line in lines])


@ROUTES.get("/logs/{execution}/download")
async def download(request: web.Request) -> web.StreamResponse:
    """The lines of an execution as text."""
    api = services(request)
    execution_id = request.match_info["execution"]
    chosen = Chosen(request)
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": attachment(f"{execution_id}.log"),
        "X-Content-Type-Options": "nosniff",
    }
    try:
        if not (await api.store.execution(execution_id)).state.is_terminal:
            headers["Cache-Control"] = "no-cache"
    except NotFound:
        headers["Cache-Control"] = "no-cache"
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    after, between = 0, ""
    while lines := await api.store.logs(execution_id, after, _CHUNK_LINES):
        after = lines[-1].number
        if text := "\n".join(_text(line) for line in lines if chosen.has(line)):
            await response.write(f"{between}{text}".encode("utf-8", "replace"))
            between = "\n"
    await response.write_eof()
    return response


@ROUTES.delete("/logs/{execution}")
async def delete(request: web.Request) -> web.Response:
    """Delete lines of an execution."""
    await services(request).store.delete_logs(_wanted(request))
    return empty(200)


@ROUTES.delete("/logs/{namespace}/{id}")
async def delete_of_flow(request: web.Request) -> web.Response:
    """Delete the lines of all executions of a flow, or those of one of its triggers."""
    at = request.match_info
    wanted = [
        Condition("namespace", "EQUALS", (at["namespace"],)),
        Condition("flowId", "EQUALS", (at["id"],)),
    ]
    if trigger := request.query.get("triggerId"):
        wanted.append(Condition("triggerId", "EQUALS", (trigger,)))
    await services(request).store.delete_logs(wanted)
    return empty(200)


def _wanted(request: web.Request) -> list[Condition]:
    """The execution of the path, and what the query says of its lines."""
    attempt = request.query.get("attempt")
    wanted = [Condition("attemptNumber", "EQUALS", (attempt,))] if attempt else []
    execution = Condition("executionId", "EQUALS", (request.match_info["execution"],))
    return [execution, *wanted, *without(conditions(request), "executionId", "q")]


class Chosen:
    """Which lines the query of a download or a stream asks for."""

    def __init__(self, request: web.Request) -> None:
        level = request.query.get("minLevel") or request.query.get("level") or "TRACE"
        try:
            self._rank = Level(level.upper()).rank
        except ValueError as error:
            raise BadRequest(f"Bad Request: unknown level '{level}'") from error
        self._task = request.query.get("taskId")
        self._run = request.query.get("taskRunId")
        self._attempt = request.query.get("attempt")

    def has(self, line: LogLine) -> bool:
        """Whether the line is one of them."""
        return (
            line.level.rank >= self._rank
            and self._task in (None, "", line.task_id)
            and self._run in (None, "", line.task_run_id)
            and self._attempt in (None, "", str(line.attempt))
        )


def _text(line: LogLine) -> str:
    return f"{instant(line.date)} {line.level.value} {line.message}"

"""How errors become answers: one JSON shape for every status (http-api 4.9)."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from runner.api.answers import json_response
from runner.api.services import SomeRefused
from runner.errors import Conflict, FlowInvalid, InputInvalid, NotFound, RenderFailed, RunnerError
from runner.store.search import QueryInvalid
from runner.store.writer import DiskBroken, DiskFull

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUS: tuple[tuple[type[RunnerError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (QueryInvalid, 400),
    (FlowInvalid, 422),
    (InputInvalid, 422),
    (RenderFailed, 422),
)


def status_of(error: RunnerError) -> int:
    """The HTTP status that says what kind of error it was."""
    own = getattr(error, "status", None)
    if isinstance(own, int):
        return own
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(request: web.Request, status: int, message: str, error: object = None) -> web.Response:
    """An answer that says what went wrong."""
    document: dict[str, object] = {
        "message": message,
        "_links": {"self": [{"href": request.path, "templated": False}]},
    }
    if isinstance(error, FlowInvalid):
        problems = [{"message": each.message, "path": each.path} for each in error.problems]
        document["_embedded"] = {"errors": problems}
    elif isinstance(error, SomeRefused):
        document["invalids"] = [
            {"message": text, "path": "executionId", "invalidValue": execution_id}
            for execution_id, text in error.invalid
        ]
    else:
        document["_embedded"] = {"errors": [{"message": message}]}
    return json_response(document, status=status)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with the status and message of whatever was raised; a bug is a 500 and is logged."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _with_headers(problem(request, error.status, _words(request, error)), error)
    except RunnerError as error:
        status = status_of(error)
        if status == 500:
            log.warning("api.failed", path=request.path, error=str(error))
        return problem(request, status, _message(error), error)
    except (sqlite3.Error, DiskFull, DiskBroken) as error:
        log.exception("api.store_failed", path=request.path)
        return problem(request, 503, f"The store does not answer: {error}")
    except HttpProcessingError as error:  # within a form: a header that is none, a line without end
        return problem(
            request, error.code, f"Bad Request: the body cannot be read: {error.message}"
        )
    except ConnectionError:
        raise  # the client went away: there is nobody to answer
    except Exception as error:
        log.exception("api.crashed", method=request.method, path=request.path)
        return problem(request, 500, f"Internal error: {error!r}")


def _message(error: RunnerError) -> str:
    return f"Invalid entity: {error}" if isinstance(error, FlowInvalid) else str(error)


def _words(request: web.Request, error: web.HTTPException) -> str:
    match error.status:
        case 404:
            return f"Not Found: no such route {request.method} {request.path}"
        case 405:
            return f"Method [{request.method}] not allowed for {request.path}"
        case 413:
            return "The request is larger than this server allows"
        case _:
            return error.text or error.reason


def _with_headers(response: web.Response, error: web.HTTPException) -> web.Response:
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response

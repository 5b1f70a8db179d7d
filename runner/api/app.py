"""The table of routes, and the application that serves them."""

from __future__ import annotations

from collections.abc import Iterator, Set

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from runner.api import (
    actions,
    bulk,
    dependencies,
    executions,
    files,
    flows,
    follow,
    graph,
    inspection,
    instance,
    kv,
    logs,
    metrics,
    monitoring,
    namespaces,
    outputs,
    plugins,
    transfer,
    triggers,
    validate,
    webhooks,
)
from runner.api.answers import SERVER
from runner.api.problems import errors_as_json
from runner.api.reference import openapi_route
from runner.api.security import Guard
from runner.api.services import SERVICES, NoRoom, ReadOnly, Services
from runner.api.shapes import TENANT
from runner.api.slow import no_slow_bodies
from runner.records import record

API = "/api/v1"
OPENAPI = "/openapi.json"

ROUTES: tuple[web.RouteTableDef, ...] = (
    instance.ROUTES,
    follow.ROUTES,
    files.ROUTES,
    logs.ROUTES,
    metrics.ROUTES,
    kv.ROUTES,
    namespaces.ROUTES,
    validate.ROUTES,
    graph.ROUTES,
    dependencies.ROUTES,
    transfer.ROUTES,
    outputs.ROUTES,
    flows.ROUTES,
    triggers.ROUTES,
    webhooks.ROUTES,
    plugins.ROUTES,
    bulk.ROUTES,
    executions.ROUTES,
    inspection.ROUTES,
    actions.ROUTES,  # last: its `POST /executions/{namespace}/{id}` takes what nobody else does
)
"""Every resource, below `/api/v1/{tenant}` and, for clients without a tenant, `/api/v1`."""

ROOT: tuple[web.RouteTableDef, ...] = (instance.ROOT, monitoring.ROOT)
"""What stands at the root of the server."""

OPEN = frozenset(
    {
        ("GET", "/ping"),
        ("GET", "/health"),
        ("GET", "/health/liveness"),
        ("GET", "/health/readiness"),
    }
)
"""Routes that need no credentials, by method and exact pattern."""

READING_POSTS = frozenset(
    {
        "/executions/latest",
        "/executions/{namespace}/{id}/validate",
        "/executions/{execution}/actions/resume/validate",
        "/executions/{execution}/eval/{taskRun}",
        "/executions/{execution}/actions/eval/{taskRun}",
        "/flows/validate",
        "/flows/validate/task",
        "/flows/validate/trigger",
        "/flows/graph",
        "/flows/export/by-ids",
        "/namespaces/autocomplete",
    }
)
"""Routes that are no GET and change nothing all the same."""

WEBHOOKS = "/executions/webhook/"
"""Paths that name a secret of their own, and so need no credentials; each starts an execution."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@record
class Route:
    """One route: its method, the whole pattern of its path, and whether it may change anything."""

    method: str
    pattern: str
    handler: Handler
    writes: bool

    @property
    def is_open(self) -> bool:
        """Whether anybody may call it who comes by the right name: no credentials are needed."""
        method = "GET" if self.method == "HEAD" else self.method
        return (method, self.pattern) in OPEN or WEBHOOKS in self.pattern


def routes() -> Iterator[Route]:
    """Every route that is served. What can be got can be asked about with HEAD.

    But not streams, which have no end, nor webhooks, which start something.
    """
    for route in _routes():
        yield route
        followed = route.pattern.endswith("/follow")
        if route.method == "GET" and WEBHOOKS not in route.pattern and not followed:
            yield Route("HEAD", route.pattern, route.handler, route.writes)


def _routes() -> Iterator[Route]:
    for table in ROOT:
        for each in _defined(table):
            yield Route(each.method, each.path, each.handler, False)
    yield Route("GET", OPENAPI, openapi_route(described()), False)
    for prefix in (f"{API}/{TENANT}", API):
        for table in ROUTES:
            for each in _defined(table):
                reads = each.method in _READING or each.path in READING_POSTS
                writes = not reads or WEBHOOKS in each.path
                yield Route(each.method, f"{prefix}{each.path}", each.handler, writes)


def described() -> list[tuple[str, str, Handler]]:
    """Method, pattern and handler of every route once, with the tenant in the path."""
    found = [(each.method, each.path, each.handler) for table in ROOT for each in _defined(table)]
    found.append(("GET", OPENAPI, openapi_route([])))
    for table in ROUTES:
        prefix = f"{API}/{TENANT}"
        found += [(each.method, f"{prefix}{each.path}", each.handler) for each in _defined(table)]
    return found


def make_app(services: Services) -> web.Application:
    """The application, with everything that stands between a request and its handler."""
    opened: set[web.AbstractRoute] = set()
    writing: set[web.AbstractRoute] = set()
    app = web.Application(
        middlewares=[
            Guard(services.settings, services.token).middleware(opened),
            no_slow_bodies(),
            errors_as_json,
            _refuse(writing, services),
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    app[SERVICES] = services
    app[executions.STARTING] = set()
    app[monitoring.COUNTS] = monitoring.Counts()
    for route in routes():
        added = app.router.add_route(route.method, route.pattern, route.handler)
        if route.is_open:
            opened.add(added)
        if route.writes:
            writing.add(added)
    app.on_response_prepare.append(_name_server)
    return app


MAX_BODY_BYTES = 64 * 1024 * 1024
"""Largest body that is read into memory; uploads are not."""


def _defined(table: web.RouteTableDef) -> Iterator[web.RouteDef]:
    for each in table:
        if isinstance(each, web.RouteDef):
            yield each


def _refuse(writing: Set[web.AbstractRoute], services: Services) -> Middleware:
    """Refuses these routes, which change something, if that is switched off or there is no room.

    What is stopped or deleted makes room.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.route in writing:
            if services.settings.read_only:
                raise ReadOnly
            makes_room = request.method == "DELETE" or "/kill" in request.path
            shortage = None if makes_room else services.engine.space.shortage()
            if shortage is not None:
                raise NoRoom(shortage)
        return await handler(request)

    return middleware


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
    if response.status == 404:
        response.headers["X-Kestra-Edition"] = "OSS"

"""The table of routes, and the application that serves them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from runner.api import (
    actions,
    executions,
    files,
    flows,
    follow,
    instance,
    kv,
    logs,
    metrics,
    namespaces,
    validate,
    webhooks,
)
from runner.api.answers import SERVER
from runner.api.problems import errors_as_json
from runner.api.security import Guard
from runner.api.services import SERVICES, ReadOnly, Services
from runner.api.shapes import TENANT

API = "/api/v1"

ROUTES: tuple[web.RouteTableDef, ...] = (
    instance.ROUTES,
    follow.ROUTES,
    files.ROUTES,
    logs.ROUTES,
    metrics.ROUTES,
    kv.ROUTES,
    namespaces.ROUTES,
    validate.ROUTES,
    flows.ROUTES,
    webhooks.ROUTES,
    executions.ROUTES,
    actions.ROUTES,  # last: its `POST /executions/{namespace}/{id}` takes what nobody else does
)
"""Every resource, below `/api/v1/{tenant}` and, for clients without a tenant, `/api/v1`."""

ROOT: tuple[web.RouteTableDef, ...] = (instance.ROOT,)
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

READING_POSTS = frozenset({"/executions/latest", "/flows/validate", "/namespaces/autocomplete"})
"""Routes that are no GET and change nothing all the same."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its method, the whole pattern of its path, and whether it may change anything."""

    method: str
    pattern: str
    handler: Handler
    writes: bool


def routes() -> Iterator[Route]:
    """Every route that is served."""
    for table in ROOT:
        for each in _defined(table):
            yield Route(each.method, each.path, each.handler, False)
    for prefix in (f"{API}/{TENANT}", API):
        for table in ROUTES:
            for each in _defined(table):
                writes = each.method not in _READING and each.path not in READING_POSTS
                yield Route(each.method, f"{prefix}{each.path}", each.handler, writes)


def make_app(services: Services) -> web.Application:
    """The application, with everything that stands between a request and its handler."""
    table = tuple(routes())
    app = web.Application(
        middlewares=[
            errors_as_json,
            Guard(services.settings, services.token).middleware(_open(table)),
            _read_only(table if services.settings.read_only else ()),
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    app[SERVICES] = services
    for route in table:
        app.router.add_route(route.method, route.pattern, route.handler)
    app.on_response_prepare.append(_name_server)
    return app


MAX_BODY_BYTES = 64 * 1024 * 1024
"""Largest body that is read into memory; uploads are not."""


def _defined(table: web.RouteTableDef) -> Iterator[web.RouteDef]:
    for each in table:
        if isinstance(each, web.RouteDef):
            yield each


def _open(table: tuple[Route, ...]) -> frozenset[tuple[str, str]]:
    webhooks = {
        (route.method, route.pattern) for route in table if "/executions/webhook/" in route.pattern
    }
    return OPEN | webhooks


def _read_only(table: tuple[Route, ...]) -> Middleware:
    """Refuses every route of the table that changes something."""
    refused = {(route.method, route.pattern) for route in table if route.writes}

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is not None and (request.method, resource.canonical) in refused:
            raise ReadOnly
        return await handler(request)

    return middleware


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
    if response.status == 404:
        response.headers["X-Kestra-Edition"] = "OSS"

"""What this instance is and how it does: ping, health, configuration."""

from __future__ import annotations

from aiohttp import web

from runner import __version__
from runner.api.answers import json_response
from runner.api.services import services
from runner.api.shapes import Json

ROOT = web.RouteTableDef()
"""Routes at the root of the server."""

ROUTES = web.RouteTableDef()
"""Routes below `/api/v1`, with a tenant or without."""

KESTRA_VERSION = "1.2.14"
"""The Kestra whose API this is: clients choose their dialect by it."""


@ROOT.get("/ping")
async def ping(request: web.Request) -> web.Response:
    """Answers as soon as the daemon is ready."""
    return web.Response(text="pong")


@ROOT.get("/health")
async def health(request: web.Request) -> web.Response:
    """Whether all is well: 503 and what is wrong if it is not."""
    api = services(request)
    shortage = api.store.full or api.engine.space.shortage()
    details: Json = {"flows": _part(api.folder.problem), "storage": _part(shortage)}
    up = all(part["status"] == "UP" for part in details.values())
    return json_response(
        {"status": "UP" if up else "DOWN", "details": details}, status=200 if up else 503
    )


@ROOT.get("/health/liveness")
@ROOT.get("/health/readiness")
async def alive(request: web.Request) -> web.Response:
    """The daemon runs and takes requests."""
    return json_response({"status": "UP"})


@ROUTES.get("/configs")
async def configs(request: web.Request) -> web.Response:
    """What clients want to know first."""
    return json_response(
        {
            "uuid": services(request).instance_id,
            "version": KESTRA_VERSION,
            "edition": "OSS",
            "commitId": "0000000",
            "commitDate": "2026-01-20T00:00:00Z",
            "chartDefaultDuration": "P30D",
            "isCustomDashboardsEnabled": False,
            "isAnonymousUsageEnabled": False,
            "isUiAnonymousUsageEnabled": False,
            "isTemplateEnabled": False,
            "isAiEnabled": False,
            "isBasicAuthInitialized": True,
            "isConcurrencyViewEnabled": False,
            "url": f"{request.scheme}://{request.host}",
            "preview": {"initial": 100, "max": 5000},
            "systemNamespace": "system",
            "hiddenLabelsPrefixes": ["system.", "internal."],
            "pluginsHash": 1,
            "runner": {"name": "eyas", "version": __version__},
        }
    )


@ROUTES.get("/standbys")
async def standbys(request: web.Request) -> web.Response:
    """The containers that stand by for tasks, by kind; Kestra has no such thing."""
    runners = services(request).engine.runners
    kinds = [
        {
            "image": each.image,
            "ready": each.ready,
            "starting": each.starting,
            "wanted": each.wanted,
            "ageSeconds": round(each.age_s, 1),
        }
        for each in runners.standing()
    ]
    return json_response({"limit": runners.standby_limit, "kinds": kinds})


def _part(problem: str | None) -> Json:
    if not problem:
        return {"status": "UP"}
    return {"status": "DOWN", "details": {"message": problem}}

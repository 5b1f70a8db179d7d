"""Who may call: exact names in `Host`, no foreign web pages, and the same user or credentials.

It stands before the router: a path that it does not know is refused like any other. What is open
to everybody is named by exact routes in `app.py` (decision 9, reliability 3.3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Set
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Middleware

from runner.api.peer import peer_uid
from runner.api.problems import Handler, problem
from runner.patterns import regex
from runner.settings import Settings

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FAILURES = 10
_WINDOW_S = 60.0
_HOST = regex(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that is listened on."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


class Guard:
    """Decides about every request, by `settings` and the daemon's own `token`."""

    def __init__(self, settings: Settings, token: str) -> None:
        self._loopback = is_loopback(settings.host)
        self._names = {"localhost", "127.0.0.1", "::1", settings.host, *settings.allowed_hosts}
        self._origins = frozenset(settings.cors_origins)
        self._credentials = bool(settings.api_token or settings.api_password)
        self._hashes = _hashes(settings, token)
        self._peers: WeakKeyDictionary[object, bool] = WeakKeyDictionary()
        self._failures: dict[str, list[float]] = {}

    def middleware(self, opened: Set[web.AbstractRoute]) -> Middleware:
        """The middleware; `opened` are the routes that anybody may call."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = self._foreign(request)
            if refusal is None and request.match_info.route not in opened:
                refusal = self._stranger(request)
            if refusal is not None:
                return refusal
            response = await handler(request)
            self._allow_origin(request, response)
            return response

        return guard

    def _foreign(self, request: web.Request) -> web.Response | None:
        """A refusal if a web page of somebody else's is behind the request."""
        hosts = request.headers.getall("Host", [])
        named = len(hosts) == 1 and _host(hosts[0]) in self._names
        if not named and (self._loopback or not self._credentials):
            names = ", ".join(sorted(self._names))
            return problem(
                request, 403, f"The Host header must be one of {names} (see allowed_hosts)"
            )
        origin = request.headers.get("Origin")
        ours = origin is None or origin in self._origins or self._own(origin, request)
        if request.method == "OPTIONS" and origin in self._origins:
            return self._preflight(origin or "")
        if request.method in _READING:
            return None
        if not ours or request.headers.get("Sec-Fetch-Site") == "cross-site":
            return problem(request, 403, f"Requests from the origin {origin} are refused")
        return None

    def _own(self, origin: str, request: web.Request) -> bool:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc == request.headers.get("Host")

    def _preflight(self, origin: str) -> web.Response:
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
                "Access-Control-Allow-Headers": "Authorization, Content-Type",
                "Access-Control-Max-Age": "600",
                "Vary": "Origin",
            },
        )

    def _allow_origin(self, request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin")
        if origin in self._origins and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = origin or ""
            response.headers["Vary"] = "Origin"

    def _stranger(self, request: web.Request) -> web.Response | None:
        """A refusal unless the caller is who runs the daemon, or knows its credentials."""
        if self._loopback and not self._credentials and self._same_user(request):
            return None  # whatever credentials it has for some other server
        given = request.headers.get("Authorization")
        if given is None:
            return _unauthorized(request, "Credentials are needed")
        return self._check(request, given)

    def _check(self, request: web.Request, given: str) -> web.Response | None:
        peer, now = request.remote or "", time.monotonic()
        failures = [when for when in self._failures.get(peer, []) if now - when < _WINDOW_S]
        if len(failures) >= _FAILURES:
            return problem(request, 429, "Too many wrong credentials; wait a minute")
        if any([hmac.compare_digest(_hash(given), known) for known in self._hashes]):  # noqa: C419 - all compared, so that time tells nothing
            self._failures.pop(peer, None)
            return None
        self._failures[peer] = [*failures, now]
        if len(self._failures) > 1000:
            self._failures.pop(next(iter(self._failures)))
        return _unauthorized(request, "Wrong credentials")

    def _same_user(self, request: web.Request) -> bool:
        """Whether the process at the other end runs as our user, or root."""
        transport = request.transport
        if transport is None:
            return False
        if transport not in self._peers:
            uid = peer_uid(
                transport.get_extra_info("sockname"), transport.get_extra_info("peername")
            )
            self._peers[transport] = uid in (os.getuid(), 0)
        return self._peers[transport]


def _hashes(settings: Settings, token: str) -> tuple[bytes, ...]:
    """Hashes of each header `Authorization` that is right."""
    tokens = [each for each in (settings.api_token, token) if each]
    known = [f"Bearer {each}" for each in tokens]
    if settings.api_password:
        pair = f"{settings.api_user or ''}:{settings.api_password}"
        known.append(f"Basic {base64.b64encode(pair.encode()).decode()}")
    return tuple(_hash(each) for each in known)


def _hash(authorization: str) -> bytes:
    """A header by its meaning: how its scheme is written, and padding, do not matter."""
    scheme, _, rest = authorization.strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "basic":
        with suppress(ValueError):
            rest = base64.b64decode(rest, validate=True).hex()
    text = f"{scheme.lower()} {rest}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _unauthorized(request: web.Request, message: str) -> web.Response:
    response = problem(request, 401, message)
    response.headers["WWW-Authenticate"] = "Basic"
    return response


def _host(header: str) -> str:
    """The name in a `Host` header, in lower case and without the port; empty if malformed."""
    found = _HOST.fullmatch(header)
    return (found[1] or found[2]).lower() if found else ""

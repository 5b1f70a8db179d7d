"""Names in paths, checked before anything is looked up by them."""

from __future__ import annotations

from aiohttp import web

from runner.api.services import Unprocessable
from runner.patterns import regex

_NAMESPACE = regex(r"[a-z0-9][a-z0-9._-]*")


def namespace_of(request: web.Request) -> str:
    """The namespace in the request's path.

    Raises:
        Unprocessable: it cannot be one.
    """
    namespace = request.match_info["namespace"]
    if not _NAMESPACE.fullmatch(namespace) or len(namespace) > 150:
        raise Unprocessable(f"Illegal argument: '{namespace}' is no namespace")
    return namespace

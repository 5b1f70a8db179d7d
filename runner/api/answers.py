"""Answers in JSON, with the headers that every one carries."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from runner import __version__

SERVER = f"eyas/{__version__}"
"""What the header `Server` says."""


def json_response(document: Any, *, status: int = 200) -> web.Response:
    """`document` as JSON in UTF-8."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return web.Response(
        body=body.encode("utf-8", "replace"),
        status=status,
        content_type="application/json",
        charset="utf-8",
    )


def empty(status: int = 204) -> web.Response:
    """An answer without a body."""
    return web.Response(status=status)


def attachment(name: str) -> str:
    """The header `Content-Disposition` of a download under that name."""
    from urllib.parse import quote

    plain = "".join(char if char.isascii() and char.isprintable() else "_" for char in name)
    plain = plain.replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

"""What the handlers of the API work with, and how a request's parts are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from runner.errors import RunnerError
from runner.records import record

if TYPE_CHECKING:
    from runner.engine.engine import Engine
    from runner.loading.folder import Folder
    from runner.loading.repository import Repository
    from runner.settings import Settings
    from runner.storage.files import Storage
    from runner.storage.kv import KeyValues
    from runner.store.flow_texts import FlowTexts
    from runner.store.sqlite import SqliteStore
    from runner.triggers.triggers import Triggers


@record(kw_only=True)
class Services:
    """The parts of the daemon that the API shows. `token` is what a client may present."""

    settings: Settings
    store: SqliteStore
    engine: Engine
    flows: Repository
    folder: Folder
    texts: FlowTexts
    storage: Storage
    kv: KeyValues
    triggers: Triggers
    token: str
    instance_id: str

    @property
    def uploads(self) -> Path:
        """Where parts of requests are kept until an execution takes them."""
        return self.settings.state_dir / "uploads"


SERVICES = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """The parts of the daemon."""
    return request.app[SERVICES]


class BadRequest(RunnerError):
    """The request cannot be understood."""

    status = 400


class Unprocessable(RunnerError):
    """The request is understood, and what it asks for is not possible."""

    status = 422


class UnsupportedMedia(RunnerError):
    """The body is of a kind that this route does not take."""

    status = 415


class ReadOnly(RunnerError):
    """This Eyas was started with --read-only: nothing can be changed through its API."""

    status = 403


class NoRoom(RunnerError):
    """The disk of the state folder is nearly full."""

    status = 507


class SomeRefused(RunnerError):
    """Some executions cannot be acted on, so nothing was done."""

    status = 400

    def __init__(self, invalid: Sequence[tuple[str, str]]) -> None:
        self.invalid = tuple(invalid)
        super().__init__("; ".join(f"{text}: {execution_id}" for execution_id, text in invalid))


def flag(request: web.Request, name: str, default: bool = False) -> bool:
    """A boolean query parameter.

    Raises:
        BadRequest: it is neither true nor false.
    """
    text = request.query.get(name)
    if text is None or text == "":
        return default
    if text.lower() not in ("true", "false"):
        raise BadRequest(f"Bad Request: '{name}' must be true or false, not '{text}'")
    return text.lower() == "true"


def number(
    request: web.Request, name: str, default: int | None = None, *, least: int = 0
) -> int | None:
    """A whole number among the query parameters, at least `least`.

    Raises:
        BadRequest: it is no number, or less.
    """
    text = request.query.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise BadRequest(f"Bad Request: '{name}' must be a number from {least}, not '{text}'")
    return int(text)


def required(request: web.Request, name: str) -> str:
    """A query parameter that must be there.

    Raises:
        BadRequest: it is missing.
    """
    value = request.query.get(name)
    if not value:
        raise BadRequest(f"Bad Request: required query parameter '{name}' is missing")
    return value

"""A client of the daemon's HTTP API, for the verbs that act.

It uses `http.client` and not aiohttp: a verb sends one or two requests over loopback and waits for
the answers, with nothing to do meanwhile. An event loop would give it nothing, and importing
aiohttp takes longer than all the rest of such a verb.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from runner.errors import (
    Conflict,
    InputInvalid,
    NotFound,
    RunnerError,
    RunnerUnavailable,
    SettingInvalid,
)
from runner.settings import Settings

Form = Mapping[str, str | Path]
"""What a form holds by name: text, or a file's content."""

API = "/api/v1/main"
_CONNECT_S = 10.0
_CHUNK = 1 << 18
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # to be reached by


class DaemonUnavailable(RunnerUnavailable):
    """No daemon answers, or it does not let us do this."""


class ServerFailed(RunnerError):
    """The daemon answered with an error of its own."""


class Client:
    """Sends requests to the daemon of a state folder. Open it with `connected`."""

    def __init__(self, connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> None:
        self._connection = connection
        self._headers = headers
        self.address = f"http://{_authority(connection)}"

    def get(self, path: str, /, **query: str | Sequence[str]) -> Any:
        """The JSON that is at a path below the tenant."""
        return self._json("GET", path, query)

    def post(self, path: str, document: Any = None, /, **query: str | Sequence[str]) -> Any:
        """Post a JSON document, or nothing, and return the JSON that comes back."""
        if document is None:
            return self._json("POST", path, query)
        body = json.dumps(document).encode()
        return self._json("POST", path, query, body, {"Content-Type": "application/json"})

    def put(self, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Put a JSON document, or text as it is, and return the JSON that comes back."""
        text = document if isinstance(document, str) else json.dumps(document)
        more = {"Content-Type": "application/json", **(headers or {})}
        return self._json("PUT", path, {}, text.encode("utf-8", "surrogateescape"), more)

    def delete(self, path: str, /, **query: str | Sequence[str]) -> Any:
        """Delete what is at a path."""
        return self._json("DELETE", path, query)

    def form(
        self, path: str, parts: Mapping[str, str | Path], /, **query: str | Sequence[str]
    ) -> Any:
        """Post a form: text, and the content of files, by name. Files are not read into memory.

        Raises:
            InputInvalid: an input is missing or wrong.
            SettingInvalid: there is no such file.
        """
        boundary = secrets.token_hex(16)
        pieces = [*_pieces(parts, boundary)]
        try:
            length = sum(p.stat().st_size if isinstance(p, Path) else len(p) for p in pieces)
        except OSError as error:
            raise SettingInvalid(f"There is no file '{error.filename}'") from error
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(length),
        }
        try:
            return self._json("POST", path, query, _content(pieces), headers)
        except ServerFailed as error:
            # Kestra answers refused inputs with 500, and so do we.
            if str(error).startswith("Internal error"):
                raise
            raise InputInvalid(str(error)) from error

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]],
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        target = f"{API}{quote(path)}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        try:
            self._connection.request(method, target, body, {**self._headers, **(headers or {})})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DaemonUnavailable(_nobody(self.address, error)) from error
        if response.status >= 400:
            raise _refusal(response.status, answer, self.address)
        return json.loads(answer) if answer else None


@contextmanager
def connected(settings: Settings) -> Generator[Client]:
    """A client of the daemon that has the state folder of `settings`.

    The daemon writes down in the state folder where it listens; otherwise the settings tell.

    Raises:
        DaemonUnavailable: nobody answers there, or somebody else.
    """
    connection = _connection(settings)
    try:
        client = Client(connection, _headers(settings))
        known = _text(settings.state_dir / "instance")
        if known is None or client.get("/configs").get("uuid") != known:
            raise DaemonUnavailable(
                f"What answers at {client.address} is not the daemon of the state folder "
                f"{settings.state_dir}. Name that folder with --state-dir or EYAS_STATE_DIR, and "
                "the port it listens on with EYAS_PORT"
            )
        yield client
    finally:
        connection.close()


def answers(settings: Settings) -> bool:
    """Whether the daemon of the state folder answers."""
    try:
        with connected(settings):
            return True
    except RunnerError:
        return False


def _connection(settings: Settings) -> http.client.HTTPConnection:
    written = _text(settings.state_dir / "address")
    if written is not None:
        host, _, port = written.removeprefix("http://").rpartition(":")
        host = host.strip("[]")
    else:
        host, port = settings.host, str(settings.port)
    connection = http.client.HTTPConnection(
        _EVERYWHERE.get(host, host), int(port), timeout=_CONNECT_S
    )
    try:
        connection.connect()
    except OSError as error:
        address = f"http://{_authority(connection)}"
        raise DaemonUnavailable(_nobody(address, error)) from error
    connection.sock.settimeout(None)  # a request may take its time; Ctrl-C ends it
    return connection


def _headers(settings: Settings) -> dict[str, str]:
    """Credentials: the daemon's own token if we may read it, else those that are set."""
    token = settings.api_token
    with suppress(OSError):
        token = _text(settings.state_dir / "token") or token
    if token:
        return {"Authorization": f"Bearer {token}"}
    if settings.api_password:
        pair = f"{settings.api_user or ''}:{settings.api_password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _text(file: Path) -> str | None:
    """What is in a small file; None if there is no such file."""
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _authority(connection: http.client.HTTPConnection) -> str:
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    return f"{host}:{connection.port}"


def _nobody(address: str, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return (
        f"No daemon answers at {address} ({reason}). Start one with `eyas serve`; if it listens "
        "elsewhere, say where with EYAS_HOST and EYAS_PORT"
    )


def _refusal(status: int, answer: bytes, address: str) -> RunnerError:
    """The error for an answer that is one."""
    try:
        message = str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        message = f"{address} answered with status {status}"
    match status:
        case 401:
            return DaemonUnavailable(
                f"{message}: {address} wants credentials. Set EYAS_API_TOKEN, or EYAS_API_USER and "
                "EYAS_API_PASSWORD, as the daemon has them"
            )
        case 403 | 429 | 503:
            return DaemonUnavailable(message)
        case 404 | 410:
            return NotFound(message)
        case _ if status < 500:
            return Conflict(message)
        case _:
            return ServerFailed(message)


def _pieces(parts: Form, boundary: str) -> Iterator[bytes | Path]:
    """What a form consists of, in order."""
    for name, value in parts.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(value, Path):
            yield (
                f'{head}; filename="{_quoted(value.name)}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            ).encode()
            yield value
            yield b"\r\n"
        else:
            yield f"{head}\r\n\r\n{value}\r\n".encode("utf-8", "surrogateescape")
    yield f"--{boundary}--\r\n".encode()


def _quoted(name: str) -> str:
    """A name as browsers write it into a form's header."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _content(pieces: Sequence[bytes | Path]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        with piece.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

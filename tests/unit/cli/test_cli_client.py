"""What verbs make of a daemon's answers, and how they find and address it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from runner.cli.client import DaemonUnavailable, ServerFailed, answers, connected
from runner.errors import Conflict, InputInvalid, NotFound, RunnerError, SettingInvalid
from runner.settings import Settings

ROOT = "/api/v1/main"


class Handler(BaseHTTPRequestHandler):
    """Answers `/configs` as a daemon, `/echo` with what it got, `/status/N` with that status."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.removeprefix(ROOT)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        status, document = 200, json.dumps({"uuid": "me"})
        if path.startswith("/status/"):
            parts = urlsplit(path)
            status = int(parts.path.removeprefix("/status/"))
            document = json.dumps({"message": parse_qs(parts.query)["say"][0]})
        elif path.startswith("/echo"):
            document = json.dumps({"path": path, "headers": dict(self.headers), "body": body})
        content = document.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_GET  # the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a state folder whose daemon answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    (tmp_path / "instance").write_text("me\n")
    yield Settings(state_dir=tmp_path, port=server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Conflict),
        (401, DaemonUnavailable),
        (403, DaemonUnavailable),
        (404, NotFound),
        (409, Conflict),
        (410, NotFound),
        (422, Conflict),
        (503, DaemonUnavailable),
        (500, ServerFailed),
    ],
)
def test_a_refusal_is_the_error_of_its_kind_with_the_words_of_the_daemon(
    settings: Settings, status: int, kind: type[RunnerError]
) -> None:
    with connected(settings) as client, pytest.raises(kind, match=r"^too bad"):
        client.get(f"/status/{status}", say="too bad")


def test_refused_inputs_are_told_from_a_bug_of_the_daemon(settings: Settings) -> None:
    with connected(settings) as client:
        with pytest.raises(InputInvalid, match="Missing"):
            client.form("/status/500", {"n": "x"}, say="Missing required input:n")
        with pytest.raises(ServerFailed, match="Internal"):
            client.form("/status/500", {"n": "x"}, say="Internal error: KeyError()")
        with pytest.raises(SettingInvalid, match="absent"):
            client.form("/echo", {"f": Path("absent")})


def test_a_form_holds_texts_and_files_and_tells_its_length(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("content")

    with connected(settings) as client:
        got = client.form("/echo", {'q"': "text", "f": tmp_path / "a.txt"}, labels=["a:1", "b:2"])

    boundary = got["headers"]["Content-Type"].partition("boundary=")[2]
    parts = got["body"].split(f"--{boundary}")
    assert got["path"] == "/echo?labels=a%3A1&labels=b%3A2"
    assert parts[1].endswith('name="q%22"\r\n\r\ntext\r\n')
    assert 'name="f"; filename="a.txt"' in parts[2]
    assert parts[2].endswith("\r\n\r\ncontent\r\n")
    assert parts[3] == "--\r\n"


@pytest.mark.parametrize(
    ("given", "token", "header"),
    [
        ({}, None, None),
        ({}, "of-the-folder", "Bearer of-the-folder"),
        ({"api_token": "set"}, None, "Bearer set"),
        ({"api_token": "set"}, "of-the-folder", "Bearer of-the-folder"),
        ({"api_user": "ada", "api_password": "x"}, None, "Basic YWRhOng="),
    ],
)
def test_the_folders_token_is_shown_else_what_is_set(
    settings: Settings, given: dict[str, str], token: str | None, header: str | None
) -> None:
    if token:
        (settings.state_dir / "token").write_text(f"{token}\n")
    mine = Settings(state_dir=settings.state_dir, port=settings.port, **given)  # pyright: ignore[reportArgumentType] # text settings only

    with connected(mine) as client:
        assert client.get("/echo")["headers"].get("Authorization") == header


def test_the_address_that_the_daemon_wrote_down_wins_over_the_settings(settings: Settings) -> None:
    elsewhere = Settings(state_dir=settings.state_dir, port=1)
    assert not answers(elsewhere)

    (settings.state_dir / "address").write_text(f"http://127.0.0.1:{settings.port}\n")

    assert answers(elsewhere)


def test_another_daemon_than_that_of_the_folder_is_refused(settings: Settings) -> None:
    (settings.state_dir / "instance").write_text("somebody else\n")

    with pytest.raises(DaemonUnavailable, match="is not the daemon of the state folder"):
        connected(settings).__enter__()

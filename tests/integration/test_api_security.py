"""Who may call the API, and who may not: every route against every caller."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import pytest
from live_daemon import Daemon, Start

from runner.api.app import OPEN, Route, routes
from runner.daemon import check_exposure
from runner.errors import SettingInvalid
from runner.settings import Settings

TOKEN = "t0ken-for-tests"

PROTECTED = [route for route in routes() if not route.is_open]


def filled(route: Route) -> str:
    """A path that the route's pattern matches."""
    import re

    return re.sub(r"\{(\w+)(?::([^}|]+)[^}]*)?\}", lambda m: m[2] or "x", route.pattern)[1:]


async def test_without_credentials_every_route_is_401_but_the_open_ones(
    start: Start, tmp_path: Path
) -> None:
    async with start(tmp_path, api_token=TOKEN) as daemon:
        for route in PROTECTED:
            answer = await daemon(route.method, filled(route))
            assert answer.status == 401, (route.method, route.pattern)
            assert answer.headers["WWW-Authenticate"] == "Basic"
        for method, path in OPEN:
            assert (await daemon(method, path[1:])).status == 200


async def test_no_spelling_of_a_path_gets_around_the_credentials(
    start: Start, tmp_path: Path
) -> None:
    async with start(tmp_path, api_token=TOKEN) as daemon:
        for path in (
            "/api/v1/main/flows/search/../../../../ping",
            "//api/v1/main/flows/search",
            "/api/v1/main/flows/search/",
            "/api/v1/main/flows/search;/ping",
            "/api/v1/main/%66lows/search",
            "/ping/../api/v1/main/flows/search",
            "/api/v1/main/executions/webhook/../../flows/search",
            "/ping%2f..%2fapi/v1/main/flows/search",
        ):
            status = await anyio.to_thread.run_sync(raw_status, daemon.port, "GET", path)
            assert status in (301, 400, 401, 404, 405), path
            assert status != 200, path


async def test_token_and_password_are_taken_in_either_header(start: Start, tmp_path: Path) -> None:
    from base64 import b64encode

    basic = b64encode(b"me@x.org:pa:ss").decode()
    settings = {"api_token": TOKEN, "api_user": "me@x.org", "api_password": "pa:ss"}
    async with start(tmp_path, **settings) as daemon:
        for header, status in [
            (f"Bearer {TOKEN}", 200),
            (f"bearer  {TOKEN}", 200),
            (f"Basic {basic}", 200),
            (f"Bearer {TOKEN}x", 401),
            ("Basic !!", 401),
            (f"Token {TOKEN}", 401),
            ("", 401),
        ]:
            answer = await daemon("GET", "/flows/search", headers={"Authorization": header})
            assert answer.status == status, header


async def test_the_token_that_the_daemon_made_is_one_too(daemon: Daemon) -> None:
    file = daemon.state / "token"

    assert file.stat().st_mode & 0o077 == 0
    headers = {"Authorization": f"Bearer {file.read_text().strip()}"}
    assert (await daemon("GET", "/flows/search", headers=headers)).status == 200


async def test_guessing_is_stopped(start: Start, tmp_path: Path) -> None:
    async with start(tmp_path, api_token=TOKEN) as daemon:
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [(await daemon("GET", "/flows/search", headers=wrong)).status for _ in range(12)]

    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1.evil.com", "localhost.evil", "evil", "", "127.0.0.1@evil", "[::1].evil", "a b"],
)
async def test_a_request_by_another_name_is_refused(daemon: Daemon, host: str) -> None:
    status = await anyio.to_thread.run_sync(
        raw_status, daemon.port, "GET", "/api/v1/main/flows/search", [f"Host: {host}"]
    )

    assert status in (400, 403)


async def test_two_names_are_refused(daemon: Daemon) -> None:
    status = await anyio.to_thread.run_sync(
        raw_status, daemon.port, "GET", "/ping", ["Host: localhost", "Host: localhost"]
    )

    assert status in (400, 403)


async def test_a_name_that_was_allowed_is_taken(start: Start, tmp_path: Path) -> None:
    async with start(tmp_path, allowed_hosts=("runner.lan",)) as daemon:
        for name in ("runner.lan", "RUNNER.lan:8080", "localhost", f"127.0.0.1:{daemon.port}"):
            assert (await daemon("GET", "/flows/search", headers={"Host": name})).status == 200


async def test_a_foreign_page_can_read_and_change_nothing(daemon: Daemon) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{daemon.port}.evil"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = await daemon("POST", "/executions/t/x", headers=headers)
        assert answer.status == 403, headers
        assert "Access-Control-Allow-Origin" not in answer.headers
    same = await daemon("POST", "/executions/t/x", headers={"Origin": daemon.base})
    assert same.status == 404


async def test_a_page_that_was_allowed_may(start: Start, tmp_path: Path) -> None:
    origin = "https://editor.example"
    async with start(tmp_path, cors_origins=(origin,)) as daemon:
        asked = await daemon("OPTIONS", "/flows", headers={"Origin": origin})
        posted = await daemon("POST", "/flows", data="", headers={"Origin": origin})

    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (204, origin)
    assert (posted.status, posted.headers["Access-Control-Allow-Origin"]) == (400, origin)


async def test_read_only_refuses_every_change(start: Start, tmp_path: Path) -> None:
    async with start(tmp_path, read_only=True) as daemon:
        for route in routes():
            if route.writes:
                answer = await daemon(route.method, filled(route))
                assert answer.status == 403, (route.method, route.pattern)
        assert (await daemon("GET", "/flows/search")).status == 200
        assert (await daemon("POST", "/flows/validate", data="id: x")).status == 200


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_another_user_of_the_machine_needs_the_token(daemon: Daemon) -> None:
    code = (
        "import os, sys, urllib.request as http, urllib.error\n"
        "''.encode('idna')  # loaded while we may read our own Python\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "headers = {'Authorization': sys.argv[2]} if len(sys.argv) > 2 else {}\n"
        "try: print(http.urlopen(http.Request(sys.argv[1], headers=headers)).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
    )
    url = f"{daemon.api}/flows/search"
    bearer = f"Bearer {(daemon.state / 'token').read_text().strip()}"

    async def status(*more: str) -> int:
        run = await anyio.run_process([sys.executable, "-c", code, url, *more], stderr=None)
        return int(run.stdout)

    assert await status() == 401
    assert await status(bearer) == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_another_address_wants_credentials(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="EYAS_API_TOKEN"):
        check_exposure(Settings(state_dir=tmp_path, host=host))
    check_exposure(Settings(state_dir=tmp_path, host=host, api_token=TOKEN))


def test_the_command_says_so_and_exits_with_78(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    command = [sys.executable, "-m", "runner", "serve", str(tmp_path / "flows")]
    more = ["--host", "0.0.0.0", "--state-dir", str(tmp_path / "state")]

    run = subprocess.run([*command, *more], capture_output=True, text=True, timeout=30, check=False)

    assert (run.returncode, "EYAS_API_TOKEN" in run.stderr) == (78, True)
    assert not (tmp_path / "state").exists()


def raw_status(port: int, method: str, target: str, headers: list[str] | None = None) -> int:
    """The status of a request that is sent as it stands, however odd."""
    lines = [f"{method} {target} HTTP/1.1", *(headers or ["Host: 127.0.0.1"]), "Connection: close"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])

"""Every route against every caller, made from the table of routes; and what no answer may hold."""

from __future__ import annotations

import json
import os
import re
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import anyio
import pytest
from live_daemon import Daemon, Start

from runner.api.app import OPEN, WEBHOOKS, Route, routes

TOKEN, USER, PASSWORD = "t0ken-for-tests", "me@example.org", "pa55:word"
CREDENTIALS = {"api_token": TOKEN, "api_user": USER, "api_password": PASSWORD}
BASIC = b64encode(f"{USER}:{PASSWORD}".encode()).decode()

READING = frozenset({"GET", "HEAD"})
DENIED = frozenset({401, 403, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who calls: with these headers, a daemon with these settings.

    `refused` is the status of what needs credentials, None if the caller may; `foreign` the one
    of what changes something, whether it needs credentials or not; `nameless` that of all.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    refused: frozenset[int] = frozenset()
    foreign: bool = False
    nameless: bool = False

    def may(self, route: Route) -> bool:
        """Whether the caller gets to the route's handler."""
        if self.nameless or (self.foreign and route.method not in READING):
            return False
        return route.is_open or not self.refused


CALLERS = {
    "our own user": Caller(),
    "our own user, where credentials are set": Caller(
        settings=CREDENTIALS, refused=frozenset({401})
    ),
    "the token": Caller(settings=CREDENTIALS, headers={"Authorization": f"Bearer {TOKEN}"}),
    "user and password": Caller(settings=CREDENTIALS, headers={"Authorization": f"Basic {BASIC}"}),
    "a wrong token": Caller(
        settings=CREDENTIALS,
        headers={"Authorization": "Bearer t0ken-for-test"},
        refused=frozenset({401, 429}),
    ),
    "a wrong password": Caller(
        settings=CREDENTIALS,
        headers={"Authorization": f"Basic {b64encode(b'me@example.org:x').decode()}"},
        refused=frozenset({401, 429}),
    ),
    "a foreign page": Caller(headers={"Origin": "https://evil.example"}, foreign=True),
    "a page without a name": Caller(headers={"Origin": "null"}, foreign=True),
    "another site": Caller(headers={"Sec-Fetch-Site": "cross-site"}, foreign=True),
    "a foreign page with the token": Caller(
        settings=CREDENTIALS,
        headers={"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"},
        foreign=True,
    ),
    "another name": Caller(headers={"Host": "evil.example"}, nameless=True),
    "another name with the token": Caller(
        settings=CREDENTIALS,
        headers={"Authorization": f"Bearer {TOKEN}", "Host": "127.0.0.1.evil.example"},
        nameless=True,
    ),
}


def filled(route: Route) -> str:
    """A path that the route's pattern matches, from the root."""
    return re.sub(r"\{(\w+)(?::([^}|]+)[^}]*)?\}", lambda m: m[2] or "x", route.pattern)[1:]


@pytest.mark.parametrize("name", CALLERS)
async def test_every_route_takes_or_refuses_the_caller(
    start: Start, tmp_path: Path, name: str
) -> None:
    caller = CALLERS[name]
    async with start(tmp_path, **caller.settings) as daemon:
        for route in routes():
            answer = await daemon(route.method, filled(route), headers=dict(caller.headers))
            where = (route.method, route.pattern, answer.status)
            if caller.may(route):
                assert answer.status not in DENIED, where
                assert answer.status < 500, where
            elif caller.nameless or (caller.foreign and route.method not in READING):
                assert answer.status == 403, where
            else:
                assert answer.status in caller.refused, where


AS_ANOTHER_USER = """
import http.client, json, os, sys
''.encode('idna')  # loaded while we may read our own Python
port, token, wanted = int(sys.argv[1]), sys.argv[2], json.load(sys.stdin)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
headers = {'Authorization': f'Bearer {token}'} if token else {}
connection, found = http.client.HTTPConnection('127.0.0.1', port, timeout=20), []
for method, path in wanted:
    connection.request(method, '/' + path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    found.append(answer.status)
print(json.dumps(found))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_every_route_wants_the_token_of_another_user(daemon: Daemon) -> None:
    every = list(routes())
    wanted = json.dumps([(route.method, filled(route)) for route in every]).encode()

    async def statuses(token: str) -> list[int]:
        command = [sys.executable, "-c", AS_ANOTHER_USER, str(daemon.port), token]
        run = await anyio.run_process(command, input=wanted, stderr=None)
        return json.loads(run.stdout)

    without = await statuses("")
    known = await statuses((daemon.state / "token").read_text().strip())

    for route, bare, right in zip(every, without, known, strict=True):
        assert (bare == 401) is not route.is_open, (route.method, route.pattern, bare)
        assert right not in DENIED, (route.method, route.pattern, right)


async def test_what_is_open_is_a_short_list_and_all_else_is_closed(
    start: Start, tmp_path: Path
) -> None:
    assert {(route.method, route.pattern) for route in routes() if route.is_open} == {
        *OPEN,
        *(("HEAD", pattern) for _, pattern in OPEN),
        *(
            (method, f"{prefix}{WEBHOOKS}{{namespace}}/{{id}}/{{key}}{more}")
            for prefix in ("/api/v1", "/api/v1/main")
            for method in ("GET", "POST", "PUT")
            for more in ("", "/{path:.*}")
        ),
    }
    async with start(tmp_path, **CREDENTIALS) as daemon:
        for path in ("", "none", "api/v1/main/none", "api/v1/x/flows/search", "ui/x", "ping/x"):
            for method in ("GET", "POST", "DELETE", "OPTIONS", "TRACE"):
                assert (await daemon(method, path)).status == 401, (method, path)
        assert (await daemon("POST", "ping")).status == 401


async def test_no_answer_and_no_log_line_holds_a_secret(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hidden = "tr0ub4dor-and-3"
    environ = {"PATH": "/usr/bin:/bin", "SECRET_PW": b64encode(hidden.encode()).decode()}
    flow = (
        "id: hides\nnamespace: t\n"
        "inputs: [{id: key, type: SECRET}]\n"
        "tasks:\n"
        "  - id: say\n    type: io.kestra.plugin.core.log.Log\n"
        "    message: \"{{ inputs.key }} and {{ secret('PW') }}\"\n"
    )
    async with start(tmp_path, environ=environ, **CREDENTIALS) as daemon:
        right = {"Authorization": f"Bearer {TOKEN}"}
        form = {"key": "hush-hush-hush"}
        await daemon("POST", "/flows", data=flow, headers=right)
        with_key = {"params": {"wait": "true"}, "headers": right}
        data = aiohttp.FormData(form, default_to_multipart=True)
        ran = (await daemon("POST", "/executions/t/hides", data=data, **with_key)).json
        assert ran["state"]["current"] == "SUCCESS"
        own = daemon.state / "token"
        secrets = [hidden, *form.values(), TOKEN, PASSWORD, BASIC, own.read_text().strip()]
        secrets += [environ["SECRET_PW"]]
        names = {"namespace": "t", "id": "hides", "execution": ran["id"], "task": "say"}
        for route in routes():
            if route.method != "GET" or WEBHOOKS in route.pattern:
                continue
            if route.pattern.endswith("/logs/{execution}/follow"):
                continue  # the same lines as below, ten seconds later
            path = re.sub(r"\{(\w+)[^}]*\}", lambda m: names.get(m[1], "x"), route.pattern)
            answer = await daemon("GET", path[1:], headers=right)
            body = answer.body.decode(errors="replace")
            assert [each for each in secrets if each in body] == [], path
        wrong = {"Authorization": f"Bearer {PASSWORD}"}
        refused = await daemon("GET", "/flows/search", headers=wrong)
        assert PASSWORD not in refused.text
        lines = await daemon("GET", f"/logs/{ran['id']}/download", headers=right)
        assert "****** and ******" in lines.text
    printed = capfd.readouterr()
    assert [each for each in secrets if each in printed.out + printed.err] == []

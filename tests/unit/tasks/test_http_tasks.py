"""http.Request and http.Download against a server in this process."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import BodyPartReader, web
from core_flows import Ended, Flows

from runner.errors import TaskFailed
from runner.model.state import State
from runner.tasks.http_call import read_call


async def echo(request: web.Request) -> web.Response:
    """What was asked, as JSON."""
    form: list[list[Any]] = []
    body = ""
    if request.content_type.startswith("multipart/"):
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            form.append([part.name, part.filename, (await part.read()).decode()])
    else:
        body = await request.text()
    found = {
        "method": request.method,
        "query": [list(pair) for pair in request.query.items()],
        "type": request.headers.get("Content-Type"),
        "auth": request.headers.get("Authorization"),
        "proxy": request.headers.get("Proxy-Authorization"),
        "x": request.headers.get("X-Test"),
        "body": body,
        "form": form,
    }
    return web.json_response(found, headers={"X-Answer": "1"})


async def status(request: web.Request) -> web.Response:
    """An answer with the status of the path."""
    return web.Response(status=int(request.match_info["code"]), text="the body")


async def named(_: web.Request) -> web.Response:
    """A file with a name of its own."""
    name = 'attachment; filename="../a report.csv"'
    return web.Response(body=b"1,2", headers={"Content-Disposition": name})


async def zipped(_: web.Request) -> web.Response:
    """A compressed answer."""
    return web.Response(body=gzip.compress(b"x" * 1000), headers={"Content-Encoding": "gzip"})


async def binary(_: web.Request) -> web.Response:
    """An answer that is no text."""
    return web.Response(body=b"\xff\xfe\x00", content_type="application/octet-stream")


async def moved(_: web.Request) -> web.Response:
    """A redirection to /echo."""
    raise web.HTTPFound("/echo")


async def cut_short(request: web.Request) -> web.StreamResponse:
    """An answer that ends before it is complete."""
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"only this")
    transport = request.transport
    assert transport is not None
    transport.close()
    return response


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """The address of a server."""
    app = web.Application()
    app.router.add_route("*", "/echo", echo)
    app.router.add_get("/status/{code}", status)
    app.router.add_get("/named", named)
    app.router.add_get("/zipped.txt", zipped)
    app.router.add_get("/binary", binary)
    app.router.add_get("/moved", moved)
    app.router.add_get("/cut", cut_short)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{_port(runner)}"
    await runner.cleanup()


def _port(runner: web.AppRunner) -> int:
    address: tuple[str, int] = runner.addresses[0]
    return address[1]


@pytest.fixture
def flows(tmp_path: Path) -> Flows:
    return Flows(tmp_path)


async def ask(flows: Flows, server: str, path: str, more: str = "", kind: str = "Request") -> Ended:
    return await flows.run(
        f"""
  - {{id: w, type: core.storage.Write, content: "file text", extension: .txt}}
  - id: r
    type: core.http.{kind}
    uri: "{server}{path}"
{more}
"""
    )


def outputs(ended: Ended) -> dict[str, Any]:
    assert ended.state is State.SUCCESS, ended.messages()
    return dict(ended.outputs["r"] or {})


async def test_a_request_gives_code_headers_and_body(flows: Flows, server: str) -> None:
    found = outputs(await ask(flows, server, "/echo?a=1", "    params: {b: [2, 3], c: 'd e'}"))

    assert found["code"] == 200
    assert found["headers"]["x-answer"] == ["1"]
    assert found["uri"] == f"{server}/echo?a=1&b=2&b=3&c=d+e"
    heard = json.loads(found["body"])
    assert heard["method"] == "GET"
    assert heard["query"] == [["a", "1"], ["b", "2"], ["b", "3"], ["c", "d e"]]
    assert heard["type"] is None


@pytest.mark.parametrize(
    ("more", "type_", "body"),
    [
        ('    body: \'{"a": "é"}\'', "application/json; charset=UTF-8", '{"a": "é"}'),
        ("    body: x\n    contentType: text/plain", "text/plain; charset=UTF-8", "x"),
        ("    body: x\n    headers: {Content-Type: a/b}", "a/b", "x"),
        ("    formData: {a: 1, b: 'c d'}", "application/x-www-form-urlencoded", "a=1&b=c+d"),
    ],
)
async def test_a_body_is_sent_with_its_type(
    flows: Flows, server: str, more: str, type_: str, body: str
) -> None:
    found = outputs(await ask(flows, server, "/echo", f"    method: POST\n{more}"))

    heard = json.loads(found["body"])
    assert (heard["method"], heard["type"], heard["body"]) == ("POST", type_, body)


async def test_a_multipart_form_sends_stored_files(flows: Flows, server: str) -> None:
    more = """
    method: POST
    contentType: multipart/form-data
    formData:
      plain: "{{ flow.id }}"
      file: "{{ outputs.w.uri }}"
      named: {name: other.csv, content: "{{ outputs.w.uri }}"}
"""
    heard = json.loads(outputs(await ask(flows, server, "/echo", more))["body"])

    plain, file, named_part = heard["form"]
    assert plain == ["plain", None, "f"]
    assert (file[0], file[1][-4:], file[2]) == ("file", ".txt", "file text")
    assert named_part == ["named", "other.csv", "file text"]


@pytest.mark.parametrize(
    ("options", "auth"),
    [
        ("auth: {type: BASIC, username: u, password: p}", "Basic dTpw"),
        ("auth: {type: BEARER, token: \"{{ 't' ~ 1 }}\"}", "Bearer t1"),
        ("basicAuthUser: u, basicAuthPassword: p", "Basic dTpw"),
    ],
)
async def test_credentials_are_sent(flows: Flows, server: str, options: str, auth: str) -> None:
    more = f"    options: {{{options}}}\n    headers: {{X-Test: '{{{{ flow.id }}}}'}}"
    heard = json.loads(outputs(await ask(flows, server, "/echo", more))["body"])

    assert (heard["auth"], heard["x"]) == (auth, "f")


async def test_a_proxy_is_asked_instead_of_the_server(flows: Flows, server: str) -> None:
    host, _, port = server.removeprefix("http://").partition(":")
    more = (
        f"    options: {{proxy: {{type: HTTP, address: {host}, port: {port}, "
        "username: u, password: p}}"
    )
    found = outputs(await ask(flows, "http://server.invalid", "/echo", more))

    assert json.loads(found["body"])["proxy"] == "Basic dTpw"


async def test_a_status_from_400_fails_unless_it_is_allowed(flows: Flows, server: str) -> None:
    failed = await ask(flows, server, "/status/404")
    allowed = await ask(flows, server, "/status/404", "    options: {allowFailed: true}")
    old_form = await ask(flows, server, "/status/500", "    allowFailed: true")
    listed = await ask(flows, server, "/status/404", "    options: {allowedResponseCodes: [404]}")

    assert failed.state is State.FAILED
    assert failed.error("r") == "Failed http request with response code '404' and body:\nthe body"
    assert outputs(allowed)["code"] == outputs(listed)["code"] == 404
    assert outputs(old_form)["code"] == 500


async def test_a_redirection_is_followed_unless_told_not_to(flows: Flows, server: str) -> None:
    followed = await ask(flows, server, "/moved")
    stayed = await ask(flows, server, "/moved", "    options: {followRedirects: false}")

    assert outputs(followed)["code"] == 200
    assert outputs(stayed)["code"] == 302


async def test_what_is_no_text_is_for_download(flows: Flows, server: str) -> None:
    ended = await ask(flows, server, "/binary")

    assert "Download task" in ended.error("r")


async def test_no_server_is_a_failure_that_names_the_address(flows: Flows) -> None:
    ended = await ask(flows, "http://127.0.0.1:1", "/x")

    assert ended.state is State.FAILED
    assert ended.error("r").startswith("GET http://127.0.0.1:1/x failed: ")


async def test_a_download_is_stored_under_the_servers_name(flows: Flows, server: str) -> None:
    found = outputs(await ask(flows, server, "/named", kind="Download"))

    assert flows.text(found["uri"]) == "1,2"
    assert found["uri"].endswith("/a_report.csv")
    assert (found["code"], found["length"]) == (200, 3)


async def test_a_download_has_the_name_that_is_asked_for_or_the_addresss_extension(
    flows: Flows, server: str
) -> None:
    found = outputs(await ask(flows, server, "/zipped.txt?x=.y", kind="Download"))
    saved = outputs(await ask(flows, server, "/named", "    saveAs: mine.csv", kind="Download"))

    assert found["uri"].endswith(".txt")
    assert found["length"] == 1000
    assert saved["uri"].endswith("/mine.csv")


async def test_an_empty_download_fails_unless_it_may_be_empty(flows: Flows, server: str) -> None:
    failed = await ask(flows, server, "/status/204", kind="Download")
    allowed = await ask(
        flows, server, "/status/204", "    failOnEmptyResponse: false", kind="Download"
    )

    assert failed.error("r") == "No response from server"
    assert outputs(allowed)["length"] == 0
    assert [level for level, _ in allowed.messages("r")] == ["WARN"]


async def test_a_download_that_is_cut_short_fails(flows: Flows, server: str) -> None:
    ended = await ask(flows, server, "/cut", kind="Download")

    assert ended.state is State.FAILED
    stored = [path for path in flows.storage.root.rglob("*") if path.is_file()]
    assert [path.read_text() for path in stored] == ["file text"]


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"uri": "ftp://h/x"}, "no http:// or https:// address"),
        ({"uri": "http://h/a b"}, "Illegal character in path at index 10"),
        ({"uri": "http://h", "options": {"auth": {"type": "DIGEST"}}}, "DIGEST"),
        (
            {"uri": "http://h", "options": {"proxy": {"type": "SOCKS", "address": "p"}}},
            "only HTTP proxies",
        ),
        ({"uri": "http://h", "headers": [1]}, "headers"),
    ],
)
def test_a_request_that_cannot_be_made_is_refused(properties: dict[str, Any], error: str) -> None:
    with pytest.raises(TaskFailed, match=error):
        read_call(properties)


def test_options_and_their_old_names_are_read() -> None:
    new = read_call(
        {
            "uri": "https://h",
            "options": {
                "timeout": {"connectTimeout": "PT2S", "readIdleTimeout": "PT3S"},
                "proxy": {"type": "HTTP", "address": "p", "port": "3128", "username": "u"},
                "ssl": {"insecureTrustAllCertificates": "true"},
            },
        }
    )
    old = read_call(
        {
            "uri": "https://h",
            "options": {
                "connectTimeout": "PT2S",
                "readTimeout": "PT3S",
                "proxyType": "HTTP",
                "proxyAddress": "p",
                "proxyPort": 3128,
                "proxyUsername": "u",
            },
            "sslOptions": {"insecureTrustAllCertificates": True},
        }
    )

    assert new == old
    assert (new.connect_s, new.read_idle_s, new.proxy) == (2.0, 3.0, "http://u@p:3128")
    assert new.trust_all

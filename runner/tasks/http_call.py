"""One HTTP request as Kestra's http types describe it, and its answer."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from runner import __version__
from runner.errors import TaskFailed
from runner.expr import to_json
from runner.model import convert
from runner.model.catalog import type_expression
from runner.model.uris import check_uri
from runner.records import record
from runner.runners.properties import PropertyReader

MAX_REDIRECTS = 50
_READ_IDLE_S = 300.0
_SHOWN_BODY = 2000

Files = Callable[[str], Path]
"""Gives the stored file of a `kestra://` URI."""


@record(kw_only=True)
class Call:
    """A request and how to make it. `form` wins over `body`; `multipart` says how it is sent."""

    method: str
    uri: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str | None = None
    form: Mapping[str, Any] = field(default_factory=dict[str, Any])
    content_type: str = "application/json"
    charset: str = "UTF-8"
    connect_s: float | None = None
    read_idle_s: float = _READ_IDLE_S
    proxy: str | None = None
    follow_redirects: bool = True
    trust_all: bool = False
    allow_failed: bool = False
    allowed_codes: Sequence[int] = ()

    def check(self, status: int, body: str) -> None:
        """Raise `TaskFailed` if `status` is a failure for the one who asked."""
        if self.allow_failed:
            return
        if status in self.allowed_codes if self.allowed_codes else status < 400:
            return
        text = f" and body:\n{body[:_SHOWN_BODY]}" if body else ""
        raise TaskFailed(f"Failed http request with response code '{status}'{text}")


def read_call(properties: Mapping[str, Any]) -> Call:
    """The request that rendered properties describe; old flat options count too.

    Raises:
        TaskFailed: a property has a wrong value.
    """
    read = PropertyReader(properties)
    options = read.part("options")
    timeout, proxy = options.part("timeout"), options.part("proxy")
    headers = dict(_texts(properties.get("headers"), "headers"))
    _authorize(options, headers)
    connect = timeout.duration("connectTimeout") or options.duration("connectTimeout")
    idle = timeout.duration("readIdleTimeout") or options.duration("readTimeout")
    trusting = (options.part("ssl"), read.part("sslOptions"))
    return Call(
        method=(read.text("method") or "GET").upper(),
        uri=_uri(read.text("uri") or "", properties.get("params")),
        headers=headers,
        body=convert.text(properties.get("body")),
        form=_mapping(properties.get("formData"), "formData"),
        content_type=read.text("contentType") or "application/json",
        charset=options.text("defaultCharset") or "UTF-8",
        connect_s=connect.total_seconds() if connect else None,
        read_idle_s=idle.total_seconds() if idle else _READ_IDLE_S,
        proxy=_proxy(proxy, options),
        follow_redirects=options.flag_or("followRedirects", default=True),
        trust_all=any(part.flag("insecureTrustAllCertificates") for part in trusting),
        allow_failed=bool(options.flag("allowFailed") or read.flag("allowFailed")),
        allowed_codes=[int(code) for code in options.texts("allowedResponseCodes") or ()],
    )


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    try:
        return convert.convert(value, type_expression("map")) or {}
    except ValueError as error:
        raise TaskFailed(f"{name}: {error}") from error


def _texts(value: Any, name: str) -> Mapping[str, str]:
    return {key: convert.text(item) or "" for key, item in _mapping(value, name).items()}


def _uri(uri: str, params: Any) -> str:
    try:
        check_uri(uri)
    except ValueError as error:
        raise TaskFailed(str(error)) from error
    if not uri.lower().startswith(("http://", "https://")):
        raise TaskFailed(f"uri: '{uri}' is no http:// or https:// address")
    pairs = [
        (key, convert.text(item) or "")
        for key, value in _mapping(params, "params").items()
        for item in (cast("list[Any]", value) if isinstance(value, list) else [value])
    ]
    if not pairs:
        return uri
    whole, mark, fragment = uri.partition("#")
    joint = "&" if "?" in whole else "?"
    return f"{whole}{joint}{urlencode(pairs)}{mark}{fragment}"


def _authorize(options: PropertyReader, headers: dict[str, str]) -> None:
    auth = options.part("auth")
    user, password = auth.text("username"), auth.text("password")
    match (auth.text("type") or "").upper():
        case "BEARER":
            headers.setdefault("Authorization", f"Bearer {auth.text('token') or ''}")
            return
        case "BASIC":
            pass
        case "":
            user = options.text("basicAuthUser")
            password = options.text("basicAuthPassword")
        case other:
            raise TaskFailed(f"options.auth.type: '{other}' is none of BASIC, BEARER")
    if user is not None:
        pair = b64encode(f"{user}:{password or ''}".encode()).decode()
        headers.setdefault("Authorization", f"Basic {pair}")


def _proxy(proxy: PropertyReader, options: PropertyReader) -> str | None:
    address = proxy.text("address") or options.text("proxyAddress")
    kind = (proxy.text("type") or options.text("proxyType") or "DIRECT").upper()
    if address is None or kind == "DIRECT":
        return None
    if kind != "HTTP":
        raise TaskFailed("options.proxy.type: only HTTP proxies are supported")
    port = proxy.integer("port") or options.integer("proxyPort") or 80
    user = proxy.text("username") or options.text("proxyUsername")
    password = proxy.text("password") or options.text("proxyPassword")
    return str(URL.build(scheme="http", user=user, password=password, host=address, port=port))


@asynccontextmanager
async def answered(call: Call, files: Files) -> AsyncGenerator[aiohttp.ClientResponse]:
    """Send the request; its answer, of which the body has not been read.

    Raises:
        TaskFailed: no answer came.
    """
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=call.connect_s, sock_read=call.read_idle_s
    )
    with ExitStack() as opened:
        data, headers = _payload(call, files, opened)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, auto_decompress=True) as session,
                session.request(
                    call.method,
                    URL(call.uri, encoded=True),
                    headers=headers,
                    data=data,
                    proxy=call.proxy,
                    allow_redirects=call.follow_redirects,
                    max_redirects=MAX_REDIRECTS,
                    ssl=_insecure() if call.trust_all else True,
                ) as response,
            ):
                yield response
        except TimeoutError as error:
            raise TaskFailed(f"{call.method} {call.uri}: no answer in time") from error
        except aiohttp.ClientError as error:
            text = str(error) or type(error).__name__
            raise TaskFailed(f"{call.method} {call.uri} failed: {text}") from error


def _insecure() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _payload(call: Call, files: Files, opened: ExitStack) -> tuple[Any, dict[str, str]]:
    """What is sent, and the headers with its type, which one that is given wins over."""
    headers = {"User-Agent": f"Eyas/{__version__}", **call.headers}
    typed = any(name.lower() == "content-type" for name in call.headers)
    if call.form:
        if "multipart" in call.content_type.lower():
            return _multipart(call.form, files, opened), headers
        if not typed:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        pairs = {key: convert.text(value) or "" for key, value in call.form.items()}
        return urlencode(pairs, encoding=call.charset).encode("ascii"), headers
    if call.body is None:
        return None, headers
    if not typed:
        headers["Content-Type"] = f"{call.content_type}; charset={call.charset}"
    try:
        return call.body.encode(call.charset), headers
    except (LookupError, UnicodeEncodeError) as error:
        raise TaskFailed(f"options.defaultCharset '{call.charset}': {error}") from error


def _multipart(form: Mapping[str, Any], files: Files, opened: ExitStack) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in form.items():
        file_name: str | None = None
        if isinstance(value, Mapping):
            part = cast("Mapping[str, Any]", value)
            file_name, value = part.get("name"), part.get("content")
        if isinstance(value, str) and value.startswith("kestra://"):
            path = files(value)
            data.add_field(
                name,
                opened.enter_context(path.open("rb")),
                filename=file_name or path.name,
                content_type="application/octet-stream",
            )
        else:
            text = value if isinstance(value, str) else to_json(value)
            data.add_field(name, text, filename=file_name)
    return data

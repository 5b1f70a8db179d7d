"""A whole daemon within the test's process: real folders, real files, real HTTP on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from runner.daemon import serve
from runner.settings import Settings


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers, and the body as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Daemon:
    """A running daemon and a client of it."""

    def __init__(self, port: int, session: aiohttp.ClientSession, flows: Path, state: Path) -> None:
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.api = f"{self.base}/api/v1/main"
        self.session = session
        self.flows = flows
        self.state = state

    async def __call__(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request; a path that begins with `/` is below the tenant, others are whole."""
        url = f"{self.api}{path}" if path.startswith("/") else f"{self.base}/{path}"
        async with self.session.request(method, url, **more) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def deploy(self, text: str) -> Any:
        """Store a flow and return its document."""
        answer = await self("POST", "/flows", data=text)
        assert answer.status == 200, answer.text
        return answer.json

    async def run(self, flow: str, **inputs: str) -> Any:
        """Run a flow of namespace `t` to its end and return the execution."""
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in inputs.items():
            form.add_field(name, value)
        more = {"data": form} if inputs else {}
        answer = await self("POST", f"/executions/t/{flow}", params={"wait": "true"}, **more)
        assert answer.status == 200, answer.text
        return answer.json

    async def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Ask until the answer is as wanted, for ten seconds at most."""
        with anyio.fail_after(10):
            while True:
                found = (await self("GET", path)).json
                if holds(found):
                    return found
                await anyio.sleep(0.01)


@asynccontextmanager
async def running(root: Path, **more: Any) -> AsyncGenerator[Daemon]:
    """A daemon with its folders below `root`; `more` are settings."""
    flows, state = root / "flows", root / "state"
    flows.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "state_dir": state,
        "port": 0,
        "task_runner": "process",
        "environ": {"PATH": "/usr/bin:/bin"},
    }
    settings = Settings(**(values | more))
    async with anyio.create_task_group() as group, aiohttp.ClientSession() as session:
        port = await group.start(serve, settings, flows)
        yield Daemon(port, session, flows, state)
        group.cancel_scope.cancel()


Start = Callable[..., AbstractAsyncContextManager[Daemon]]
"""Starts a daemon in a folder, with settings."""

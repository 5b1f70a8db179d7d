"""One Docker engine: its calls, each with a deadline, and its errors as ours."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import aiohttp
import anyio
from aiodocker import Docker
from aiodocker.exceptions import DockerError
from aiodocker.stream import Stream as Attached
from yarl import URL

from runner.errors import RunnerUnavailable
from runner.runners.docker_host import Endpoint, Tls

T = TypeVar("T")
Json = Mapping[str, Any]

CALL_LIMIT = timedelta(seconds=30)
"""How long the engine may take to answer a control call."""

START_LIMIT = timedelta(minutes=2)
"""The same for create and start, which wait for a slow board's disk."""

OLDEST_API = (1, 41)


class EngineError(RunnerUnavailable):
    """The engine refused a call; `status` is its HTTP status, `text` its words."""

    def __init__(self, status: int, text: str, hint: str = "") -> None:
        self.status = status
        self.text = text
        # Kestra's first line.
        line = f"Status {status}: " + json.dumps({"message": text}, ensure_ascii=False)
        super().__init__(f"{line}\n{hint}" if hint else line)


class EngineGone(RunnerUnavailable):
    """The engine does not answer: it is not there, was stopped, or hangs."""


class NotBegun(RunnerUnavailable):
    """A container ended, or its engine went away, before it had its command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What an engine says of itself, as far as it matters here.

    `rootless`: its root is our user. `maps_users`: its root is nobody here. `labels_files`:
    SELinux keeps containers from our files. `limits_memory`: a memory limit has an effect.
    `log_driver`: `local` keeps bytes as they are and is half again as fast as `json-file`.
    """

    name: str
    version: str
    api: str
    architecture: str
    root_dir: str
    rootless: bool
    maps_users: bool
    labels_files: bool
    limits_memory: bool
    log_driver: str


class Engine:
    """The calls that running a container needs.

    Every method raises `EngineError` for a refusal and `EngineGone` if no answer came in time.
    """

    def __init__(self, docker: Docker, endpoint: Endpoint) -> None:
        # Most of aiodocker's answers have no type: this module is the border.
        self._docker: Any = docker
        self.endpoint = endpoint

    async def info(self) -> EngineInfo:
        """What the engine is. Raises RunnerUnavailable for one that is too old."""
        version: Json = await self._asked("version", self._docker.version())
        info: Json = await self._asked("info", self._docker.system.info())
        api = str(version.get("ApiVersion", ""))
        if tuple(int(part) for part in api.split(".") if part.isdigit()) < OLDEST_API:
            raise RunnerUnavailable(
                f"The Docker engine at {self.endpoint.url} is too old: it speaks API {api}, 1.41"
                " is needed (Docker 20.10)"
            )
        options = " ".join(info.get("SecurityOptions") or ())
        plugins: Json = info.get("Plugins") or {}
        components = [part.get("Name", "") for part in version.get("Components") or ()]
        return EngineInfo(
            name="Podman" if any("Podman" in name for name in components) else "Docker",
            version=str(version.get("Version", "")),
            api=api,
            architecture=str(version.get("Arch", "")),
            root_dir=str(info.get("DockerRootDir", "")),
            rootless="name=rootless" in options,
            maps_users="name=userns" in options,
            labels_files="name=selinux" in options,
            limits_memory=bool(info.get("MemoryLimit", True)),
            log_driver="local" if "local" in (plugins.get("Log") or ()) else "json-file",
        )

    async def image(self, name: str) -> Json | None:
        """What the engine knows of a local image, None if it has none of that name."""
        try:
            return await self._asked("inspect image", self._docker.images.inspect(name))
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    async def any_image(self) -> str | None:
        """The id of some local image, None if there is none."""
        found: Sequence[Json] = await self._asked("images", self._docker.images.list())
        return str(found[0]["Id"]) if found else None

    async def create(self, config: Json, name: str) -> str:
        """Make a container; gives its id."""
        creating = self._docker.containers.create(dict(config), name=name)
        return (await self._asked("create", creating, START_LIMIT)).id

    async def start(self, container: str) -> None:
        """Start a container that was created."""
        await self._asked(
            "start", self._docker.containers.container(container).start(), START_LIMIT
        )

    async def attach(self, container: str, *, stdin: bool = False) -> Attached:
        """A stream of a container's output, from now on, and to its input; to be closed."""

        async def setup() -> tuple[URL, bytes | None, bool]:
            query = {"logs": "0", "stream": "1", "stdout": "1", "stderr": "1"}
            if stdin:
                query["stdin"] = "1"
            return URL(f"containers/{container}/attach").with_query(query), None, False

        attached = Attached(self._docker, setup)
        # Entering it is what connects.
        await self._asked("attach", attached.__aenter__())
        return attached

    async def wait(self, container: str) -> int:
        """The exit code of a container, once it has ended; waits without limit."""
        waiting = self._docker.containers.container(container).wait()
        answer: Json = await self._asked("wait", waiting, None)
        return int(answer["StatusCode"])

    async def inspect(self, container: str) -> Json | None:
        """What the engine knows of a container, None if there is none."""
        try:
            return await self._asked("inspect", self._docker.containers.container(container).show())
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    async def labelled(self, label: str) -> list[Json]:
        """What a listing says of all containers with `label` (`name=value`)."""
        params = {"all": "1", "filters": json.dumps({"label": [label]})}
        async with self.request("GET", "containers/json", params=params) as response:
            return await self._asked("containers", response.json())

    async def kill(self, container: str, grace: timedelta) -> None:
        """Stop a container, at once or with SIGTERM and `grace`; one that has ended is fine."""
        handle = self._docker.containers.container(container)
        try:
            if grace:
                limit = CALL_LIMIT + grace
                await self._asked("stop", handle.stop(t=round(grace.total_seconds())), limit)
            else:
                await self._asked("kill", handle.kill(signal="SIGKILL"))
        except EngineError as error:
            # 404: gone. 409: not running. 304 is no error at all.
            if error.status not in (404, 409):
                raise

    async def remove(self, container: str) -> None:
        """Remove a container with its volumes, whatever it is doing; one that has gone is fine."""
        handle = self._docker.containers.container(container)
        for pause_s in (0.2, 1, 3, None):
            try:
                return await self._asked("remove", handle.delete(force=True, v=True))
            except EngineError as error:
                # 404: gone. 409: a removal is under way. 500: something is still busy in there.
                if error.status == 404:
                    return None
                if pause_s is None or error.status not in (409, 500):
                    raise
                await anyio.sleep(pause_s)
        return None

    async def answers(self) -> bool:
        """Whether the engine answers at all."""
        try:
            await self._asked("version", self._docker.version(), timedelta(seconds=5))
        except RunnerUnavailable:
            return False
        return True

    async def events(
        self, container: str, name: Literal["kill", "oom"], since: float, until: float
    ) -> int:
        """How often something happened to a container between two unix times.

        `kill`: the engine sent it a signal; `oom`: it lacked memory.
        """
        filters = json.dumps({"container": [container], "event": [name]})
        params = {"since": f"{since:.9f}", "until": f"{until:.9f}", "filters": filters}
        async with self.request("GET", "events", params=params) as response:
            text = await self._asked("events", response.text())
        return text.count("\n")

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        data: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The answer to a call that aiodocker has not, or not as a stream.

        There is no deadline: who reads the answer knows what slow means.
        """
        docker = self._docker
        url = f"{docker.docker_host}/{docker.api_version}/{path}"
        try:
            async with docker.session.request(
                method, url, params=params, data=data, headers=headers
            ) as response:
                if response.status >= 400:
                    raise EngineError(response.status, _message(await response.text()))
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise self._gone(path, error) from error

    async def _asked(
        self, what: str, call: Awaitable[T], limit: timedelta | None = CALL_LIMIT
    ) -> T:
        """Await one call, and give its failure as ours."""
        seconds = None if limit is None else limit.total_seconds()
        try:
            with anyio.move_on_after(seconds):
                return await call
        except DockerError as error:
            if error.status == 900:
                raise self._gone(what, error) from error
            raise EngineError(error.status, error.message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._gone(what, error) from error
        except (ValueError, KeyError, TypeError) as error:
            # Not what an engine says: a proxy in between, or an answer that was cut.
            raise EngineGone(
                f"The answer of {self.endpoint.url} to '{what}' is not that of a Docker engine:"
                f" {error!r}"
            ) from error
        raise EngineGone(
            f"The Docker engine at {self.endpoint.url} did not answer '{what}' within"
            f" {seconds:.0f} s"
        )

    def _gone(self, what: str, error: BaseException) -> EngineGone:
        reason, hint = str(error), ""
        for cause in _causes(error):
            if isinstance(cause, OSError) and cause.strerror:
                reason = os.strerror(cause.errno) if cause.errno else cause.strerror
            if isinstance(cause, PermissionError):
                hint = (
                    "\nYour user may not use it: join the group `docker`, or use rootless Docker."
                )
        return EngineGone(
            f"Cannot connect to the Docker engine at {self.endpoint.url} ({self.endpoint.source})"
            f" for '{what}': {reason}{hint}"
            "\nStart it, or use the Process task runner (--task-runner process)."
        )


def is_open(attached: Attached) -> bool:
    """Whether the other end of a stream is still there, as far as is known at this moment."""
    stream: Any = attached
    connection = None if stream._resp is None else stream._resp.connection
    transport = None if connection is None else connection.transport
    return transport is not None and not transport.is_closing()


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what was behind it, the outermost first; such a chain may be a ring."""
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None:
        if cause in found:
            break
        found.append(cause)
    return found


@asynccontextmanager
async def open_engine(endpoint: Endpoint) -> AsyncGenerator[Engine]:
    """A connection to the engine at `endpoint`; nothing is asked yet."""
    # aiodocker's own connectors stop at 100 connections, each running task holds two.
    url = endpoint.url
    connector: aiohttp.BaseConnector
    if endpoint.socket is not None:
        connector = aiohttp.UnixConnector(endpoint.socket, limit=0)
        url = "unix://localhost"
    elif url.startswith(("tcp://", "http://", "https://")):
        secure = endpoint.tls is not None or url.startswith("https://")
        context = _ssl_context(endpoint.tls or Tls()) if secure else False
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        url = ("https://" if secure else "http://") + url.partition("://")[2]
    elif url.startswith("ssh://"):
        async with Docker(url=url) as docker:
            yield Engine(docker, endpoint)
        return
    else:
        raise RunnerUnavailable(f"Docker host '{url}' ({endpoint.source}) has no known scheme")
    async with connector, Docker(url=url, connector=connector) as docker:
        yield Engine(docker, endpoint)


def _ssl_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert and tls.key:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise RunnerUnavailable(f"The TLS files for Docker cannot be used: {error}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500].strip()

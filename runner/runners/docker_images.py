"""Getting images: which are there, which have to be pulled, and one pull for all who wait."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from runner.errors import RunnerUnavailable
from runner.runners.base import PullProgress
from runner.runners.docker_auth import registry_auth
from runner.runners.docker_client import Engine, EngineError, EngineGone
from runner.runners.docker_news import ImageNews
from runner.runners.docker_options import DockerOptions
from runner.settings import Settings

_NOT_THERE = ("not found", "manifest unknown", "name unknown", "no such image")
_NOT_ALLOWED = ("denied", "unauthorized", "no basic auth credentials", "authentication required")
_NO_SPACE = ("no space left on device",)
_BROKEN = (
    "filesystem layer verification failed",
    "invalid reference format",
    "no matching manifest",
)
_LOGIN_PAGE = ("error unmarshalling content", "invalid character '<'")
_UNREACHABLE = ("no such host", "connection refused", "network is unreachable", "i/o timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class PullTiming:
    """How patient a pull is: Kestra's retries (script-tasks 6.4) and our limit of silence."""

    tries: int = 5
    first_wait: timedelta = timedelta(seconds=5)
    longest_wait: timedelta = timedelta(seconds=120)
    silence: timedelta = timedelta(seconds=120)

    def wait_s(self, tried: int) -> float:
        """Seconds to wait after try number `tried` (from 1), with some jitter."""
        doubled = self.first_wait.total_seconds() * 2 ** (tried - 1)
        return min(doubled, self.longest_wait.total_seconds()) * random.uniform(0.8, 1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that the engine has: its id, and what its containers get from it."""

    name: str
    id: str
    user: str
    env: Mapping[str, str]
    architecture: str


class _Pull:
    """A pull under way. `failed` holds its error once `done` is set, None for success."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.failed: RunnerUnavailable | None = None
        self.scope = anyio.CancelScope()
        self.waiting = 0


_FRESH_S = 1
"""An answer about an image is good for a command that asks so soon after the question."""


class _Look:
    """A question about an image that was asked before its answer is needed."""

    def __init__(self) -> None:
        self.since = anyio.current_time()
        self.done = anyio.Event()
        self.found: Image | None = None
        self.failed: RunnerUnavailable | None = None

    @property
    def is_old(self) -> bool:
        """Whether its answer may not be true any more."""
        return anyio.current_time() > self.since + _FRESH_S


class Images:
    """The images of one engine. Pulls run in `group`, and end when nobody waits for them.

    `listens`: what the engine has said of an image is good until it tells of a change.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        group: TaskGroup,
        progress: Callable[[PullProgress], None],
        timing: PullTiming,
        *,
        listens: bool = False,
    ) -> None:
        self._engine = engine
        self._news = ImageNews(engine)
        if listens:
            group.start_soon(self._news.listen, name="news of images")
        self._settings = settings
        self._group = group
        self._progress = progress
        self._timing = timing
        self._pulls: dict[tuple[str, str | None], _Pull] = {}
        self._looks: dict[str, _Look] = {}

    async def ensure(self, options: DockerOptions, warn: Callable[[str], None]) -> Image:
        """The image that `options` name, pulled first if their policy says so.

        Raises:
            RunnerUnavailable: it is not there and cannot be had.
        """
        name = options.image
        if not name:
            raise RunnerUnavailable(
                "Missing image: set `containerImage` on the task, or `image` on its taskRunner"
            )
        if options.pull_policy != "ALWAYS":
            found = await self.local(name)
            if found is not None:
                return found
            if options.pull_policy == "NEVER":
                raise EngineError(
                    404,
                    f"No such image: {name}",
                    f"pullPolicy is NEVER: run `docker pull {name}`, or use IF_NOT_PRESENT.",
                )
        await self.pull(options, warn)
        found = await self.local(name)
        if found is None:
            raise RunnerUnavailable(f"Image {name} was pulled, but is not there: was it removed?")
        return found

    async def pull(self, options: DockerOptions, warn: Callable[[str], None]) -> None:
        """Pull the image, or wait for a pull of it that is under way.

        Raises:
            RunnerUnavailable: it cannot be had; says which of name, login and network it is.
        """
        name = options.image or ""
        auth = await anyio.to_thread.run_sync(registry_auth, name, options, self._settings, warn)
        key = (name, auth)
        pull = self._pulls.get(key)
        if pull is None:
            pull = self._pulls[key] = _Pull()
            self._group.start_soon(self._run, pull, key)
        pull.waiting += 1
        try:
            await pull.done.wait()
        finally:
            pull.waiting -= 1
            if pull.waiting == 0:
                pull.scope.cancel()
                if self._pulls.get(key) is pull:
                    del self._pulls[key]
        if pull.failed is not None:
            raise pull.failed

    def look(self, name: str) -> None:
        """Ask about an image already: a command that begins now will want to know it."""
        if self._news.known(name) is not None:
            return
        if name not in self._looks or self._looks[name].is_old:
            self._looks[name] = _Look()
            self._group.start_soon(self._answer, name, self._looks[name], name="look at an image")

    async def _answer(self, name: str, look: _Look) -> None:
        try:
            look.found = await self._local(name)
        except RunnerUnavailable as error:
            look.failed = error
        finally:
            look.done.set()

    async def local(self, name: str) -> Image | None:
        """The image of that name that the engine has; None if it has none."""
        look = self._looks.pop(name, None)
        known = self._news.known(name)
        if known is not None:
            return known
        if look is None or look.is_old:
            return await self._local(name)
        await look.done.wait()
        if look.failed is not None:
            raise look.failed
        return look.found

    async def _local(self, name: str) -> Image | None:
        changes = self._news.changes
        found = await self._engine.image(name)
        if found is None:
            return None
        config: Mapping[str, Any] = found.get("Config") or {}
        image = Image(
            name=name,
            id=str(found["Id"]),
            user=str(config.get("User") or ""),
            env=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
            architecture=str(found.get("Architecture", "")),
        )
        self._news.learn(image, changes)
        return image

    async def _run(self, pull: _Pull, key: tuple[str, str | None]) -> None:
        """One pull with its retries; its ending goes to everybody who waits."""
        name, auth = key
        status = "cancelled"
        with pull.scope:
            try:
                await self._with_retries(name, auth)
                status = "pulled"
            except RunnerUnavailable as error:
                pull.failed = error
                status = "failed"
            finally:
                self._progress(PullProgress(image=name, status=status, ended=True))
                if self._pulls.get(key) is pull:
                    del self._pulls[key]
                pull.done.set()

    async def _with_retries(self, name: str, auth: str | None) -> None:
        for tried in range(1, self._timing.tries + 1):
            try:
                return await self._once(name, auth)
            except (EngineError, EngineGone) as error:
                text = error.text if isinstance(error, EngineError) else str(error)
                if tried == self._timing.tries or not _may_heal(error, text):
                    raise _explained(name, error, text) from error
                wait_s = self._timing.wait_s(tried)
                status = f"failed, trying again in {wait_s:.0f} s: {text}"
                self._progress(PullProgress(image=name, status=status, waits=True))
                await anyio.sleep(wait_s)
        return None

    async def _once(self, name: str, auth: str | None) -> None:
        repository, tag = split_name(name)
        self._progress(PullProgress(image=name, status="pulling"))
        headers = {} if auth is None else {"X-Registry-Auth": auth}
        params = {"fromImage": repository, "tag": tag}
        layers: dict[str, tuple[int, int]] = {}
        asking = self._engine.request("POST", "images/create", params=params, headers=headers)
        async with AsyncExitStack() as stack:
            response = None
            with anyio.move_on_after(self._timing.silence.total_seconds()):
                response = await stack.enter_async_context(asking)
            if response is None:
                raise _silent(self._timing.silence)
            async for line in _lines(response, self._timing.silence):
                if error := line.get("error"):
                    raise EngineError(500, str(error))
                self._report(name, line, layers)

    def _report(
        self, name: str, line: Mapping[str, Any], layers: dict[str, tuple[int, int]]
    ) -> None:
        detail: Mapping[str, Any] = line.get("progressDetail") or {}
        if not detail.get("total") or "id" not in line:
            return
        layers[line["id"]] = (int(detail.get("current", 0)), int(detail["total"]))
        current, total = (sum(part) for part in zip(*layers.values(), strict=True))
        status = str(line.get("status", ""))
        self._progress(PullProgress(image=name, status=status, current=current, total=total))


def split_name(image: str) -> tuple[str, str]:
    """Repository, and tag or digest; `repo:tag@digest` is its digest, and no tag is `latest`."""
    from docker.utils import parse_repository_tag

    parse: Any = parse_repository_tag
    repository, tag = parse(image)
    if "@" in image:
        repository = parse(repository)[0]
    return str(repository), str(tag or "latest")


async def _lines(
    response: aiohttp.ClientResponse, silence: timedelta
) -> AsyncGenerator[Mapping[str, Any]]:
    """The JSON lines of a progress stream.

    Raises:
        EngineGone: nothing has come for as long as `silence`.
    """
    rest = b""
    while True:
        chunk = None
        with anyio.move_on_after(silence.total_seconds()):
            chunk = await response.content.readany()
        if chunk is None:
            raise _silent(silence)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines if chunk else [*lines, rest]:
            if line.strip():
                yield json.loads(line)
        if not chunk:
            return


def _silent(silence: timedelta) -> EngineGone:
    return EngineGone(f"no progress for {silence.total_seconds():.0f} s")


def _may_heal(error: EngineError | EngineGone, text: str) -> bool:
    """Whether the same pull may go well a little later; what is not known may."""
    if isinstance(error, EngineError) and error.status < 500:
        return False
    lowered = text.lower()
    hopeless = (*_NOT_THERE, *_NOT_ALLOWED, *_NO_SPACE, *_BROKEN)
    if any(sign in lowered for sign in _UNREACHABLE):
        # `dial tcp: lookup registry: no such host` is no missing image.
        return True
    return not any(sign in lowered for sign in hopeless)


def _explained(
    name: str, error: EngineError | EngineGone, text: str
) -> EngineError | RunnerUnavailable:
    """The error with what to do about it, in the words of whoever runs flows."""
    lowered = text.lower()
    if any(sign in lowered for sign in _UNREACHABLE):
        hint = (
            f"image {name} is not on this machine and its registry cannot be reached: check the"
            " network and the image's name, or bring the image with `docker load`"
        )
    elif any(sign in lowered for sign in _LOGIN_PAGE):
        hint = "the registry answered a web page: is there a login page or proxy in between?"
    elif any(sign in lowered for sign in _NOT_ALLOWED):
        hint = (
            f"image {name} does not exist or needs a login: set `credentials` on the taskRunner,"
            " or run `docker login`"
        )
    elif any(sign in lowered for sign in _NOT_THERE):
        hint = f"image {name} not found in its registry: check name and tag"
    elif any(sign in lowered for sign in _NO_SPACE):
        hint = "the engine's disk is full: `docker system df` shows what uses it"
    else:
        hint = f"image {name} could not be pulled"
    if isinstance(error, EngineError):
        return EngineError(error.status, text, hint)
    return RunnerUnavailable(f"Cannot pull image {name}: {text}\n{hint}")

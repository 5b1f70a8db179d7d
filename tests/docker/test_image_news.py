"""What is known of images without asking, and for how long."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import docker
import pytest

from runner.runners.docker_client import Engine, EngineError, open_engine
from runner.runners.docker_host import find_endpoint
from runner.runners.docker_images import Images, PullTiming
from runner.settings import Settings

pytestmark = pytest.mark.docker

BUSYBOX = "busybox:latest"
ALPINE_LIKE = "eyas-test/alpine-like:latest"


class Counting:
    """An engine that counts how often it is asked about an image."""

    def __init__(self, engine: Engine, *, tells: bool) -> None:
        self._engine = engine
        self._tells = tells
        self.asked = 0

    async def image(self, name: str) -> Any:
        self.asked += 1
        return await self._engine.image(name)

    def request(self, method: str, path: str, **more: Any) -> Any:
        if not self._tells:
            raise EngineError(403, "not allowed here")
        return self._engine.request(method, path, **more)


@asynccontextmanager
async def listening(
    tmp_path: Path, *, tells: bool = True
) -> AsyncGenerator[tuple[Images, Counting]]:
    """The images of the real engine, of which changes are heard if it `tells`."""
    settings = Settings(state_dir=tmp_path, tmp_dir=tmp_path)
    async with open_engine(find_endpoint(settings)) as engine, anyio.create_task_group() as group:
        await engine.info()
        counting: Any = Counting(engine, tells=tells)
        images = Images(counting, settings, group, lambda _: None, PullTiming(), listens=True)
        yield images, counting
        group.cancel_scope.cancel()


async def test_an_answer_is_good_until_the_engine_tells_of_a_change(
    docker_engine: docker.DockerClient, tmp_path: Path
) -> None:
    engine: Any = docker_engine
    name = f"eyas-test/moves-{uuid.uuid4().hex[:8]}:latest"
    engine.images.get(BUSYBOX).tag(name)
    try:
        async with listening(tmp_path) as (images, counting):
            first = await images.local(name)
            assert first is not None

            async def is_known() -> bool:
                before = counting.asked
                await images.local(name)
                return counting.asked == before

            with anyio.fail_after(30):
                while not await is_known():  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            asked = counting.asked
            images.look(name)
            assert await images.local(name) == first
            assert counting.asked == asked

            engine.images.get(ALPINE_LIKE).tag(name)
            await anyio.sleep(0.1)
            second = await images.local(name)
            assert second is not None
            assert second.id == engine.images.get(ALPINE_LIKE).id != first.id

            engine.images.remove(name)
            await anyio.sleep(0.1)
            assert await images.local(name) is None
    finally:
        if engine.images.list(name):
            engine.images.remove(name, force=True)


async def test_without_news_every_task_asks(
    docker_engine: docker.DockerClient, tmp_path: Path
) -> None:
    async with listening(tmp_path, tells=False) as (images, counting):
        for _ in range(3):
            assert await images.local(BUSYBOX) is not None
            await anyio.sleep(0.05)

        assert counting.asked == 3

"""What an engine tells of its images, so that not every task has to ask about its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp
import anyio

from runner.runners.docker_client import Engine, EngineError, EngineGone

if TYPE_CHECKING:
    from runner.runners.docker_images import Image

_KNOWN_S = 60
"""So long an answer about an image is good while the engine tells of no change."""

_PAUSES_S = (1, 30)
"""The first and the longest pause before an engine that has gone is listened to again."""


class ImageNews:
    """Answers about images that are still true, as long as `listen` hears of no change.

    Without it, nothing is known. The engine tells of a new tag about a millisecond after it has
    answered whoever made it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._hears = False
        self._known: dict[str, tuple[float, Image]] = {}
        self.changes = 0
        """How often something has changed, or may have."""

    def known(self, name: str) -> Image | None:
        """The image of that name, if that is known."""
        found = self._known.get(name)
        return found[1] if found and anyio.current_time() < found[0] + _KNOWN_S else None

    def learn(self, image: Image, changes: int) -> None:
        """Take what the engine has answered to a question asked when there were so many changes."""
        if self._hears and changes == self.changes:
            self._known[image.name] = (anyio.current_time(), image)

    async def listen(self) -> None:
        """Hear what the engine tells, until cancelled or it has no such news."""
        pause_s, longest_s = _PAUSES_S
        while True:
            try:
                await self._hear()
                pause_s = _PAUSES_S[0]
            except EngineError:
                return
            except (EngineGone, aiohttp.ClientError, OSError):
                pause_s = min(pause_s * 2, longest_s)
            await anyio.sleep(pause_s)

    async def _hear(self) -> None:
        params = {"filters": json.dumps({"type": ["image"]})}
        async with self._engine.request("GET", "events", params=params) as response:
            self._changed()
            self._hears = True
            try:
                async for _ in response.content:
                    self._changed()
            finally:
                self._hears = False
                self._changed()

    def _changed(self) -> None:
        self.changes += 1
        self._known.clear()

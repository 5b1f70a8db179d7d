"""The task runners of one Eyas, opened when they are first needed and closed at its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from runner.runners.base import PullProgress, TaskRunner
from runner.runners.process import ProcessRunner
from runner.settings import Settings

if TYPE_CHECKING:
    from runner.runners.docker_options import DockerOptions


def _ignore(_: object) -> None:
    """What becomes of a report that nobody asked for."""


class TaskRunners:
    """Gives the ways of running commands; an async context manager.

    `progress` is told how the pull of an image gets on.
    """

    def __init__(
        self, settings: Settings, progress: Callable[[PullProgress], None] | None = None
    ) -> None:
        self._settings = settings
        self._progress = progress or _ignore
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> TaskRunners:
        await self._stack.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    def process(self) -> TaskRunner:
        """The runner that starts local processes."""
        return ProcessRunner(self._settings)

    def docker(self, options: DockerOptions, warn: Callable[[str], None] = _ignore) -> TaskRunner:
        """A runner that makes containers as `options` say.

        `warn` is told what the task's author should know, such as volumes that are not mounted.
        """
        raise NotImplementedError

    async def engine_answers(self) -> bool:
        """Whether a Docker engine answers right now, found out within a second."""
        raise NotImplementedError

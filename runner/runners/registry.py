"""The task runners of one Eyas, opened when they are first needed and closed at its end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from runner.errors import RunnerError
from runner.runners.base import Command, PullProgress, ReadOnly, TaskRunner
from runner.runners.maker import RUN_LABEL, START_LABEL, Maker
from runner.runners.process import ProcessRunner
from runner.settings import INSTANCE_LABEL, KEEP_LABEL, Settings

if TYPE_CHECKING:
    # What belongs to Docker is imported when Docker is used: aiohttp alone takes 0.1 s.
    from runner.runners.docker import DockerRunner, Host
    from runner.runners.docker_host import Endpoint
    from runner.runners.docker_images import Image, PullTiming
    from runner.runners.docker_options import DockerOptions
    from runner.runners.docker_standby import Standby
    from runner.runners.docker_standbys import Standbys, Standing
    from runner.runners.intents import Intent, Left


def _ignore(_: object) -> None:
    """What becomes of a report that nobody asked for."""


def instance_of(settings: Settings) -> str:
    """The name that marks containers as made by the Eyas of this machine and state folder."""
    machine = Path("/etc/machine-id")
    words = machine.read_text().strip() if machine.is_file() else ""
    return hashlib.sha256(f"{words}:{settings.state_dir.resolve()}".encode()).hexdigest()[:16]


_WISHES = 1000
"""Of so many kinds of commands it is remembered which folders they were given."""


class TaskRunners:
    """Gives the ways of running commands; an async context manager.

    `progress` is told how the pull of an image gets on, `timing` says how patient it is.
    `lost_after` is how long a task waits for an engine that went away while it ran. `instance`
    marks the containers, by default as those of this machine and state folder. `keeps_standbys`:
    containers for what was run lately stand by, not only for what is about to run.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Callable[[PullProgress], None] | None = None,
        *,
        timing: PullTiming | None = None,
        lost_after: timedelta = timedelta(minutes=1),
        instance: str | None = None,
        keeps_standbys: bool = False,
    ) -> None:
        self.handing_over = False
        """Set it before tasks are cancelled: their containers stay, for the next Eyas."""
        self._settings = settings
        self._progress = progress or _ignore
        self._timing = timing
        self._lost_after = lost_after
        self._maker = Maker(instance=instance or instance_of(settings))
        self._process = ProcessRunner(settings)
        self._keeps_standbys = keeps_standbys
        self._standbys: Standbys | None = None
        self._reads: dict[str, Sequence[ReadOnly]] = {}
        self._stack = AsyncExitStack()
        self._group: TaskGroup | None = None
        self._hosts: dict[Endpoint, Host] = {}
        self._opening = anyio.Lock(fast_acquire=True)

    async def __aenter__(self) -> TaskRunners:
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._group is not None
        # Pulls that nobody waits for any more.
        self._group.cancel_scope.cancel()
        try:
            return await self._group.__aexit__(kind, error, traceback)
        finally:
            with anyio.move_on_after(10, shield=True):
                await self._stack.aclose()

    def process(self) -> TaskRunner:
        """The runner that starts local processes."""
        return self._process

    def docker(self, options: DockerOptions, warn: Callable[[str], None] = _ignore) -> TaskRunner:
        """A runner that makes containers as `options` say.

        The engine is looked for when a command is run. `warn` is told what the task's author
        should know, such as volumes that are not mounted.
        """
        return self._docker_runner(options, warn)

    def _docker_runner(self, options: DockerOptions, warn: Callable[[str], None]) -> DockerRunner:
        from runner.runners.docker import DockerRunner

        async def host() -> Host:
            return await self._host(options.host)

        return DockerRunner(
            self._settings,
            options,
            host,
            self._maker,
            self._lost_after,
            warn,
            lambda: self.handing_over,
        )

    def comes(self, series: str) -> None:
        """The next task of `series` is about to begin: ask what it will have to know."""
        if self._standbys is not None:
            self._standbys.comes(series)

    async def reserve(self, series: str) -> Standby | None:
        """A container that stands by for the next task of `series`; None if there is none.

        Its `stack` is to be closed, whether it was used or not.
        """
        return await self._standbys.reserve(series) if self._standbys is not None else None

    def note_reads(self, wish: str, reads: Sequence[ReadOnly]) -> None:
        """Remember which folders a command was given for what it wished for, by a text."""
        self._reads.pop(wish, None)
        self._reads[wish] = reads
        if len(self._reads) > _WISHES:
            del self._reads[next(iter(self._reads))]

    def reads_of(self, wish: str) -> Sequence[ReadOnly] | None:
        """The folders of the last command with this wish; None if there was none lately."""
        return self._reads.get(wish)

    async def expect(self, options: DockerOptions, command: Command) -> None:
        """A command of this kind is about to come: have a container stand by for it.

        Of `command` only what is the same for every container like it counts.

        Raises:
            RunnerUnavailable: there is no engine, or it is refused by the policy.
        """
        await self._docker_runner(options, _ignore).expect(command)

    def forget(self, execution_id: str) -> None:
        """Nothing more comes of an execution: what was expected of it is not any more."""
        if self._standbys is not None:
            self._standbys.forget(execution_id)

    def standing(self) -> Sequence[Standing]:
        """The containers that stand by."""
        return self._standbys.standing() if self._standbys is not None else ()

    @property
    def standby_limit(self) -> int:
        """How many containers may stand by, as far as the machine's memory allows it."""
        from runner.runners.docker_standbys import limit_of

        return limit_of(self._settings)

    async def left_container(self, intent: Intent) -> Left | None:
        """The container that an earlier Eyas has made for `intent`; None if there is none.

        Raises:
            RunnerUnavailable: the engine cannot be asked now.
        """
        from runner.runners.docker_left import left_by

        return await left_by((await self._host(intent.host)).engine, intent)

    async def start_container(self, left: Left) -> Left | None:
        """Start a container that an earlier Eyas had asked the engine to start; as it is then.

        One that cannot be started stays as it is.

        Raises:
            RunnerUnavailable: the engine cannot be asked now.
        """
        from runner.runners.docker_client import EngineError

        try:
            await (await self._host(left.intent.host)).engine.start(left.id)
        except EngineError:
            return left
        return await self.left_container(left.intent)

    async def remove_container(self, left: Left) -> None:
        """Remove a container that an earlier Eyas has left, whatever it is doing.

        Raises:
            RunnerUnavailable: the engine cannot be asked now, or refuses.
        """
        await (await self._host(left.intent.host)).engine.remove(left.id)

    async def remove_orphans(self, known: Collection[str], older_than: timedelta) -> list[str]:
        """Remove containers of this instance that nobody knows of; gives their names.

        `known` are the values of the label `eyas.run` that somebody knows of. Of those that this
        start has made only the ones `older_than` count: it may know of them in a moment.

        Raises:
            RunnerUnavailable: the engine cannot be asked now, or refuses.
        """
        import time

        host = await self._host(None)
        engine, known = host.engine, {*known, *host.standbys.runs}
        removed: list[str] = []
        for found in await engine.labelled(f"{INSTANCE_LABEL}={self._maker.instance}"):
            labels: Mapping[str, str] = found.get("Labels") or {}
            is_ours = labels.get(START_LABEL) == self._maker.start
            is_new = time.time() - float(found["Created"]) < older_than.total_seconds()
            if (is_ours and is_new) or KEEP_LABEL in labels or labels.get(RUN_LABEL) in known:
                continue
            await engine.remove(str(found["Id"]))
            removed.append(str((found.get("Names") or [found["Id"]])[0]).lstrip("/"))
        return removed

    async def image(self, options: DockerOptions, warn: Callable[[str], None] = _ignore) -> Image:
        """The image that `options` name, pulled first if their policy says so.

        Raises:
            RunnerUnavailable: there is no engine, or the image cannot be had.
        """
        return await (await self._host(options.host)).images.ensure(options, warn)

    async def engine_answers(self) -> bool:
        """Whether a Docker engine answers right now, found out within two seconds."""
        from runner.runners.docker_host import answers, find_endpoint

        try:
            endpoint = find_endpoint(self._settings)
        except RunnerError:
            return False
        if endpoint.tls is None and not endpoint.url.startswith("ssh://"):
            return await answers(endpoint)
        try:
            with anyio.move_on_after(5):
                return await (await self._host(None)).engine.answers()
        except RunnerError:
            pass
        return False

    async def _host(self, named: str | None) -> Host:
        """The engine that `named` or the settings say, connected once."""
        from runner.runners.docker_client import open_engine
        from runner.runners.docker_host import find_endpoint
        from runner.runners.docker_images import Images, PullTiming
        from runner.runners.docker_job import Host
        from runner.runners.docker_standbys import Standbys
        from runner.runners.docker_visibility import Visibility

        if self._group is None:
            raise RuntimeError("TaskRunners is used outside of its `async with` block")
        endpoint = find_endpoint(self._settings, named)
        if self._standbys is None:
            self._standbys = Standbys(
                self._settings, self._maker, self._group, keeps=self._keeps_standbys
            )
        async with self._opening:
            if endpoint not in self._hosts:
                async with AsyncExitStack() as opened:
                    engine = await opened.enter_async_context(open_engine(endpoint))
                    info = await engine.info()
                    timing = self._timing or PullTiming()
                    self._hosts[endpoint] = Host(
                        engine=engine,
                        info=info,
                        images=Images(
                            engine,
                            self._settings,
                            self._group,
                            self._progress,
                            timing,
                            listens=self._keeps_standbys and info.name == "Docker",
                        ),
                        visibility=Visibility(engine, self._maker, self._settings.tmp_dir),
                        standbys=self._standbys,
                    )
                    self._stack.push_async_exit(opened.pop_all())
            return self._hosts[endpoint]

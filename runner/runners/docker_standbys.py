"""Containers that stand by for tasks that are likely to come: how many of which kind.

A container costs its start, not its use. So for what was run lately some are started before they
are needed, and after a task has taken one, the next is started beside it. Each is used once. What
stands by holds no data and no secret; it has what the image and the task's options say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import aiohttp
import anyio
import structlog
from anyio.abc import TaskGroup

from runner.errors import RunnerError
from runner.runners.base import Command
from runner.runners.docker_recipe import Recipe
from runner.runners.docker_standby import Place, Standby, standing_by
from runner.runners.maker import Maker
from runner.runners.side_file import SideFolder
from runner.runners.work_dirs import new_work_dir, remove_work_dir
from runner.settings import Settings

if TYPE_CHECKING:
    from runner.runners.docker_job import Host

log = structlog.get_logger()

MAX_AGE_S = 600
"""How long a container stands by, and how long it is remembered what was run."""

BURST_S = 2
"""So many containers stand by as were used within this time at the most."""

QUIET_S = 0.25
"""While tasks begin one after the other, containers that none is expected for are not started..."""

PATIENCE_S = 1
"""...unless they have been lacking for so long."""

STARTING = 2
"""How many containers are started at the same time."""

CONTAINER_BYTES = 16 * 1024**2
"""What a waiting container takes, with the engine's own process for it."""

SMALL_BYTES = 1024**3
"""On a machine with less memory none stand by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands by of one kind: `image`, how many are `ready` and `starting`, and are `wanted`.

    `age_s` is that of the oldest, in seconds.
    """

    image: str
    ready: int
    starting: int
    wanted: int
    age_s: float


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A container that stands by, and how it is given away."""

    standby: Standby
    scope: anyio.CancelScope
    given: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True, kw_only=True)
class _Kind:
    """The containers of one kind. `workdir` None: each has a folder of its own.

    `expected`: tasks that are known to come, each by the time since when it is and its execution;
    `claims`: so many have come and wait for one that is being started. `peaks` are how many were
    used at about the same time, and when. `changed` is set when a start has come to its end.
    """

    recipe: Recipe
    shell: str
    host: Host
    workdir: Path | None = None
    ready: list[_Waiting] = field(default_factory=list[_Waiting])
    starting: int = 0
    expected: deque[tuple[float, str]] = field(default_factory=deque[tuple[float, str]])
    claims: int = 0
    failed: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)
    uses: deque[float] = field(default_factory=deque[float])
    peaks: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def use(self, now: float) -> None:
        """Note that a task of this kind begins."""
        self.failed = False
        self.uses.append(now)
        while self.uses[0] < now - BURST_S:
            self.uses.popleft()
        while self.peaks and self.peaks[-1][1] <= len(self.uses):
            self.peaks.pop()
        self.peaks.append((now, len(self.uses)))

    def ended_start(self) -> None:
        """Wake those that wait for a container that is being started."""
        self.starting -= 1
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    async def comes(self) -> bool:
        """Wait until one is ready; False if none is being started that nobody waits for."""
        while not self.ready:
            if self.starting <= self.claims:
                return False
            self.claims += 1
            try:
                await self.changed.wait()
            finally:
                self.claims -= 1
        return True

    def awaited(self, now: float) -> int:
        """How many tasks are still expected."""
        while self.expected and self.expected[0][0] < now - MAX_AGE_S:
            self.expected.popleft()
        return len(self.expected)

    def is_awaited(self, now: float) -> bool:
        """Whether more tasks are expected than there will be containers."""
        return len(self.ready) + self.starting < self.awaited(now)

    def peak(self, now: float) -> int:
        """How many were used at about the same time, lately."""
        while self.peaks and self.peaks[0][0] < now - MAX_AGE_S:
            self.peaks.popleft()
        return self.peaks[0][1] if self.peaks else 0


class Standbys:
    """The containers that stand by, of one Eyas; they are started in `group` and end with it.

    `keeps`: what was used lately is kept ready, not only what is expected.
    """

    def __init__(self, settings: Settings, maker: Maker, group: TaskGroup, *, keeps: bool) -> None:
        self._settings = settings
        self._maker = maker
        self._group = group
        self._keeps = keeps
        self._kinds: dict[str, _Kind] = {}
        self._series: dict[str, str] = {}
        self._runs: set[str] = set()
        self._wake = anyio.Event()
        self._places = anyio.Semaphore(STARTING)
        self._last_use = 0.0
        self._limit = limit_of(settings)
        if self._limit:
            group.start_soon(self._refill, name="standby containers")

    @property
    def any_may_wait(self) -> bool:
        """Whether the setting and the machine's memory allow containers that only wait."""
        return self._limit > 0

    def comes(self, series: str) -> None:
        """The next task of `series` is about to begin: ask about its image already."""
        kind = self._kinds.get(self._series.get(series, ""))
        if kind is not None and kind.ready:
            kind.host.images.look(kind.recipe.image.name)

    async def reserve(self, series: str) -> Standby | None:
        """A container for the next task of `series`, as the last one was; None if there is none."""
        kind = self._kinds.get(self._series.get(series, ""))
        return await self._take(kind) if kind is not None else None

    async def take(self, kind: str) -> Standby | None:
        """A container of the kind; None if none stands by."""
        found = self._kinds.get(kind)
        return await self._take(found) if found is not None else None

    def used(self, series: str, key: str, recipe: Recipe, shell: str, host: Host) -> None:
        """Note that a task of `series` begins with this recipe; more of its kind `key` may come."""
        kind = self._kind(key, recipe, shell, host, None)
        if kind is None:
            return
        self._series[series] = key
        self._last_use = anyio.current_time()
        kind.use(self._last_use)
        self._wake.set()

    def expect(
        self, command: Command, recipe: Recipe, shell: str, host: Host, workdir: Path | None
    ) -> None:
        """A command with this recipe is about to come, in `workdir` or a folder of its own."""
        key = recipe.kind(shell, workdir)
        kind = self._kind(key, recipe, shell, host, workdir)
        if kind is None:
            return
        if workdir is None:
            self._series[command.series] = key
        kind.expected.append((anyio.current_time(), command.owner.execution_id))
        self._wake.set()

    def forget(self, execution_id: str) -> None:
        """Nothing more comes of this execution, whatever was expected."""
        for kind in self._kinds.values():
            kind.expected = deque(each for each in kind.expected if each[1] != execution_id)
            if kind.workdir is not None and not kind.expected:
                for each in kind.ready:
                    each.scope.cancel()

    @property
    def runs(self) -> set[str]:
        """The labels `eyas.run` of the containers made here, until they are closed."""
        return self._runs

    def standing(self) -> Sequence[Standing]:
        """What stands by at this moment."""
        now = anyio.current_time()
        return [
            Standing(
                image=kind.recipe.image.name,
                ready=len(kind.ready),
                starting=kind.starting,
                wanted=self._wanted(kind, now),
                age_s=max((now - each.standby.since for each in kind.ready), default=0.0),
            )
            for kind in self._kinds.values()
        ]

    def _kind(
        self, key: str, recipe: Recipe, shell: str, host: Host, workdir: Path | None
    ) -> _Kind | None:
        """The kind of the recipe, known from now on; None if such containers do not stand by."""
        if self._limit == 0 or not recipe.may_wait:
            return None
        if key not in self._kinds:
            self._forget(recipe)
            self._kinds[key] = _Kind(recipe=recipe, shell=shell, host=host, workdir=workdir)
        return self._kinds[key]

    def _forget(self, recipe: Recipe) -> None:
        """Let go what was made of an image that has another name, or none, by now."""
        for kind in self._kinds.values():
            image = kind.recipe.image
            if image.name == recipe.image.name and image.id != recipe.image.id:
                kind.expected.clear()
                kind.peaks.clear()
                for each in kind.ready:
                    each.scope.cancel()

    async def _take(self, kind: _Kind) -> Standby | None:
        while await kind.comes():
            waiting = kind.ready.pop(0)
            if not waiting.standby.is_whole:
                waiting.scope.cancel()
                continue
            waiting.standby.taken = True
            waiting.scope.cancel()
            with anyio.CancelScope(shield=True):
                await waiting.given.wait()
            if waiting.standby.gone:
                continue
            if kind.expected:
                kind.expected.popleft()
            self._last_use = anyio.current_time()
            self._wake.set()
            # Whether the tag still means this image is known when the command is put together.
            kind.host.images.look(kind.recipe.image.name)
            return waiting.standby
        return None

    def _wanted(self, kind: _Kind, now: float) -> int:
        used = kind.peak(now) if self._keeps and kind.workdir is None else 0
        return max(used, kind.awaited(now))

    def _lacking(self) -> _Kind | None:
        """A kind of which there are fewer containers than wanted; the one with the fewest first."""
        now = anyio.current_time()
        lacking = [
            kind
            for kind in self._kinds.values()
            if not kind.failed and len(kind.ready) + kind.starting < self._wanted(kind, now)
        ]
        return min(lacking, key=lambda kind: len(kind.ready), default=None)

    def _have_room(self) -> bool:
        """Whether the limit and the machine's memory allow one more container."""
        total = sum(len(kind.ready) + kind.starting for kind in self._kinds.values())
        return total < self._limit and _memory("MemAvailable") // 4 >= CONTAINER_BYTES

    async def _refill(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            patient_until = anyio.current_time() + PATIENCE_S
            while (kind := self._lacking()) is not None:
                now = anyio.current_time()
                quiet_from = min(self._last_use + QUIET_S, patient_until)
                if now < quiet_from and not kind.is_awaited(now):
                    # One may be awaited meanwhile.
                    with anyio.move_on_after(quiet_from - now):
                        await self._wake.wait()
                    self._wake = anyio.Event()
                    continue
                if not self._have_room():
                    break
                await self._places.acquire()
                kind.starting += 1
                self._group.start_soon(self._keep, kind, name="standby container")
            self._drop_unused()

    def _drop_unused(self) -> None:
        now = anyio.current_time()
        for key, kind in list(self._kinds.items()):
            if not (kind.ready or kind.starting or self._wanted(kind, now)):
                del self._kinds[key]

    async def _keep(self, kind: _Kind) -> None:
        """Start a container and keep it until it is taken, too old, or gone."""
        async with AsyncExitStack() as stack:
            waiting = None
            try:
                standby = await stack.enter_async_context(self._started(kind))
                waiting = _Waiting(standby=standby, scope=anyio.CancelScope())
                kind.ready.append(waiting)
            except (RunnerError, OSError) as error:
                # Tasks start without, and say what is wrong.
                kind.failed = True
                log.debug("standby.not_started", reason=str(error))
                return
            finally:
                kind.ended_start()
                self._places.release()
            self._wake.set()
            waiting.scope.deadline = anyio.current_time() + MAX_AGE_S
            with waiting.scope:
                # It says nothing before it has its command: this is its end, or the engine's.
                with suppress(aiohttp.ClientError, OSError):
                    await standby.attached.read_out()
                standby.gone = True
            if standby.gone:
                # Whoever is about to take it gets another one. More of the kind would end as well,
                # as long as nobody needs them.
                standby.taken, kind.failed = False, True
            if standby.taken:
                standby.stack = stack.pop_all()
            waiting.given.set()
            if standby.taken:
                return
            with suppress(ValueError):
                kind.ready.remove(waiting)
            if kind.workdir is not None:
                kind.expected.clear()
            self._wake.set()

    @asynccontextmanager
    async def _started(self, kind: _Kind) -> AsyncGenerator[Standby]:
        run = token_hex(8)
        standby: Standby | None = None

        def remove_side(side: SideFolder) -> None:
            if standby is None or not standby.stays():
                side.remove()

        def remove_own(workdir: Path | None) -> None:
            if workdir is not None and (standby is None or not standby.taken):
                remove_work_dir(workdir)

        async with AsyncExitStack() as stack:
            self._runs.add(run)
            stack.callback(self._runs.discard, run)
            side = SideFolder(self._settings.tmp_dir, open_to_all=True)
            stack.callback(remove_side, side)
            own = new_work_dir(self._settings.tmp_dir) if kind.workdir is None else None
            stack.callback(remove_own, own)
            standby = await stack.enter_async_context(
                standing_by(
                    kind.host.engine,
                    kind.recipe,
                    kind.shell,
                    Place(workdir=own or kind.workdir or Path(), side=side),
                    name=f"eyas-standby-{run}",
                    labels=self._maker.labels(run),
                    warn=lambda text: log.warning("standby.not_removed", reason=text),
                    own_folder=own is not None,
                )
            )
            yield standby


def limit_of(settings: Settings) -> int:
    """How many containers may stand by at the same time; none on a machine with little memory."""
    return settings.standbys if _memory("MemTotal") >= SMALL_BYTES else 0


def _memory(name: str) -> int:
    """A figure of the machine's memory in bytes; much where it is not known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 1024**4
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) * 1024 if found else 1024**4

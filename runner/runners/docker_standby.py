"""One container that waits for its command: made, attached to and started, used once.

There is one way to start a container that can wait. Where none stands by, one is made like this
and gets its command at once.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from runner.errors import RunnerUnavailable
from runner.runners.docker_client import Attached, Engine, EngineGone, NotBegun, is_open
from runner.runners.docker_container import made
from runner.runners.docker_entry import BEGIN, waiting_files
from runner.runners.docker_hold import Hold
from runner.runners.docker_recipe import Recipe
from runner.runners.maker import RUN_LABEL
from runner.runners.side_file import SideFolder

_END_S = 2
"""A shell that is let go ends at once; an engine may be slow to tell."""

Sources = tuple[tuple[str, int, int], ...]
"""The folders of this machine that a container has mounted, each with its device and number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The folders of one container on this machine: the task's, and the one that is ours."""

    workdir: Path
    side: SideFolder


@dataclass(slots=True, kw_only=True)
class Standby:
    """A running container whose first process waits for a command.

    `kind` is that of its recipe, `run` the value of its label `eyas.run`, `since` the time it was
    started (`anyio.current_time`). `taken`: a task has it, and its working directory. `gone`: it
    ended without having had a command. `begun`: it has its command; `hold` keeps it from beginning
    that, and as it is when that has ended. `stays` tells, when it is closed, whether it is left as
    it is. `stack` closes it and removes what was made for it.
    """

    kind: str
    id: str
    run: str
    place: Place
    attached: Attached
    sources: Sources
    since: float
    taken: bool = False
    gone: bool = False
    begun: bool = False
    hold: Hold | None = None
    stays: Callable[[], bool] = lambda: False
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def is_whole(self) -> bool:
        """Whether what it has mounted is what is there now."""
        return self.sources == _sources(name for name, _, _ in self.sources)

    def let_go(self) -> None:
        """Have the first process end when its command has, if it was held."""
        if self.hold is not None:
            self.hold.let_go()

    async def end(self, engine: Engine) -> None:
        """Wait for the end of a first process that was held: it has its own exit status then."""
        if self.hold is None or not self.hold.is_held or self.stays():
            return
        self.hold.let_go()
        if self.begun:
            with suppress(RunnerUnavailable):
                await engine.wait(self.id)

    async def load(self) -> None:
        """Have the first process become its command, whose files must be in place.

        It begins at once if nothing holds it.

        Raises:
            NotBegun: it has ended, or the engine has gone.
        """
        if not is_open(self.attached):
            raise NotBegun(f"Container {self.id[:12]} ended before it had its command")
        self.begun = True
        # The line may have come there: how the container ends says the rest.
        with suppress(OSError):
            await self.attached.write_in(BEGIN)


@asynccontextmanager
async def standing_by(
    engine: Engine,
    recipe: Recipe,
    shell: str,
    place: Place,
    *,
    name: str,
    labels: Mapping[str, str],
    warn: Callable[[str], None],
    own_folder: bool = True,
    holds: bool = True,
) -> AsyncGenerator[Standby]:
    """A container of `recipe` in which `shell` waits; removed at the end unless it `stays`.

    `own_folder`: its working directory is for any task of its kind. `holds`: it may be kept as it
    is for a moment after its command has ended.

    Raises:
        NotBegun: the engine went away when it was to be started.
        RunnerUnavailable: the engine does not answer, or refuses it.
    """
    request = recipe.waiting(shell, workdir=place.workdir, side=place.side, labels=labels)
    files = replace(
        recipe.files,
        command=replace(recipe.files.command, workdir=place.workdir),
        side=place.side,
    )
    standby: Standby | None = None
    hold = Hold.of(place.side) if holds and recipe.may_be_held else None
    beside = waiting_files(shell, labels[RUN_LABEL], held=hold is not None)

    async def prepare(container: str) -> None:
        await files.prepare(engine, container)
        await files.put_beside(engine, container, beside)

    opening = attached_container(
        engine,
        request,
        name,
        prepare=prepare,
        stays=lambda: standby is not None and standby.stays(),
        warn=warn,
    )
    try:
        async with opening as (id_, attached):
            try:
                await engine.start(id_)
            except EngineGone as error:
                raise NotBegun(str(error)) from error
            mounts: list[Mapping[str, Any]] = request["HostConfig"]["Mounts"]
            standby = Standby(
                kind=recipe.kind(shell, None if own_folder else place.workdir),
                id=id_,
                run=labels[RUN_LABEL],
                place=place,
                attached=attached,
                sources=_sources(each["Source"] for each in mounts if each["Type"] == "bind"),
                since=anyio.current_time(),
                hold=hold,
            )
            try:
                yield standby
            finally:
                with anyio.move_on_after(_END_S, shield=True):
                    await standby.end(engine)
    finally:
        if hold is not None and standby is None:
            hold.let_go()


@asynccontextmanager
async def attached_container(
    engine: Engine,
    request: Mapping[str, Any],
    name: str,
    *,
    prepare: Callable[[str], Awaitable[None]],
    stays: Callable[[], bool],
    warn: Callable[[str], None],
) -> AsyncGenerator[tuple[str, Attached]]:
    """A container that was made, prepared and attached to, but not started: its id, its streams."""
    async with made(engine, request, name, keep=stays, warn=warn) as id_:
        await prepare(id_)
        attached = await engine.attach(id_, stdin=bool(request["OpenStdin"]))
        try:
            yield id_, attached
        finally:
            with anyio.move_on_after(5, shield=True):
                await attached.close()


def _sources(folders: Iterable[str]) -> Sources:
    found: list[tuple[str, int, int]] = []
    for folder in folders:
        try:
            status = os.stat(folder)  # noqa: PTH116 - for each task, beside the loop's work
        except OSError:
            found.append((folder, 0, 0))
        else:
            found.append((folder, status.st_dev, status.st_ino))
    return tuple(found)

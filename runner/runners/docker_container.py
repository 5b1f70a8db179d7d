"""One container from its making to its removal: there is no other way to run one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from typing import Any

import anyio

from runner.errors import RunnerUnavailable
from runner.failpoints import failpoint
from runner.runners.docker_client import Engine, EngineError, EngineGone
from runner.runners.docker_entry import SIGNALLED
from runner.runners.docker_output import Output
from runner.runners.maker import RUN_LABEL

CLEANUP_LIMIT = timedelta(seconds=60)
SECOND_OPINION_S = 15
"""How often a container that `wait` says nothing about is looked at (reliability B10)."""

_SOON_S = 2
"""A command that ends sooner is not waited for with a call of its own, and may be held."""

_LOOKUP_PAUSES_S = (0, 0.2, 1)
_REMOVE_PAUSES_S = (0.2, 0.5, 1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a container ended, as its command or the engine tells it.

    `reported`: the command told it, the container may still be going. `gone`: it was removed by
    somebody else. `running`: it runs again, somebody restarted it. `engine_lost`: the engine was
    away in the meantime.
    """

    exit_code: int
    reported: bool = False
    oom_killed: bool = False
    gone: bool = False
    running: bool = False
    engine_lost: bool = False


def _enough(status: int | None, memory_limited: bool) -> Ended | None:
    """The end of a command that told `status`, if the engine could not say more about it."""
    if status is None or status >= SIGNALLED or memory_limited:
        return None
    return Ended(exit_code=status, reported=True)


class Container:
    """A container that was made; `id` is known to the engine.

    `let_go` has its first process end where it is held at its end.
    """

    def __init__(
        self,
        engine: Engine,
        id_: str,
        warn: Callable[[str], None],
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self.id = id_
        self._warn = warn
        self._let_go = let_go

    async def start(self) -> None:
        """Start it. If the answer was lost, `ending` finds out whether it runs."""
        with suppress(EngineGone):
            await self._engine.start(self.id)

    async def kill(self, grace: timedelta) -> None:
        """Stop it, at once or with SIGTERM and `grace`; one that has ended is fine."""
        await self._engine.kill(self.id, grace)

    async def ending(self, output: Output, lost_after: timedelta, *, memory_limited: bool) -> Ended:
        """Wait for the end of the command, also across a restart of the engine.

        What the command tells of its end is enough, unless the engine knows more: who sent a
        signal, and whether memory ran out, for which it is asked if that is `memory_limited`.

        Raises:
            EngineGone: the engine went away and did not come back within `lost_after`.
        """
        lost = False
        while True:
            try:
                if lost and output.ended.is_set():
                    await self._catch_up(output)
                ended = await self._told(output, memory_limited)
                if ended is None:
                    # What it told may have got lost, and the engine tells of its end alone.
                    self._let_go()
                    ended = await self._wait_or_told(output, memory_limited)
                return replace(ended, engine_lost=lost)
            except EngineGone as error:
                lost = True
                self._warn("Docker does not answer; waiting for it to come back")
                await engine_back(self._engine, lost_after, error, self.id)

    async def _told(self, output: Output, memory_limited: bool) -> Ended | None:
        """What the command tells of its end, if that comes soon and is enough."""
        with anyio.move_on_after(_SOON_S):
            await output.settled.wait()
        return _enough(output.status, memory_limited)

    async def _wait_or_told(self, output: Output, memory_limited: bool) -> Ended:
        """What the engine says of the end, or the command if it is the first."""
        found: list[Ended | RunnerUnavailable] = []
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                try:
                    found.append(await self._wait())
                except RunnerUnavailable as error:
                    found.append(error)
                group.cancel_scope.cancel()

            group.start_soon(wait)
            await output.settled.wait()
            told = _enough(output.status, memory_limited)
            if told is None:
                await anyio.sleep_forever()
            else:
                found.append(told)
            group.cancel_scope.cancel()
        if isinstance(found[0], Ended):
            return found[0]
        raise found[0]

    async def _wait(self) -> Ended:
        code: int | None = None
        while True:
            try:
                with anyio.move_on_after(SECOND_OPINION_S):
                    code = await self._engine.wait(self.id)
            except EngineError as error:
                if error.status != 404:
                    raise
            found = await self._engine.inspect(self.id)
            if found is None:
                return Ended(exit_code=137 if code is None else code, gone=True)
            state: Mapping[str, Any] = found["State"]
            if state.get("Status") in ("exited", "dead"):
                # The engine's log of the end is the truth, `wait` may be of an earlier one.
                return Ended(
                    exit_code=int(state["ExitCode"]), oom_killed=bool(state.get("OOMKilled"))
                )
            if state.get("Status") == "created":
                # The engine went away before it was started (reliability 0.1).
                await self._engine.start(self.id)
                continue
            if code is not None and state.get("Running"):
                return Ended(exit_code=code, running=True)

    async def _catch_up(self, output: Output) -> None:
        """Emit what was printed while the engine was away, and follow on if it still runs."""
        try:
            if await output.catch_up(self._engine, self.id):
                return
        except EngineError:
            # No such container, or no log: the next look at it says which.
            pass
        self._warn("Docker was away: some lines may be missing or doubled")


async def engine_back(
    engine: Engine, lost_after: timedelta, error: RunnerUnavailable, container: str = ""
) -> None:
    """Wait for an engine that went away; `error` tells of that.

    `container` is the one that may still run there, empty if there is none.

    Raises:
        EngineGone: it did not come back within `lost_after`.
    """
    pause_s = 0.5
    with anyio.move_on_after(lost_after.total_seconds()):
        while not await engine.answers():
            await anyio.sleep(pause_s)
            pause_s = min(pause_s * 2, 30)
        return
    rest = f"; container {container[:12]} may still run there" if container else ""
    raise EngineGone(
        f"Docker was lost while the task ran, and did not come back within"
        f" {lost_after.total_seconds():.0f} s{rest}\n{error}"
    )


@asynccontextmanager
async def made(
    engine: Engine,
    request: Mapping[str, Any],
    name: str,
    *,
    keep: Callable[[], bool],
    warn: Callable[[str], None],
) -> AsyncGenerator[str]:
    """A container made by `request`, by its id; removed at the end unless `keep()` holds.

    Whatever happens in between, also to the answer that says that it was made, it is removed.
    `warn` is told if that cannot be done.
    """
    run: str = request["Labels"][RUN_LABEL]
    try:
        id_ = await _created(engine, request, name, run)
    except EngineError:
        # Refused: nothing was made.
        raise
    except BaseException:
        with anyio.move_on_after(CLEANUP_LIMIT.total_seconds(), shield=True):
            half_made = await _lookup(engine, name, run, _LOOKUP_PAUSES_S)
            if half_made is not None:
                await remove(engine, half_made, warn)
        raise
    failpoint("container.created")
    pauses_s = _REMOVE_PAUSES_S
    try:
        yield id_
    except EngineGone:
        # It has been waited for long enough.
        pauses_s = ()
        raise
    finally:
        if not keep():
            with anyio.move_on_after(CLEANUP_LIMIT.total_seconds(), shield=True):
                await remove(engine, id_, warn, pauses_s)


async def remove(
    engine: Engine,
    id_: str,
    warn: Callable[[str], None],
    pauses_s: Sequence[float] = _REMOVE_PAUSES_S,
) -> None:
    """Remove a container; an engine that is being restarted is waited for."""
    for pause_s in (*pauses_s, None):
        try:
            await engine.remove(id_)
            return failpoint("container.removed")
        except EngineGone as error:
            if pause_s is None:
                return warn(f"Container {id_[:12]} could not be removed: {error}")
            await anyio.sleep(pause_s)
        except EngineError as error:
            return warn(f"Container {id_[:12]} could not be removed: {error.text}")
    return None


async def _created(engine: Engine, request: Mapping[str, Any], name: str, run: str) -> str:
    try:
        return await engine.create(request, name)
    except EngineGone:
        # The answer was lost, the container may be there (reliability B8).
        found = await _lookup(engine, name, run, (0.2,))
        if found is None:
            raise
        return found
    except EngineError as error:
        if error.status != 409:
            raise
        # Kept from an earlier run with `delete: false`, or none of ours.
        return await engine.create(request, f"{name}-{token_hex(4)}")


async def _lookup(engine: Engine, name: str, run: str, pauses_s: tuple[float, ...]) -> str | None:
    """The id of the container of this name, if it is the one of this run."""
    for pause_s in pauses_s:
        await anyio.sleep(pause_s)
        try:
            found = await engine.inspect(name)
        except RunnerUnavailable:
            continue
        if found is not None:
            labels: Mapping[str, str] = found["Config"].get("Labels") or {}
            return str(found["Id"]) if labels.get(RUN_LABEL) == run else None
    return None

"""What was behind a container's ending, beyond its exit code."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from runner.runners.base import Outcome
from runner.runners.docker_client import Engine, EngineGone
from runner.runners.docker_container import Container, Ended
from runner.runners.docker_options import DockerOptions

_ENGINE_GOES_TRIES = 8
_ENGINE_GOES_PAUSE_S = 0.25
"""An engine that is being stopped may still answer for a while (reliability B1)."""

_MEMORY_TRIES = 4
_MEMORY_PAUSE_S = 0.25
"""The kernel tells the engine of an end and of a lack of memory in two ways: either may be late."""


async def judged(
    engine: Engine,
    container: Container,
    ended: Ended,
    options: DockerOptions,
    started: float,
    warn: Callable[[str], None],
) -> Outcome:
    """The outcome of a container that ended; `started` is the unix time of its start."""
    code = ended.exit_code
    if ended.reported:
        return _plain(code, container, options)
    if ended.gone:
        return Outcome(
            exit_code=code,
            reason="container_gone",
            hint="the container was removed by somebody else",
        )
    if ended.running:
        return Outcome(
            exit_code=code,
            reason="restarted_outside",
            hint="the container was restarted by somebody else",
        )
    if ended.oom_killed and code == 137:
        return Outcome(exit_code=code, reason="oom", hint=_out_of_memory(options))
    if ended.oom_killed:
        warn("A child process was killed because the container ran out of memory")
    if code >= 128 and await _was_signalled(engine, container, started):
        if ended.engine_lost or await _is_stopping(engine):
            return Outcome(
                exit_code=code, reason="engine_stopped", hint="Docker was stopped meanwhile"
            )
        return Outcome(
            exit_code=code,
            reason="killed_outside",
            hint="the container was killed by somebody else",
        )
    if code == 137 and options.memory is not None and await _lacked(engine, container, started):
        return Outcome(exit_code=code, reason="oom", hint=_out_of_memory(options))
    return _plain(code, container, options)


def _plain(code: int, container: Container, options: DockerOptions) -> Outcome:
    """The outcome that is the command's own doing."""
    if code == 0:
        return Outcome(exit_code=0, details={"containerId": container.id})
    return Outcome(exit_code=code, hint=_advice(code, options.image or ""))


def _out_of_memory(options: DockerOptions) -> str:
    if options.memory is None:
        return "the machine ran out of memory"
    limit = f"{options.memory / 1024**2:.0f} MB"
    return f"ran out of memory (limit {limit}): raise taskRunner.memory.memory"


def _advice(code: int, image: str) -> str:
    if code == 127:
        return f"a command was not found: is it installed in image {image}?"
    if code == 126:
        return "a command was found but may not be executed"
    return ""


async def _was_signalled(engine: Engine, container: Container, started: float) -> bool:
    """Whether the engine was told to signal the container; we did not."""
    try:
        # The clock of a remote engine may be a little off.
        return await engine.events(container.id, "kill", started - 60, time.time()) > 0
    except EngineGone:
        return True


async def _lacked(engine: Engine, container: Container, started: float) -> bool:
    """Whether the container lacked memory, told of too late for the engine's note of its end."""
    for _ in range(_MEMORY_TRIES):
        try:
            if await engine.events(container.id, "oom", started - 60, time.time()):
                return True
        except EngineGone:
            return False
        await anyio.sleep(_MEMORY_PAUSE_S)
    return False


async def _is_stopping(engine: Engine) -> bool:
    """Whether the engine goes away now."""
    for _ in range(_ENGINE_GOES_TRIES):
        if not await engine.answers():
            return True
        await anyio.sleep(_ENGINE_GOES_PAUSE_S)
    return False

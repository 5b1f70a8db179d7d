"""The container of a command that an earlier Eyas was about to run, and whether it had begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio

from runner.runners.docker_archive import read_file
from runner.runners.docker_client import Engine, EngineError
from runner.runners.docker_entry import SIDE, UNUSED, UNUSED_STATUS
from runner.runners.intents import Intent, Left
from runner.runners.maker import RUN_LABEL
from runner.runners.side_file import SideFolder

_NOTICES_S = 5
"""A first process that waits ends at once when nobody holds its input; an engine may be slow."""


async def left_by(engine: Engine, intent: Intent) -> Left | None:
    """The container made for `intent`; None if there is none.

    Raises:
        RunnerUnavailable: the engine does not answer.
    """
    for found in await engine.labelled(f"{RUN_LABEL}={intent.run}"):
        container = await engine.inspect(str(found["Id"]))
        if container is not None:
            return await _settled(engine, Left(intent=intent, container=container))
    return None


async def _settled(engine: Engine, left: Left) -> Left:
    """The same, when it is known whether the command had begun."""
    if not left.container["Config"].get("OpenStdin"):
        # It began with its command.
        return left
    if left.intent.started is None and left.status == "running":
        with anyio.move_on_after(_NOTICES_S):
            await engine.wait(left.id)
        container = await engine.inspect(left.id)
        if container is not None:
            left = replace(left, container=container)
    state: Mapping[str, Any] = left.container["State"]
    if left.status != "exited" or state["ExitCode"] != UNUSED_STATUS:
        return left
    side = SideFolder.at(left.intent.folder)
    unused = await says_unused(engine, left.id, side, shared=left.shares_folder)
    return replace(left, unused=unused)


async def says_unused(engine: Engine, container: str, side: SideFolder, *, shared: bool) -> bool:
    """Whether the shell that waited in a container said that it had no command.

    `shared`: its private folder is mounted.
    """
    if shared:
        return (side.path / UNUSED).exists()
    try:
        await read_file(engine, container, f"{SIDE}/{UNUSED}", 1)
    except EngineError:
        return False
    return True

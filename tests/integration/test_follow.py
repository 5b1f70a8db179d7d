"""Following executions and logs as server-sent events."""

from __future__ import annotations

import json
from typing import Any

import anyio
from live_daemon import Daemon

SLOW = """\
id: slow
namespace: t
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Pause
  - {id: say, type: io.kestra.plugin.core.log.Log, message: [one, "two ü", three]}
"""


async def frames(daemon: Daemon, path: str, until: str = "end") -> list[tuple[str, Any]]:
    """The frames of a stream up to the first of kind `until`; the stream must then end."""
    found: list[tuple[str, Any]] = []
    async with daemon.session.get(f"{daemon.api}{path}") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        kind = ""
        async for raw in response.content:
            line = raw.decode().rstrip("\n")
            if line.startswith("id: "):
                kind = line[4:]
            elif line.startswith("data: "):
                found.append((kind, json.loads(line[6:])))
                if kind == until and until != "end":
                    return found
    return found


async def begun(daemon: Daemon) -> str:
    """An execution that is paused."""
    await daemon.deploy(SLOW)
    execution_id = (await daemon("POST", "/executions/t/slow")).json["id"]
    await daemon.until(f"/executions/{execution_id}", lambda e: e["state"]["current"] == "PAUSED")
    return execution_id


async def test_a_follower_sees_every_step_in_order_and_one_end(daemon: Daemon) -> None:
    execution_id = await begun(daemon)
    found: list[tuple[str, Any]] = []

    async def follow() -> None:
        found.extend(await frames(daemon, f"/executions/{execution_id}/follow"))

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await frames(daemon, f"/executions/{execution_id}/follow", until="start")
        await daemon("POST", f"/executions/{execution_id}/resume")

    kinds = [kind for kind, _ in found]
    assert (kinds[0], kinds[-1], kinds.count("end")) == ("start", "end", 1)
    assert set(kinds[1:-1]) <= {"progress"}
    lengths = [len(document["state"]["histories"]) for _, document in found]
    assert lengths == sorted(lengths)
    assert found[0][1]["state"]["current"] == "PAUSED"
    assert found[-1][1]["state"]["current"] == "SUCCESS"


async def test_following_what_has_ended_gives_its_ending(daemon: Daemon) -> None:
    execution_id = await begun(daemon)
    await daemon("DELETE", f"/executions/{execution_id}/kill")
    await daemon.until(f"/executions/{execution_id}", lambda e: e["state"]["current"] == "KILLED")

    found = await frames(daemon, f"/executions/{execution_id}/follow")

    assert [kind for kind, _ in found] == ["start", "end"]


async def test_many_followers_each_see_the_end(daemon: Daemon) -> None:
    execution_id = await begun(daemon)
    ends: list[str] = []

    async def follow() -> None:
        found = await frames(daemon, f"/executions/{execution_id}/follow")
        ends.append(found[-1][1]["state"]["current"])

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(follow)
        await frames(daemon, f"/executions/{execution_id}/follow", until="start")
        await daemon("POST", f"/executions/{execution_id}/resume")

    assert ends == ["SUCCESS"] * 50


async def test_log_lines_come_while_the_execution_runs(daemon: Daemon) -> None:
    execution_id = await begun(daemon)
    seen: list[str] = []

    async def follow() -> None:
        async with daemon.session.get(f"{daemon.api}/logs/{execution_id}/follow") as response:
            async for raw in response.content:
                if raw.startswith(b"data: {") and (line := json.loads(raw[6:])):
                    seen.append(line["message"])
                    if len(seen) == 3:
                        return

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await daemon("POST", f"/executions/{execution_id}/resume")

    assert seen == ["one", "two ü", "three"]


async def test_a_follower_that_leaves_does_no_harm(daemon: Daemon) -> None:
    execution_id = await begun(daemon)
    for _ in range(20):
        await frames(daemon, f"/executions/{execution_id}/follow", until="start")

    await daemon("POST", f"/executions/{execution_id}/resume")

    await daemon.until(f"/executions/{execution_id}", lambda e: e["state"]["current"] == "SUCCESS")

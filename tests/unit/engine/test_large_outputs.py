"""An output of megabytes: others have their turn while it is read."""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint

from runner.engine.journal import Journal, utc_now
from runner.engine.output import Reader
from runner.loading.flow import load
from runner.model.execution import Execution, TaskRun
from runner.model.state import History, State
from runner.runners.base import Stream
from runner.runners.side_file import SideFolder
from runner.store.memory import MemoryStore

MARKER = f"::{json.dumps({'outputs': {'x': 'y' * (4 << 20)}}, separators=(',', ':'))}::"
FLOW = load(
    "id: f\nnamespace: t\ntasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: m}]"
)


async def turns_during(work: Callable[[], Awaitable[object]]) -> int:
    """How many turns somebody else has before `work` comes back."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(others)
        await work()
        group.cancel_scope.cancel()
    return turns


def reader() -> Reader:
    history = History.begin(State.RUNNING, utc_now())
    execution = Execution(id="e", namespace="t", flow_id="f", flow_revision=1, history=history)
    run = TaskRun(
        id="r", execution_id="e", namespace="t", flow_id="f", task_id="t", history=history
    )
    journal = Journal(FLOW, execution, MemoryStore(), runs=[run])
    return Reader(journal, FLOW.tasks[0], run, docker=False)


async def test_others_have_their_turn_while_a_marker_is_read_from_a_stream() -> None:
    read = reader()

    turns = await turns_during(lambda: read.emit(Stream.STDOUT, f"{MARKER}\n".encode()))

    assert turns > 0
    assert len(read.vars["x"]) == 4 << 20


async def test_others_have_their_turn_while_a_side_file_is_read(tmp_path: Path) -> None:
    data = MARKER.encode()
    found: list[str] = []
    with SideFolder(tmp_path) as side:
        side.file.write_bytes(b"m 1 1 %08x %s\n" % (crc32(data), data))

        async def work() -> None:
            found.extend(await side.markers())

        assert await turns_during(work) > 0
    assert found == [MARKER]


async def test_an_output_of_fifty_megabytes_is_no_text_of_the_log() -> None:
    read = reader()
    text = json.dumps({"outputs": {"x": "y" * 50_000_000}}, separators=(",", ":"))

    await read.emit(Stream.STDOUT, f"::{text}::\n".encode())

    assert len(read.vars["x"]) == 50_000_000

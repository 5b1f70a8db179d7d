"""Executions that stop before a task, for people who look at them step by step."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from runner.errors import Conflict
from runner.model.execution import Breakpoint, Level
from runner.model.state import State
from runner.settings import Settings
from runner.testing import Bench, MemoryStore, bench

C = "io.kestra.plugin.core"
FLOW = f"""
id: f
namespace: tests
tasks:
  - {{id: one, type: {C}.debug.Return, format: one}}
  - id: each
    type: {C}.flow.ForEach
    values: [a, b]
    tasks: [{{id: two, type: {C}.debug.Return, format: "{{{{ taskrun.value }}}}"}}]
  - {{id: three, type: {C}.debug.Return, format: three}}
"""


async def begun(opened: Bench, *breakpoints: str) -> str:
    """The id of an execution that stops there."""
    points = [Breakpoint.read(text) for text in breakpoints]
    return (await opened.engine.start(opened.flow, breakpoints=points)).id


async def test_an_execution_stops_before_the_task_and_goes_on() -> None:
    with anyio.fail_after(10):
        async with bench(FLOW) as opened:
            id_ = await begun(opened, "each", "two.b", "three")
            stopped = await opened.until_state(id_, State.BREAKPOINT)
            await opened.engine.resume_from_breakpoint(id_)
            again = await opened.until_task(id_, "three", State.BREAKPOINT)
            await opened.engine.resume_from_breakpoint(id_)
            ended = await opened.ended(id_)
            with pytest.raises(Conflict):
                await opened.engine.resume_from_breakpoint(id_)

    # Only tasks that do something have breakpoints: `each` is none.
    assert stopped.states["two[a]"] is State.SUCCESS
    assert stopped.states["two[b]"] is State.BREAKPOINT
    assert "three" not in stopped.states
    assert again.execution.breakpoints == (Breakpoint("each"), Breakpoint("three"))
    assert ended.state is State.SUCCESS
    assert ended.history_of("three") == [
        State.CREATED,
        State.BREAKPOINT,
        State.CREATED,
        State.SUBMITTED,
        State.RUNNING,
        State.SUCCESS,
    ]
    assert ended.logs(Level.INFO).count("Flow is suspended at a breakpoint.") == 2


async def test_other_breakpoints_can_be_given_when_it_goes_on() -> None:
    with anyio.fail_after(10):
        async with bench(FLOW) as opened:
            id_ = await begun(opened, "one", "three")
            await opened.until_state(id_, State.BREAKPOINT)
            await opened.engine.resume_from_breakpoint(id_, [Breakpoint("two")])
            first = await opened.until_task(id_, "two[a]", State.BREAKPOINT)
            await opened.engine.resume_from_breakpoint(id_, [])
            ended = await opened.ended(id_)

    assert first.execution.breakpoints == (Breakpoint("two"),)
    assert ended.state is State.SUCCESS


async def test_an_execution_at_a_breakpoint_can_be_killed() -> None:
    with anyio.fail_after(10):
        async with bench(FLOW) as opened:
            id_ = await begun(opened, "two")
            await opened.until_state(id_, State.BREAKPOINT)
            await opened.engine.kill(id_)
            ended = await opened.ended(id_)

    assert ended.state is State.KILLED
    assert ended.states["two[a]"] is State.KILLED


async def test_a_breakpoint_survives_a_crash(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, task_runner="process", environ={})
    store = MemoryStore()
    with anyio.fail_after(10):
        async with bench(FLOW, settings=settings, store=store) as opened:
            id_ = await begun(opened, "three")
            await opened.until_state(id_, State.BREAKPOINT)
        async with bench(FLOW, settings=settings, store=store) as opened:
            assert await opened.engine.recover() == [id_]
            waiting = await opened.seen(id_)
            await opened.engine.resume_from_breakpoint(id_)
            ended = await opened.ended(id_)

    assert (waiting.state, ended.state) == (State.BREAKPOINT, State.SUCCESS)

"""Executions that start when a script or a server's answer says so."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anyio
import pytest
from trigger_bench import Clock, TriggerBench, condition, flow, name_of, opened, variables

from runner.errors import NotFound
from runner.model.execution import Execution, Label, Level
from runner.model.state import State
from runner.runners.base import Command, Emit, Outcome, Stream
from runner.testing import FakeRunner, FakeRunners, MemoryStore

VARS = '::{"outputs": {"rows": 5, "name": "x"}}::'


def script(wanted: str, more: str = "") -> str:
    """The YAML of a ScriptTrigger."""
    core = "io.kestra.plugin.scripts.shell.ScriptTrigger"
    return f'type: {core}, script: "true", exitCondition: "{wanted}"' + (
        f", {more}" if more else ""
    )


async def looks(bench: TriggerBench, times: int = 1) -> int:
    """Have the trigger look so many times; gives the number of executions."""
    for _ in range(times):
        await bench.triggers.poll(name_of())
        await bench.go()
    return len(await bench.made())


async def test_a_script_that_meets_the_condition_starts_an_execution() -> None:
    runners = FakeRunners(FakeRunner(stdout=f"{VARS}\n"))
    async with opened(flow(script("rows=5", "labels: {by: script}")), runners=runners) as bench:
        assert await looks(bench) == 1
        (made,) = await bench.made()

    assert variables(made) == {
        "timestamp": "2026-01-20T09:00:00Z",
        "condition": "rows=5",
        "exitCode": 0,
        "vars": {"rows": 5, "name": "x"},
    }
    assert Label("by", "script") in made.execution.labels
    assert made.state is State.SUCCESS


@pytest.mark.parametrize(
    ("wanted", "code", "expected"),
    [
        ("exit 0", 0, 1),
        ("EXIT 3", 3, 1),
        ("exit 0", 3, 0),
        ("exit 3", 0, 0),
        ("name=[a-z]", 0, 1),
        ("rows=6", 0, 0),
        ("rows=5", 3, 0),
        ("rows=(", 0, 0),
    ],
)
async def test_a_condition_is_an_exit_status_or_a_pattern_in_the_variables(
    wanted: str, code: int, expected: int
) -> None:
    runners = FakeRunners(FakeRunner(code, stdout=f"{VARS}\n"))
    async with opened(flow(script(wanted)), runners=runners) as bench:
        assert await looks(bench) == expected


class Codes(FakeRunner):
    """A runner whose commands end with one status after the other."""

    def __init__(self, *codes: int) -> None:
        super().__init__(answer=self._next)
        self._codes = iter(codes)

    async def _next(self, command: Command, emit: Emit) -> Outcome:
        await emit(Stream.STDOUT, b"looking\n")
        return Outcome(exit_code=next(self._codes))


async def test_only_the_change_to_met_starts_an_execution() -> None:
    runners = FakeRunners(Codes(0, 0, 1, 0))
    async with opened(flow(script("exit 0")), runners=runners) as bench:
        assert [await looks(bench) for _ in range(4)] == [1, 1, 1, 2]


class Crash(Exception):
    """Ends an Eyas in the middle of a write, of which nothing remains."""


class Crashes(MemoryStore):
    """A store that does not come to write the first execution."""

    crashes = True

    async def save(self, execution: Execution | None, *args: Any, **more: Any) -> None:
        if execution is not None and self.crashes:
            self.crashes = False
            raise Crash
        await super().save(execution, *args, **more)


async def test_a_change_to_met_is_noted_together_with_the_execution() -> None:
    store = Crashes()
    for made in (0, 1):
        async with opened(
            flow(script("exit 0")), runners=FakeRunners(FakeRunner()), store=store
        ) as bench:
            assert await looks(bench, 2) == made
            assert [state.met for state in await store.triggers.states() if state.met] == [
                True
            ] * made


async def test_without_edge_each_look_that_meets_it_does() -> None:
    runners = FakeRunners(Codes(0, 0, 1))
    async with opened(flow(script("exit 0", "edge: false")), runners=runners) as bench:
        assert await looks(bench, 3) == 2


async def test_a_real_script_looks_at_real_things(tmp_path: object) -> None:
    trigger = script("exit 0").replace('"true"', f'"test -f {tmp_path}/ready"')
    async with opened(flow(trigger)) as bench:
        assert await looks(bench) == 0
        await anyio.Path(f"{tmp_path}/ready").touch()
        assert await looks(bench) == 1


async def test_conditions_are_looked_at_first() -> None:
    runner = FakeRunner()
    never = condition("Expression", 'expression: "false"')
    async with opened(
        flow(script("exit 0", f"conditions: [{never}]")), runners=FakeRunners(runner)
    ) as bench:
        assert await looks(bench) == 0
        assert runner.commands == []


async def test_what_goes_wrong_is_shown_if_the_trigger_asks_for_it() -> None:
    async with opened(
        flow(script("{{ nope }}")),
        flow(script("{{ nope }}", "failOnTriggerError: true"), flow_id="g"),
    ) as bench:
        await bench.triggers.poll(name_of())
        await bench.triggers.poll(name_of(flow_id="g"))
        assert await bench.made() == []
        (made,) = await bench.made("g")
        (line,) = made.logs(Level.ERROR)
        assert line.startswith("[trigger: t] Evaluate Failed with error 'Unable to find `nope`")


async def test_the_loop_looks_at_each_interval_and_waits_for_the_execution() -> None:
    clock = Clock()
    pause = "type: io.kestra.plugin.core.flow.Pause"
    runner = FakeRunner()
    async with opened(
        flow(script("exit 0", "interval: PT10S, edge: false"), task=pause),
        runners=FakeRunners(runner),
        clock=clock,
    ) as bench:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                await group.start(bench.triggers.run)
                made = await _until_made(bench, 1)
                clock.now += timedelta(minutes=1)
                bench.triggers.changed()
                await anyio.wait_all_tasks_blocked()
                assert len(runner.commands) == 1
                await bench.bench.engine.resume(made)
                await _until_made(bench, 2)
                group.cancel_scope.cancel()
    assert len(runner.commands) == 2


async def test_a_clock_that_goes_back_does_not_stop_the_looks() -> None:
    runner = FakeRunner(1)
    async with opened(flow(script("exit 0")), runners=FakeRunners(runner)) as bench:
        await bench.triggers.poll(name_of())
        bench.clock.now -= timedelta(days=365)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                await group.start(bench.triggers.run)
                while len(runner.commands) < 2:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()


async def _until_made(bench: TriggerBench, count: int) -> str:
    """Wait until there are so many executions, and the last is paused; gives its id."""
    while len(made := await bench.made()) < count:
        await anyio.lowlevel.checkpoint()
    seen = await bench.bench.until_state(made[-1].execution.id, State.PAUSED)
    return seen.execution.id


async def test_a_trigger_that_does_not_poll_is_named() -> None:
    async with opened(flow("")) as bench:
        with pytest.raises(NotFound, match=r"demo\.f\.t"):
            await bench.triggers.poll(name_of())


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = int(self.path.rpartition("/")[2])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"ready": true}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a server that answers with the status that its path names."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "more", "expected"),
    [
        ("200", "", 1),
        ("404", "", 0),
        ("200", "responseCondition: \"{{ (response.body | jq('.ready'))[0] }}\"", 1),
        ("200", 'responseCondition: "{{ response.statusCode == 201 }}"', 0),
    ],
)
async def test_an_answer_that_meets_the_condition_starts_an_execution(
    address: str, path: str, more: str, expected: int
) -> None:
    trigger = f"type: io.kestra.plugin.core.http.Trigger, uri: {address}/{path}"
    async with opened(flow(trigger + (f", {more}" if more else ""))) as bench:
        assert await looks(bench) == expected
        for made in await bench.made():
            assert variables(made)["code"] == 200
            assert variables(made)["body"] == '{"ready": true}'

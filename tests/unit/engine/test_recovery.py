"""Going on after a crash: an engine is left in the middle, another one opens its store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from runner.model.state import State
from runner.runners.base import Command, Emit, Outcome
from runner.settings import Settings
from runner.testing import Bench, Ended, FakeRunner, FakeRunners, MemoryStore, bench

C = "io.kestra.plugin.core"
SCRIPT = "type: io.kestra.plugin.scripts.shell.Script"


def flow(tasks: str, more: str = "", name: str = "f") -> str:
    return f"id: {name}\nnamespace: tests\n{more}\ntasks:\n{tasks}"


class Machine:
    """One store and one folder, on which engines come and go."""

    def __init__(self, folder: Path, *flows: str) -> None:
        self.settings = Settings(state_dir=folder, task_runner="process", environ={})
        self.store = MemoryStore()
        self.flows = flows

    @asynccontextmanager
    async def engine(self, runner: FakeRunner | None = None) -> AsyncGenerator[Bench]:
        """An engine; leaving the block is a crash: what runs is cut off where it stands."""
        runners = FakeRunners(runner, self.settings)
        async with bench(
            *self.flows, settings=self.settings, store=self.store, runners=runners
        ) as opened:
            yield opened

    async def after_crash(self, execution_id: str, runner: FakeRunner | None = None) -> Ended:
        """The execution's end under a new engine."""
        async with self.engine(runner) as opened:
            assert execution_id in await opened.engine.recover()
            return await opened.ended(execution_id)


async def endless(_: Command, __: Emit) -> Outcome:
    """A script that never ends by itself."""
    await anyio.sleep_forever()
    raise AssertionError


async def test_a_lost_script_runs_again_and_ended_tasks_do_not(tmp_path: Path) -> None:
    source = flow(
        f"""
  - {{id: one, type: {C}.debug.Return, format: "{{{{ execution.id }}}}"}}
  - {{id: two, {SCRIPT}, script: echo}}
  - {{id: three, type: {C}.debug.Return, format: "{{{{ outputs.one.value }}}}"}}
"""
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            before = await opened.until_task(execution_id, "two", State.RUNNING)
        ended = await machine.after_crash(execution_id)

    assert ended.state is State.SUCCESS
    assert ended.run("one") == before.run("one")
    assert ended.history_of("two") == [
        State.CREATED,
        State.SUBMITTED,
        State.RUNNING,
        State.RESUBMITTED,
        State.SUBMITTED,
        State.RUNNING,
        State.SUCCESS,
    ]
    assert ended.attempts_of("two") == [State.FAILED, State.SUCCESS]
    assert ended.outputs_of("three") == {"value": execution_id}
    assert ended.history == [State.CREATED, State.RUNNING, State.SUCCESS]


async def test_what_comes_after_an_execution_is_done_after_a_crash(tmp_path: Path) -> None:
    source = flow(
        f"  - {{id: main, type: {C}.log.Log, message: m}}",
        f"""
afterExecution:
  - {{id: first, type: {C}.debug.Return, format: first}}
  - {{id: lost, {SCRIPT}, script: echo}}
  - {{id: last, type: {C}.debug.Return, format: "{{{{ execution.state }}}}"}}
""",
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            before = await opened.until_task(execution_id, "lost", State.RUNNING)
        ended = await machine.after_crash(execution_id)
        async with machine.engine() as opened:
            assert await opened.engine.recover() == []

    assert before.state is State.SUCCESS
    assert ended.execution.history == before.execution.history
    assert ended.run("first") == before.run("first")
    assert ended.attempts_of("lost") == [State.FAILED, State.SUCCESS]
    assert ended.outputs_of("last") == {"value": "SUCCESS"}


async def test_what_is_lost_again_and_again_fails(tmp_path: Path) -> None:
    source = flow(
        f"  - {{id: s, {SCRIPT}, script: echo}}",
        f"errors: [{{id: e, type: {C}.log.Log, message: e}}]",
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "s", State.RUNNING)
        for _ in range(3):
            async with machine.engine(FakeRunner(answer=endless)) as opened:
                await opened.engine.recover()
                await opened.until_task(execution_id, "s", State.RUNNING)
        ended = await machine.after_crash(execution_id)

    assert ended.state is State.FAILED
    assert ended.states == {"s": State.FAILED, "e": State.SUCCESS}
    assert ended.attempts_of("s") == [State.FAILED] * 4


async def test_nothing_runs_again_if_nothing_may(tmp_path: Path) -> None:
    machine = Machine(tmp_path, flow(f"  - {{id: s, {SCRIPT}, script: echo}}"))
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "s", State.RUNNING)
        async with machine.engine() as opened:
            await opened.engine.recover(restarts=0)
            ended = await opened.ended(execution_id)

    assert ended.states == {"s": State.FAILED}


async def test_a_pause_waits_on_and_can_be_resumed(tmp_path: Path) -> None:
    source = flow(
        f"""
  - {{id: one, type: {C}.log.Log, message: one}}
  - id: seq
    type: {C}.flow.Sequential
    tasks:
      - {{id: p, type: {C}.flow.Pause, onPause: {{id: told, type: {C}.log.Log, message: told}}}}
  - {{id: two, type: {C}.log.Log, message: two}}
"""
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "told", State.SUCCESS)
        async with machine.engine() as opened:
            await opened.engine.recover()
            seen = await opened.seen(execution_id)
            await opened.engine.resume(execution_id)
            ended = await opened.ended(execution_id)

    assert seen.state is State.PAUSED
    assert ended.states == {
        "one": State.SUCCESS,
        "seq": State.SUCCESS,
        "p": State.SUCCESS,
        "told": State.SUCCESS,
        "two": State.SUCCESS,
    }
    assert ended.logs() == ["one", "told", "two"]


async def test_a_pause_that_was_over_meanwhile_goes_on_at_once(tmp_path: Path) -> None:
    source = flow(f"  - {{id: p, type: {C}.flow.Pause, pauseDuration: PT0.1S, behavior: WARN}}")
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.PAUSED)
        ended = await machine.after_crash(execution_id)

    assert ended.states == {"p": State.WARNING}


async def test_a_manual_pause_stays(tmp_path: Path) -> None:
    source = flow(
        f"  - {{id: a, {SCRIPT}, script: echo}}\n  - {{id: b, type: {C}.log.Log, message: b}}"
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "a", State.RUNNING)
            await opened.engine.pause(execution_id)
        async with machine.engine() as opened:
            await opened.engine.recover()
            seen = await opened.until_task(execution_id, "a", State.SUCCESS)
            await opened.engine.resume(execution_id)
            ended = await opened.ended(execution_id)

    assert seen.state is State.PAUSED
    assert "b" not in seen.states
    assert ended.state is State.SUCCESS


async def test_the_wait_for_a_retry_goes_on(tmp_path: Path) -> None:
    source = flow(
        f'  - {{id: t, type: {C}.execution.Fail, condition: \'{{{{ kv("go") != "yes" }}}}\', '
        "retry: {type: constant, interval: PT0.2S, maxAttempts: 2}}"
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            opened.engine.kv.set("tests", "go", "no")
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.RETRYING)
            opened.engine.kv.set("tests", "go", "yes")
        ended = await machine.after_crash(execution_id)

    assert ended.state is State.SUCCESS
    assert ended.attempts_of("t") == [State.FAILED, State.SUCCESS]
    assert ended.history == [
        State.CREATED,
        State.RUNNING,
        State.FAILED,
        State.RETRYING,
        State.RUNNING,
        State.SUCCESS,
    ]


async def test_a_retry_as_a_new_execution_is_not_lost(tmp_path: Path) -> None:
    source = flow(
        f"  - {{id: t, type: {C}.execution.Fail}}",
        "retry: {type: constant, interval: PT0.2S, maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}",
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.RETRIED)
        [_, new] = machine.store.executions_of("f")
        ended = await machine.after_crash(new.id)

    assert ended.history == [State.CREATED, State.RUNNING, State.FAILED]
    assert len(machine.store.executions_of("f")) == 2


async def test_queued_executions_keep_their_order(tmp_path: Path) -> None:
    machine = Machine(
        tmp_path, flow(f"  - {{id: p, type: {C}.flow.Pause}}", "concurrency: {limit: 1}")
    )
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            ids = [await opened.start() for _ in range(3)]
            await opened.until_state(ids[2], State.QUEUED)
        async with machine.engine() as opened:
            assert await opened.engine.recover() == ids
            for execution_id in ids:
                await opened.until_state(execution_id, State.PAUSED)
                await opened.engine.resume(execution_id)
            seen = [await opened.ended(each) for each in ids]

    assert [each.state for each in seen] == [State.SUCCESS] * 3
    assert seen[2].history[:3] == [State.CREATED, State.QUEUED, State.RUNNING]


async def test_a_kill_goes_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path, flow(f"  - {{id: s, {SCRIPT}, script: echo}}"))
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            seen = await opened.until_task(execution_id, "s", State.RUNNING)
        await machine.store.save(seen.execution.moved(State.KILLING, seen.run("s").history.start))
        ended = await machine.after_crash(execution_id)

    assert ended.history[-2:] == [State.KILLING, State.KILLED]
    assert ended.states == {"s": State.KILLED}


async def test_a_subflow_that_went_on_is_awaited_and_not_started_twice(tmp_path: Path) -> None:
    parent = flow(
        f"  - {{id: sub, type: {C}.flow.Subflow, namespace: tests, flowId: child}}",
    )
    child = flow(f"  - {{id: s, {SCRIPT}, script: echo}}", name="child")
    machine = Machine(tmp_path, parent, child)
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            while not machine.store.executions_of("child"):
                await opened.engine.changed(execution_id).wait()
            [below] = machine.store.executions_of("child")
            await opened.until_task(below.id, "s", State.RUNNING)
        ended = await machine.after_crash(execution_id)

    assert ended.state is State.SUCCESS
    assert ended.attempts_of("sub") == [State.SUCCESS]
    assert [each.state for each in machine.store.executions_of("child")] == [State.SUCCESS]


async def test_a_loop_goes_on_with_its_round(tmp_path: Path) -> None:
    source = flow(
        f"""
  - id: loop
    type: {C}.flow.LoopUntil
    condition: "{{{{ kv('go') == 'yes' and outputs.n.value == '1' }}}}"
    checkFrequency: {{interval: PT0.1S}}
    tasks: [{{id: n, type: {C}.debug.Return, format: "{{{{ taskrun.iteration }}}}"}}]
  - id: each
    type: {C}.flow.ForEach
    values: [a, b, c]
    tasks: [{{id: s, {SCRIPT}, script: echo}}]
"""
    )
    machine = Machine(tmp_path, source)

    async def second_hangs(command: Command, emit: Emit) -> Outcome:
        runner.commands.append(command)
        return Outcome(exit_code=0) if len(runner.commands) < 4 else await endless(command, emit)

    runner = FakeRunner(answer=second_hangs)
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            opened.engine.kv.set("tests", "go", "no")
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.PAUSED)
            opened.engine.kv.set("tests", "go", "yes")
        async with machine.engine(runner) as opened:
            await opened.engine.recover()
            before = await opened.until_task(execution_id, "s[b]", State.RUNNING)
        ended = await machine.after_crash(execution_id)

    assert ended.state is State.SUCCESS
    assert ended.outputs_of("loop") == {"iterationCount": 2}
    assert before.states["s[a]"] is State.SUCCESS
    assert [ended.attempts_of(f"s[{value}]") for value in "abc"] == [
        [State.SUCCESS],
        [State.FAILED, State.SUCCESS],
        [State.SUCCESS],
    ]


async def test_a_working_directory_begins_anew(tmp_path: Path) -> None:
    source = flow(
        f"""
  - id: wd
    type: {C}.flow.WorkingDirectory
    tasks:
      - {{id: a, {SCRIPT}, script: echo}}
      - {{id: b, {SCRIPT}, script: echo}}
"""
    )
    machine = Machine(tmp_path, source)

    async def hangs_at_b(command: Command, emit: Emit) -> Outcome:
        return (
            Outcome(exit_code=0) if command.owner.task_id == "a" else await endless(command, emit)
        )

    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=hangs_at_b)) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "b", State.RUNNING)
        runner = FakeRunner()
        ended = await machine.after_crash(execution_id, runner)

    assert ended.state is State.SUCCESS
    assert [command.owner.task_id for command in runner.commands] == ["a", "b"]
    assert ended.attempts_of("b") == [State.SUCCESS]


async def test_errors_that_had_begun_are_finished(tmp_path: Path) -> None:
    source = flow(
        f"""
  - id: par
    type: {C}.flow.Parallel
    tasks:
      - {{id: bad, type: {C}.execution.Fail}}
      - {{id: slow, type: {C}.flow.Sleep, duration: PT1H}}
    errors:
      - {{id: e, {SCRIPT}, script: echo}}
      - {{id: f, type: {C}.log.Log, message: f}}
"""
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine(FakeRunner(answer=endless)) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "e", State.RUNNING)
        ended = await machine.after_crash(execution_id)

    assert ended.state is State.FAILED
    assert ended.states == {
        "par": State.FAILED,
        "bad": State.FAILED,
        "slow": State.KILLED,
        "e": State.SUCCESS,
        "f": State.SUCCESS,
    }


async def test_an_execution_whose_flow_is_gone_fails_and_says_so(tmp_path: Path) -> None:
    machine = Machine(tmp_path, flow(f"  - {{id: p, type: {C}.flow.Pause}}"))
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.PAUSED)
        machine.flows = (flow(f"  - {{id: p, type: {C}.flow.Pause}}", name="other"),)
        ended = await machine.after_crash(execution_id)

    assert ended.state is State.FAILED
    assert "Unable to find flow" in ended.logs()[-1]


async def test_a_secret_input_is_masked_after_a_crash_too(tmp_path: Path) -> None:
    source = flow(
        f"""
  - {{id: p, type: {C}.flow.Pause}}
  - {{id: l, type: {C}.log.Log, message: "it is {{{{ inputs.k }}}}"}}
""",
        "inputs: [{id: k, type: STRING}, {id: s.k, type: SECRET}]",
    )
    machine = Machine(tmp_path, source)
    with anyio.fail_after(10):
        async with machine.engine() as opened:
            given = {"k": "hunter2hunter2", "s.k": "hunter2hunter2"}
            execution_id = await opened.start(inputs=given)
            await opened.until_state(execution_id, State.PAUSED)
        async with machine.engine() as opened:
            await opened.engine.recover()
            await opened.engine.resume(execution_id)
            ended = await opened.ended(execution_id)

    assert "hunter2" not in "".join(ended.logs(task="l"))

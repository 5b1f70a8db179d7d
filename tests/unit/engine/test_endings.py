"""Endings that overlap: what still runs when an execution ends, and what runs after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from runner.model.execution import Level
from runner.model.state import State
from runner.runners.base import Command, Emit, Outcome
from runner.testing import Bench, FakeRunner, FakeRunners, bench, run_flow

C = "io.kestra.plugin.core"
SCRIPT = "type: io.kestra.plugin.scripts.shell.Script"


def flow(tasks: str, more: str = "", name: str = "f") -> str:
    return f"id: {name}\nnamespace: tests\n{more}\ntasks:\n{tasks}"


async def test_a_sibling_that_runs_on_is_recorded_after_the_end_and_starts_nothing() -> None:
    released = anyio.Event()

    async def waits(command: Command, _: Emit) -> Outcome:
        await released.wait()
        return Outcome(exit_code=0)

    source = flow(
        f"""
  - id: par
    type: {C}.flow.Parallel
    tasks:
      - id: seq
        type: {C}.flow.Sequential
        tasks:
          - {{id: slow, {SCRIPT}, script: echo}}
          - {{id: never, type: {C}.log.Log, message: never}}
      - {{id: bad, type: {C}.execution.Fail}}
""",
        f"afterExecution: [{{id: after, type: {C}.log.Log, message: after}}]",
    )
    with anyio.fail_after(10):
        async with bench(source, runners=FakeRunners(FakeRunner(answer=waits))) as opened:
            execution_id = await opened.start()
            at_end = await opened.engine.wait(execution_id)
            seen = await opened.until_task(execution_id, "after", State.SUCCESS)
            released.set()
            ended = await opened.ended(execution_id)

    assert at_end.state is State.FAILED
    assert seen.states["slow"] is State.RUNNING
    assert seen.states["seq"] is State.FAILED
    assert ended.states == {
        "par": State.FAILED,
        "seq": State.FAILED,
        "bad": State.FAILED,
        "slow": State.SUCCESS,
        "after": State.SUCCESS,
    }


async def test_after_execution_runs_whole_after_an_exit() -> None:
    ended = await run_flow(
        flow(
            f"  - {{id: x, type: {C}.execution.Exit, state: KILLED}}",
            f"""
retry: {{type: constant, interval: PT0.01S, behavior: CREATE_NEW_EXECUTION}}
afterExecution:
  - id: par
    type: {C}.flow.Parallel
    tasks:
      - {{id: a, type: {C}.log.Log, message: a}}
      - id: b
        type: {C}.execution.Fail
        retry: {{type: constant, interval: PT0.01S, maxAttempts: 2}}
  - {{id: c, type: {C}.execution.Fail}}
  - {{id: p, type: {C}.flow.Pause, pauseDuration: PT0.01S}}
  - {{id: d, type: {C}.log.Log, message: "{{{{ execution.state }}}}"}}
""",
        )
    )

    assert ended.history == [State.CREATED, State.RUNNING, State.KILLED]
    assert ended.attempts_of("b") == [State.FAILED, State.FAILED]
    assert ended.states["par"] is State.FAILED
    assert ended.states["c"] is State.FAILED
    assert ended.states["p"] is State.SUCCESS
    assert ended.logs(task="d") == ["KILLED"]


async def test_an_execution_waits_for_its_date_and_can_be_killed_before() -> None:
    soon, late = (datetime.now(UTC) + timedelta(seconds=s) for s in (0.2, 3600))
    with anyio.fail_after(10):
        async with bench(flow(f"  - {{id: a, type: {C}.log.Log, message: a}}")) as opened:
            first = await opened.start(schedule_date=soon)
            second = await opened.start(schedule_date=late)
            ended = await opened.ended(first)
            waiting = await opened.seen(second)
            await opened.engine.kill(second)
            killed = await opened.ended(second)

    assert ended.state is State.SUCCESS
    assert ended.execution.history.changes[1].date >= soon
    assert waiting.history == [State.CREATED]
    assert killed.history == [State.CREATED, State.KILLING, State.KILLED]
    assert killed.runs == []


async def test_an_sla_counts_the_time_in_the_queue() -> None:
    source = flow(
        f"  - {{id: p, type: {C}.flow.Pause}}",
        """
concurrency: {limit: 1}
sla: [{id: quick, type: MAX_DURATION, duration: PT0.2S, behavior: CANCEL}]
""",
    )
    blocker = source.replace("PT0.2S", "PT1H")
    with anyio.fail_after(10):
        async with bench(source, blocker) as opened:
            first = await opened.engine.start(opened.flows[1])
            await opened.until_state(first.id, State.PAUSED)
            second = await opened.start()
            ended = await opened.ended(second)

    assert ended.history == [State.CREATED, State.QUEUED, State.CANCELLED]


async def test_an_sla_rewrites_the_last_run_when_it_fails_the_execution() -> None:
    assertion = "{{ (tasks.a.state ?? '') != 'SUCCESS' }}"
    ended = await run_flow(
        flow(
            f"""
  - {{id: a, type: {C}.log.Log, message: a}}
  - {{id: b, type: {C}.flow.Pause}}
""",
            f'sla: [{{id: s, type: EXECUTION_ASSERTION, behavior: FAIL, assert: "{assertion}"}}]',
        )
    )

    assert ended.state is State.FAILED
    assert "SLA 's' violated: assertion is false" in ended.logs()[1]
    assert ended.states == {"a": State.FAILED}
    assert ended.attempts_of("a") == [State.SUCCESS]


async def test_an_sla_rewrites_the_last_run_when_it_cancels_the_execution_too() -> None:
    assertion = "{{ (tasks.a.state ?? '') != 'SUCCESS' }}"
    ended = await run_flow(
        flow(
            f"""
  - {{id: a, type: {C}.log.Log, message: a}}
  - {{id: b, type: {C}.flow.Pause}}
""",
            f'sla: [{{id: s, type: EXECUTION_ASSERTION, behavior: CANCEL, assert: "{assertion}"}}]',
        )
    )

    assert ended.history_of("a")[-2:] == [State.SUCCESS, State.CANCELLED]


async def test_an_execution_that_breaks_its_promise_from_the_start_never_runs() -> None:
    ended = await run_flow(
        flow(
            f"  - {{id: a, type: {C}.log.Log, message: a}}",
            'sla: [{id: s, type: EXECUTION_ASSERTION, behavior: CANCEL, assert: "{{ false }}"}]',
        )
    )

    assert ended.history == [State.CREATED, State.CANCELLED]
    assert ended.runs == []


async def test_an_assertion_that_cannot_be_rendered_is_ignored() -> None:
    ended = await run_flow(
        flow(
            f"""
  - {{id: a, type: {C}.debug.Return, format: a}}
  - {{id: b, type: {C}.log.Log, message: b}}
""",
            """
sla:
  - {id: s, type: EXECUTION_ASSERTION, behavior: FAIL, assert: "{{ outputs.a.value == 'a' }}"}
  - {id: t, type: EXECUTION_ASSERTION, behavior: NONE, assert: "{{ tasks.b is not defined }}"}
""",
        )
    )

    assert ended.state is State.SUCCESS
    cause = "Could not perform equals comparison ({{ outputs.a.value == 'a' }}:1)"
    pebble = "io.pebbletemplates.pebble.error.PebbleException"
    assert ended.logs(Level.ERROR) == [f"Ignoring SLA 's' because of the error: {pebble}: {cause}"]
    assert [text for text in ended.logs() if "SLA 't' violated" in text] != []


@pytest.mark.parametrize("state", ["SUCCESS", "WARNING", "FAILED", "CANCELED"])
async def test_an_exit_leaves_running_siblings_alone(state: str) -> None:
    async def waits(_: Command, __: Emit) -> Outcome:
        await released.wait()
        return Outcome(exit_code=0)

    released = anyio.Event()
    source = flow(
        f"""
  - id: par
    type: {C}.flow.Parallel
    tasks:
      - {{id: slow, {SCRIPT}, script: echo}}
      - {{id: x, type: {C}.execution.Exit, state: {state}}}
  - {{id: never, type: {C}.log.Log, message: never}}
"""
    )
    wanted = State.CANCELLED if state == "CANCELED" else State(state)
    with anyio.fail_after(10):
        async with bench(source, runners=FakeRunners(FakeRunner(answer=waits))) as opened:
            execution_id = await opened.start()
            await opened.until_state(execution_id, wanted)
            released.set()
            ended = await opened.ended(execution_id)

    assert ended.states == {"par": wanted, "slow": State.SUCCESS, "x": wanted}


async def test_a_bug_in_a_task_fails_the_task_and_spares_other_executions() -> None:
    async def broken(_: Command, __: Emit) -> Outcome:
        raise ZeroDivisionError

    source = flow(
        f"  - {{id: s, {SCRIPT}, script: echo, allowFailure: true}}\n"
        f"  - {{id: l, type: {C}.log.Log, message: l}}"
    )
    ended = await run_flow(source, runners=FakeRunners(FakeRunner(answer=broken)))

    assert ended.states == {"s": State.WARNING, "l": State.SUCCESS}
    assert ended.logs(task="s") == ["Internal error of Eyas: ZeroDivisionError()"]


async def test_a_kill_at_each_moment_leaves_nothing_unended() -> None:
    source = flow(
        f"""
  - {{id: v, type: {C}.execution.SetVariables, variables: {{a: 1}}}}
  - id: each
    type: {C}.flow.ForEach
    concurrencyLimit: 0
    values: [a, b]
    tasks:
      - id: when
        type: {C}.flow.If
        condition: "{{{{ true }}}}"
        then: [{{id: s, {SCRIPT}, script: echo}}]
      - {{id: sub, type: {C}.flow.Subflow, namespace: tests, flowId: child}}
  - {{id: loop, type: {C}.flow.LoopUntil, condition: "{{{{ outputs.n.value == '1' }}}}",
     checkFrequency: {{interval: PT0.001S}},
     tasks: [{{id: n, type: {C}.debug.Return, format: "{{{{ taskrun.iteration }}}}"}}]}}
  - {{id: bad, type: {C}.execution.Fail, allowFailure: true,
     retry: {{type: constant, interval: PT0.001S, maxAttempts: 2}}}}
""",
        f"finally: [{{id: fin, type: {C}.log.Log, message: fin}}]",
    )
    child = flow(f"  - {{id: l, type: {C}.log.Log, message: l}}", name="child")
    moments, change, hops, whole = 0, 0, 0, False
    with anyio.fail_after(50):
        while not whole:
            async with bench(source, child, runners=FakeRunners()) as opened:
                execution_id = await opened.start()
                await pass_changes(opened, execution_id, change)
                more = await hop(opened, execution_id, hops)
                before = await opened.seen(execution_id)
                whole = hops == 0 and before.state.is_terminal
                await opened.engine.kill_if_running(execution_id)
                ended = await opened.ended(execution_id)
                children = [
                    await opened.ended(each.execution.id)
                    for each in await opened.executions_of("child")
                ]
            moment = (change, hops)
            assert {run.state.is_terminal for run in ended.runs} <= {True}, (moment, ended.states)
            assert all(each.state.is_terminal for each in children)
            if not before.state.is_terminal:
                assert ended.state is State.KILLED, moment
                assert ("fin" in ended.states) == ("fin" in before.states), moment
            moments += 1
            change, hops = (change, hops + 1) if more else (change + 1, 0)
    assert moments > 20


async def pass_changes(opened: Bench, execution_id: str, number: int) -> None:
    """Wait until so much has changed in an execution, or it has ended."""
    for _ in range(number):
        driver = opened.engine.live.get(execution_id)
        if driver is None or driver.journal.execution.state.is_terminal:
            return
        await opened.engine.changed(execution_id).wait()


async def hop(opened: Bench, execution_id: str, number: int) -> bool:
    """Let everything have its turn so often; whether it may be more before the next change.

    What waits for a thread or a clock ends when chance has it, so there is a limit to it.
    """
    changed = opened.engine.changed(execution_id)
    for _ in range(number):
        await anyio.lowlevel.checkpoint()
    return not changed.is_set() and number < 20

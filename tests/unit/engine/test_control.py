"""Killing, pausing, resuming, restarting and replaying executions (flow-model 3.12)."""

from __future__ import annotations

import anyio
import pytest

from runner.errors import Conflict, InputInvalid, NotFound
from runner.model.execution import Level
from runner.model.state import State
from runner.testing import bench

C = "io.kestra.plugin.core"


def flow(tasks: str, more: str = "", name: str = "f") -> str:
    return f"id: {name}\nnamespace: tests\n{more}\ntasks:\n{tasks}"


SLOW = flow(
    f"""
  - id: par
    type: {C}.flow.Parallel
    tasks:
      - {{id: slow, type: {C}.flow.Sleep, duration: PT1H}}
      - {{id: quick, type: {C}.log.Log, message: quick}}
  - {{id: never, type: {C}.log.Log, message: never}}
""",
    f"""
errors: [{{id: never2, type: {C}.log.Log, message: never}}]
finally: [{{id: never3, type: {C}.log.Log, message: never}}]
afterExecution: [{{id: after, type: {C}.log.Log, message: "{{{{ execution.state }}}}"}}]
""",
)


async def test_a_kill_stops_running_tasks_and_runs_only_after_execution() -> None:
    with anyio.fail_after(10):
        async with bench(SLOW) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "slow", State.RUNNING)
            await opened.engine.kill(execution_id)
            ended = await opened.ended(execution_id)

    assert ended.history == [State.CREATED, State.RUNNING, State.KILLING, State.KILLED]
    assert ended.states == {
        "par": State.KILLED,
        "slow": State.KILLED,
        "quick": State.SUCCESS,
        "after": State.SUCCESS,
    }
    assert ended.attempts_of("slow") == [State.KILLED]


async def test_what_has_ended_cannot_be_killed() -> None:
    async with bench(flow(f"  - {{id: a, type: {C}.log.Log, message: a}}")) as opened:
        execution_id = await opened.start()
        await opened.ended(execution_id)
        with pytest.raises(Conflict):
            await opened.engine.kill(execution_id)
        with pytest.raises(NotFound):
            await opened.engine.kill("nobody")


async def test_a_kill_during_the_wait_for_a_retry_ends_the_task_killed() -> None:
    source = flow(
        f"  - {{id: bad, type: {C}.execution.Fail, retry: "
        "{type: constant, interval: PT1H, maxAttempts: 5}}"
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.RETRYING)
            await opened.engine.kill(execution_id)
            ended = await opened.ended(execution_id)

    assert ended.state is State.KILLED
    assert ended.states == {"bad": State.KILLED}


async def test_a_kill_of_a_paused_execution_shows_on_the_pause() -> None:
    source = flow(f"  - {{id: p, type: {C}.flow.Pause}}\n  - {{id: n, type: {C}.log.Log}}")
    source = source.replace("Log}", "Log, message: n}")
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.PAUSED)
            await opened.engine.kill(execution_id)
            ended = await opened.ended(execution_id)

    assert ended.history[-4:] == [State.PAUSED, State.RESTARTED, State.KILLING, State.KILLED]
    assert ended.states == {"p": State.KILLED}
    assert ended.outputs_of("p")["resumed"]["to"] == "KILLING"


async def test_a_kill_reaches_the_subflows_of_subflows() -> None:
    sub = f"  - {{id: s, type: {C}.flow.Subflow, namespace: tests, flowId: "
    flows = [
        flow(sub + "middle}", name="top"),
        flow(sub + "bottom}", name="middle"),
        flow(f"  - {{id: slow, type: {C}.flow.Sleep, duration: PT1H}}", name="bottom"),
    ]
    with anyio.fail_after(10):
        async with bench(*flows) as opened:
            execution_id = await opened.start()
            while not opened.store.executions_of("bottom"):
                await opened.engine.changed(execution_id).wait()
            bottom = opened.store.executions_of("bottom")[0].id
            await opened.until_task(bottom, "slow", State.RUNNING)
            await opened.engine.kill(execution_id)
            ended = await opened.ended(execution_id)
            [middle] = await opened.executions_of("middle")
            await opened.ended(middle.execution.id)
            below = await opened.ended(bottom)

    assert ended.state is State.KILLED
    assert ended.outputs_of("s") == {"executionId": middle.execution.id, "state": "KILLED"}
    assert below.state is State.KILLED
    assert below.states == {"slow": State.KILLED}


async def test_a_manual_pause_lets_running_tasks_finish_and_starts_nothing() -> None:
    source = flow(
        f"  - {{id: a, type: {C}.flow.Sleep, duration: PT0.05S}}\n"
        f"  - {{id: b, type: {C}.log.Log, message: b}}"
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "a", State.RUNNING)
            await opened.engine.pause(execution_id)
            paused = await opened.until_task(execution_id, "a", State.SUCCESS)
            with pytest.raises(Conflict):
                await opened.engine.pause(execution_id)
            await opened.engine.resume(execution_id)
            ended = await opened.ended(execution_id)

    assert paused.state is State.PAUSED
    assert "b" not in paused.states
    assert ended.state is State.SUCCESS
    assert ended.history[-3:] == [State.PAUSED, State.RUNNING, State.SUCCESS]


async def test_a_resume_wants_the_inputs_of_the_pause() -> None:
    source = flow(
        f"""
  - {{id: p, type: {C}.flow.Pause, onResume: [{{id: n, type: INT}}]}}
  - {{id: r, type: {C}.debug.Return, format: "{{{{ outputs.p.onResume.n + 1 }}}}"}}
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            with pytest.raises(Conflict):
                await opened.engine.resume(execution_id)
            await opened.until_state(execution_id, State.PAUSED)
            with pytest.raises(InputInvalid):
                await opened.engine.resume(execution_id, {"n": "x"})
            still = await opened.seen(execution_id)
            await opened.engine.resume(execution_id, {"n": "4"})
            ended = await opened.ended(execution_id)

    assert still.state is State.PAUSED
    assert ended.outputs_of("r") == {"value": "5"}


FLAKY = flow(
    f"""
  - {{id: one, type: {C}.log.Log, message: one}}
  - id: may
    type: {C}.flow.AllowFailure
    tasks: [{{id: soft, type: {C}.execution.Fail}}]
  - id: seq
    type: {C}.flow.Sequential
    tasks: [{{id: bad, type: {C}.execution.Fail, condition: "{{{{ kv('go') != 'yes' }}}}"}}]
  - {{id: last, type: {C}.log.Log, message: "{{{{ taskrun.attemptsCount }}}}"}}
""",
    f"errors: [{{id: eh, type: {C}.log.Log, message: eh}}]",
)


async def test_a_restart_runs_the_failed_task_again_and_what_follows() -> None:
    with anyio.fail_after(10):
        async with bench(FLAKY, kv={"go": "no"}) as opened:
            execution_id = await opened.start()
            first = await opened.ended(execution_id)
            opened.engine.kv.set("tests", "go", "yes")
            again = await opened.engine.restart(execution_id)
            ended = await opened.ended(execution_id)

    assert first.state is State.FAILED
    assert first.states["eh"] is State.SUCCESS
    assert again.id == execution_id
    # What failed inside AllowFailure is tried again too; it fails again, and is a warning again.
    assert ended.state is State.WARNING
    assert "eh" not in ended.states
    assert ended.attempts_of("bad") == [State.FAILED, State.SUCCESS]
    assert ended.attempts_of("soft") == [State.FAILED, State.FAILED]
    assert ended.attempts_of("one") == [State.SUCCESS]
    assert ended.history_of("bad")[3:] == [
        State.FAILED,
        State.RESTARTED,
        State.SUBMITTED,
        State.RUNNING,
        State.SUCCESS,
    ]
    assert {run.state.is_terminal for run in ended.runs} == {True}


async def test_a_restart_needs_something_that_failed() -> None:
    async with bench(flow(f"  - {{id: a, type: {C}.log.Log, message: a}}")) as opened:
        execution_id = await opened.start()
        await opened.ended(execution_id)
        with pytest.raises(Conflict, match="No task found to restart execution from!"):
            await opened.engine.restart(execution_id)


async def test_a_paused_execution_can_be_restarted() -> None:
    source = flow(f"  - {{id: p, type: {C}.flow.Pause}}\n  - {{id: n, type: {C}.log.Log}}")
    source = source.replace("Log}", "Log, message: n}")
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.until_state(execution_id, State.PAUSED)
            await opened.engine.restart(execution_id)
            await opened.until(
                execution_id,
                lambda seen: seen.history.count(State.PAUSED) == 2 and seen.state is State.PAUSED,
            )
            await opened.engine.resume(execution_id)
            ended = await opened.ended(execution_id)

    assert ended.states == {"p": State.SUCCESS, "n": State.SUCCESS}


async def test_a_replay_is_a_new_execution_that_keeps_what_was_before() -> None:
    source = flow(
        f"""
  - {{id: one, type: {C}.debug.Return, format: "{{{{ execution.id }}}}"}}
  - {{id: two, type: {C}.debug.Return, format: "{{{{ outputs.one.value }}}}"}}
  - {{id: three, type: {C}.log.Log, message: three}}
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            first = await opened.ended(execution_id)
            new = await opened.engine.replay(execution_id, first.run("two").id)
            ended = await opened.ended(new.id)
            whole = await opened.engine.replay(execution_id)
            fresh = await opened.ended(whole.id)
            old = await opened.seen(execution_id)

    assert new.id != execution_id
    assert new.parent_id == execution_id
    assert ended.outputs_of("two") == {"value": execution_id}
    assert ended.logs(task="three") == ["three"]
    assert ended.run("one").id != first.run("one").id
    assert fresh.outputs_of("one") == {"value": whole.id}
    assert "system.replayed" in {label.key for label in old.execution.labels}


async def test_a_changed_state_goes_on_from_there() -> None:
    source = flow(
        f"""
  - id: seq
    type: {C}.flow.Sequential
    tasks:
      - {{id: bad, type: {C}.execution.Fail}}
      - {{id: next, type: {C}.log.Log, message: next}}
  - {{id: last, type: {C}.log.Log, message: last}}
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            first = await opened.ended(execution_id)
            run_id = first.run("bad").id
            await opened.engine.change_state(execution_id, run_id, State.SUCCESS)
            ended = await opened.ended(execution_id)
            with pytest.raises(NotFound):
                await opened.engine.change_state(execution_id, "nobody", State.SUCCESS)

    assert first.states == {"seq": State.FAILED, "bad": State.FAILED}
    assert ended.state is State.SUCCESS
    assert ended.logs() == ["Task failure", "next", "last"]


@pytest.mark.parametrize("behavior", ["QUEUE", "FAIL", "CANCEL"])
async def test_concurrency_decides_about_one_execution_too_many(behavior: str) -> None:
    source = flow(
        f"  - {{id: p, type: {C}.flow.Pause}}",
        f"concurrency: {{limit: 1, behavior: {behavior}}}",
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            first = await opened.start()
            await opened.until_state(first, State.PAUSED)
            others = [await opened.start(), await opened.start()]
            if behavior == "QUEUE":
                for other in others:
                    await opened.until_state(other, State.QUEUED)
                await opened.engine.kill(others[0])
                await opened.engine.resume(first)
                await opened.until_state(others[1], State.PAUSED)
                await opened.engine.resume(others[1])
            else:
                await opened.ended(others[1])
                await opened.engine.resume(first)
            seen = [await opened.ended(each) for each in [first, *others]]

    assert seen[0].state is State.SUCCESS
    if behavior == "QUEUE":
        assert seen[1].history == [State.CREATED, State.QUEUED, State.KILLED]
        assert seen[2].history[:3] == [State.CREATED, State.QUEUED, State.RUNNING]
        assert seen[2].state is State.SUCCESS
    else:
        wanted = State.FAILED if behavior == "FAIL" else State.CANCELLED
        assert [each.history for each in seen[1:]] == [[State.CREATED, wanted]] * 2
        assert [each.runs for each in seen[1:]] == [[], []]
    if behavior == "FAIL":
        text = "Execution is FAILED due to concurrency limit exceeded"
        assert seen[1].logs(Level.ERROR) == [text]


async def test_a_queued_execution_can_be_let_in_by_hand() -> None:
    source = flow(f"  - {{id: p, type: {C}.flow.Pause}}", "concurrency: {limit: 1}")
    with anyio.fail_after(10):
        async with bench(source) as opened:
            first, second = await opened.start(), await opened.start()
            await opened.until_state(second, State.QUEUED)
            await opened.engine.force_run(second)
            await opened.until_state(second, State.PAUSED)
            await opened.engine.force_run(second)
            assert (await opened.ended(second)).state is State.SUCCESS
            assert (await opened.seen(first)).state is State.PAUSED


async def test_a_retry_as_a_new_execution_gets_the_place_of_the_old_one() -> None:
    source = flow(
        f"  - {{id: bad, type: {C}.execution.Fail}}",
        """
concurrency: {limit: 1, behavior: FAIL}
retry: {type: constant, interval: PT0.05S, maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}
""",
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            first = await opened.ended(await opened.start())
            [_, second] = opened.store.executions_of("f")
            last = await opened.ended(second.id)

    assert first.state is State.RETRIED
    assert first.states == {"bad": State.RETRIED}
    assert second.parent_id == first.execution.id
    assert last.history == [State.CREATED, State.RUNNING, State.FAILED]
    assert last.logs() == ["Task failure"]


async def test_a_check_forbids_an_execution_or_fails_it() -> None:
    def checked(behavior: str) -> str:
        check = f"{{condition: '{{{{ inputs.n > 1 }}}}', message: too small, behavior: {behavior}}}"
        return flow(
            f"  - {{id: a, type: {C}.log.Log, message: a}}",
            f"inputs: [{{id: n, type: INT}}]\nchecks: [{check}]",
            name=behavior.lower(),
        )

    async with bench(checked("BLOCK_EXECUTION"), checked("FAIL_EXECUTION")) as opened:
        with pytest.raises(Conflict, match="too small"):
            await opened.start(inputs={"n": 1})
        assert (await opened.ended(await opened.start(inputs={"n": 2}))).state is State.SUCCESS
        failed = await opened.ended(await opened.start("fail_execution", inputs={"n": 1}))

    assert failed.history == [State.CREATED, State.FAILED]
    assert failed.runs == []


async def test_a_check_that_cannot_be_rendered_blocks_whatever_it_says() -> None:
    check = "{condition: '{{ nope }}', message: unseen, behavior: CREATE_EXECUTION}"
    source = flow(f"  - {{id: a, type: {C}.log.Log, message: a}}", f"checks: [{check}]")

    async with bench(source) as opened:
        with pytest.raises(Conflict, match=r"check condition\. Cause: Unable to"):
            await opened.start()


async def test_a_working_directory_is_run_again_as_a_whole() -> None:
    source = flow(
        f"""
  - id: wd
    type: {C}.flow.WorkingDirectory
    tasks:
      - {{id: one, type: {C}.debug.Return, format: "{{{{ taskrun.attemptsCount }}}}"}}
      - {{id: two, type: {C}.execution.Fail, condition: "{{{{ kv('ready') != 'yes' }}}}"}}
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.ended(execution_id)
            opened.engine.kv.set("tests", "ready", "yes")
            await opened.engine.restart(execution_id)
            restarted = await opened.ended(execution_id)
            new = await opened.engine.replay(execution_id, restarted.run("two").id)
            replayed = await opened.ended(new.id)

    assert restarted.state is State.SUCCESS
    again = [State.RESTARTED, State.RUNNING, State.SUCCESS]
    assert restarted.history_of("wd") == [State.CREATED, State.RUNNING, State.FAILED, *again]
    assert replayed.history_of("wd") == [*restarted.history_of("wd"), *again]
    for ended in (restarted, replayed):
        assert ended.attempts_of("wd") == [State.SUCCESS]
        assert ended.outputs_of("one") == {"value": "0"}


async def test_a_replay_from_a_flowable_goes_on_in_it() -> None:
    tasks = f"[{{id: t, type: {C}.log.Log, message: x}}]"
    source = flow(f"  - {{id: seq, type: {C}.flow.Sequential, tasks: {tasks}}}")
    with anyio.fail_after(10):
        async with bench(source) as opened:
            first = await opened.ended(await opened.start())
            new = await opened.engine.replay(first.execution.id, first.run("seq").id)
            ended = await opened.ended(new.id)

    done = [State.RUNNING, State.SUCCESS]
    assert ended.history_of("seq") == [State.CREATED, *done, *done]
    assert ended.history_of("t") == [State.CREATED, State.SUBMITTED, *done]


async def test_a_replay_from_the_start_keeps_the_variables() -> None:
    source = flow(
        f"  - {{id: s, type: {C}.execution.SetVariables, variables: {{n: '{{{{ vars.n + 1 }}}}'}}}}"
    ).replace("tasks:", "variables: {n: 0}\ntasks:")
    with anyio.fail_after(10):
        async with bench(source) as opened:
            first = await opened.ended(await opened.start())
            new = await opened.engine.replay(first.execution.id)
            ended = await opened.ended(new.id)

    assert (first.execution.variables or {})["n"] == "1"
    assert (ended.execution.variables or {})["n"] == "11"

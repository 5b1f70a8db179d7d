"""How flowables end where that is not plain, as a Kestra 1.2.14 was seen to end them."""

from __future__ import annotations

import anyio
import pytest

from runner.model.execution import Level
from runner.model.state import State
from runner.testing import Ended, bench, run_flow

C = "io.kestra.plugin.core"
FAIL = f"type: {C}.execution.Fail"
LOG = f"type: {C}.log.Log"
RETURN = f"type: {C}.debug.Return"
MISSING = "Unable to find `nope` used in the expression `{{ nope }}` at line 1"


def flow(tasks: str, more: str = "", name: str = "f") -> str:
    return f"id: {name}\nnamespace: tests\n{more}\ntasks:\n{tasks}"


async def run(tasks: str, more: str = "") -> Ended:
    with anyio.fail_after(20):
        return await run_flow(flow(tasks, more))


async def test_an_if_without_an_else_to_run_has_no_finally() -> None:
    ended = await run(
        f"""
  - id: none
    type: {C}.flow.If
    condition: "false"
    then: [{{id: a, {LOG}, message: a}}]
    finally: [{{id: never, {LOG}, message: never}}]
  - id: empty
    type: {C}.flow.If
    condition: "false"
    then: [{{id: b, {LOG}, message: b}}]
    else: []
    finally: [{{id: fin, {LOG}, message: fin}}]
"""
    )

    assert ended.states == dict.fromkeys(("none", "empty", "fin"), State.SUCCESS)


async def test_a_switch_that_matches_nothing_fails_without_its_finally() -> None:
    ended = await run(
        f"""
  - id: s
    type: {C}.flow.Switch
    value: zzz
    allowFailure: true
    cases: {{a: [{{id: a, {LOG}, message: a}}]}}
    errors: [{{id: never, {LOG}, message: never}}]
    finally: [{{id: never2, {LOG}, message: never}}]
"""
    )

    assert ended.state is State.FAILED
    assert ended.states == {"s": State.FAILED}
    assert ended.outputs_of("s") == {"value": "zzz", "defaults": True}
    [line] = [line.message for line in ended.lines if line.level is Level.ERROR]
    assert line.startswith("Unable to resolve state from the Flowable task: ")


async def test_a_switch_without_cases_fails_whatever_its_defaults() -> None:
    ended = await run(
        f"""
  - id: s
    type: {C}.flow.Switch
    value: x
    defaults: [{{id: never, {LOG}, message: never}}]
"""
    )

    assert ended.states == {"s": State.FAILED}


async def test_allow_warning_does_not_hide_what_an_allow_failure_has_allowed() -> None:
    ended = await run(
        f"""
  - id: a
    type: {C}.flow.AllowFailure
    allowWarning: true
    tasks: [{{id: bad, {FAIL}}}]
"""
    )

    assert ended.states == {"a": State.WARNING, "bad": State.FAILED}


async def test_the_condition_of_a_loop_sees_the_count_of_this_round_and_then_of_the_next() -> None:
    ended = await run(
        f"""
  - id: three
    type: {C}.flow.LoopUntil
    condition: "{{{{ outputs.three.iterationCount >= 3 }}}}"
    checkFrequency: {{interval: PT0.01S}}
    tasks: [{{id: a, {RETURN}, format: "{{{{ taskrun.iteration }}}}"}}]
  - id: once
    type: {C}.flow.LoopUntil
    condition: "{{{{ outputs.once.iterationCount == 1 }}}}"
    tasks: [{{id: b, {RETURN}, format: b}}]
"""
    )

    assert ended.outputs_of("three") == {"iterationCount": 3}
    assert ended.outputs_of("a") == {"value": "1"}
    assert ended.outputs_of("once") == {"iterationCount": 1}


async def test_a_loop_with_a_disabled_task_runs_once() -> None:
    ended = await run(
        f"""
  - id: loop
    type: {C}.flow.LoopUntil
    condition: "false"
    tasks:
      - {{id: a, {RETURN}, format: a}}
      - {{id: b, {RETURN}, format: b, disabled: true}}
"""
    )

    assert ended.history == [State.CREATED, State.RUNNING, State.SUCCESS]
    assert ended.outputs_of("loop") == {"iterationCount": 1}


async def test_what_runs_after_a_loop_counts_its_last_round() -> None:
    ended = await run(
        f"""
  - id: loop
    type: {C}.flow.LoopUntil
    condition: "{{{{ outputs.a.value == '1' }}}}"
    checkFrequency: {{interval: PT0.01S}}
    tasks: [{{id: a, {RETURN}, format: "{{{{ taskrun.iteration }}}}"}}]
    finally: [{{id: fin, {LOG}, message: "last {{{{ taskrun.iteration }}}}"}}]
"""
    )

    assert ended.run("fin").iteration == 1
    assert ended.logs() == ["last 1"]


async def test_what_stands_deeper_in_a_loop_stays_from_round_to_round() -> None:
    ended = await run(
        f"""
  - id: loop
    type: {C}.flow.LoopUntil
    condition: "{{{{ outputs.loop.iterationCount >= 3 }}}}"
    checkFrequency: {{interval: PT0.01S}}
    tasks:
      - id: if
        type: {C}.flow.If
        condition: "{{{{ taskrun.iteration == 0 }}}}"
        then: [{{id: first, {RETURN}, format: 1}}]
        else: [{{id: second, {RETURN}, format: "{{{{ outputs.first.value }}}}"}}]
"""
    )

    assert ended.state is State.SUCCESS
    assert list(ended.states) == ["loop", "first", "if", "second"]
    assert ended.outputs_of("second") == {"value": "1"}
    by_id = {run.id: run.task_id for run in ended.runs}
    assert by_id.get(ended.run("first").parent_id or "") is None
    assert by_id.get(ended.run("second").parent_id or "") == "if"


@pytest.mark.parametrize("allow", ["", ", allowFailure: true", ", allowWarning: true"])
@pytest.mark.parametrize(("behavior", "state"), [("FAIL", "FAILED"), ("WARN", "WARNING")])
async def test_what_a_pause_says_is_not_softened(behavior: str, state: str, allow: str) -> None:
    ended = await run(
        f"  - {{id: p, type: {C}.flow.Pause, pauseDuration: PT0.01S, behavior: {behavior}{allow}}}"
    )

    assert ended.states == {"p": State(state)}
    assert ended.outputs_of("p")["resumed"]["to"] == state


@pytest.mark.parametrize(
    ("allow", "state"),
    [
        ("", "FAILED"),
        (", allowFailure: true", "WARNING"),
        (", allowFailure: true, allowWarning: true", "SUCCESS"),
    ],
)
async def test_the_timeout_of_a_pause_is_softened_and_says_so(allow: str, state: str) -> None:
    ended = await run(f"  - {{id: p, type: {C}.flow.Pause, timeout: PT0.01S{allow}}}")

    assert ended.states == {"p": State(state)}
    assert ended.outputs_of("p")["resumed"]["to"] == state


async def test_a_pause_that_cancels_does_not_go_on_before() -> None:
    ended = await run(
        f"  - {{id: p, type: {C}.flow.Pause, pauseDuration: PT0.01S, behavior: CANCEL}}"
    )

    assert ended.history == [State.CREATED, State.RUNNING, State.PAUSED, State.CANCELLED]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ('pauseDuration: "{{ nope }}"', MISSING),
        ('pauseDuration: PT1H, behavior: "{{ nope }}"', MISSING),
        ("pauseDuration: PT1H, behavior: LATER", "Invalid behavior 'LATER': one of "),
    ],
)
async def test_a_pause_that_cannot_be_read_fails_before_it_pauses(given: str, line: str) -> None:
    ended = await run(
        f"""
  - id: p
    type: {C}.flow.Pause
    allowFailure: true
    errors: [{{id: never, {LOG}, message: never}}]
    {given.replace(", ", chr(10) + "    ")}
"""
    )

    assert ended.history == [State.CREATED, State.RUNNING, State.FAILED]
    assert ended.history_of("p") == [State.CREATED, State.RUNNING, State.FAILED]
    [seen] = ended.logs()
    assert seen.startswith(line)


async def test_what_runs_when_a_pause_begins_does_not_count_for_the_end() -> None:
    source = flow(
        f"""
  - id: p
    type: {C}.flow.Pause
    onPause: {{id: bad, {FAIL}}}
    onResume: [{{id: z, type: STRING, defaults: z}}, {{id: a, type: STRING, defaults: a}}]
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "bad", State.FAILED)
            await opened.engine.resume(execution_id, {})
            ended = await opened.ended(execution_id)

    assert ended.states == {"p": State.SUCCESS, "bad": State.FAILED}
    assert ended.state is State.SUCCESS
    assert list(ended.outputs_of("p")["onResume"]) == ["a", "z"]


async def test_a_kill_of_what_a_person_paused_restarts_nothing() -> None:
    source = flow(f"  - {{id: slow, type: {C}.flow.Sleep, duration: PT1H}}")
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "slow", State.RUNNING)
            await opened.engine.pause(execution_id)
            await opened.engine.kill(execution_id)
            ended = await opened.ended(execution_id)

    states = [State.CREATED, State.RUNNING, State.PAUSED, State.KILLING, State.KILLED]
    assert ended.history == states


async def test_a_working_directory_that_gets_no_files_never_begins() -> None:
    ended = await run(
        f"""
  - id: wd
    type: {C}.flow.WorkingDirectory
    inputFiles: {{a.txt: "{{{{ nope }}}}"}}
    tasks: [{{id: never, {RETURN}, format: a}}]
    errors: [{{id: never2, {LOG}, message: never}}]
    finally: [{{id: never3, {LOG}, message: never}}]
""",
        f"errors: [{{id: err, {LOG}, message: err}}]",
    )

    assert ended.states == {"wd": State.FAILED, "err": State.SUCCESS}
    assert ended.history_of("wd") == [State.CREATED, State.FAILED]
    assert ended.attempts_of("wd") == []
    assert ended.logs() == [f"Failed preExecuteTasks on WorkingDirectory: {MISSING}", "err"]


@pytest.mark.parametrize(("allow", "state"), [("false", "FAILED"), ("true", "WARNING")])
async def test_a_run_if_that_cannot_be_told_fails_the_working_directory(
    allow: str, state: str
) -> None:
    ended = await run(
        f"""
  - id: wd
    type: {C}.flow.WorkingDirectory
    allowFailure: {allow}
    tasks:
      - {{id: a, {RETURN}, format: a}}
      - {{id: b, {RETURN}, format: b, runIf: "{{{{ nope }}}}", allowFailure: true}}
      - {{id: never, {RETURN}, format: c}}
    errors: [{{id: never2, {LOG}, message: never}}]
    finally: [{{id: never3, {LOG}, message: never}}]
"""
    )

    assert ended.states == {"wd": State(state), "a": State.SUCCESS}
    assert ended.history_of("wd") == [State.CREATED, State(state)]
    assert [(line.task_id, line.message) for line in ended.lines if line.level is Level.ERROR] == [
        ("b", f"Failed evaluating runIf: {MISSING}")
    ]


async def test_a_killed_working_directory_shows_the_tasks_that_it_did_not_come_to() -> None:
    source = flow(
        f"""
  - id: wd
    type: {C}.flow.WorkingDirectory
    tasks:
      - {{id: a, type: {C}.flow.Sleep, duration: PT1H}}
      - {{id: b, {RETURN}, format: b}}
      - {{id: c, {RETURN}, format: c, disabled: true}}
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.until_task(execution_id, "a", State.RUNNING)
            await opened.engine.kill(execution_id)
            ended = await opened.ended(execution_id)

    assert ended.states == dict.fromkeys(("wd", "a", "b"), State.KILLED)
    assert ended.history_of("b") == [State.CREATED, State.KILLED]
    assert ended.attempts_of("b") == []


async def test_a_retried_child_of_a_working_directory_is_submitted() -> None:
    ended = await run(
        f"""
  - id: wd
    type: {C}.flow.WorkingDirectory
    tasks: [{{id: a, {FAIL}, retry: {{type: constant, interval: PT0.01S, maxAttempts: 2}}}}]
"""
    )

    again = [State.CREATED, State.SUBMITTED, State.RUNNING, State.FAILED]
    first = [State.CREATED, State.RUNNING, State.FAILED, State.RETRYING]
    assert ended.history_of("a") == [*first, *again]


AFTER_A_FAILURE = [State.CREATED, State.RUNNING, State.FAILED, State.RETRYING]


@pytest.mark.parametrize(
    ("more", "before"),
    [
        ("", AFTER_A_FAILURE),
        (f"finally: [{{id: fin, {LOG}, message: fin}}]\n", [*AFTER_A_FAILURE[:2], State.RETRYING]),
    ],
)
async def test_the_flows_retry_passes_through_failed_if_nothing_else_was_left_to_do(
    more: str, before: list[State]
) -> None:
    ended = await run(
        f"  - {{id: a, {FAIL}, condition: '{{{{ taskrun.attemptsCount == 0 }}}}'}}",
        f"retry: {{type: constant, interval: PT0.01S, maxAttempts: 2}}\n{more}",
    )

    assert ended.history == [*before, State.RUNNING, State.SUCCESS]


async def test_what_is_retried_as_a_new_execution_leaves_the_attempts_around_open() -> None:
    retry = "retry: {type: constant, interval: PT0.01S, maxAttempts: 2, behavior: "
    source = flow(
        f"""
  - id: s
    type: {C}.flow.Sequential
    tasks: [{{id: a, {FAIL}, {retry}CREATE_NEW_EXECUTION}}}}]
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            ended = await opened.ended(await opened.start())

    assert ended.state is State.RETRIED
    assert ended.states == {"s": State.RETRIED, "a": State.RETRIED}
    assert ended.attempts_of("s") == [State.RUNNING]


async def test_a_flow_of_disabled_tasks_is_over_before_it_runs() -> None:
    off = f"  - {{id: a, {LOG}, message: a, disabled: true}}"
    empty = await run(off, f"errors: [{{id: never, {LOG}, message: never}}]")
    rest = await run(off, f"finally: [{{id: fin, {LOG}, message: fin}}]")

    assert empty.history == [State.CREATED, State.SUCCESS]
    assert rest.history == [State.CREATED, State.RUNNING, State.SUCCESS]
    assert rest.states == {"fin": State.SUCCESS}


@pytest.mark.parametrize("word", ["RUNNING", "PAUSED", "LOUD"])
async def test_an_exit_in_a_state_that_is_no_end_fails(word: str) -> None:
    ended = await run(f"  - {{id: x, type: {C}.execution.Exit, state: {word}}}")

    assert ended.state is State.FAILED
    assert ended.states == {"x": State.FAILED}
    assert ended.logs()[0].startswith(f"Invalid state '{word}' for Exit: one of SUCCESS, ")


async def test_the_interval_of_a_loop_is_read_when_it_is_needed() -> None:
    loop = f"""
  - id: loop
    type: {C}.flow.LoopUntil
    condition: "{{{{ {"WHEN"} }}}}"
    checkFrequency: {{interval: "{{{{ nope }}}}"}}
    tasks: [{{id: a, {RETURN}, format: a}}]
"""
    once, again = [await run(loop.replace("WHEN", when)) for when in ("true", "false")]

    assert once.state is State.SUCCESS
    assert again.state is State.FAILED


async def test_a_restart_asks_again_whether_a_task_is_to_run() -> None:
    source = flow(
        f"""
  - {{id: a, {RETURN}, format: a, runIf: "{{{{ nope }}}}"}}
  - {{id: x, type: {C}.execution.Exit, state: FAILED}}
"""
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.ended(execution_id)
            await opened.engine.restart(execution_id)
            ended = await opened.ended(execution_id)

    assert ended.state is State.FAILED
    assert ended.history_of("a") == [
        *(State.CREATED, State.FAILED, State.RESTARTED, State.FAILED),
    ]


async def test_what_changes_its_execution_has_one_attempt_after_a_restart_too() -> None:
    source = flow(f"  - {{id: x, type: {C}.execution.Exit, state: FAILED}}")
    with anyio.fail_after(10):
        async with bench(source) as opened:
            execution_id = await opened.start()
            await opened.ended(execution_id)
            await opened.engine.restart(execution_id)
            ended = await opened.ended(execution_id)

    assert ended.attempts_of("x") == [State.FAILED]


async def test_a_working_directory_is_done_to_its_end_beside_a_failure() -> None:
    ended = await run(
        f"""
  - id: p
    type: {C}.flow.Parallel
    tasks:
      - {{id: bad, {FAIL}}}
      - id: wd
        type: {C}.flow.WorkingDirectory
        tasks:
          - {{id: slow, type: {C}.flow.Sleep, duration: PT0.1S}}
          - {{id: next, {RETURN}, format: n}}
"""
    )

    assert ended.state is State.FAILED
    assert ended.states["next"] is State.SUCCESS

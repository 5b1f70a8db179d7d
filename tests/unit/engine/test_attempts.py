"""Attempts of tasks: caches, retries as new executions, what errors read like."""

from __future__ import annotations

from pathlib import Path

import anyio

from runner.engine.complaints import cause_of, complaint
from runner.errors import RenderFailed
from runner.model.execution import Level
from runner.model.state import State
from runner.runners.base import Command, Emit, Outcome
from runner.testing import FakeRunner, FakeRunners, bench, run_flow

C = "io.kestra.plugin.core"
SCRIPT = "type: io.kestra.plugin.scripts.shell.Script"


def flow(tasks: str, more: str = "", name: str = "f") -> str:
    return f"id: {name}\nnamespace: tests\n{more}\ntasks:\n{tasks}"


async def test_a_cached_task_is_run_once_for_the_same_properties_and_keeps_its_files() -> None:
    async def writes(command: Command, _: Emit) -> Outcome:
        await anyio.Path(command.workdir / "a.txt").write_text("kept")
        return Outcome(exit_code=0)

    runner = FakeRunner(answer=writes)
    source = flow(
        f"""
  - id: t
    {SCRIPT}
    script: "echo {{{{ inputs.k }}}}"
    outputFiles: ["*.txt"]
    taskCache: {{enabled: true}}
  - {{id: r, type: {C}.debug.Return, format: "{{{{ read(outputs.t.outputFiles['a.txt']) }}}}"}}
""",
        "inputs: [{id: k, type: STRING}]",
    )
    async with bench(source, runners=FakeRunners(runner)) as opened:
        ended = [
            await opened.ended(await opened.start(inputs={"k": key})) for key in ("x", "x", "y")
        ]

    assert len(runner.commands) == 2
    assert [each.outputs_of("r")["value"] for each in ended] == ["kept"] * 3
    assert "Skipping task execution for task 't'" in ended[1].logs(task="t")[0]
    assert ended[1].outputs_of("t") != ended[0].outputs_of("t")


async def test_an_old_cache_entry_and_a_failed_task_are_not_reused() -> None:
    cache = "taskCache: {enabled: true, ttl: PT0S}"
    source = flow(
        f"  - {{id: t, type: {C}.debug.Return, format: x, {cache}}}\n"
        f"  - {{id: bad, type: {C}.execution.Fail, taskCache: {{enabled: true}}}}"
    )
    async with bench(source) as opened:
        ended = [await opened.ended(await opened.start()) for _ in range(2)]

    text = "Uploading a cache entry for task 't'"
    assert [each.logs() for each in ended] == [[text, "Task failure"]] * 2


async def test_a_task_that_repeats_its_execution_never_runs_errors() -> None:
    source = flow(
        f"  - {{id: bad, type: {C}.execution.Fail, retry: {{type: constant, interval: PT0.01S, "
        "maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}}",
        f"errors: [{{id: never, type: {C}.log.Log, message: never}}]",
    )
    with anyio.fail_after(10):
        async with bench(source) as opened:
            first = await opened.ended(await opened.start())
            second = await opened.ended(opened.store.executions_of("f")[1].id)

    assert first.history == [State.CREATED, State.RUNNING, State.FAILED, State.RETRIED]
    assert second.history == [State.CREATED, State.RUNNING, State.FAILED]
    assert second.states == {"bad": State.FAILED}
    assert second.execution.attempt_number == 2


async def test_errors_of_the_flow_wait_until_its_retries_are_used_up() -> None:
    ended = await run_flow(
        flow(
            f"  - {{id: bad, type: {C}.execution.Fail}}",
            f"""
retry: {{type: constant, interval: PT0.01S, maxAttempts: 2}}
errors: [{{id: e, type: {C}.log.Log, message: e}}]
""",
        )
    )

    assert ended.attempts_of("bad") == [State.FAILED, State.FAILED]
    assert ended.logs() == ["Task failure", "Task failure", "e"]
    assert ended.history == [
        State.CREATED,
        State.RUNNING,
        State.RETRYING,
        State.RUNNING,
        State.FAILED,
    ]


async def test_a_subflow_is_never_seen_as_ended_while_it_waits_for_a_retry() -> None:
    parent = flow(f"  - {{id: s, type: {C}.flow.Subflow, namespace: tests, flowId: child}}")
    child = flow(
        f"  - {{id: t, type: {C}.execution.Fail, condition: '{{{{ taskrun.attemptsCount < 1 }}}}', "
        "retry: {type: constant, interval: PT0.05S, maxAttempts: 2}}",
        name="child",
    )
    ended = await run_flow(parent, child)

    assert ended.state is State.SUCCESS


async def test_a_templated_task_does_its_work_as_the_same_run(tmp_path: Path) -> None:
    ended = await run_flow(
        flow(
            f"""
  - id: t
    type: {C}.templating.TemplatedTask
    spec: |
      id: inner
      type: {C}.debug.Return
      format: hi {{{{ flow.id }}}}
"""
        )
    )

    assert ended.states == {"t": State.SUCCESS}
    assert ended.outputs_of("t") == {"value": "hi f"}


async def test_a_bad_expression_is_told_in_kestras_words_first_and_then_with_a_hint() -> None:
    ended = await run_flow(
        flow(f"  - {{id: l, type: {C}.log.Log, message: \"{{{{ 'x' | zip }}}}\"}}")
    )

    [text] = ended.logs(Level.ERROR)
    first, *hints = text.split("\n")
    assert first == (
        "io.pebbletemplates.pebble.error.PebbleException: "
        "Filter [zip] does not exist. ({{ 'x' | zip }}:1)"
    )
    assert "(line 1, column 10)" in hints


def test_an_undefined_variable_needs_no_prefix() -> None:
    error = RenderFailed(
        "Unable to find `x` used in the expression `{{ x }}` at line 1",
        kind="missing",
        template="{{ x }}",
        line=1,
        column=4,
        hint="`x` is undefined",
        where="tasks[0].message",
        first_line=7,
    )

    assert cause_of(error) == error.reason
    assert complaint(error).split("\n")[1:] == [
        "`x` is undefined",
        "(tasks[0].message; line 7 of the flow)",
    ]

"""Subflow and ForEachItem: executions that tasks start."""

from __future__ import annotations

import anyio
import pytest

from runner.model.execution import Level
from runner.model.state import State
from runner.testing import Ended, bench, run_flow

C = "io.kestra.plugin.core"
SUB = f"type: {C}.flow.Subflow, namespace: tests, flowId: child"


def flow(tasks: str, more: str = "", name: str = "f") -> str:
    return f"id: {name}\nnamespace: tests\n{more}\ntasks:\n{tasks}"


FAILING = flow(f"  - {{id: bad, type: {C}.execution.Fail}}", name="child")


@pytest.mark.parametrize(
    ("options", "history", "log"),
    [
        ("", [State.RUNNING, State.FAILED], "ends in FAILED state"),
        ("transmitFailed: false", [State.RUNNING, State.FAILED, State.SUCCESS], None),
        ("allowFailure: true", [State.RUNNING, State.FAILED, State.WARNING], "ends in WARNING"),
        ("wait: false", [State.RUNNING, State.SUCCESS], None),
    ],
)
async def test_a_failed_child_shows_in_its_task(
    options: str, history: list[State], log: str | None
) -> None:
    ended = await run_flow(flow(f"  - {{id: s, {SUB}, {options}}}"), FAILING)

    assert ended.history_of("s") == [State.CREATED, *history]
    assert ended.attempts_of("s") == [history[-1]]
    assert ended.outputs_of("s")["state"] == ("CREATED" if "wait" in options else "FAILED")
    warnings = ended.logs(Level.WARN)
    assert (log is None and not warnings) or (log is not None and log in warnings[0])


async def test_a_child_gets_inputs_labels_and_its_cause() -> None:
    parent = flow(
        f"""
  - {{id: s, {SUB}, inputs: {{n: "{{{{ 1 + 1 }}}}"}}, labels: {{own: "{{{{ flow.id }}}}"}}}}
  - {{id: r, type: {C}.debug.Return, format: "{{{{ outputs.s.outputs.twice }}}}"}}
""",
        "labels: {team: a}",
    )
    child = flow(
        f"  - {{id: t, type: {C}.debug.Return, format: '{{{{ inputs.n * 2 }}}}'}}",
        "inputs: [{id: n, type: INT}]\n"
        "outputs: [{id: twice, type: INT, value: '{{ outputs.t.value }}'}]",
        name="child",
    )
    async with bench(parent, child) as opened:
        ended = await opened.ended(await opened.start())
        [below] = await opened.executions_of("child")

    assert ended.outputs_of("r") == {"value": "4"}
    labels = {label.key: label.value for label in below.execution.labels}
    assert labels["own"] == "f"
    assert "team" not in labels
    assert labels["system.correlationId"] == ended.execution.id
    cause = below.execution.trigger
    assert cause is not None
    assert (cause.id, cause.type) == ("s", f"{C}.flow.Subflow")
    assert cause.variables["taskRunId"] == ended.run("s").id


async def test_a_missing_input_of_the_child_fails_the_task_at_once() -> None:
    child = flow(
        f"  - {{id: t, type: {C}.log.Log, message: x}}",
        "inputs: [{id: need, type: STRING}]",
        name="child",
    )
    ended = await run_flow(flow(f"  - {{id: s, {SUB}}}"), child)

    assert ended.history_of("s") == [State.CREATED, State.FAILED]
    assert ended.logs() == ["Missing required input:need"]


async def test_outputs_of_the_child_that_fail_fail_the_task() -> None:
    child = flow(
        f"  - {{id: t, type: {C}.log.Log, message: x}}",
        "outputs: [{id: o, type: STRING, value: '{{ outputs.nope.x }}'}]",
        name="child",
    )
    ended = await run_flow(flow(f"  - {{id: s, {SUB}}}"), child)

    assert ended.state is State.FAILED
    assert ended.outputs_of("s")["state"] == "FAILED"
    assert ended.logs(Level.ERROR)[0].startswith("Failed to extract outputs with the error: '")


async def test_each_retry_is_a_child_of_its_own_that_knows_the_last_one() -> None:
    source = flow(
        f"  - {{id: s, {SUB}, retry: {{type: constant, interval: PT0.01S, maxAttempts: 2}}}}"
    )
    async with bench(source, FAILING) as opened:
        ended = await opened.ended(await opened.start())
        first, second = await opened.executions_of("child")

    assert ended.attempts_of("s") == [State.FAILED, State.FAILED]
    assert second.execution.trigger is not None
    earlier = second.execution.trigger.variables["taskRunOutputs"]
    assert earlier == {"executionId": first.execution.id, "state": "FAILED"}


@pytest.mark.parametrize("behavior", ["RETRY_FAILED", "NEW_EXECUTION"])
async def test_a_restart_restarts_the_failed_child_or_makes_a_new_one(behavior: str) -> None:
    child = flow(
        f'  - {{id: t, type: {C}.execution.Fail, condition: \'{{{{ kv("go") != "yes" }}}}\'}}',
        name="child",
    )
    source = flow(f"  - {{id: s, {SUB}, restartBehavior: {behavior}}}")
    async with bench(source, child, kv={"go": "no"}) as opened:
        execution_id = await opened.start()
        await opened.ended(execution_id)
        opened.engine.kv.set("tests", "go", "yes")
        await opened.engine.restart(execution_id)
        ended = await opened.ended(execution_id)
        children = await opened.executions_of("child")

    assert ended.state is State.SUCCESS
    wanted = [State.SUCCESS] if behavior == "RETRY_FAILED" else [State.FAILED, State.SUCCESS]
    assert [each.state for each in children] == wanted


async def test_a_flow_that_calls_itself_for_ever_is_stopped() -> None:
    # Loading refuses a flow that names itself, not one that renders its own name.
    source = flow(
        f"  - {{id: s, type: {C}.flow.Subflow, namespace: tests, flowId: '{{{{ flow.id }}}}'}}"
    )
    with anyio.fail_after(30):
        async with bench(source) as opened:
            ended = await opened.ended(await opened.start())
            every = await opened.executions_of("f")

    assert ended.state is State.FAILED
    assert len(every) == 50
    assert "have started each other: tests.f" in every[-1].logs()[0]


ITEMS = f"""
  - {{id: w, type: {C}.storage.Write, extension: .txt, content: "CONTENT"}}
  - id: fi
    type: {C}.flow.ForEachItem
    items: "{{{{ outputs.w.uri }}}}"
    namespace: tests
    flowId: child
    inputs: {{v: "{{{{ read(taskrun.items) | trim }}}}", n: "{{{{ taskrun.iteration }}}}"}}
    errors: [{{id: own, type: {C}.log.Log, message: own}}]
  - id: end
    type: {C}.debug.Return
    format: "{{{{ read(outputs.fi_merge.subflowOutputs ?? outputs.w.uri) }}}}"
"""
CHILD = flow(
    f"  - {{id: t, type: {C}.execution.Fail, condition: '{{{{ inputs.v == \"bad\" }}}}'}}",
    "inputs: [{id: v, type: STRING}, {id: n, type: INT}]\n"
    "outputs: [{id: got, type: STRING, value: '{{ inputs.n }}{{ inputs.v }}'}]",
    name="child",
)


async def items(content: str) -> Ended:
    return await run_flow(flow(ITEMS.replace("CONTENT", content)), CHILD)


async def test_foreach_item_runs_a_flow_for_each_batch_and_merges_outputs() -> None:
    ended = await items(r"a\nb\nc\n")

    assert ended.states == dict.fromkeys(
        ["w", "fi", "fi_split", "fi_items", "fi_merge", "end"], State.SUCCESS
    )
    counts = {"CREATED": 0, "RUNNING": 0, "SUCCESS": 3}
    assert ended.outputs_of("fi_items")["iterations"] == counts
    assert ended.outputs_of("end") == {"value": '{got:"0a"}\n{got:"1b"}\n{got:"2c"}\n'}


async def test_a_failed_batch_lets_the_others_end_and_fails_the_task() -> None:
    ended = await items(r"a\nbad\nc\n")

    assert ended.states == {
        "w": State.SUCCESS,
        "fi": State.FAILED,
        "fi_split": State.SUCCESS,
        "fi_items": State.FAILED,
        "own": State.SUCCESS,
    }
    counts = {"CREATED": 0, "RUNNING": 0, "SUCCESS": 2, "FAILED": 1}
    assert ended.outputs_of("fi_items")["iterations"] == counts


async def test_an_empty_file_has_no_batches() -> None:
    ended = await items("")

    assert ended.history_of("fi_items") == [State.CREATED, State.SUCCESS]
    assert ended.attempts_of("fi_items") == []
    assert ended.state is State.SUCCESS


async def test_no_batch_starts_if_one_of_them_cannot() -> None:
    strict = CHILD.replace("{id: v, type: STRING}", "{id: v, type: INT}")
    async with bench(flow(ITEMS.replace("CONTENT", r"1\nx\n")), strict) as opened:
        ended = await opened.ended(await opened.start())
        assert await opened.executions_of("child") == []

    assert ended.history_of("fi_items") == [State.CREATED, State.FAILED]


async def test_a_restart_runs_only_the_failed_batches_again() -> None:
    child = CHILD.replace('inputs.v == "bad"', 'kv("bad") == inputs.v')
    async with bench(flow(ITEMS.replace("CONTENT", r"a\nb\n")), child, kv={"bad": "b"}) as opened:
        execution_id = await opened.start()
        first = await opened.ended(execution_id)
        opened.engine.kv.set("tests", "bad", "none")
        await opened.engine.restart(execution_id)
        ended = await opened.ended(execution_id)
        children = await opened.executions_of("child")

    assert first.states["fi_items"] is State.FAILED
    assert ended.state is State.SUCCESS
    assert ended.outputs_of("end") == {"value": '{got:"0a"}\n{got:"1b"}\n'}
    assert [each.history.count(State.RUNNING) for each in children] == [1, 2]


async def test_a_child_that_cannot_be_started_fails_whatever_is_allowed() -> None:
    ended = await run_flow(flow(f"  - {{id: s, {SUB}, allowFailure: true}}"))

    assert ended.history_of("s") == [State.CREATED, State.FAILED]
    assert ended.state is State.FAILED


async def test_a_condition_that_fails_is_an_attempt_of_a_task_of_the_executor() -> None:
    ended = await run_flow(
        flow(
            f"""
  - id: each
    type: {C}.flow.Parallel
    tasks:
      - {{id: s, {SUB}, runIf: "{{{{ nope.x }}}}"}}
      - {{id: l, type: {C}.log.Log, message: x, runIf: "{{{{ nope.x }}}}"}}
"""
        )
    )

    assert ended.attempts_of("s") == [State.FAILED]
    assert ended.attempts_of("l") == []


async def test_a_child_knows_the_value_of_the_loop_that_started_it() -> None:
    source = flow(
        f"  - {{id: each, type: {C}.flow.ForEach, values: [a], tasks: [{{id: s, {SUB}}}]}}"
    )
    child = flow(
        f"  - {{id: t, type: {C}.debug.Return, format: "
        '"{{ trigger.taskRunValue }} {{ trigger.taskRunIteration }}"}',
        name="child",
    )
    async with bench(source, child) as opened:
        await opened.ended(await opened.start())
        [below] = await opened.executions_of("child")

    assert below.outputs_of("t") == {"value": "a 0"}


async def test_a_child_that_ended_early_gives_its_outputs_to_its_parent_all_the_same() -> None:
    child = flow(
        f"""
  - {{id: t, type: {C}.debug.Return, format: v}}
  - {{id: x, type: {C}.execution.Exit, state: WARNING}}
""",
        "outputs: [{id: o, type: STRING, value: '{{ outputs.t.value }}'}]",
        name="child",
    )
    async with bench(flow(f"  - {{id: s, {SUB}}}"), child) as opened:
        ended = await opened.ended(await opened.start())
        [below] = await opened.executions_of("child")

    assert below.outputs is None
    assert ended.outputs_of("s")["outputs"] == {"o": "v"}


async def test_outputs_of_the_task_see_the_tasks_of_the_child() -> None:
    source = flow(f"  - {{id: s, {SUB}, outputs: {{x: '{{{{ outputs.t.value }}}}!'}}}}")
    child = flow(f"  - {{id: t, type: {C}.debug.Return, format: v}}", name="child")
    ended = await run_flow(source, child)

    assert ended.outputs_of("s")["outputs"] == {"x": "v!"}


async def test_outputs_of_batches_are_kept_as_they_were_rendered() -> None:
    source = flow(
        f"""
  - {{id: w, type: {C}.storage.Write, content: "1\\n"}}
  - id: fi
    type: {C}.flow.ForEachItem
    items: "{{{{ outputs.w.uri }}}}"
    namespace: tests
    flowId: child
  - {{id: r, type: {C}.debug.Return, format: "{{{{ read(outputs.fi_merge.subflowOutputs) }}}}"}}
"""
    )
    child = flow(
        f"  - {{id: t, type: {C}.log.Log, message: x}}",
        "outputs: [{id: n, type: INT, value: '{{ 4 }}'}]",
        name="child",
    )
    ended = await run_flow(source, child)

    assert ended.outputs_of("r") == {"value": '{n:"4"}\n'}


async def test_labels_of_batches_do_not_see_the_batch() -> None:
    source = flow(
        f"""
  - {{id: w, type: {C}.storage.Write, content: "1\\n"}}
  - id: fi
    type: {C}.flow.ForEachItem
    items: "{{{{ outputs.w.uri }}}}"
    namespace: tests
    flowId: child
    labels: {{n: "{{{{ taskrun.iteration }}}}"}}
"""
    )
    child = flow(f"  - {{id: t, type: {C}.log.Log, message: x}}", name="child")
    ended = await run_flow(source, child)

    assert ended.history_of("fi_items") == [State.CREATED, State.FAILED]


async def test_a_killed_child_is_told_of_by_its_state_alone() -> None:
    child = flow(f"  - {{id: x, type: {C}.execution.Exit, state: KILLED}}", name="child")
    ended = await run_flow(flow(f"  - {{id: s, {SUB}}}"), child)

    assert ended.outputs_of("s")["state"] == "KILLED"
    assert not ended.logs(Level.WARN)

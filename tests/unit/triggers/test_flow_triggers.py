"""Executions that start when those of other flows change their state."""

from __future__ import annotations

from datetime import timedelta

from trigger_bench import (
    DAY,
    HOUR,
    MINUTE,
    T0,
    Clock,
    TriggerBench,
    condition,
    flow,
    listen,
    name_of,
    opened,
    schedule,
    variables,
)

from runner.model.execution import Label, Level
from runner.model.state import State
from runner.store.memory_triggers import MemoryTriggers
from runner.testing import Ended

FAIL = "type: io.kestra.plugin.core.execution.Fail"
PAUSE = "type: io.kestra.plugin.core.flow.Pause"


def after(flow_id: str, more: str = "") -> str:
    """The YAML of a Flow trigger that listens to one flow."""
    wanted = condition("ExecutionFlow", f"namespace: demo, flowId: {flow_id}")
    return listen(f"conditions: [{wanted}]" + (f", {more}" if more else ""))


def upstream(flow_id: str = "up", more: str = "", task: str = "") -> str:
    """A flow without triggers."""
    return flow("", flow_id=flow_id, more=more, task=task)


async def run(bench: TriggerBench, flow_id: str = "up", **options: object) -> Ended:
    """Run a flow, and what it triggers, to the end; gives its execution."""
    execution_id = await bench.bench.start(flow_id, **options)
    await bench.go()
    return await bench.bench.seen(execution_id)


async def test_the_upstreams_outputs_arrive_as_inputs_that_are_not_parsed() -> None:
    out = "outputs: [{id: o, type: STRING, value: payload}, {id: n, type: INT, value: 5}]"
    inputs = "inputs: [{id: given, type: STRING}, {id: n, type: INT}]"
    trigger = after(
        "up", 'inputs: {given: "{{ trigger.outputs.o }}!", n: "{{ trigger.outputs.n }}"}'
    )
    seen = 'type: io.kestra.plugin.core.debug.Return, format: "{{ inputs.n + 1 }}"'
    async with opened(upstream(more=out), flow(trigger, more=inputs, task=seen)) as bench:
        up = await run(bench)
        (made,) = await bench.made()

    assert made.execution.inputs == {"given": "payload!", "n": "5"}
    assert made.outputs_of("r") == {"value": "51"}
    assert variables(made) == {
        "executionId": up.execution.id,
        "executionLabels": {},
        "namespace": "demo",
        "flowId": "up",
        "flowRevision": 1,
        "state": "SUCCESS",
        "outputs": {"o": "payload", "n": 5},
    }


async def test_labels_of_the_upstream_are_shown_and_its_correlation_is_kept() -> None:
    trigger = after("up", 'labels: {by: "{{ flow.id }}", bad: "{{ trigger.state }}"}')
    async with opened(upstream(more="labels: {a.b: c}"), flow(trigger)) as bench:
        up = await run(bench)
        (made,) = await bench.made()

    assert variables(made)["executionLabels"] == {"a": {"b": "c"}}
    labels = {label.key: label.value for label in made.execution.labels}
    assert labels == {"by": "f", "system.correlationId": up.execution.id}
    (warning,) = up.logs(Level.WARN)
    assert warning.startswith("Failed to render label 'bad', it will be omitted")


async def test_listed_states_only() -> None:
    async with opened(
        upstream(task=FAIL),
        flow(after("up", "states: [FAILED, WARNING]")),
        flow(after("up", "states: [SUCCESS]"), flow_id="g"),
        flow(after("up", "states: [RUNNING]"), flow_id="h"),
        flow(after("up", "states: [CREATED]"), flow_id="i"),
    ) as bench:
        await run(bench)
        assert [variables(each)["state"] for each in await bench.made()] == ["FAILED"]
        assert await bench.made("g") == []
        assert [variables(each)["state"] for each in await bench.made("h")] == ["RUNNING"]
        assert await bench.made("i") == []


async def test_by_default_a_flow_that_pauses_fires_twice() -> None:
    async with opened(upstream(task=PAUSE), flow(after("up"))) as bench:
        up = await run(bench)
        assert [variables(each)["state"] for each in await bench.made()] == ["PAUSED"]
        await bench.bench.engine.resume(up.execution.id)
        await bench.bench.engine.wait_until_done(up.execution.id)
        await bench.go()
        states = [variables(each)["state"] for each in await bench.made()]
        assert states == ["PAUSED", "SUCCESS"]


async def test_without_conditions_it_listens_to_all_but_its_own_flow() -> None:
    async with opened(upstream(), upstream("other"), flow(listen("states: [SUCCESS]"))) as bench:
        await run(bench)
        await run(bench, "other")
        await run(bench, "f")
        assert [each.execution.trigger is None for each in await bench.made()] == [
            False,
            False,
            True,
        ]


async def test_inputs_that_cannot_be_rendered_warn_in_the_upstream_and_start_nothing() -> None:
    trigger = after("up", 'inputs: {need: "{{ trigger.outputs.nope }}"}')
    async with opened(upstream(), flow(trigger)) as bench:
        up = await run(bench)
        assert await bench.made() == []
        assert up.logs(Level.WARN) == [
            "Failed to trigger flow demo.f for trigger t, invalid inputs"
        ]


async def test_a_missing_input_does_not_stop_the_execution() -> None:
    need = "inputs: [{id: need, type: STRING}]"
    async with opened(upstream(), flow(after("up"), more=need)) as bench:
        await run(bench)
        (made,) = await bench.made()
        assert (made.state, made.execution.inputs) == (State.SUCCESS, None)


async def test_what_is_disabled_does_not_listen() -> None:
    async with opened(
        upstream(),
        flow(after("up", "disabled: true")),
        flow(after("up"), flow_id="g", more="disabled: true"),
        flow(after("up"), flow_id="h"),
    ) as bench:
        await bench.triggers.set_disabled(name_of(flow_id="h"), True)
        await run(bench)
        assert [await bench.made(each) for each in "fgh"] == [[], [], []]


async def test_a_condition_that_cannot_be_evaluated_is_false_and_warns_in_the_upstream() -> None:
    broken = condition("Expression", 'expression: "{{ trigger.outputs.x }}"')
    async with opened(upstream(), flow(listen(f"conditions: [{broken}]"))) as bench:
        up = await run(bench)
        assert await bench.made() == []
        (warning,) = up.logs(Level.WARN)
        assert warning.startswith("[namespace: demo] [flow: f] [condition: io.kestra")
        assert "Evaluate Condition Failed with error 'Unable to find `trigger`" in warning


async def test_conditions_after_the_first_that_is_false_are_not_looked_at() -> None:
    other = condition("ExecutionFlow", "namespace: demo, flowId: another")
    broken = condition("Expression", 'expression: "{{ nope }}"')
    async with opened(upstream(), flow(listen(f"conditions: [{other}, {broken}]"))) as bench:
        up = await run(bench)
        assert up.logs(Level.WARN) == []


async def test_an_expression_sees_the_listening_flow_and_the_upstream_execution() -> None:
    expression = "flow.id == 'f' and labels.team == 'data' and execution.state == 'SUCCESS'"
    sees = condition("Expression", f'expression: "{{{{ {expression} }}}}"')
    async with opened(
        upstream(more="labels: {team: data}"), flow(listen(f"conditions: [{sees}]"))
    ) as bench:
        await run(bench)
        assert len(await bench.made()) == 1


async def test_the_property_when_must_hold_too() -> None:
    async with opened(
        upstream(),
        flow(after("up", 'when: "{{ labels.go is defined }}"')),
        flow(after("up", 'when: "{{ nope }}"'), flow_id="g"),
    ) as bench:
        up = await run(bench)
        assert await bench.made() == []
        assert await bench.made("g") == []
        (warning,) = up.logs(Level.WARN)
        assert "[condition: when] Evaluate Condition Failed" in warning
        await run(bench, labels=[Label("go", "yes")])
        assert len(await bench.made()) == 1


async def test_a_state_that_is_told_of_again_after_a_crash_starts_nothing_again() -> None:
    async with opened(upstream(), flow(after("up"))) as bench:
        up = await run(bench)
        (made,) = await bench.made()
        async with bench.triggers.on_state(up.execution, up.runs) as consequences:
            assert not consequences.executions
        await bench.go()
        (again,) = await bench.made()
        assert again.execution.history == made.execution.history


async def test_a_chain_of_flows_runs_to_its_end() -> None:
    async with opened(
        upstream(), flow(after("up")), flow(after("f"), flow_id="g"), flow(after("g"), flow_id="h")
    ) as bench:
        up = await run(bench)
        (last,) = await bench.made("h")
        assert Label("system.correlationId", up.execution.id) in last.execution.labels


def both(more: str = "") -> str:
    """The YAML of preconditions on the flows `a` and `b`."""
    flows = "flows: [{namespace: demo, flowId: a, states: [SUCCESS]}, {namespace: demo, flowId: b}]"
    return listen(f"preconditions: {{id: p, {flows}" + (f", {more}}}" if more else "}"))


A = upstream("a", "outputs: [{id: x, type: STRING, value: from a}, {id: z, type: INT, value: 1}]")
B = upstream("b", "outputs: [{id: y, type: STRING, value: from b}, {id: z, type: INT, value: 2}]")


async def test_preconditions_fire_when_all_are_met_and_begin_anew_then() -> None:
    async with opened(A, B, flow(both())) as bench:
        await run(bench, "a")
        assert await bench.made() == []
        last = await run(bench, "b")
        (made,) = await bench.made()
        await run(bench, "b")
        assert len(await bench.made()) == 1
        await run(bench, "a")
        assert len(await bench.made()) == 2

    assert variables(made)["executionId"] == last.execution.id
    assert variables(made)["outputs"] == {"x": "from a", "y": "from b", "z": 2}


async def test_without_reset_each_further_match_fires_within_the_window() -> None:
    async with opened(A, B, flow(both("resetOnSuccess: false"))) as bench:
        for flow_id in ("a", "b", "b"):
            await run(bench, flow_id)
        assert len(await bench.made()) == 2
        bench.clock.now += DAY
        await run(bench, "b")
        assert len(await bench.made()) == 2


async def test_what_preconditions_have_seen_survives_a_restart() -> None:
    states, clock = MemoryTriggers(), Clock()
    async with opened(A, B, flow(both()), states=states, clock=clock) as bench:
        await run(bench, "a")
    clock.now += HOUR
    async with opened(A, B, flow(both()), states=states, clock=clock) as bench:
        await run(bench, "b")
        (made,) = await bench.made()
        assert variables(made)["outputs"] == {"y": "from b", "z": 2}  # the store is another one
    assert await states.windows() == []


async def test_a_window_that_is_over_when_the_daemon_starts_is_deleted() -> None:
    states, clock = MemoryTriggers(), Clock()
    async with opened(A, B, flow(both()), states=states, clock=clock) as bench:
        await run(bench, "a")
        assert len(await states.windows()) == 1
    clock.now += 2 * DAY
    async with opened(A, B, flow(both()), states=states, clock=clock):
        assert await states.windows() == []


async def test_preconditions_that_are_met_in_two_windows_do_not_fire() -> None:
    hour = "timeWindow: {type: SLIDING_WINDOW, window: PT1H}"
    async with opened(A, B, flow(both(hour))) as bench:
        await run(bench, "a")
        bench.clock.now += HOUR + timedelta(seconds=1)
        await run(bench, "b")
        assert await bench.made() == []
        bench.clock.now += 59 * MINUTE
        await run(bench, "a")
        assert len(await bench.made()) == 1


async def test_outside_of_a_daily_window_nothing_is_gathered() -> None:
    daily = 'timeWindow: {type: DAILY_TIME_WINDOW, startTime: "10:00:00Z", endTime: "12:00:00Z"}'
    async with opened(A, B, flow(both(daily))) as bench:
        assert bench.clock.now == T0  # at nine
        await run(bench, "a")
        bench.clock.now += 2 * HOUR
        await run(bench, "b")
        assert await bench.made() == []
        await run(bench, "a")
        assert len(await bench.made()) == 1


async def test_filters_pick_executions() -> None:
    hit = (
        "where: [{id: w, filters: [{field: FLOW_ID, type: EQUAL_TO, value: up},"
        " {field: STATE, type: IN, values: [SUCCESS]},"
        " {field: NAMESPACE, type: STARTS_WITH, value: de}]}]"
    )
    miss = (
        "where: [{id: w, filters: [{field: FLOW_ID, type: EQUAL_TO, value: up},"
        " {field: EXPRESSION, type: IS_TRUE, value: \"{{ flow.id == 'other' }}\"}]}]"
    )
    either = (
        "where: [{id: w, operand: OR, filters: [{field: FLOW_ID, type: REGEX, value: 'u.'},"
        " {field: STATE, type: NOT_EQUAL_TO, value: SUCCESS}]}]"
    )
    async with opened(
        upstream(),
        flow(listen(f"preconditions: {{id: p, {hit}}}")),
        flow(listen(f"preconditions: {{id: p, {miss}}}"), flow_id="g"),
        flow(listen(f"states: [SUCCESS], preconditions: {{id: p, {either}}}"), flow_id="h"),
    ) as bench:
        await run(bench)
        assert len(await bench.made()) == 1
        assert await bench.made("g") == []
        assert len(await bench.made("h")) == 1


async def test_a_multiple_condition_gathers_too_where_the_other_conditions_hold() -> None:
    conditions = ", ".join(
        f"{each}: {condition('ExecutionFlow', f'namespace: demo, flowId: {each}')}"
        for each in ("a", "b")
    )
    multiple = condition("MultipleCondition", f"id: m, window: PT12H, conditions: {{{conditions}}}")
    succeeded = condition("ExecutionStatus", "in: [SUCCESS]")
    async with opened(
        A, upstream("b", task=FAIL), flow(listen(f"conditions: [{succeeded}, {multiple}]"))
    ) as bench:
        await run(bench, "a")
        await run(bench, "b")
        assert await bench.made() == []

    async with opened(A, B, flow(listen(f"conditions: [{succeeded}, {multiple}]"))) as bench:
        await run(bench, "a")
        await run(bench, "b")
        assert len(await bench.made()) == 1


async def test_a_failed_evaluation_of_a_schedule_is_heard() -> None:
    broken = schedule("0 * * * *", 'inputs: {x: "{{ nope }}"}')
    async with opened(flow(broken, flow_id="up"), flow(after("up", "states: [FAILED]"))) as bench:
        await bench.go(HOUR)
        (made,) = await bench.made()
        assert variables(made)["flowId"] == "up"


async def test_stop_after_disables_a_flow_trigger() -> None:
    async with opened(upstream(), flow(after("up", "stopAfter: [SUCCESS]"))) as bench:
        await run(bench)
        await run(bench)
        assert len(await bench.made()) == 1
        assert bench.state().disabled


def depends(*flows: str, more: str = "") -> str:
    """The YAML of a Flow trigger that depends on flows, as since Kestra 2.0."""
    wanted = ", ".join(f"{{namespace: demo, flowId: {each}}}" for each in flows)
    return listen(f"dependsOn: [{wanted}]" + (f", {more}" if more else ""))


OUT = "outputs: [{id: o, type: STRING, value: '{{ flow.id }}!'}]"


async def test_a_flow_starts_when_all_that_it_depends_on_have_ended() -> None:
    inputs = 'inputs: {g: "{{ trigger.outputs.a.o }}{{ trigger.outputs.b.o }}"}'
    sources = [upstream("a", OUT), upstream("b", OUT), upstream("c", OUT)]
    trigger = flow(depends("a", "b", more=inputs), more="inputs: [{id: g, type: STRING}]")
    async with opened(*sources, trigger) as bench:
        await run(bench, "a")
        await run(bench, "c")
        assert await bench.made() == []
        await run(bench, "b")
        (made,) = await bench.made()
        await run(bench, "b")
        assert len(await bench.made()) == 1

    assert made.execution.inputs == {"g": "a!b!"}


async def test_a_flow_starts_when_enough_of_what_it_depends_on_has_ended() -> None:
    sources = [upstream(each, OUT) for each in "abc"]
    two = flow(depends("a", "b", "c", more="minSatisfied: 2"))
    async with opened(*sources, two) as bench:
        await run(bench, "c")
        assert await bench.made() == []
        await run(bench, "a")
        (made,) = await bench.made()
    assert variables(made)["outputs"] == {"c": {"o": "c!"}, "a": {"o": "a!"}}

    async with opened(*sources, flow(depends("a", "b", more="mode: ANY"))) as bench:
        await run(bench, "b")
        assert len(await bench.made()) == 1
        await run(bench, "c")
        assert len(await bench.made()) == 1


async def test_a_dependency_may_want_states_labels_and_a_condition() -> None:
    wanted = "{namespace: demo, flowId: up, states: [SUCCESS], labels: {t: x}, when: WHEN}"
    when = "\"{{ execution.state == 'SUCCESS' }}\""
    trigger = listen(f"dependsOn: [{wanted.replace('WHEN', when)}]")
    labelled, other = [Label("t", "x")], [Label("t", "y")]
    async with opened(upstream(), flow(trigger)) as bench:
        await run(bench, labels=other)
        assert await bench.made() == []
        await run(bench, labels=labelled)
        assert len(await bench.made()) == 1
    async with opened(upstream(), flow(trigger.replace("==", "!="))) as bench:
        await run(bench, labels=labelled)
        assert await bench.made() == []


async def test_what_is_depended_on_must_end_within_the_window() -> None:
    sources = [upstream("a"), upstream("b")]
    for window in ("every: PT1H", "lookback: PT1H", "from: '09:00:00', to: '10:00:00'"):
        trigger = flow(depends("a", "b", more=f"window: {{{window}}}"))
        async with opened(*sources, trigger) as bench:
            await run(bench, "a")
            await bench.go(2 * HOUR)
            await run(bench, "b")
            assert await bench.made() == [], window

"""`Loop`, as Kestra has it since 2.0."""

from __future__ import annotations

import json

from runner.model.execution import Level
from runner.model.state import State
from runner.testing import Ended, bench, run_flow

CORE = "io.kestra.plugin.core"


def text(name: str, format_: str) -> dict[str, object]:
    return {"id": name, "type": f"{CORE}.debug.Return", "format": format_}


def loop(name: str, values: object, *tasks: object, **more: object) -> dict[str, object]:
    return {"id": name, "type": f"{CORE}.flow.Loop", "values": values, "tasks": tasks, **more}


async def run(*tasks: object, **more: object) -> Ended:
    return await run_flow(json.dumps({"id": "f", "namespace": "tests", "tasks": tasks, **more}))


def output(value: str, type_: str = "STRING") -> list[dict[str, str]]:
    return [{"id": "v", "type": type_, "value": value}]


async def test_items_of_lists_maps_and_texts_are_seen_with_their_index() -> None:
    ended = await run(
        loop(
            "l",
            ["a", "a", 3, {"k": "{{ flow.id }}"}, True],
            text("x", "{{ item.index }}={{ item.value }}"),
        ),
        loop("m", {"k": "v"}, text("y", "{{ item.key }}={{ item.value }}")),
        loop("t", "{{ [1, 'b'] }}", text("z", "{{ item.value }}")),
    )

    assert ended.state is State.SUCCESS
    values = {
        run.id: (run.outputs or {}).get("value") for run in ended.runs if run.task_id in "xyz"
    }
    assert list(values.values()) == ["0=a", "1=a", "2=3", '3={"k":"f"}', "4=true", "k=v", "1", "b"]


async def test_outputs_inside_are_those_of_the_same_item_and_are_gathered_after() -> None:
    ended = await run(
        text("before", "B"),
        loop(
            "l",
            ["a", "b"],
            text("x", "{{ item.value }}"),
            text("y", "{{ outputs.x.value }}{{ outputs.before.value }}{{ tasks.x.state }}"),
            concurrencyLimit=0,
            outputs=output("{{ outputs.y.value | length + item.index }}", "INT"),
        ),
        text(
            "after",
            "{{ outputs.l.outputs[1].outputs.v }} {{ loopOutputs(outputs.l.outputs, 'v') }}",
        ),
    )

    assert ended.outputs_of("after") == {"value": "10 [9,10]"}
    assert ended.outputs_of("l")["iterationCount"] == 2


async def test_items_of_loops_around_are_parents() -> None:
    inner = loop(
        "i",
        ["p"],
        text("x", "{{ item.parent.value }}{{ item.parents[0].index }}{{ outputs.o.value }}"),
    )

    ended = await run(loop("l", ["a", "b"], text("o", "o{{ item.value }}"), inner))

    found = [run.outputs for run in ended.runs if run.task_id == "x"]
    assert found == [{"value": "a0oa"}, {"value": "b1ob"}]


async def test_lines_of_a_file_are_items_whose_outputs_are_stored_as_a_file() -> None:
    write = {"id": "w", "type": f"{CORE}.storage.Write", "content": "one\ntwo\n"}
    each = loop(
        "l",
        "{{ outputs.w.uri }}",
        text("x", "{{ item.value }}"),
        outputs=output("{{ outputs.x.value }}"),
    )

    ended = await run(write, each, text("after", "{{ read(outputs.l.uri) }}"))

    lines = str(ended.outputs_of("after")["value"]).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"index": 0, "outputs": {"v": "one"}},
        {"index": 1, "outputs": {"v": "two"}},
    ]


async def test_a_failure_ends_the_loop_unless_failures_are_not_transmitted() -> None:
    fail = {"id": "x", "type": f"{CORE}.execution.Fail", "condition": "{{ item.value == 'a' }}"}

    stopped = await run(
        loop("l", ["a", "b"], fail, errors=[text("sorry", "e")]), text("after", "x")
    )
    went_on = await run(loop("l", ["a", "b"], fail, transmitFailed=False), text("after", "x"))

    assert stopped.state is State.FAILED
    assert [run.task_id for run in stopped.runs] == ["l", "l_iteration", "x", "sorry"]
    assert went_on.state is State.SUCCESS
    assert [run.state for run in went_on.runs if run.task_id == "x"] == [
        State.FAILED,
        State.SUCCESS,
    ]


async def test_values_that_are_none_fail_the_loop_with_a_reason() -> None:
    bare = await run(loop("l", "abc", text("x", "x")))
    null = await run(loop("l", "[1, null]", text("x", "x")))
    wrong = await run(loop("l", ["a"], text("x", "x"), outputs=output("no", "INT")))

    assert bare.state is null.state is wrong.state is State.FAILED
    assert (
        "The values of a Loop are a list, a map, or the URI of a file" in bare.logs(Level.ERROR)[0]
    )
    assert "Found a null value among the values of the Loop" in null.logs(Level.ERROR)[0]
    assert (
        'Invalid value for output `v`. Cause: For input string: "no"' in wrong.logs(Level.ERROR)[0]
    )


async def test_a_loop_that_failed_is_restarted_at_the_item_that_failed() -> None:
    fail = {
        "id": "x",
        "type": f"{CORE}.execution.Fail",
        "condition": "{{ kv('bad') == item.value }}",
    }
    source = json.dumps(
        {"id": "f", "namespace": "tests", "tasks": [loop("l", ["a", "b", "c"], fail)]}
    )

    async with bench(source, kv={"bad": "b"}) as opened:
        execution_id = await opened.start()
        assert (await opened.ended(execution_id)).state is State.FAILED
        opened.engine.kv.set("tests", "bad", "none")
        await opened.engine.restart(execution_id)
        ended = await opened.ended(execution_id)

    assert ended.state is State.SUCCESS
    assert [len(run.attempts) for run in ended.runs if run.task_id == "x"] == [1, 2, 1]

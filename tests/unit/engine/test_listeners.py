"""`listeners`, which Kestra 1.2 runs when an execution has ended."""

from __future__ import annotations

import json

from runner.model.execution import Level
from runner.model.state import State
from runner.testing import bench, run_flow

CORE = "io.kestra.plugin.core"


def log(name: str, message: str = "{{ execution.state }}") -> dict[str, object]:
    return {"id": name, "type": f"{CORE}.log.Log", "message": message}


def fail(name: str) -> dict[str, object]:
    return {"id": name, "type": f"{CORE}.execution.Fail"}


def listener(*tasks: object, **condition: object) -> dict[str, object]:
    return {"tasks": tasks, **({"conditions": [condition]} if condition else {})}


def flow(*listeners: object, **more: object) -> str:
    document = {"id": "f", "namespace": "tests", "listeners": listeners, **more}
    return json.dumps(document)


FAILED = {"type": f"{CORE}.condition.ExecutionStatus", "in": ["FAILED"]}
SUCCESS = {"type": f"{CORE}.condition.ExecutionStatus", "in": ["SUCCESS"]}


async def test_listeners_whose_conditions_hold_run_at_the_end_before_after_execution() -> None:
    listeners = (
        listener(log("bad"), **FAILED),
        listener(log("good"), **SUCCESS),
        listener(log("any")),
    )

    ended = await run_flow(flow(*listeners, tasks=[log("t")], afterExecution=[log("after")]))

    assert list(ended.states) == ["t", "good", "any", "after"]
    assert ended.logs() == ["RUNNING", "SUCCESS", "SUCCESS", "SUCCESS"]


async def test_what_fails_in_a_listener_changes_nothing_and_stops_nothing() -> None:
    ended = await run_flow(flow(listener(fail("x"), log("y")), tasks=[log("t")]))

    assert ended.state is State.SUCCESS
    assert ended.states == {"t": State.SUCCESS, "x": State.FAILED, "y": State.SUCCESS}


async def test_a_condition_that_cannot_be_evaluated_does_not_hold_and_is_logged() -> None:
    broken = {"type": f"{CORE}.condition.Expression", "expression": "{{ nothing }}"}

    ended = await run_flow(flow(listener(log("x"), **broken), tasks=[log("t")]))

    assert list(ended.states) == ["t"]
    assert "Evaluate Condition Failed" in ended.logs(Level.WARN)[0]


async def test_a_restart_runs_listeners_again_for_the_new_end() -> None:
    wait = {**fail("t"), "condition": "{{ kv('bad') }}"}
    listeners = listener(log("bad"), **FAILED), listener(log("good"), **SUCCESS)

    async with bench(flow(*listeners, tasks=[wait]), kv={"bad": "true"}) as opened:
        execution_id = await opened.start()
        assert list((await opened.ended(execution_id)).states) == ["t", "bad"]
        opened.engine.kv.set("tests", "bad", "false")
        await opened.engine.restart(execution_id)
        ended = await opened.ended(execution_id)

    assert list(ended.states) == ["t", "good"]

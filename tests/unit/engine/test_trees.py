"""The variables `outputs` and `tasks` while task runs come, change and go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runner.engine.trees import Trees
from runner.model.execution import TaskRun
from runner.model.state import History, State

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(name: str, state: State, parent: str | None = None, **more: Any) -> TaskRun:
    return TaskRun(
        id=f"{name}-{more.get('value')}-{parent}",
        execution_id="e",
        namespace="n",
        flow_id="f",
        task_id=name,
        history=History.begin(state, NOW),
        parent_id=parent,
        **more,
    )


def put(trees: Trees, runs: dict[str, TaskRun], each: TaskRun) -> TaskRun:
    runs[each.id] = each
    trees.put(each)
    return each


def test_loop_values_around_a_run_are_keys_outermost_first() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    outer = put(trees, runs, run("outer", State.RUNNING))
    inner = put(trees, runs, run("inner", State.RUNNING, outer.id, value="a"))
    put(trees, runs, run("t", State.SUCCESS, inner.id, value="1", outputs={"x": 1}))
    put(trees, runs, run("t", State.FAILED, inner.id, value="2", outputs={}))
    put(trees, runs, run("none", State.SUCCESS, inner.id, value="1", outputs={}))

    # What gave nothing is an empty map, but for none of the values.
    assert trees.outputs == {"t": {"a": {"1": {"x": 1}}}, "none": {}}
    assert trees.states["t"] == {"1": {"state": "SUCCESS"}, "2": {"state": "FAILED"}}
    placed = {"1": {"state": "SUCCESS"}, "2": {"state": "FAILED"}}
    assert trees.placed_states["t"] == {"a": placed}


def test_of_runs_without_a_value_of_their_own_the_last_one_gives_the_state() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    loop = put(trees, runs, run("loop", State.RUNNING))
    one = put(trees, runs, run("if", State.RUNNING, loop.id, value="1"))
    two = put(trees, runs, run("if", State.RUNNING, loop.id, value="2"))
    first = put(trees, runs, run("t", State.RUNNING, one.id))
    put(trees, runs, run("t", State.FAILED, two.id))
    put(trees, runs, replace(first, history=History.begin(State.SUCCESS, NOW)))

    assert trees.states["t"] == {"state": "FAILED"}


def test_the_trees_are_walked_in_the_order_of_java_maps() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    loop = put(trees, runs, run("each", State.RUNNING))
    for value in ("s", "two", "3"):
        put(trees, runs, run("t", State.SUCCESS, loop.id, value=value, outputs={"x": 1}))
    put(trees, runs, run("a", State.SUCCESS, outputs={}))

    assert list(trees.states) == ["a", "t", "each"]
    assert list(trees.outputs) == ["a", "t"]
    assert list(trees.outputs["t"]) == ["two", "s", "3"]


def test_new_outputs_of_a_run_replace_the_old_ones() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    loop = put(trees, runs, run("loop", State.RUNNING, outputs={"n": 1}))
    put(trees, runs, replace(loop, outputs={"n": 2}))

    assert trees.outputs == {"loop": {"n": 2}}


def test_a_run_that_is_dropped_leaves_nothing() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    loop = put(trees, runs, run("loop", State.RUNNING, value="a"))
    child = put(trees, runs, run("t", State.SUCCESS, loop.id, outputs={"x": 1}))
    del runs[child.id]
    trees.drop(child)

    assert trees.outputs == {}
    assert trees.states == {"loop": {"a": {"state": "RUNNING"}}}
    put(trees, runs, child)
    assert trees.outputs == {"t": {"a": {"x": 1}}}


def test_runs_without_outputs_are_absent_and_those_with_none_in_them_are_empty() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    for each in (run("a", State.RUNNING), run("b", State.SKIPPED), run("c", State.SUCCESS)):
        put(trees, runs, each)
    put(trees, runs, run("d", State.RUNNING, outputs={}))

    assert trees.outputs == {"d": {}}


def test_what_an_expression_was_given_does_not_change_the_run() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    given = {"m": {"k": [1]}}
    put(trees, runs, run("t", State.SUCCESS, outputs=given))
    trees.outputs["t"]["m"]["more"] = 1

    assert given == {"m": {"k": [1]}}


def test_maps_are_in_the_order_in_which_kestra_prints_them() -> None:
    runs: dict[str, TaskRun] = {}
    trees = Trees(runs)
    counts = {"CREATED": 0, "RUNNING": 0, "SUCCESS": 2}
    put(trees, runs, run("t", State.SUCCESS, outputs={"iterations": counts}))

    assert list(trees.outputs["t"]["iterations"]) == ["RUNNING", "CREATED", "SUCCESS"]

"""What expressions see of the task runs around them, as a Kestra 1.2.14 printed it."""

from __future__ import annotations

import json

from runner.testing import Ended, run_flow

C = "io.kestra.plugin.core"


def text(name: str, format_: str, **more: object) -> dict[str, object]:
    return {"id": name, "type": f"{C}.debug.Return", "format": format_, **more}


def within(name: str, type_: str, **properties: object) -> dict[str, object]:
    return {"id": name, "type": f"{C}.{type_}", **properties}


async def run(*tasks: object, **more: object) -> Ended:
    return await run_flow(json.dumps({"id": "f", "namespace": "tests", "tasks": tasks, **more}))


def printed(ended: Ended, task: str) -> object:
    return ended.outputs_of(task)["value"]


async def test_parents_have_outputs_and_a_value() -> None:
    inner = within("if", "flow.If", condition="true", then=[text("t", "{{ parents }}")])
    ended = await run(within("each", "flow.ForEach", values=["a"], tasks=[inner]))

    assert printed(ended, "t") == '[{"outputs":{"evaluationResult":true},"taskrun":{"value":"a"}}]'


async def test_children_of_a_working_directory_have_the_parents_that_it_has() -> None:
    seen = text(
        "t",
        "{{ taskrun.value ?? 'none' }} {{ taskrun.iteration ?? 'none' }} {{ parent ?? 'none' }} "
        "{{ workerTaskrun.value }} {{ workerTaskrun.iteration }} {{ workerTaskrun.attemptsCount }}",
    )
    inside = within("wd", "flow.WorkingDirectory", tasks=[seen])
    deeper = within("wd2", "flow.WorkingDirectory", tasks=[text("u", "{{ parent.taskrun.value }}")])
    ended = await run(
        within(
            "each",
            "flow.ForEach",
            values=["a"],
            tasks=[inside, within("s", "flow.Sequential", tasks=[deeper])],
        )
    )

    assert printed(ended, "t") == "a none none a 0 0"
    assert printed(ended, "u") == "a"


async def test_states_are_found_by_the_value_of_the_task_itself_only() -> None:
    bad = within("bad", "execution.Fail", allowFailure=True)
    inner = within("if", "flow.If", condition="true", then=[bad])
    ended = await run(
        within("each", "flow.ForEach", values=["1"], tasks=[inner]),
        text("after", "{{ tasks }}"),
    )

    assert printed(ended, "after") == (
        '{"bad":{"state":"WARNING"},"after":{"state":"CREATED"},'
        '"if":{"1":{"state":"WARNING"}},"each":{"state":"WARNING"}}'
    )


async def test_a_task_sees_itself_in_the_state_in_which_it_was_sent_to_a_worker() -> None:
    retried = {"type": "constant", "interval": "PT0.01S", "maxAttempts": 2}
    failing = "{{ tasks.t.state }} {{ taskrun.attemptsCount == 0 ? nope : 'again' }}"
    ended = await run(text("t", failing, retry=retried))

    assert printed(ended, "t") == "CREATED again"


async def test_outputs_of_values_are_walked_as_a_hash_map_is() -> None:
    ended = await run(
        within(
            "each",
            "flow.ForEach",
            values='[{"k": 1}, [2], true, 2.50, "s"]',
            tasks=[text("t", "x")],
        ),
        text("after", "{{ outputs.t | keys }}"),
    )

    assert printed(ended, "after") == '["true","2.5","s","{\\"k\\":1}","[2]"]'


async def test_vars_are_printed_in_the_order_of_a_hash_map() -> None:
    ended = await run(text("t", "{{ vars }}"), variables={"a": 1, "m": 2, "s": 3, "b": 4, "c": 5})

    assert printed(ended, "t") == '{"a":1,"b":4,"s":3,"c":5,"m":2}'


async def test_inputs_are_sorted_before_they_are_put_in_the_order_of_a_hash_map() -> None:
    names = ["s", "i", "f", "b", "bl", "d", "dt", "t", "du", "j", "u", "e", "se", "ms", "a"]
    names += ["y", "en", "sec"]
    inputs = [{"id": name, "type": "STRING", "defaults": "x"} for name in names]
    ended = await run(text("t", "{{ inputs | keys | join(',') }}"), inputs=inputs)

    assert printed(ended, "t") == "a,b,d,e,f,ms,en,i,bl,j,dt,sec,du,se,s,t,u,y"


async def test_a_task_with_an_old_type_name_says_so() -> None:
    ended = await run(
        {"id": "t", "type": "io.kestra.core.tasks.debugs.Return", "format": "{{ task.type }}"}
    )

    assert printed(ended, "t") == "io.kestra.core.tasks.debugs.Return"


async def test_tasks_of_a_working_directory_see_what_was_before_their_job() -> None:
    inside = within(
        "wd", "flow.WorkingDirectory", tasks=[text("a", "{{ tasks }}"), text("b", "{{ tasks }}")]
    )
    ended = await run(within("each", "flow.ForEach", values=["1", "2"], tasks=[inside]))

    around = {run.id: run.value for run in ended.runs if run.task_id == "wd"}
    seen = {around[run.parent_id or ""]: run.outputs for run in ended.runs if run.task_id == "b"}
    assert seen["1"] == {"value": '{"wd":{"1":{"state":"CREATED"}},"each":{"state":"RUNNING"}}'}
    assert seen["2"] == {
        "value": '{"a":{"state":"SUCCESS"},"b":{"state":"SUCCESS"},"wd":'
        '{"1":{"state":"SUCCESS"},"2":{"state":"CREATED"}},"each":{"state":"RUNNING"}}'
    }


async def test_outputs_show_flowables_that_run_and_nothing_of_what_changes_the_execution() -> None:
    inside = text("r", "{{ outputs }}")
    ended = await run(
        within("v", "execution.SetVariables", variables={"a": 1}),
        within("l", "log.Log", message="x"),
        within("no", "debug.Return", format="x", runIf="false"),
        within(
            "each",
            "flow.ForEach",
            values=["1"],
            tasks=[
                within("s", "flow.Sequential", tasks=[inside]),
                within("m", "log.Log", message=""),
            ],
        ),
        text("after", "{{ outputs.s }} {{ outputs.m }} {{ outputs.each }}"),
    )

    assert printed(ended, "r") == '{"s":{},"l":{},"each":{}}'
    assert printed(ended, "after") == "{} {} {}"

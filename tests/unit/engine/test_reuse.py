"""What an execution takes over from an earlier one, and what it must run again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runner.engine.reuse import Reuse
from runner.model.state import State
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.past import Past
from runner.testing import Ended, FakeRunner, FakeRunners, bench

CORE = "io.kestra.plugin.core"
SHELL = "io.kestra.plugin.scripts.shell.Commands"


def task(name: str, type_: str, **properties: object) -> str:
    return json.dumps({"id": name, "type": type_, **properties})


def script(name: str, *commands: str, **properties: object) -> str:
    return task(name, SHELL, commands=list(commands) or [f"run {name}"], **properties)


def text(name: str, value: str) -> str:
    return task(name, f"{CORE}.debug.Return", format=value)


def nested(name: str, type_: str, *tasks: str, **properties: object) -> str:
    inner = [json.loads(each) for each in tasks]
    return task(name, f"{CORE}.flow.{type_}", tasks=inner, **properties)


def flow(*tasks: str, **more: object) -> str:
    document = {"id": "f", "namespace": "tests", **more}
    return json.dumps({**document, "tasks": [json.loads(each) for each in tasks]})


@dataclass(frozen=True, slots=True)
class Seen:
    """How an execution ended, which tasks it took over, and which ran."""

    ended: Ended
    used: list[str]
    ran: list[str]

    @property
    def past(self) -> Past:
        return Past(self.ended.execution, self.ended.runs)

    def why(self, name: str) -> str:
        return self.ended.logs(task=name)[0].removeprefix("Runs again: ")


@dataclass(slots=True)
class Runs:
    """Runs flows one after the other on the same machine, in which nothing changes by itself."""

    settings: Settings
    runner: FakeRunner

    async def __call__(self, source: str, after: Seen | None = None, **inputs: Any) -> Seen:
        reuse = Reuse(after.past if after else None)
        fakes = FakeRunners(self.runner, self.settings)
        async with bench(source, settings=self.settings, runners=fakes) as opened:
            ended = await opened.ended(await opened.start(inputs=inputs, reuse=reuse))
        names: Callable[[Any], list[str]] = lambda runs: [  # noqa: E731
            each.task_id + (f"[{each.value}]" if each.value else "") for each in runs
        ]
        return Seen(ended, names(reuse.used), names(reuse.ran))

    async def twice(self, first: str, second: str | None = None) -> Seen:
        return await self(second or first, await self(first))

    def storage(self) -> Storage:
        return Storage(self.settings.state_dir / "storage")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(Settings(state_dir=tmp_path, task_runner="process", environ={}), FakeRunner())


async def test_what_has_not_changed_is_taken_over_with_its_outputs_and_dates(runs: Runs) -> None:
    first = await runs(flow(script("load"), text("say", "hi")))

    second = await runs(flow(script("load"), text("say", "hi")), first)

    assert (second.used, second.ran) == (["load", "say"], [])
    assert second.ended.state is State.SUCCESS
    assert second.ended.execution.parent_id == first.ended.execution.id
    assert second.ended.outputs_of("say") == {"value": "hi"}
    assert second.ended.run("load").history == first.ended.run("load").history
    assert len(runs.runner.commands) == 1
    assert second.ended.logs(task="load")[0].startswith("Reused: nothing has changed since 20")


async def test_a_changed_script_runs_again_and_so_do_scripts_after_it(runs: Runs) -> None:
    seen = await runs.twice(
        flow(script("a"), script("b"), script("c"), text("say", "hi")),
        flow(script("a"), script("b", "other"), script("c"), text("say", "hi")),
    )

    assert (seen.used, seen.ran) == (["a", "say"], ["b", "c"])
    assert seen.why("b") == "it has changed"
    assert seen.why("c") == "what it depends on has changed"


async def test_a_changed_value_runs_what_uses_it_and_nothing_else(runs: Runs) -> None:
    seen = await runs.twice(
        flow(text("a", "1"), text("b", "{{ outputs.a.value }}"), text("c", "x"), script("d")),
        flow(text("a", "2"), text("b", "{{ outputs.a.value }}"), text("c", "x"), script("d")),
    )

    assert (seen.used, seen.ran) == (["c", "d"], ["a", "b"])
    assert seen.ended.outputs_of("b") == {"value": "2"}


async def test_another_input_runs_what_uses_it(runs: Runs) -> None:
    source = flow(
        text("a", "{{ inputs.n }}"),
        text("b", "x"),
        inputs=[{"id": "n", "type": "INT", "defaults": 1}],
    )
    first = await runs(source)

    assert (await runs(source, first, n=1)).ran == []
    assert (await runs(source, first, n=2)).ran == ["a"]


async def test_the_time_and_the_id_of_an_execution_are_new_each_time(runs: Runs) -> None:
    source = flow(text("a", "{{ execution.id }}"), text("b", "{{ now() }}"), text("c", "{{ 1 }}"))

    assert (await runs.twice(source)).ran == ["a", "b"]


async def test_another_key_value_runs_what_reads_it(runs: Runs) -> None:
    source = flow(text("a", "{{ kv('k') }}"), script("b", "{{ kv('k') }}"), text("c", "x"))
    keys = KeyValues(runs.settings.state_dir / "storage")
    keys.set("tests", "k", "1")
    first = await runs(source)

    assert (await runs(source, first)).ran == []
    keys.set("tests", "k", "2")
    assert (await runs(source, first)).ran == ["a", "b"]


async def test_another_namespace_file_runs_the_scripts_that_get_it(runs: Runs) -> None:
    source = flow(
        script("a", namespaceFiles={"enabled": True}),
        script("b", inputFiles={"x": "nsfile:///x.txt"}),
        text("c", "{{ fileURI('x.txt') }}"),
    )
    files = runs.storage().namespace_files("tests")
    files.write("x.txt", b"one")
    first = await runs(source)

    assert (await runs(source, first)).ran == []
    files.write("x.txt", b"two")
    assert (await runs(source, first)).ran == ["a", "b", "c"]


async def test_a_file_input_is_compared_by_its_content(runs: Runs, tmp_path: Path) -> None:
    source = flow(text("a", "{{ inputs.f }}"), inputs=[{"id": "f", "type": "FILE"}])
    file = tmp_path / "f.txt"
    file.write_text("one")
    first = await runs(source, f=file)

    assert (await runs(source, first, f=file)).ran == []
    file.write_text("two")
    assert (await runs(source, first, f=file)).ran == ["a"]


async def test_the_environment_of_a_process_counts_but_not_that_of_its_shell(runs: Runs) -> None:
    first = await runs(flow(script("a")))

    def with_environ(environ: Mapping[str, str]) -> Runs:
        return replace(runs, settings=replace(runs.settings, environ=environ))

    assert (await with_environ({"PWD": "/x", "SHLVL": "2"})(flow(script("a")), first)).ran == []
    assert (await with_environ({"API": "/x"})(flow(script("a")), first)).ran == ["a"]


async def test_a_task_that_did_not_succeed_runs_again(runs: Runs) -> None:
    runs.runner = FakeRunner(exit_code=1)
    first = await runs(flow(script("a", allowFailure=True), script("b", allowFailure=True)))
    runs.runner = FakeRunner()

    second = await runs(flow(script("a", allowFailure=True), script("b", allowFailure=True)), first)

    assert second.ran == ["a", "b"]
    assert second.why("a") == "it ended WARNING"


async def test_a_script_runs_again_when_one_before_it_is_gone_new_or_elsewhere(runs: Runs) -> None:
    first = await runs(flow(script("a"), script("b"), script("c")))

    assert (await runs(flow(script("a"), script("c")), first)).ran == ["c"]
    assert (await runs(flow(script("b"), script("a"), script("c")), first)).ran == ["b", "a", "c"]
    added = flow(script("a"), script("new"), script("b"), script("c"))
    assert (await runs(added, first)).ran == ["new", "b", "c"]


async def test_tasks_beside_a_changed_one_are_taken_over(runs: Runs) -> None:
    def parallel(command: str) -> str:
        left = nested("l", "Sequential", script("a", command), script("b"))
        return flow(nested("p", "Parallel", left, script("c")), script("d"))

    seen = await runs.twice(parallel("one"), parallel("two"))

    assert (seen.used, sorted(seen.ran)) == (["c"], ["a", "b", "d"])
    assert (await runs(parallel("two"), seen)).ran == []


async def test_tasks_of_a_dag_run_again_after_those_they_depend_on(runs: Runs) -> None:
    def dag(command: str) -> str:
        nodes = [
            {"task": json.loads(script("a", command))},
            {"task": json.loads(script("b"))},
            {"task": json.loads(script("c")), "dependsOn": ["a"]},
            {"task": json.loads(script("d")), "dependsOn": ["b"]},
        ]
        return flow(task("dag", f"{CORE}.flow.Dag", tasks=nodes))

    seen = await runs.twice(dag("one"), dag("two"))

    assert (sorted(seen.used), sorted(seen.ran)) == (["b", "d"], ["a", "c"])


async def test_values_of_a_loop_stand_for_themselves(runs: Runs) -> None:
    def loop(*values: str, limit: int) -> str:
        each = script("s", "{{ taskrun.value }}")
        return flow(nested("l", "ForEach", each, values=list(values), concurrencyLimit=limit))

    beside = await runs.twice(loop("a", "b", limit=0), loop("a", "x", "b", limit=0))
    in_turn = await runs.twice(loop("a", "b", limit=1), loop("a", "x", "b", limit=1))

    assert (sorted(beside.used), beside.ran) == (["s[a]", "s[b]"], ["s[x]"])
    assert (in_turn.used, in_turn.ran) == (["s[a]"], ["s[x]", "s[b]"])


async def test_a_condition_is_decided_anew(runs: Runs) -> None:
    def choice(condition: str) -> str:
        branches = {"then": [json.loads(text("a", "x"))], "else": [json.loads(text("b", "x"))]}
        return flow(task("i", f"{CORE}.flow.If", condition=condition, **branches))

    seen = await runs.twice(choice("true"), choice("false"))

    assert (seen.used, seen.ran) == ([], ["b"])
    assert set(seen.ended.states) == {"i", "b"}


async def test_tasks_that_read_or_change_what_flows_share_run_each_time(runs: Runs) -> None:
    source = flow(
        task("set", f"{CORE}.kv.Set", key="k", value="{{ 'v' }}"),
        task("get", f"{CORE}.kv.Get", key="k"),
        task("vars", f"{CORE}.execution.SetVariables", variables={"x": "1"}),
        text("use", "{{ outputs.get.value }} {{ vars.x }}"),
        script("s"),
    )

    seen = await runs.twice(source)

    assert (seen.used, seen.ran) == (["use", "s"], ["set", "get", "vars"])
    assert seen.ended.outputs_of("use") == {"value": "v 1"}


async def test_tasks_that_share_a_folder_poll_or_clean_up_run_each_time(runs: Runs) -> None:
    source = flow(
        nested("w", "WorkingDirectory", script("shares")),
        nested("u", "LoopUntil", text("polls", "x"), condition="true"),
        text("plain", "x"),
        **{"finally": [json.loads(text("cleans", "x"))]},
    )

    seen = await runs.twice(source)

    assert (seen.used, seen.ran) == (["plain"], ["shares", "polls", "cleans"])


async def test_a_script_after_one_that_ran_runs_although_nothing_else_changed(runs: Runs) -> None:
    source = flow(nested("w", "WorkingDirectory", script("shares")), script("after"))

    seen = await runs.twice(source)

    assert seen.why("after") == "a task before it ran again"


async def test_a_run_if_is_decided_anew(runs: Runs) -> None:
    source = flow(
        text("a", "x").replace('"type"', '"runIf": "{{ inputs.on }}", "type"'),
        inputs=[{"id": "on", "type": "BOOL", "defaults": True}],
    )
    first = await runs(source)

    assert (await runs(source, first, on=False)).ended.states == {"a": State.SKIPPED}


async def test_a_script_that_sees_all_of_the_execution_runs_each_time(runs: Runs) -> None:
    seen = await runs.twice(flow(script("a", executionContext=True)))

    assert seen.why("a") == "what it depends on is not known"


async def test_files_last_through_a_chain_when_the_first_executions_are_gone(runs: Runs) -> None:
    source = flow(
        task("w", f"{CORE}.storage.Write", content="content", extension=".txt"),
        text("r", "{{ read(outputs.w.uri) }}"),
    )
    seen = await runs(source)
    for _ in range(3):
        before = seen
        seen = await runs(source, before)
        assert (seen.used, seen.ran) == (["w", "r"], [])
        runs.storage().delete_execution(before.ended.execution)

    uri = seen.ended.outputs_of("w")["uri"]
    assert seen.ended.execution.id in uri
    assert runs.storage().open(uri).read_text() == "content"
    changed = source.replace("{{ read(", "again: {{ read(")
    assert (await runs(changed, seen)).ended.outputs_of("r") == {"value": "again: content"}

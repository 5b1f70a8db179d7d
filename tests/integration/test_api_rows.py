"""What is asked for less often: checks before a run, states set by hand, archives of flows."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64encode
from pathlib import Path

import aiohttp
import pytest
from live_daemon import Daemon, Start

LOG = "io.kestra.plugin.core.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"

ASKS = f"""
id: asks
namespace: t
inputs:
  - {{id: name, type: STRING}}
  - {{id: count, type: INT, defaults: 3}}
  - {{id: report, type: FILE, required: false}}
  - {{id: key, type: SECRET, required: false}}
tasks:
  - {{id: say, type: {RETURN}, format: "{{{{ inputs.name }}}}"}}
outputs:
  - {{id: said, type: STRING, value: "{{{{ outputs.say.value }}}}"}}
"""

WAITS = f"""
id: waits
namespace: t
tasks:
  - id: ask
    type: io.kestra.plugin.core.flow.Pause
    onResume: [{{id: reason, type: INT}}]
  - {{id: say, type: {LOG}, message: hi}}
"""


def form(**values: str) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in values.items():
        data.add_field(name, value)
    return data


async def test_inputs_are_checked_without_starting_anything(daemon: Daemon) -> None:
    await daemon.deploy(ASKS)
    data = form(count="many", key="hush-hush")
    data.add_field("report", b"1,2", filename="report.csv")

    answer = await daemon("POST", "/executions/t/asks/validate", data=data)

    assert answer.status == 200
    found = {each["input"]["id"]: each for each in answer.json["inputs"]}
    assert [e["message"] for e in found["name"]["errors"]] == ["Missing required input:name"]
    assert "count" in found["count"]["errors"][0]["message"]
    assert found["report"]["value"].startswith("kestra:///t/asks/")
    assert "hush" not in answer.text
    assert (await daemon("GET", "/executions/search")).json["total"] == 0
    assert list((daemon.state / "storage").rglob("report.csv")) == []
    empty = (await daemon("POST", "/executions/t/asks/validate")).json["inputs"]
    assert {e["input"]["id"]: e["isDefault"] for e in empty}["count"] is True


async def test_the_inputs_of_a_pause_are_checked_before_it_is_resumed(daemon: Daemon) -> None:
    await daemon.deploy(WAITS)
    started = (await daemon("POST", "/executions/t/waits")).json["id"]
    path = f"/executions/{started}"
    await daemon.until(path, lambda e: e["state"]["current"] == "PAUSED")

    for route in (f"{path}/resume/validate", f"{path}/actions/resume/validate"):
        wrong = (await daemon("POST", route, data=form(reason="x"))).json["inputs"][0]
        right = (await daemon("POST", route, data=form(reason="5"))).json["inputs"][0]
        assert (len(wrong["errors"]), right["errors"], right["value"]) == (1, [], 5)
    assert (await daemon("POST", f"{path}/resume", data=form(reason="5"))).status == 200
    await daemon.until(path, lambda e: e["state"]["current"] == "SUCCESS")
    assert (await daemon("POST", f"{path}/resume/validate")).status == 409


async def test_an_expression_sees_the_task_run_and_no_secret(start: Start, tmp_path: Path) -> None:
    secret = b64encode(b"tr0ub4dor").decode()
    async with start(tmp_path, environ={"PATH": "/usr/bin:/bin", "SECRET_PW": secret}) as daemon:
        await daemon.deploy(ASKS)
        ran = await daemon.run("asks", name="Ann", key="hush-hush")
        task_run = ran["taskRunList"][0]["id"]

        async def value(text: str, at: str = f"eval/{task_run}") -> str:
            answer = await daemon("POST", f"/executions/{ran['id']}/{at}", data=text)
            assert answer.status == 200, answer.text
            return answer.json.get("result") or answer.json["error"]

        assert await value("{{ taskrun.id }} {{ outputs.say.value }}") == f"{task_run} Ann"
        assert await value("{{ inputs.name | upper }}", "actions/eval") == "ANN"
        for text in (
            "{{ secret('PW') | upper }}",
            "{{ secret('PW') }}",
            "{{ inputs.key | upper }}",
        ):
            found = (await value(text)).lower()
            assert "***" in found, text
            assert "tr0ub4dor" not in found and "hush" not in found, text
        assert "nope" in await value("{{ nope.x }}")
        unknown = await daemon("POST", f"/executions/{ran['id']}/eval/none", data="x")
        assert unknown.status == 404
        shown = await daemon("GET", f"/executions/{ran['id']}")
        assert "hush-hush" not in shown.text


async def test_a_status_is_changed_to_another_ending_only(daemon: Daemon) -> None:
    await daemon.deploy(ASKS)
    ran = (await daemon.run("asks", name="x"))["id"]

    async def status(name: str) -> int:
        path = f"/executions/{ran}/change-status"
        return (await daemon("POST", path, params={"status": name})).status

    assert [await status(n) for n in ("RUNNING", "RETRIED", "x", "")] == [422, 422, 400, 400]
    assert await status("FAILED") == 200
    state = (await daemon("GET", f"/executions/{ran}")).json["state"]
    assert [each["state"] for each in state["histories"]][-2:] == ["SUCCESS", "FAILED"]
    several = await daemon(
        "POST", "/executions/change-status/by-ids", params={"newStatus": "WARNING"}, json=[ran]
    )
    assert several.json == {"count": 1, "totalItems": 1}
    assert (await daemon("GET", f"/executions/{ran}")).json["state"]["current"] == "WARNING"


async def test_a_queued_execution_is_let_go_or_ended(daemon: Daemon) -> None:
    await daemon.deploy(f"{WAITS}concurrency: {{limit: 1, behavior: QUEUE}}\n")
    ids = [(await daemon("POST", "/executions/t/waits")).json["id"] for _ in range(3)]
    paths = [f"/executions/{each}" for each in ids]
    await daemon.until(paths[0], lambda e: e["state"]["current"] == "PAUSED")
    for path in paths[1:]:
        await daemon.until(path, lambda e: e["state"]["current"] == "QUEUED")

    assert (await daemon("POST", f"{paths[0]}/unqueue")).status == 409
    ended = await daemon("POST", f"{paths[1]}/unqueue", params={"state": "CANCELLED"})
    let_go = await daemon("POST", f"{paths[2]}/unqueue")

    assert (ended.status, let_go.status) == (200, 200)
    await daemon.until(paths[1], lambda e: e["state"]["current"] == "CANCELLED")
    await daemon.until(paths[2], lambda e: e["state"]["current"] == "PAUSED")


async def test_outputs_are_had_where_2_0_has_them(daemon: Daemon) -> None:
    await daemon.deploy(ASKS)
    ran = await daemon.run("asks", name="Ann")
    path, run = f"/outputs/{ran['id']}", ran["taskRunList"][0]["id"]

    assert (await daemon("GET", path)).json == [{"taskId": "say", "taskRunId": run}]
    assert (await daemon("GET", f"{path}/{run}")).json == {"value": "Ann"}
    assert (await daemon("GET", f"/outputs/executions/{ran['id']}")).json == {"said": "Ann"}
    assert (await daemon("GET", f"{path}/none")).status == 404


async def test_flows_are_exported_and_imported_again(daemon: Daemon) -> None:
    await daemon.deploy(ASKS)
    found = await daemon("GET", "/flows/export/by-query", params={"namespace": "t"})
    named = await daemon("POST", "/flows/export/by-ids", json=[{"namespace": "t", "id": "asks"}])
    with zipfile.ZipFile(io.BytesIO(found.body)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            "t.asks.yml": ASKS
        }
    assert (await daemon("DELETE", "/flows/delete/by-query")).status == 400
    gone = await daemon("DELETE", "/flows/delete/by-query", params={"namespace": "t"})
    assert gone.json["count"] == 1

    data = aiohttp.FormData()
    data.add_field("fileUpload", named.body, filename="flows.zip")
    assert (await daemon("POST", "/flows/import", data=data)).json == []
    bad = aiohttp.FormData()
    bad.add_field("fileUpload", b"id: x\n", filename="bad.yml")
    (failed,) = (await daemon("POST", "/flows/import", data=bad)).json

    assert failed.startswith("bad.yml: ")
    source = await daemon("GET", "/flows/t/asks", params={"source": "true"})
    assert source.json["source"] == ASKS


@pytest.mark.parametrize("body", [b"PK\x03\x04", b""])
async def test_a_damaged_archive_is_refused(daemon: Daemon, body: bytes) -> None:
    data = aiohttp.FormData()
    data.add_field("fileUpload", body, filename="flows.zip")

    assert (await daemon("POST", "/flows/import", data=data)).status == 422


async def test_flows_are_switched_off_by_a_search(daemon: Daemon) -> None:
    await daemon.deploy(ASKS)

    await daemon("POST", "/flows/disable/by-query", params={"namespace": "t"})

    assert (await daemon("GET", "/flows/t/asks")).json["disabled"] is True


async def test_one_task_or_trigger_is_checked_by_itself(daemon: Daemon) -> None:
    good, bad = f"id: a\ntype: {LOG}\nmessage: hi\n", f"id: a\ntype: {LOG}\nmesage: hi\n"
    cron = "id: a\ntype: io.kestra.plugin.core.trigger.Schedule\n"

    async def constraints(path: str, text: str) -> str | None:
        answer = await daemon("POST", f"/flows/validate/{path}", data=text)
        assert answer.status == 200
        return answer.json.get("constraints")

    assert await constraints("task?section=TASKS", good) is None
    assert await constraints("task", json.dumps({"id": "a", "type": LOG, "message": "x"})) is None
    wrong = await constraints("task", bad)
    assert wrong is not None
    assert "mesage" in wrong
    assert "tasks[0]" not in wrong
    assert "line 3" in wrong
    assert await constraints("trigger", f'{cron}cron: "0 9 * * *"') is None
    assert "cron" in (await constraints("task?section=TRIGGERS", cron) or "")
    assert (await daemon("POST", "/flows/validate/task?section=X", data=good)).status == 400


async def test_dependencies_are_subflows_and_flow_triggers(daemon: Daemon) -> None:
    child = f"id: {{}}\nnamespace: t\ntasks: [{{{{id: a, type: {LOG}, message: x}}}}]\n"
    trigger = "[{id: f, type: io.kestra.plugin.core.trigger.Flow, preconditions: "
    trigger += "{id: p, flows: [{namespace: t, flowId: main}]}}]"
    await daemon.deploy(child.format("child"))
    await daemon.deploy(child.format("after") + f"triggers: {trigger}\n")
    subflow = "{id: s, type: io.kestra.plugin.core.flow.Subflow, namespace: t, flowId: child}"
    await daemon.deploy(f"id: main\nnamespace: t\ntasks: [{subflow}]\n")

    found = (await daemon("GET", "/flows/t/main/dependencies")).json
    whole = (await daemon("GET", "/namespaces/t/dependencies")).json
    one_way = await daemon("GET", "/flows/t/child/dependencies", params={"destinationOnly": "true"})

    assert {(e["source"], e["target"], e["relation"]) for e in found["edges"]} == {
        ("main_t_main", "main_t_child", "FLOW_TASK"),
        ("main_t_main", "main_t_after", "FLOW_TRIGGER"),
    }
    assert {each["id"] for each in found["nodes"]} == {"main", "child", "after"}
    assert whole["edges"] == found["edges"] or len(whole["edges"]) == 2
    assert one_way.json["edges"] == []


async def test_head_answers_as_get_without_a_body(daemon: Daemon) -> None:
    await daemon.deploy(ASKS)

    for path in ("/flows/search", "/flows/t/asks", "/configs"):
        got, head = await daemon("GET", path), await daemon("HEAD", path)
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert (await daemon("HEAD", "/flows/t/none")).status == 404
    assert (await daemon("HEAD", "/executions/x/follow")).status == 405

"""Triggers, webhooks, bulk actions, graphs, schemas: what editors and tools ask for."""

from __future__ import annotations

import io
from pathlib import Path

import aiohttp
import pytest
from live_daemon import Daemon, Start

HELLO = """\
id: hello
namespace: t
tasks: [{id: say, type: io.kestra.plugin.core.log.Log, message: hi}]
"""

PAUSES = """\
id: pauses
namespace: t
tasks: [{id: wait, type: io.kestra.plugin.core.flow.Pause}]
"""

HOOKED = """\
id: hooked
namespace: t
tasks: [{id: r, type: io.kestra.plugin.core.debug.Return, format: "{{ trigger.body.who }}"}]
outputs: [{id: who, type: STRING, value: "{{ outputs.r.value }}"}]
triggers:
  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: s3cret, wait: %s}
"""

SCHEDULED = """\
id: scheduled
namespace: t
tasks: [{id: say, type: io.kestra.plugin.core.log.Log, message: hi}]
triggers:
  - {id: yearly, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 0 1 1 *"}
"""

NESTED = """\
id: nested
namespace: t
tasks:
  - id: choose
    type: io.kestra.plugin.core.flow.If
    condition: "true"
    then: [{id: good, type: io.kestra.plugin.core.log.Log, message: a}]
    else: [{id: no1, type: io.kestra.plugin.core.log.Log, message: b}]
  - id: both
    type: io.kestra.plugin.core.flow.Parallel
    tasks:
      - {id: left, type: io.kestra.plugin.core.log.Log, message: c}
      - {id: right, type: io.kestra.plugin.core.log.Log, message: d}
errors: [{id: oops, type: io.kestra.plugin.core.log.Log, message: e}]
"""

NAME = {"namespace": "t", "flowId": "scheduled", "triggerId": "yearly"}


async def test_a_webhook_starts_its_flow_without_credentials(daemon: Daemon) -> None:
    await daemon.deploy(HOOKED % "false")

    answer = await daemon("POST", "/executions/webhook/t/hooked/s3cret", data=b'{"who": "Ann"}')
    wrong = await daemon("POST", "/executions/webhook/t/hooked/other", data=b"{}")

    assert (answer.status, answer.json["trigger"]["variables"]["body"]) == (200, {"who": "Ann"})
    assert "outputs" not in answer.json
    assert (wrong.status, wrong.json["message"]) == (404, "Webhook not found")
    await daemon.until(
        f"/executions/{answer.json['id']}", lambda e: e["state"]["current"] == "SUCCESS"
    )


async def test_a_webhook_that_waits_answers_with_the_ending(daemon: Daemon) -> None:
    await daemon.deploy(HOOKED % "true")

    answer = await daemon("PUT", "/executions/webhook/t/hooked/s3cret", data=b'{"who": "Bo"}')

    assert answer.json["state"]["current"] == "SUCCESS"
    assert answer.json["outputs"] == {"who": "Bo"}


async def test_triggers_are_listed_and_switched(daemon: Daemon) -> None:
    await daemon.deploy(SCHEDULED)

    listed = (await daemon("GET", "/triggers/search")).json
    (found,) = listed["results"]
    off = await daemon("PUT", "/triggers", json={**found["triggerContext"], "disabled": True})
    of_flow = (await daemon("GET", "/triggers/t/scheduled")).json["results"]
    on = await daemon(
        "POST",
        "/triggers/set-disabled/by-triggers",
        json={"triggers": [NAME], "disabled": False},
    )

    assert found["abstractTrigger"]["cron"] == "0 0 1 1 *"
    assert found["triggerContext"]["nextExecutionDate"].endswith("-01-01T00:00:00.000000Z")
    assert off.json["disabled"] is True
    assert [each["disabled"] for each in of_flow] == [True]
    assert on.json == {"count": 1, "totalItems": 1}
    assert (await daemon("GET", "/triggers/t/scheduled")).json["results"][0]["disabled"] is False


async def test_a_backfill_makes_an_execution_for_every_date(daemon: Daemon) -> None:
    await daemon.deploy(SCHEDULED)

    answer = await daemon(
        "PUT",
        "/triggers/backfill/create",
        json={**NAME, "backfill": {"start": "2020-06-01T00:00:00Z", "end": "2023-06-01T00:00:00Z"}},
    )

    assert answer.json["backfill"]["currentDate"] == "2021-01-01T00:00:00.000000Z"
    path = "/executions?namespace=t&flowId=scheduled"
    found = await daemon.until(path, lambda page: page["total"] == 3)
    years = {each["trigger"]["variables"]["date"][:4] for each in found["results"]}
    assert years == {"2021", "2022", "2023"}


async def test_a_trigger_that_is_not_there_is_404_and_no_backfill_400(daemon: Daemon) -> None:
    await daemon.deploy(SCHEDULED)

    asked: list[tuple[object, int]] = [
        (NAME, 400),
        ({**NAME, "triggerId": "x"}, 404),
        ({}, 400),
        ([], 400),
    ]
    for body, status in asked:
        answer = await daemon("PUT", "/triggers/backfill/pause", json=body)
        assert answer.status == status, body


async def test_several_are_killed_or_none(daemon: Daemon) -> None:
    await daemon.deploy(PAUSES)
    await daemon.deploy(HELLO)
    ended = (await daemon.run("hello"))["id"]
    ids = [(await daemon("POST", "/executions/t/pauses")).json["id"] for _ in range(3)]
    for each in ids:
        await daemon.until(f"/executions/{each}", lambda e: e["state"]["current"] == "PAUSED")

    refused = await daemon("DELETE", "/executions/kill/by-ids", json=[*ids, ended])
    still = (await daemon("GET", "/executions/search", params={"state": "PAUSED"})).json["total"]
    unknown = await daemon("DELETE", "/executions/kill/by-ids", json=[ids[0], "nope"])
    done = await daemon("DELETE", "/executions/kill/by-ids", json=ids)

    assert (refused.status, still) == (400, 3)
    assert refused.json["invalids"] == [
        {"message": "execution already ended", "path": "executionId", "invalidValue": ended}
    ]
    assert unknown.status == 400
    assert done.json == {"count": 3, "totalItems": 3}
    await daemon.until("/executions/search?state=KILLED", lambda page: page["total"] == 3)


@pytest.mark.parametrize(
    "query", ["", "?namespce=t", "?filters[nope][EQUALS]=x", "?namespace=t&stat=FAILED"]
)
async def test_an_action_on_everything_or_on_a_typo_is_refused(daemon: Daemon, query: str) -> None:
    await daemon.deploy(HELLO)
    await daemon.run("hello")

    actions = [("DELETE", "/executions/by-query"), ("POST", "/executions/replay/by-query")]
    for method, path in actions:
        assert (await daemon(method, f"{path}{query}")).status == 400

    assert (await daemon("GET", "/executions/search")).json["total"] == 1


async def test_what_a_search_finds_is_deleted(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    await daemon.deploy(PAUSES)
    for _ in range(3):
        await daemon.run("hello")
    kept = (await daemon("POST", "/executions/t/pauses")).json["id"]

    answer = await daemon("DELETE", "/executions/by-query?filters[flowId][EQUALS]=hello")

    assert answer.json["count"] == 3
    left = (await daemon("GET", "/executions/search")).json["results"]
    assert [each["id"] for each in left] == [kept]


async def test_the_graph_has_every_task_and_an_arrow_to_each(daemon: Daemon) -> None:
    graph = (await daemon("POST", "/flows/graph", data=NESTED)).json

    uids = [node["uid"] for node in graph["nodes"]]
    assert len(uids) == len(set(uids))
    tasks = {node["task"]["id"] for node in graph["nodes"] if "task" in node}
    assert tasks == {"choose", "good", "no1", "both", "left", "right", "oops"}
    targets = {edge["target"] for edge in graph["edges"]}
    assert set(uids) - targets == {"root.start"}
    assert {edge["source"] for edge in graph["edges"]} | targets <= set(uids)
    kinds = {(e["target"], e["relation"].get("relationType")) for e in graph["edges"]}
    assert ("root.choose.good", "CHOICE") in kinds
    assert ("root.both.left", "PARALLEL") in kinds
    assert ("root.errors.oops", "ERROR") in kinds
    assert list(daemon.flows.iterdir()) == []


async def test_the_graph_of_a_dag_has_an_arrow_for_each_dependency(daemon: Daemon) -> None:
    log = "type: io.kestra.plugin.core.log.Log, message: m"
    nodes = f"{{task: {{id: a, {log}}}}}, {{task: {{id: b, {log}}}, dependsOn: [a]}}"
    dag = f"{{id: d, type: io.kestra.plugin.core.flow.Dag, tasks: [{nodes}]}}"

    graph = (await daemon("POST", "/flows/graph", data=f"id: f\nnamespace: t\ntasks: [{dag}]")).json

    arrows = {(edge["source"], edge["target"]) for edge in graph["edges"]}
    assert {("root.d", "root.d.a"), ("root.d.a", "root.d.b"), ("root.d.b", "root.d.end")} <= arrows
    assert ("root.d", "root.d.b") not in arrows
    assert ("root.d.a", "root.d.end") not in arrows


async def test_editors_get_schemas_and_types(daemon: Daemon) -> None:
    schema = (await daemon("GET", "api/v1/plugins/schemas/flow")).json
    plugin = (await daemon("GET", "api/v1/plugins/io.kestra.plugin.core.log.Log")).json
    groups = (await daemon("GET", "api/v1/main/plugins")).json

    log = "io.kestra.plugin.core.log.Log"
    assert "message" in schema["definitions"][log]["required"]
    assert "message" in plugin["schema"]["properties"]["properties"]
    assert log in {each["cls"] for group in groups for each in group["tasks"]}
    assert (await daemon("GET", "api/v1/plugins/io.example.Nope")).status == 404
    assert "jq" in (await daemon("GET", "api/v1/pebble/filters")).json


async def test_health_tells_of_a_folder_that_is_gone(daemon: Daemon) -> None:
    before = await daemon("GET", "health")
    daemon.flows.rename(daemon.flows.with_name("away"))

    after = await daemon.until("health", lambda health: health["status"] == "DOWN")

    assert (before.status, before.json["status"]) == (200, "UP")
    assert "flows" in after["details"]["flows"]["details"]["message"]


async def test_a_broken_file_is_listed_with_what_is_wrong_and_cannot_be_run(
    daemon: Daemon,
) -> None:
    (daemon.flows / "bad.yml").write_text(HELLO.replace("message", "mesage"))

    found = await daemon.until("/flows/search", lambda page: page["total"] == 1)
    got = await daemon("GET", "/flows/t/hello", params={"source": "true"})
    run = await daemon("POST", "/executions/t/hello")

    assert "bad.yml:3" in found["results"][0]["exception"]
    assert (got.json["tasks"], got.json["source"]) == ([], HELLO.replace("message", "mesage"))
    assert (run.status, "mesage" in run.json["message"]) == (409, True)


async def test_what_is_too_large_is_refused_and_leaves_nothing(
    start: Start, tmp_path: Path
) -> None:
    def upload(size: int) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("fileContent", b"x" * size, filename="x")
        return form

    async with start(tmp_path, max_upload_bytes=1_000_000) as daemon:
        path = "/namespaces/a/files"
        fits = await daemon("POST", path, params={"path": "a"}, data=upload(1_000_000))
        file = await daemon("POST", path, params={"path": "b"}, data=upload(1_000_001))
        text = await daemon("POST", "/flows", data=io.BytesIO(b"#" * (65 * 1024 * 1024)))

        assert (fits.status, file.status, text.status) == (200, 413, 413)
        assert list((daemon.state / "uploads").iterdir()) == []
        assert (await daemon("GET", f"{path}/search")).json == ["/a"]

"""Executions over HTTP: what clients send, and what they read."""

from __future__ import annotations

import aiohttp
import pytest
from live_daemon import Daemon

HELLO = """\
id: hello
namespace: t
labels: {team: data}
inputs:
  - {id: n, type: INT, defaults: 3}
  - {id: doc, type: FILE, required: false}
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "n is {{ inputs.n }}"}
outputs:
  - {id: n, type: INT, value: "{{ inputs.n }}"}
"""

PAUSES = """\
id: pauses
namespace: t
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Pause
    onResume: [{id: who, type: STRING}]
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ outputs.wait.onResume.who }}"}
"""

FAILS = """\
id: fails
namespace: t
tasks:
  - {id: first, type: io.kestra.plugin.core.log.Log, message: one}
  - {id: bad, type: io.kestra.plugin.core.execution.Fail}
"""


def multipart(**fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def test_an_execution_is_created_at_once_and_can_be_read_until_it_ends(
    daemon: Daemon,
) -> None:
    await daemon.deploy(HELLO)

    answer = await daemon("POST", "/executions/t/hello", data=multipart(n="7"))
    created = answer.json

    assert answer.status == 200
    assert created["state"]["current"] == "CREATED"
    assert created["url"].endswith(f"/ui/main/executions/t/hello/{created['id']}")
    ended = await daemon.until(
        f"/executions/{created['id']}", lambda e: e["state"]["current"] == "SUCCESS"
    )
    assert ended["outputs"] == {"n": 7}
    assert ended["taskRunList"][0]["taskId"] == "say"
    assert "url" not in ended


async def test_no_body_and_no_content_type_start_a_flow_with_its_defaults(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)

    answer = await daemon(
        "POST", "/executions/t/hello", params={"wait": "true"}, skip_auto_headers=["Content-Type"]
    )

    assert (answer.status, answer.json["outputs"]) == (200, {"n": 3})


@pytest.mark.parametrize("form", [b"--x--\r\n", b""])
async def test_an_empty_form_is_a_form(daemon: Daemon, form: bytes) -> None:
    await daemon.deploy(HELLO)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await daemon("POST", "/executions/t/hello", data=form, headers=headers)

    assert answer.status == 200


async def test_waiting_answers_with_the_ending_and_labels_of_the_caller_win(
    daemon: Daemon,
) -> None:
    await daemon.deploy(HELLO)

    answer = await daemon(
        "POST",
        "/executions/t/hello",
        params=[("wait", "true"), ("labels", "team:mine"), ("labels", "note:a: b")],
    )

    labels = {label["key"]: label["value"] for label in answer.json["labels"]}
    assert answer.json["state"]["current"] == "SUCCESS"
    assert labels["team"] == "mine"
    assert labels["note"] == "a: b"
    assert labels["system.correlationId"] == answer.json["id"]


@pytest.mark.parametrize("label", ["no colon", "system.foo:x", ":x"])
async def test_a_bad_label_creates_nothing(daemon: Daemon, label: str) -> None:
    await daemon.deploy(HELLO)

    answer = await daemon("POST", "/executions/t/hello", params={"labels": label})

    assert answer.status == 422
    assert (await daemon("GET", "/executions/search")).json == {"results": [], "total": 0}


@pytest.mark.parametrize("old", [False, True])
async def test_a_file_is_stored_and_can_be_downloaded(daemon: Daemon, old: bool) -> None:
    await daemon.deploy(HELLO)
    form = multipart()
    content = b"\x00binary" * 50_000
    if old:  # up to 0.23: the part is called `files`, and its file name is the input's id
        form.add_field("files", content, filename="doc")
    else:
        form.add_field("doc", content, filename="report ü.txt")

    answer = await daemon("POST", "/executions/t/hello", params={"wait": "true"}, data=form)
    execution = answer.json
    uri = execution["inputs"]["doc"]
    path = f"/executions/{execution['id']}/file"

    got = await daemon("GET", path, params={"path": uri})
    assert (got.status, got.body) == (200, content)
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    metas = await daemon("GET", f"{path}/metas", params={"path": uri})
    assert metas.json == {"size": len(content)}
    assert list((daemon.state / "uploads").iterdir()) == []


async def test_a_file_is_given_to_its_own_execution_only(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    form = multipart()
    form.add_field("doc", b"secret", filename="a.txt")
    answer = await daemon("POST", "/executions/t/hello", params={"wait": "true"}, data=form)
    owner, uri = answer.json["id"], answer.json["inputs"]["doc"]
    other = (await daemon.run("hello"))["id"]

    moved = await daemon(
        "GET", f"/executions/{other}/file", params={"path": uri}, allow_redirects=False
    )
    outside = await daemon(
        "GET", f"/executions/{owner}/file", params={"path": "kestra:///t/_files/a"}
    )
    up = await daemon(
        "GET", f"/executions/{owner}/file", params={"path": f"{uri}/../../../../../../x"}
    )

    assert (moved.status, f"/executions/{owner}/file" in moved.headers["Location"]) == (307, True)
    assert outside.status == 422
    assert up.status == 404


async def test_a_wrong_value_is_refused_as_kestra_does_and_creates_nothing(
    daemon: Daemon,
) -> None:
    await daemon.deploy(HELLO)

    answer = await daemon("POST", "/executions/t/hello", data=multipart(n="many"))

    assert (answer.status, "`n`" in answer.json["message"]) == (500, True)
    assert (await daemon("GET", "/executions/search")).json["total"] == 0


async def test_a_body_of_another_kind_is_refused(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)

    assert (await daemon("POST", "/executions/t/hello", json={"n": 1})).status == 415


async def test_what_is_not_there_is_404_in_kestras_shape(daemon: Daemon) -> None:
    for method, path in [
        ("GET", "/executions/4dZ1nothere"),
        ("POST", "/executions/t/nothing"),
        ("DELETE", "/executions/4dZ1nothere/kill"),
        ("POST", "/executions/4dZ1nothere/resume"),
        ("GET", "/executions/4dZ1nothere/follow"),
        ("GET", "/no/such/route"),
    ]:
        answer = await daemon(method, path)
        assert answer.status == 404, path
        assert answer.json["message"]
        assert answer.json["_links"]["self"][0]["href"].endswith(path)
        assert answer.headers["X-Kestra-Edition"] == "OSS"


async def test_pausing_and_resuming_with_a_form(daemon: Daemon) -> None:
    await daemon.deploy(PAUSES)
    execution = (await daemon("POST", "/executions/t/pauses")).json
    path = f"/executions/{execution['id']}"
    await daemon.until(path, lambda e: e["state"]["current"] == "PAUSED")

    missing = await daemon("POST", f"{path}/resume")
    resumed = await daemon("POST", f"{path}/resume", data=multipart(who="Ann"))
    await daemon.until(path, lambda e: e["state"]["current"] == "SUCCESS")
    again = await daemon("POST", f"{path}/resume")

    assert (missing.status, missing.json["message"]) == (500, "Missing required input:who")
    assert (resumed.status, again.status) == (200, 409)
    lines = (await daemon("GET", f"/logs/{execution['id']}")).json
    assert [line["message"] for line in lines] == ["Ann"]


async def test_killing_answers_202_and_the_paths_of_2_0_give_the_execution(
    daemon: Daemon,
) -> None:
    await daemon.deploy(PAUSES)
    first, second = [(await daemon("POST", "/executions/t/pauses")).json["id"] for _ in "ab"]
    for each in (first, second):
        await daemon.until(f"/executions/{each}", lambda e: e["state"]["current"] == "PAUSED")

    old = await daemon("DELETE", f"/executions/{first}/kill")
    new = await daemon("POST", f"/executions/{second}/actions/kill")

    assert (old.status, old.body) == (202, b"")
    assert (new.status, new.json["id"]) == (200, second)
    for each in (first, second):
        await daemon.until(f"/executions/{each}", lambda e: e["state"]["current"] == "KILLED")
    late = await daemon("DELETE", f"/executions/{first}/kill", params={"isOnKillCascade": "false"})
    assert late.status == 409


async def test_restart_goes_on_with_what_failed_and_replay_makes_a_new_execution(
    daemon: Daemon,
) -> None:
    await daemon.deploy(FAILS)
    failed = await daemon.run("fails")

    restarted = (await daemon("POST", f"/executions/{failed['id']}/restart")).json
    await daemon.until(
        f"/executions/{failed['id']}",
        lambda e: e["state"]["current"] == "FAILED" and e["metadata"]["attemptNumber"] == 2,
    )
    replayed = (await daemon("POST", f"/executions/{failed['id']}/replay")).json

    assert restarted["id"] == failed["id"]
    assert replayed["id"] != failed["id"]
    assert replayed["originalId"] == failed["id"]
    await daemon.until(f"/executions/{replayed['id']}", lambda e: e["state"]["current"] == "FAILED")


async def test_restarting_what_did_not_fail_is_422(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    execution = await daemon.run("hello")

    answer = await daemon("POST", f"/executions/{execution['id']}/restart")

    assert (answer.status, "No task found" in answer.json["message"]) == (422, True)


async def test_a_task_runs_state_is_changed_and_the_flow_goes_on(daemon: Daemon) -> None:
    await daemon.deploy(FAILS)
    failed = await daemon.run("fails")
    bad = next(run for run in failed["taskRunList"] if run["taskId"] == "bad")

    answer = await daemon(
        "POST",
        f"/executions/{failed['id']}/state",
        json={"taskRunId": bad["id"], "state": "SUCCESS"},
    )

    assert answer.status == 200
    await daemon.until(f"/executions/{failed['id']}", lambda e: e["state"]["current"] == "SUCCESS")


async def test_labels_are_added_to_an_ended_execution(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    execution = await daemon.run("hello")
    path = f"/executions/{execution['id']}/labels"

    added = await daemon("POST", path, json=[{"key": "seen", "value": "yes"}])
    refused = await daemon("POST", path, json=[{"key": "system.x", "value": "y"}])

    assert {"key": "seen", "value": "yes"} in added.json["labels"]
    assert refused.status == 422


async def test_both_dialects_of_search_find_the_same(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    await daemon.deploy(FAILS)
    for _ in range(3):
        await daemon.run("hello")
    failed = await daemon.run("fails")

    for params in (
        {"state": "FAILED"},
        {"filters[state][EQUALS]": "FAILED"},
        {"filters[flowId][IN]": "fails,other"},
        {"filters[FLOW_ID][NOT_EQUALS]": "hello", "namespace": "t"},
    ):
        found = (await daemon("GET", "/executions/search", params=params)).json
        assert (found["total"], found["results"][0]["id"]) == (1, failed["id"]), params
    labelled = {"filters[labels][EQUALS][team]": "data", "size": "2", "page": "2"}
    found = (await daemon("GET", "/executions/search", params=labelled)).json
    assert (found["total"], len(found["results"])) == (3, 1)
    of_flow = (
        await daemon("GET", "/executions", params={"namespace": "t", "flowId": "hello"})
    ).json
    assert of_flow["total"] == 3


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"filters[nope][EQUALS]": "x"}, 400),
        ({"filters[state][SORT_OF]": "x"}, 400),
        ({"filters(state)": "x"}, 400),
        ({"startDate": "yesterday"}, 400),
        ({"page": "0"}, 400),
        ({"size": "many"}, 400),
        ({"sort": "state.current"}, 422),
        ({"sort": "colour:asc"}, 400),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(
    daemon: Daemon, params: dict[str, str], status: int
) -> None:
    assert (await daemon("GET", "/executions/search", params=params)).status == status


async def test_a_deleted_execution_takes_its_log_and_files_with_it(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    form = multipart()
    form.add_field("doc", b"x", filename="a.txt")
    execution = (
        await daemon("POST", "/executions/t/hello", params={"wait": "true"}, data=form)
    ).json
    path = f"/executions/{execution['id']}"

    assert (await daemon("DELETE", path)).status == 204

    assert (await daemon("GET", path)).status == 404
    assert (await daemon("GET", f"/logs/{execution['id']}")).json == []
    assert not list((daemon.state / "storage").rglob("a.txt"))


async def test_logs_come_as_documents_and_as_text(daemon: Daemon) -> None:
    await daemon.deploy(FAILS)
    execution = await daemon.run("fails")
    path = f"/logs/{execution['id']}"

    every = (await daemon("GET", path)).json
    errors = (await daemon("GET", path, params={"minLevel": "ERROR"})).json
    of_task = (await daemon("GET", path, params={"taskId": "first"})).json
    text = await daemon("GET", f"{path}/download")
    found = (await daemon("GET", "/logs/search", params={"q": "ONE"})).json

    assert every[0]["message"] == "one"
    assert {line["level"] for line in errors} == {"ERROR"}
    assert [line["taskId"] for line in of_task] == ["first"]
    assert text.text.splitlines()[0].endswith(" INFO one")
    assert text.headers["Content-Disposition"].startswith(
        f'attachment; filename="{execution["id"]}'
    )
    assert (found["total"], found["results"][0]["message"]) == (1, "one")


async def test_paths_work_without_a_tenant_too(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    execution = await daemon.run("hello")

    answer = await daemon("GET", f"api/v1/executions/{execution['id']}")

    assert answer.json["id"] == execution["id"]


async def test_a_flow_may_be_called_like_an_action(daemon: Daemon) -> None:
    for name in ("replay", "labels"):
        await daemon.deploy(HELLO.replace("id: hello", f"id: {name}"))

        assert (await daemon.run(name))["flowId"] == name


async def test_a_disabled_flow_is_409(daemon: Daemon) -> None:
    await daemon.deploy(HELLO + "disabled: true\n")

    answer = await daemon("POST", "/executions/t/hello")

    assert (answer.status, answer.json["message"]) == (409, "Cannot execute a disabled flow")


async def test_an_execution_for_a_test_is_found_by_its_kind_only(daemon: Daemon) -> None:
    await daemon.deploy(HELLO)
    normal = (await daemon("POST", "/executions/t/hello?wait=true")).json["id"]
    made = (await daemon("POST", "/executions/t/hello?wait=true&kind=TEST")).json

    async def found(query: str) -> list[str]:
        answer = await daemon("GET", f"/executions/search?{query}")
        return [each["id"] for each in answer.json["results"]]

    assert made["kind"] == "TEST"
    assert (await daemon("GET", f"/executions/{made['id']}")).json["kind"] == "TEST"
    assert await found("namespace=t") == [normal]
    assert await found("filters[kind][EQUALS]=TEST") == [made["id"]]
    assert await found("filters[kind][IN]=TEST,NORMAL") == [made["id"], normal]
    assert await found("filters[kind][NOT_EQUALS]=TEST") == [normal]
    assert (await daemon("POST", "/executions/t/hello?kind=OTHER")).status == 400


async def test_an_execution_stops_at_breakpoints(daemon: Daemon) -> None:
    await daemon.deploy(FAILS)
    made = (await daemon("POST", "/executions/t/fails?breakpoints=first,bad")).json
    path = f"/executions/{made['id']}"
    assert made["breakpoints"] == [{"id": "first"}, {"id": "bad"}]

    for task in ("first", "bad"):
        stopped = await daemon.until(path, lambda e: e["state"]["current"] == "BREAKPOINT")
        assert stopped["taskRunList"][-1]["taskId"] == task
        assert (await daemon("POST", f"{path}/resume")).status == 409
        assert (await daemon("POST", f"{path}/resume-from-breakpoint")).status == 204
    await daemon.until(path, lambda e: e["state"]["current"] == "FAILED")
    assert (await daemon("POST", f"{path}/resume-from-breakpoint")).status == 409

"""The calls of the VS Code extension, in its order, without a tenant; and `curl` as in the docs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from live_daemon import Daemon

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
LOG = "io.kestra.plugin.core.log.Log"

FLOW = f"""id: hello
namespace: company.team
inputs:
  - {{id: name, type: STRING, defaults: you}}
  - {{id: report, type: FILE, required: false}}
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [a, b]
    tasks: [{{id: say, type: {LOG}, message: "hello {{{{ inputs.name }}}}"}}]
triggers:
  - {{id: daily, type: io.kestra.plugin.core.trigger.Schedule, cron: "15 9 * * *"}}
"""
FLOW_TYPE = "io.kestra.core.models.flows.Flow"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what is sent, the status, and what the extension reads of the answer."""

    method: str
    path: str
    status: int
    reads: Callable[[Any], object] | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


YAML = {"Content-Type": "application/x-yaml"}

CALLS = [
    Call("GET", "configs", 200, lambda a: a["version"].startswith("1.2.")),
    Call("GET", "plugins/schemas/flow", 200, lambda a: a["definitions"][LOG]["required"]),
    Call("GET", "plugins/schemas/flow", 200, lambda a: a["$ref"] == f"#/definitions/{FLOW_TYPE}"),
    Call("GET", f"plugins/{LOG}", 200, lambda a: "properties" in a["schema"]["outputs"]),
    Call("GET", "plugins/no.such.Type", 404, lambda a: a["message"]),
    Call("GET", "pebble/functions", 200, lambda a: "secret" in [each["name"] for each in a]),
    Call("GET", "pebble/filters", 200, lambda a: "upper" in a),
    Call("POST", "flows/validate", 200, lambda a: "constraints" not in a[0], FLOW, YAML),
    Call(
        "POST",
        "flows/validate",
        200,
        lambda a: re.match(r"tasks\[0\]\.values: ", a[0]["constraints"]),
        FLOW.replace("values:", "valuse:"),
        YAML,
    ),
    Call("PUT", "flows/company.team/hello", 404, lambda a: a["message"], FLOW, YAML),
    Call("POST", "flows", 200, lambda a: a["revision"] == 1, FLOW, YAML),
    Call("PUT", "flows/company.team/hello", 200, lambda a: a["source"] == FLOW, FLOW, YAML),
    Call("POST", "flows", 422, lambda a: "already exists" in a["message"], FLOW, YAML),
    Call(
        "POST",
        "flows/graph",
        200,
        lambda a: (
            "say" in [n["task"]["id"] for n in a["nodes"] if "task" in n]
            and "daily" in [n.get("triggerDeclaration", {}).get("id") for n in a["nodes"]]
            and all(edge["source"] and edge["target"] for edge in a["edges"])
            and any(each["cluster"]["uid"].endswith(".Triggers") for each in a["clusters"])
            and "each"
            in [c["cluster"].get("taskNode", {}).get("task", {}).get("id") for c in a["clusters"]]
        ),
        FLOW,
        YAML,
    ),
]


@pytest.mark.parametrize("prefix", ["", "main/"])
async def test_the_editor_gets_what_it_reads(daemon: Daemon, prefix: str) -> None:
    for call in CALLS:
        path = f"api/v1/{prefix}{call.path}"
        answer = await daemon(call.method, path, data=call.body, headers=call.headers)
        assert answer.status == call.status, (call.method, path, answer.text)
        assert call.reads is None or call.reads(answer.json), (call.method, path, answer.text)

    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("name", "Ann")
    created = await daemon("POST", f"api/v1/{prefix}executions/company.team/hello", data=form)
    path = f"api/v1/{prefix}executions/{created.json['id']}/follow"
    frames = events((await daemon("GET", path)).text)

    assert [kind for kind, _ in frames][0 :: len(frames) - 1] == ["start", "end"]
    last = frames[-1][1]
    assert last["state"]["current"] == "SUCCESS"
    assert sorted(r["value"] for r in last["taskRunList"] if r["taskId"] == "say") == ["a", "b"]
    assert all(run["state"]["histories"][0]["date"] for run in last["taskRunList"])
    logs = f"{daemon.base}/api/v1/{prefix}logs/{created.json['id']}/follow"
    lines: list[Any] = []
    async with daemon.session.get(logs) as stream:
        async for text in stream.content:
            lines += [each for _, each in events(f"id: x\n{text.decode()}") if "message" in each]
            if len(lines) == 2:
                break
    assert {(each["message"], each["taskId"], each["level"]) for each in lines} == {
        ("hello Ann", "say", "INFO")
    }
    assert all(each["taskRunId"] and each["attemptNumber"] == 0 for each in lines)


async def test_a_stream_of_an_unknown_execution_is_refused_before_it_begins(
    daemon: Daemon,
) -> None:
    for path in ("executions/x/follow", "logs/x/follow"):
        answer = await daemon("GET", f"api/v1/{path}")
        assert (answer.status, "message" in answer.json) == (404, True)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_lines_with_curl_in_the_docs_do_what_they_say(
    daemon: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "report.csv").write_text("1,2")
    block = re.search(r"```sh\n(curl.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    answers: list[bytes] = []

    for line in block[1].splitlines():
        newest = await daemon("GET", "/executions/search", params={"size": 1})
        ids = [each["id"] for each in newest.json["results"]]
        command = line.replace("localhost:8080", f"127.0.0.1:{daemon.port}")
        command = re.sub(r"[0-9A-Za-z]{22}", ids[0] if ids else "", command)
        command = command.replace("curl", "curl -sS --fail-with-body", 1)
        run = await anyio.run_process(["sh", "-c", command], cwd=tmp_path)
        answers.append(run.stdout)

    created, ended, started, failed, followed = answers
    assert json.loads(created)["revision"] == 1
    assert json.loads(ended)["state"]["current"] == "SUCCESS"
    assert json.loads(started)["inputs"]["report"].startswith("kestra:///")
    assert json.loads(failed) == {"results": [], "total": 0}
    assert [kind for kind, _ in events(followed.decode())][-1] == "end"


def events(text: str) -> list[tuple[str, Any]]:
    """Kinds and documents of the frames of a stream."""
    found = re.findall(r"^id: (\w+)\ndata: (.*)$", text, re.MULTILINE)
    return [(kind, json.loads(data)) for kind, data in found]

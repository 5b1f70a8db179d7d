"""Figures for Prometheus, and the API's own description."""

from __future__ import annotations

from live_daemon import Daemon

FLOW = """\
id: hello
namespace: t
tasks: [{id: say, type: io.kestra.plugin.core.log.Log, message: hi}]
"""


async def test_prometheus_reads_what_is_stored(daemon: Daemon) -> None:
    await daemon.deploy(FLOW)
    for _ in range(2):
        await daemon.run("hello")

    answer = await daemon("GET", "metrics")

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    labels = 'namespace_id="t",flow_id="hello",state="SUCCESS",tenant_id="main"'
    lines = answer.text.splitlines()
    assert f"kestra_executor_execution_end_count_total{{{labels}}} 2" in lines
    assert f"kestra_executor_execution_duration_seconds_count{{{labels}}} 2" in lines
    assert "kestra_worker_job_running 0" in lines
    assert "eyas_flows 1" in lines
    names = [line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")]
    told = {line.split(" ")[2] for line in lines if line.startswith("# TYPE")}
    assert {name.removesuffix("_sum").removesuffix("_count") for name in names} <= {
        name.removesuffix("_count") for name in told
    }


async def test_the_api_describes_itself(daemon: Daemon) -> None:
    document = (await daemon("GET", "openapi.json")).json

    assert document["openapi"].startswith("3.0")
    operation = document["paths"]["/api/v1/main/executions/{execution}"]["get"]
    assert operation["summary"] == "One execution with its task runs."
    assert operation["parameters"][0]["name"] == "execution"

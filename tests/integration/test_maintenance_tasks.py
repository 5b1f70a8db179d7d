"""Tasks that look at and change what a daemon keeps: Count, PurgeExecutions, Toggle."""

from __future__ import annotations

from live_daemon import Daemon

CHILD = """
id: child
namespace: t
tasks: [{id: l, type: io.kestra.plugin.core.log.Log, message: hello}]
triggers:
  - {id: nightly, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 3 * * *"}
"""
COUNT = """
id: count
namespace: t
tasks:
  - id: c
    type: io.kestra.plugin.core.execution.Count
    flows: [{namespace: t, flowId: child}]
    startDate: "{{ now() | dateAdd(-1, 'DAYS') }}"
    states: [SUCCESS]
    expression: "{{ count >= 1 }}"
"""
PURGE = """
id: purge
namespace: t
tasks:
  - id: p
    type: io.kestra.plugin.core.execution.PurgeExecutions
    namespace: t
    flowId: child
    endDate: "{{ now() }}"
"""
TOGGLE = """
id: toggle
namespace: t
tasks:
  - id: t
    type: io.kestra.plugin.core.trigger.Toggle
    flowId: child
    trigger: nightly
    enabled: false
"""


async def test_executions_are_counted_purged_and_triggers_switched_off_by_tasks(
    daemon: Daemon,
) -> None:
    for source in (CHILD, COUNT, PURGE, TOGGLE):
        await daemon.deploy(source)
    for _ in range(2):
        await daemon.run("child")

    counted = await daemon.run("count")
    purged = await daemon.run("purge")
    toggled = await daemon.run("toggle")
    left = await daemon.run("count")

    assert counted["taskRunList"][0]["outputs"]["total"] == 2
    assert purged["taskRunList"][0]["outputs"]["executionsCount"] == 2
    assert toggled["state"]["current"] == "SUCCESS"
    assert left["taskRunList"][0]["outputs"]["total"] == 0

"""The examples of the page about triggers do what the page says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from trigger_bench import DAY, Clock, flow, opened

from runner.engine.conditions import CORE, condition_names
from runner.model.triggers import TriggerName
from runner.triggers.polling import WAYS
from runner.triggers.webhook import WebhookRequest

PAGE = (Path(__file__).parents[3] / "docs/triggers.md").read_text(encoding="utf-8")
EXAMPLES = {
    re.findall(r"(?m)^id: (\w+)", text)[0]: text
    for text in re.findall(r"(?s)```yaml\n(.*?)```", PAGE)
}


async def test_the_schedule_reports_on_working_days() -> None:
    friday = Clock(datetime(2026, 1, 23, 12, tzinfo=UTC))
    async with opened(EXAMPLES["report"], clock=friday) as bench:
        await bench.go(4 * DAY)
        said = [each.outputs_of("say")["value"] for each in await bench.made("report")]
    assert said == ["daily report of 2026-01-26", "daily report of 2026-01-27"]


async def test_the_webhook_answers_a_call() -> None:
    async with opened(EXAMPLES["on_call"]) as bench:
        request = WebhookRequest(body=b'{"n": 4}', parameters={"who": ["Ann"]})
        await bench.triggers.webhook("demo", "on_call", "a-long-random-key", request)
        await bench.go()
        (made,) = await bench.made("on_call")
    assert made.outputs_of("say") == {"value": "5 for Ann"}


async def test_the_flow_trigger_waits_for_both_flows() -> None:
    rows = "outputs: [{id: rows, type: INT, value: 7}]"
    async with opened(
        EXAMPLES["after_both"], flow("", flow_id="extract", more=rows), flow("", flow_id="clean")
    ) as bench:
        for flow_id in ("extract", "clean"):
            await bench.bench.start(flow_id)
            await bench.go()
        (made,) = await bench.made("after_both")
    assert made.outputs_of("say") == {"value": "7 rows, last came clean"}


async def test_the_script_trigger_looks() -> None:
    async with opened(EXAMPLES["when_ready"]) as bench:
        await bench.triggers.poll(TriggerName("demo", "when_ready", "look"))
        await bench.go()
        (made,) = await bench.made("when_ready")
    assert made.outputs_of("say") == {"value": "0"}


def test_every_condition_and_every_trigger_is_on_the_page() -> None:
    for name in condition_names():
        assert f"`{name.removeprefix(CORE)}`" in PAGE
    for name in WAYS:
        assert name.rpartition(".")[2] in PAGE

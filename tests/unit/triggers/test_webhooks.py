"""Executions that start when an address is called."""

from __future__ import annotations

import pytest
from trigger_bench import TriggerBench, condition, flow, name_of, opened, variables

from runner.errors import Conflict, InputInvalid, NotFound
from runner.model.execution import Label
from runner.model.state import State
from runner.triggers.webhook import WebhookAnswer, WebhookRequest, read_body


def hook(more: str = "", key: str = "secret") -> str:
    """The YAML of a Webhook."""
    core = "io.kestra.plugin.core.trigger.Webhook"
    return f'type: {core}, key: "{key}"' + (f", {more}" if more else "")


async def call(
    bench: TriggerBench, body: bytes = b"", key: str = "secret", flow_id: str = "f"
) -> WebhookAnswer:
    """Call the webhook of a flow."""
    request = WebhookRequest(
        body=body, headers={"X-Who": ["me"]}, parameters={"p": ["1", "2"], "q": [""]}
    )
    return await bench.triggers.webhook("demo", flow_id, key, request)


async def test_a_call_starts_an_execution_that_knows_the_call() -> None:
    async with opened(flow(hook("labels: {by: hook}"))) as bench:
        answer = await call(bench, b'{"a": 1, "l": [1, {"k": null}]}')
        await bench.go()
        (made,) = await bench.made()

    assert answer.execution is not None
    assert answer.execution.id == made.execution.id
    assert (answer.execution.state, made.state) == (State.CREATED, State.SUCCESS)
    assert variables(made) == {
        "body": {"a": 1, "l": [1, {}]},
        "headers": {"X-Who": ["me"]},
        "parameters": {"p": ["1", "2"], "q": [""]},
    }
    assert Label("by", "hook") in made.execution.labels
    assert not answer.waited


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b"", ""),
        (b"5", "5"),
        (b"null", "null"),
        (b"plain text", "plain text"),
        (b' [1, {"a": "b"}]', [1, {"a": "b"}]),
        (b'{"a": {"b": null, "c": [null]}}', {"a": {"c": [None]}}),
        (b"{broken", "{broken"),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_a_body_is_read_as_an_object_a_list_or_text(body: bytes, seen: object) -> None:
    assert read_body(body) == seen


async def test_inputs_are_rendered_and_parsed() -> None:
    inputs = "inputs: [{id: n, type: INT}, {id: other, type: STRING, defaults: dflt}]"
    async with opened(flow(hook('inputs: {n: "{{ trigger.body.n }}"}'), more=inputs)) as bench:
        await call(bench, b'{"n": 4}')
        await bench.go()
        (made,) = await bench.made()
        assert made.execution.inputs == {"n": 4, "other": "dflt"}

        with pytest.raises(InputInvalid, match="Invalid value for input `n`"):
            await call(bench, b'{"n": "many"}')
        with pytest.raises(InputInvalid, match="Unable to find `n`"):
            await call(bench, b"{}")
        assert len(await bench.made()) == 1


async def test_without_inputs_none_are_resolved() -> None:
    need = "inputs: [{id: need, type: STRING}]"
    async with opened(flow(hook(), more=need)) as bench:
        await call(bench)
        await bench.go()
        (made,) = await bench.made()
        assert (made.state, made.execution.inputs) == (State.SUCCESS, None)


async def test_a_wrong_key_and_an_unknown_flow_are_not_found() -> None:
    async with opened(flow(hook()), flow("", flow_id="g")) as bench:
        for key in ("wrong", "", "secre", "s\u00e9cret", "\udcff"):
            with pytest.raises(NotFound, match="Webhook not found"):
                await call(bench, key=key)
        with pytest.raises(NotFound, match="Webhook not found"):
            await call(bench, flow_id="g")
        with pytest.raises(NotFound, match="Flow not found"):
            await call(bench, flow_id="nope")
        assert await bench.made() == []


async def test_a_key_may_be_an_expression() -> None:
    async with opened(
        flow(hook(key="{{ flow.id }}-key")),
        flow(hook(key="{{ nope }}"), flow_id="g"),
        flow(hook(key="{{ '' }}"), flow_id="h"),
    ) as bench:
        assert (await call(bench, key="f-key")).execution is not None
        with pytest.raises(NotFound):
            await call(bench, key="{{ nope }}", flow_id="g")
        with pytest.raises(NotFound):
            await call(bench, key="", flow_id="h")


async def test_conditions_that_are_not_met_start_nothing() -> None:
    go = condition("Expression", 'expression: "{{ trigger.body.go }}"')
    async with opened(flow(hook(f"conditions: [{go}]"))) as bench:
        assert (await call(bench, b"{}")).execution is None
        assert (await call(bench, b'{"go": false}')).execution is None
        assert (await call(bench, b'{"go": true}')).execution is not None
        await bench.go()
        assert len(await bench.made()) == 1


async def test_what_is_disabled_refuses_those_who_know_the_key() -> None:
    async with opened(flow(hook(), more="disabled: true"), flow(hook(), flow_id="g")) as bench:
        with pytest.raises(Conflict, match="Cannot execute a disabled flow"):
            await call(bench)
        with pytest.raises(NotFound):
            await call(bench, key="wrong")
        await bench.triggers.set_disabled(name_of(flow_id="g"), True)
        with pytest.raises(Conflict, match="Cannot execute a disabled trigger"):
            await call(bench, flow_id="g")


async def test_a_webhook_that_waits_gives_the_outputs() -> None:
    out = 'outputs: [{id: o, type: STRING, value: "{{ outputs.r.value }}"}]'
    waits = "wait: true, returnOutputs: true, responseContentType: text/plain"
    async with opened(
        flow(hook(waits), more=out), flow(hook("returnOutputs: true"), flow_id="g")
    ) as bench:
        answer = await call(bench)
        assert answer.execution is not None
        assert answer.execution.state is State.SUCCESS
        assert answer.execution.outputs == {"o": "done"}
        assert (answer.waited, answer.outputs_only) == (True, True)
        assert answer.content_type == "text/plain"

        assert not (await call(bench, flow_id="g")).outputs_only
        await bench.go()

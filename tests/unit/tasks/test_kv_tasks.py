"""Tasks of the key-value store and of the state store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from core_flows import Flows

from runner.model.state import State
from runner.storage.kv import KvType


@pytest.fixture
def flows(tmp_path: Path) -> Flows:
    return Flows(tmp_path)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('"{{ 1 + 1 }}"', 2),
        ('"{{ vars.m }}"', {"a": [1, 2]}),
        ('"n{{ 1 + 1 }}"', "n2"),
        ('"42"', "42"),
        ("5", "5"),
        ('[1, "{{ flow.id }}"]', '[1,"f"]'),
        ("""'{"x": 1}'""", '{"x": 1}'),
    ],
)
async def test_a_lone_expression_keeps_its_type_and_all_else_is_text(
    flows: Flows, value: str, kept: Any
) -> None:
    ended = await flows.run(
        f"""
  - {{id: s, type: core.kv.Set, key: k, value: {value}}}
  - {{id: g, type: core.kv.Get, key: k}}
""",
        "variables: {m: {a: [1, 2]}}",
    )

    assert ended.state is State.SUCCESS
    assert ended.outputs["g"] == {"value": kept}


@pytest.mark.parametrize(
    ("kind", "text", "kept"),
    [
        ("NUMBER", "1.5", 1.5),
        ("BOOLEAN", "TRUE", True),
        ("JSON", '{\\"a\\": 1}', {"a": 1}),
        ("DURATION", "P1D", "PT24H"),
        ("DATETIME", "2024-01-02T03:04:05+01:00", "2024-01-02T02:04:05Z"),
        ("STRING", "5", "5"),
    ],
)
async def test_a_text_is_converted_to_the_type_that_is_asked_for(
    flows: Flows, kind: str, text: str, kept: Any
) -> None:
    await flows.run(f'  - {{id: s, type: core.kv.Set, key: k, value: "{text}", kvType: {kind}}}')

    entry = flows.kv.entry("a.b", "k")
    assert entry is not None
    assert (entry.value, entry.type) == (kept, KvType(kind))


async def test_a_duration_is_given_as_a_number_of_seconds(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: s, type: core.kv.Set, key: k, value: PT1M0.5S, kvType: DURATION}
  - {id: g, type: core.kv.Get, key: k}
  - {id: f, type: core.debug.Return, format: "{{ kv('k') }}"}
"""
    )

    assert ended.outputs["g"] == {"value": 60.5}
    assert ended.outputs["f"] == {"value": "PT1M0.5S"}


async def test_a_plain_date_is_no_date_value_as_in_kestra(flows: Flows) -> None:
    ended = await flows.run(
        '  - {id: s, type: core.kv.Set, key: k, value: "2024-01-02", kvType: DATE}'
    )

    assert ended.error("s") == "Text '2024-01-02' could not be parsed at index 10"


async def test_a_key_is_described_and_lives_as_long_as_said(flows: Flows) -> None:
    await flows.run(
        "  - {id: s, type: core.kv.Set, key: k, value: v, ttl: PT1H, kvDescription: what it is}"
    )

    entry = flows.kv.entry("a.b", "k")
    assert entry is not None
    assert entry.expires == entry.updated + timedelta(hours=1)
    assert entry.description == "what it is"


async def test_a_key_is_not_overwritten_if_it_must_not(flows: Flows) -> None:
    flows.kv.set("a.b", "k", "first")

    ended = await flows.run(
        "  - {id: s, type: core.kv.Set, key: k, value: second, overwrite: false}"
    )

    assert ended.error("s") == (
        "Cannot set value for key 'k'. Key already exists and `overwrite` is set to `false`."
    )
    assert flows.kv.get("a.b", "k") == "first"


async def test_a_bad_key_is_refused_when_it_is_set(flows: Flows) -> None:
    ended = await flows.run('  - {id: s, type: core.kv.Set, key: "bad key!", value: v}')

    assert ended.error("s").startswith("Key must start with an alphanumeric character")


async def test_parents_are_searched_unless_a_namespace_is_named(flows: Flows) -> None:
    flows.kv.set("a", "k", "above")

    ended = await flows.run(
        """
  - {id: found, type: core.kv.Get, key: k}
  - {id: named, type: core.kv.Get, key: k, namespace: a.b.c}
"""
    )

    assert ended.outputs["found"] == {"value": "above"}
    assert not ended.outputs["named"]


@pytest.mark.parametrize("verb", ["Get", "Delete"])
async def test_a_missing_key_is_an_error_only_if_asked(flows: Flows, verb: str) -> None:
    ended = await flows.run(
        f"""
  - {{id: soft, type: core.kv.{verb}, key: nope}}
  - {{id: hard, type: core.kv.{verb}, key: nope, errorOnMissing: true}}
"""
    )

    assert ended.states == {"soft": State.SUCCESS, "hard": State.FAILED}
    assert ended.error("hard") == (
        "No value found for key 'nope' in namespace 'a.b' and `errorOnMissing` is set to true"
    )


async def test_keys_are_listed_and_deleted(flows: Flows) -> None:
    for key in ("x_b", "x_a", "y"):
        flows.kv.set("a.b", key, 1)

    ended = await flows.run(
        """
  - {id: some, type: core.kv.GetKeys, prefix: "x{{ '_' }}"}
  - {id: gone, type: core.kv.Delete, key: x_a}
  - {id: left, type: core.kv.GetKeys}
"""
    )

    assert ended.outputs["some"] == {"keys": ["x_a", "x_b"]}
    assert ended.outputs["gone"] == {"deleted": True}
    assert ended.outputs["left"] == {"keys": ["x_b", "y"]}


async def test_purging_takes_expired_keys_and_others_only_if_told(flows: Flows) -> None:
    flows.kv.set("a.b", "old", 1, ttl=timedelta())
    flows.kv.set("a.b.c", "old", 1, ttl=timedelta())
    flows.kv.set("z", "old", 1, ttl=timedelta())
    flows.kv.set("a.b", "new_1", 1)
    flows.kv.set("a.b", "kept", 1)

    ended = await flows.run(
        """
  - {id: p, type: core.kv.PurgeKV, namespaces: [a.b]}
  - {id: q, type: core.kv.PurgeKV, keyPattern: "new*", behavior: {type: key, expiredOnly: false}}
"""
    )

    assert ended.outputs["p"] == {"size": 2}
    assert ended.outputs["q"] == {"size": 1}
    assert [entry.key for entry in flows.kv.entries("z", expired=True)] == ["old"]
    assert flows.kv.keys("a.b") == ["kept"]


async def test_a_state_is_merged_and_outlives_the_execution(flows: Flows) -> None:
    first = await flows.run(
        '  - {id: s, type: core.state.Set, data: {a: {x: 1}, b: "{{ flow.id }}", c: [0]}}'
    )
    second = await flows.run(
        """
  - {id: s, type: core.state.Set, data: {a: {y: 2}, b: 2, c: [1]}}
  - {id: g, type: core.state.Get}
  - {id: other, type: core.state.Get, name: other}
  - {id: d, type: core.state.Delete}
  - {id: again, type: core.state.Delete}
  - {id: hard, type: core.state.Get, errorOnMissing: true}
"""
    )

    key = (first.outputs["s"] or {})["key"]
    assert key.endswith("_states_tasks-states_default")
    assert (first.outputs["s"] or {})["count"] == 3
    assert (second.outputs["s"] or {})["count"] == 3
    assert second.outputs["g"] == {
        "count": 3,
        "data": {"a": {"x": 1, "y": 2}, "b": 2, "c": [0, 1]},
    }
    assert (second.outputs["other"] or {})["count"] == 0
    assert second.outputs["d"] == {"deleted": True}
    assert second.outputs["again"] == {"deleted": False}
    assert second.error("hard").startswith(f"State {key} not found")


async def test_each_loop_value_has_a_state_of_its_own(flows: Flows) -> None:
    ended = await flows.run(
        """
  - id: each
    type: core.flow.ForEach
    values: [x, y]
    tasks:
      - {id: own, type: core.state.Set, data: {v: "{{ taskrun.value }}"}}
      - id: shared
        type: core.state.Set
        name: all
        taskrunValue: false
        data: {"k{{ taskrun.value }}": 1}
  - {id: g, type: core.state.Get, name: all}
  - {id: none, type: core.state.Get}
"""
    )

    assert (ended.outputs["g"] or {})["count"] == 2
    assert (ended.outputs["none"] or {})["count"] == 0


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("NUMBER", "abc", "Unrecognized token 'abc': was expecting (JSON String, Number, Array"),
        ("JSON", "{x", "Unexpected character ('x' (code 120)): was expecting double-quote to"),
        ("JSON", "[1, 2", "Unexpected end-of-input: expected close marker for Array (start marker"),
    ],
)
async def test_a_text_that_is_no_json_fails_in_the_words_of_kestra(
    flows: Flows, kind: str, text: str, reason: str
) -> None:
    ended = await flows.run(
        f"  - {{id: s, type: core.kv.Set, key: k, value: '{text}', kvType: {kind}}}"
    )

    assert ended.error("s").startswith(reason)
    assert ended.error("s").endswith("column: 2]" if text == "{x" else f"{len(text) + 1}]")


async def test_a_number_stays_one_although_a_text_was_asked_for(flows: Flows) -> None:
    await flows.run('  - {id: s, type: core.kv.Set, key: k, value: "{{ 5 }}", kvType: STRING}')

    entry = flows.kv.entry("a.b", "k")
    assert entry is not None
    assert entry.value == 5


async def test_an_expired_value_is_there_until_somebody_looks(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: s, type: core.kv.Set, key: k, value: v, ttl: PT0.01S}
  - {id: w, type: core.flow.Sleep, duration: PT0.05S}
  - {id: locked, type: core.kv.Set, key: k, value: w, overwrite: false, allowFailure: true}
  - {id: keys, type: core.kv.GetKeys}
  - {id: looks, type: core.kv.Get, key: k, allowFailure: true}
  - {id: again, type: core.kv.Get, key: k}
  - {id: free, type: core.kv.Set, key: k, value: w, overwrite: false}
"""
    )

    assert ended.error("locked").startswith("Cannot set value for key 'k'. Key already exists")
    assert ended.outputs["keys"] == {"keys": []}
    assert ended.error("looks") == "The requested value has expired"
    assert ended.states["again"] is State.SUCCESS
    assert not ended.outputs["again"]
    assert flows.kv.get("a.b", "k") == "w"


async def test_the_flows_own_namespace_by_name_is_searched_upwards_too(flows: Flows) -> None:
    flows.kv.set("a", "k", "above")

    ended = await flows.run(
        """
  - {id: own, type: core.kv.Get, namespace: a.b, key: k}
  - {id: other, type: core.kv.Get, namespace: a.b.c, key: k}
"""
    )

    assert ended.outputs["own"] == {"value": "above"}
    assert not ended.outputs["other"]

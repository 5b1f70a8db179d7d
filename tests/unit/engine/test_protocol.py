"""What marker lines say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.lines import Piece
from runner.engine.metrics import MAX_SERIES, MetricTotals, merge_metrics
from runner.engine.protocol import parse_lines, parse_marker
from runner.model.execution import Level
from runner.model.marker import LogEntry, Marker, MetricEntry


def marker(body: str) -> Marker:
    parsed = parse_marker(f"::{body}::")
    assert parsed is not None
    return parsed


def metric(fields: str) -> Marker:
    return marker('{"metrics":[' + fields + "]}")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "text",
        "::{",
        "::{}::x",
        ' ::{"outputs":{"x":1}}::',
        '::{"outputs":{"x":1}}:: ',
        'x::{"outputs":{"x":1}}::',
        ':: {"outputs":{"x":1}}::',
        "::[1]::",
        # golden q05: to Java these two end a line
        '::{"outputs":{"u2028":"a\u2028b"}}::',
        '::{"outputs":{"u0085":"a\u0085b"}}::',
        Piece('::{"outputs":{"x":1}}::'),
    ],
)
def test_a_line_that_is_not_a_marker_as_a_whole_is_text(line: str) -> None:
    assert parse_marker(line) is None


def test_a_carriage_return_after_a_marker_is_tolerated() -> None:
    assert parse_marker('::{"outputs":{"crlf":1}}::\r') == marker('{"outputs":{"crlf":1}}')


def test_outputs_keep_their_types() -> None:
    # golden p02_outputs_types
    values: dict[str, Any] = {
        "s": "text",
        "i": 7,
        "f": 1.5,
        "big": 12345678901234567890,
        "b": True,
        "n": None,
        "l": [1, "a", None, {"x": [1.0]}],
        "m": {"k": {"deep": "v"}},
        "e": "",
        "u": "héé✓",
    }

    outputs = marker(json.dumps({"outputs": values})).outputs

    assert outputs == values
    assert [type(value) for value in outputs.values()] == [type(v) for v in values.values()]


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ('{"outputs":{"a":1,"a":2}}', {"a": 2}),
        ('{"outputs":{"a":1e400}}', {"a": float("inf")}),
        ('{"outputs":null,"logs":null,"metrics":null}', {}),
        ('{"outputs":{"x":1}}::{"outputs":{"y":2}}', {"x": 1}),
        ('{"outputs":{"x":1}} and more}', {"x": 1}),
        ('{"other":1,"otlp":{},"outputs":{"x":1}}', {"x": 1}),
        ('{"outputs":{"":"empty","a.b":"\\u00e9\\ud83d\\ude00"}}', {"": "empty", "a.b": "é😀"}),
        ('{"outputs":{"half":"a\\ud83d"}}', {"half": "a?"}),
        ("{}", {}),
    ],
)
def test_json_is_read_as_kestra_reads_it(body: str, outputs: dict[str, Any]) -> None:
    assert marker(body) == Marker(outputs=outputs)


@pytest.mark.parametrize(("token", "column"), [("NaN", 22), ("Infinity", 27), ("-Infinity", 28)])
def test_a_constant_that_json_lacks_is_two_warnings_with_kestras_words(
    token: str, column: int
) -> None:
    # golden q02_nan_infinity
    first, second = marker('{"outputs": {"a": ' + token + "}}").problems

    assert second == (
        f"Non-standard token '{token}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
        "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1"
        f", column: {column}]"
    )
    assert first.startswith(f"Invalid outputs 'Non-standard token '{token}': enable ")


def test_a_constant_is_not_looked_for_inside_texts() -> None:
    _, cause = marker('{"outputs": {"NaN": "\\"NaN", "b": NaN}}').problems

    assert "column: 38]" in cause


@pytest.mark.parametrize(
    ("body", "named", "count"),
    [
        ('{"outputs":{"x":}}', "column: 17", 2),
        ('{"outputs":}', "column: 12", 1),
        ('{"outputs":[1]}', "outputs must be an object, not a list", 1),
        ('{"outputs":"x"}', "outputs must be an object, not a text", 1),
        ('{"outputs":{"x":1},"metrics":{}}', "metrics must be a list, not an object", 1),
        ('{"outputs":{"x":1},"logs":true}', "logs must be a list, not a boolean", 1),
        ('{"outputs":{"x":1},"assets":5}', "assets must be a list or an object, not a number", 1),
        ('{"outputs":{"x":' + "9" * 1001 + "}}", "length (1001)", 1),
        ('{"outputs":{"x":' + "[" * 300 + "]" * 300 + "}}", "nested deeper than 200", 1),
        ('{"outputs":{"x":' + "[" * 99_999 + "]" * 99_999 + "}}", "nested deeper than 200", 1),
        ('{"outputs":{"x":1},"logs":[{"level":"WARNING","message":"m"}]}', '"WARNING"', 1),
        ('{"outputs":{"x":1},"logs":[{"level":"info","message":"m"}]}', '"info"', 1),
        ('{"outputs":{"x":1},"logs":[{"level":"INFO","message":{}}]}', "logs[0].message", 1),
        ('{"outputs":{"x":1},"logs":["m"]}', "logs[0] must be an object, not a text", 1),
    ],
)
def test_of_a_line_that_is_wrong_nothing_is_taken(body: str, named: str, count: int) -> None:
    parsed = marker(body)

    assert named in parsed.problems[0]
    assert parsed.problems[0].startswith("Invalid outputs '")
    assert len(parsed.problems) == count
    assert parsed == Marker(problems=parsed.problems)


def test_two_hundred_levels_are_read() -> None:
    body = '{"outputs":{"x":' + "[" * 198 + "]" * 198 + "}}"

    assert not marker(body).problems


def test_log_entries_have_their_own_levels_and_order() -> None:
    body = json.dumps(
        {
            "logs": [
                {"level": "WARN", "message": "3 rows\nskipped", "timestamp": "ignored"},
                {"message": "no level"},
                {"level": "INFO"},
                {"level": "TRACE", "message": 5},
                {"level": "ERROR", "message": True},
                None,
            ]
        }
    )

    assert marker(body).logs == (
        LogEntry(Level.WARN, "3 rows\nskipped"),
        LogEntry(Level.WARN, """Invalid log '{"message":"no level"}'"""),
        LogEntry(Level.TRACE, "5"),
        LogEntry(Level.ERROR, "true"),
        LogEntry(Level.WARN, "Invalid log 'null'"),
    )


@pytest.mark.parametrize("assets", [[{"id": "a"}], {"id": "a", "type": "TABLE"}, {"inputs": []}])
def test_assets_may_be_a_list_or_an_object(assets: object) -> None:
    assert marker(json.dumps({"assets": assets})).assets == assets


def test_encrypted_outputs_are_told_apart() -> None:
    parsed = marker('{"encryptedOutputs":{"token":"t"},"outputs":{"a":1}}')

    assert (parsed.outputs, parsed.encrypted_outputs) == ({"a": 1}, {"token": "t"})


@pytest.mark.parametrize(
    ("type_", "value", "stored"),
    [
        # golden q13_metric_values
        ("counter", "-5", -5.0),
        ("counter", "0", 0.0),
        ("counter", "1.25", 1.25),
        ("counter", '"12"', 12.0),
        ("counter", "1e18", 1e18),
        ("timer", '"PT1.5S"', 1500.0),
        ("timer", "3", 3000.0),
        ("timer", '"2"', 2000.0),
        ("timer", "0.0004", 0.0),
        ("timer", "-1", -1000.0),
        ("timer", "12.5", 12500.0),
        ("timer", "-0.0014", -1.0),
        ("timer", '"-pt1h2m3.25s"', -3723250.0),
        ("timer", '"P1DT-1H"', 82_800_000.0),
        ("timer", '"PT-0.5S"', -500.0),
        ("gauge", "0.25", 0.25),
    ],
)
def test_values_of_metrics(type_: str, value: str, stored: float) -> None:
    (entry,) = metric(f'{{"name":"n","type":"{type_}","value":{value}}}').metrics

    assert entry == MetricEntry(name="n", type=type_, value=stored)  # pyright: ignore[reportArgumentType] - one of the three


@pytest.mark.parametrize(
    ("fields", "named", "count"),
    [
        # golden q14_metric_bad_value, p07_metric_unknown_type
        ('{"name":"abc","type":"counter","value":"abc"}', '"abc"', 1),
        ('{"name":"bool","type":"counter","value":true}', "true", 1),
        ('{"name":"list","type":"counter","value":[1]}', "[1]", 1),
        ('{"name":"notype","value":1}', "'type'", 1),
        ('{"name":"UPPER","type":"COUNTER","value":1}', "'COUNTER'", 1),
        ('{"name":"x","type":"histogram","value":1}', "'histogram'", 1),
        ('{"name":"x","type":["counter"],"value":1}', "type id", 1),
        (
            '{"name":"good","type":"counter","value":1},{"name":"bad","type":"nope","value":1}',
            "(metrics[1])",
            1,
        ),
        ('{"name":"tag","type":"counter","value":1,"tags":{"deep":{"x":1}}}', "tags.deep", 1),
        ('{"name":"tag","type":"counter","value":1,"tags":["a"]}', "metrics[0].tags", 1),
        ('{"name":"t","type":"timer","value":"soon"}', '"soon"', 2),
        ('{"name":"t","type":"timer","value":"P"}', '"P"', 2),
        ('{"name":"t","type":"timer","value":"PT"}', '"PT"', 2),
        ('{"name":"t","type":"timer","value":1e300}', "too long", 1),
        ('{"name":"t","type":"timer","value":{}}', "metrics[0].value", 1),
        ('{"name":{},"type":"counter","value":1}', "metrics[0].name", 1),
        ('{"name":"t","type":"counter","value":1,"timestamp":"noon"}', "'noon'", 2),
        ('"text"', "metrics[0]", 1),
    ],
)
def test_a_wrong_metric_makes_its_line_a_warning(fields: str, named: str, count: int) -> None:
    parsed = marker('{"metrics":[' + fields + '],"outputs":{"line":1}}')

    assert named in parsed.problems[0]
    assert len(parsed.problems) == count
    assert parsed == Marker(problems=parsed.problems)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ('{"name":"nov","type":"counter"}', "no value"),
        ('{"name":"nov","type":"timer","value":null}', "no value"),
        ('{"name":"nov","type":"gauge","value":" "}', "no value"),
        ('{"name":"n","type":"counter","value":1,"tags":{"t":null}}', "tag 't' is null"),
        ('{"name":"n","type":"counter","value":1e400}', "not finite"),
        ('{"name":"n","type":"counter","value":' + "9" * 400 + "}", "not finite"),
        ("null", "null"),
    ],
)
def test_a_metric_that_would_break_kestra_is_left_out_and_the_rest_is_kept(
    bad: str, why: str
) -> None:
    parsed = marker(
        '{"metrics":[' + bad + ',{"name":"b","type":"counter","value":2}],"outputs":{"a":1}}'
    )

    (problem,) = parsed.problems
    assert problem.startswith("Invalid metric '")
    assert why in problem
    assert [entry.name for entry in parsed.metrics] == ["b"]
    assert parsed.outputs == {"a": 1}


def test_tags_become_texts_and_other_fields_are_ignored() -> None:
    fields = (
        '{"name":"n","type":"counter","value":1,"unit":"rows",'
        '"tags":{"b":true,"i":1,"f":1.5,"s":"x"},"timestamp":"2026-01-20T10:00:00+01:00"}'
    )

    (entry,) = metric(fields).metrics

    assert entry.tags == {"b": "true", "i": "1", "f": "1.5", "s": "x"}
    assert entry.timestamp == datetime(2026, 1, 20, 9, tzinfo=UTC)


def test_a_metric_without_a_name_is_kept() -> None:
    assert metric('{"type":"counter","value":1}').metrics[0].name is None


def test_counters_and_timers_add_up_and_of_gauges_the_last_is_kept() -> None:
    def entry(type_: Any, value: float, tags: dict[str, str] | None = None) -> MetricEntry:
        return MetricEntry(name="n", type=type_, value=value, tags=tags)

    merged = merge_metrics(
        [
            entry("counter", 10, {"env": "test", "n": "1"}),
            entry("timer", 5),
            entry("counter", 5, {"n": "1", "env": "test"}),
            entry("gauge", 1),
            entry("counter", 1),
            entry("counter", 2, {}),
            entry("gauge", 0.5),
            entry("timer", 7),
        ]
    )

    assert [(m.type, m.value, m.tags) for m in merged] == [
        ("counter", 15, {"env": "test", "n": "1"}),
        ("timer", 12, None),
        ("gauge", 0.5, None),
        ("counter", 1, None),
        ("counter", 2, {}),
    ]


def test_there_is_a_limit_to_how_many_metrics_are_kept() -> None:
    totals = MetricTotals()
    taken = [
        totals.add(MetricEntry(name=str(number), type="counter", value=1))
        for number in range(MAX_SERIES + 3)
    ]

    assert taken.count(False) == totals.dropped == 3
    assert totals.add(MetricEntry(name="0", type="counter", value=1))
    assert totals.entries()[0].value == 2


def test_runs_of_text_stay_together_between_markers() -> None:
    one, two = '::{"outputs":{"a":1}}::', '::{"outputs":{"a":2}}::'

    assert list(parse_lines(["x", "::{", "y", one, two, "z"])) == [
        ["x", "::{", "y"],
        Marker(outputs={"a": 1}),
        Marker(outputs={"a": 2}),
        ["z"],
    ]
    assert list(parse_lines([])) == []


def test_lines_without_a_marker_are_handed_on_as_they_are() -> None:
    lines = ["x", "y"]

    (run,) = parse_lines(lines)

    assert run is lines


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["outputs", "metrics", "logs", "assets", "encryptedOutputs"]), _JSON
    )
    | st.fixed_dictionaries(
        {
            "metrics": st.lists(
                st.dictionaries(
                    st.sampled_from(["name", "type", "value", "tags", "timestamp"]),
                    _JSON | st.sampled_from(["counter", "timer", "gauge", "PT1S"]),
                )
            )
        }
    )
    | st.fixed_dictionaries(
        {
            "logs": st.lists(
                st.dictionaries(st.sampled_from(["level", "message"]), _JSON | st.just("INFO"))
            )
        }
    )
)
def test_no_content_breaks_the_reader_and_what_it_gives_can_be_stored(content: Any) -> None:
    parsed = marker(json.dumps(content))

    json.dumps([parsed.outputs, parsed.assets, *parsed.problems], ensure_ascii=False).encode()


@given(st.text(alphabet='{}[]:,"\\ud8N0-1.eE \t', max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    parsed = marker("{" + text + "}")

    assert parsed is not None


@pytest.mark.parametrize(
    ("level", "meant"),
    [("2", Level.INFO), ('"0"', Level.ERROR), ("4", Level.TRACE), ('"WARN"', Level.WARN)],
)
def test_a_level_may_be_the_number_that_java_gives_it(level: str, meant: Level) -> None:
    found = marker('{"logs":[{"level":' + level + ',"message":"m"}]}')

    assert found.logs == (LogEntry(meant, "m"),)


@pytest.mark.parametrize("level", ["5", "-1", "2.0", "true", '"info"', '""', "[]"])
def test_what_is_no_level_makes_the_line_unreadable(level: str) -> None:
    found = marker('{"logs":[{"level":' + level + ',"message":"m"}],"outputs":{"a":1}}')

    assert found.problems
    assert not found.outputs


def test_a_number_as_text_stays_as_it_was_written() -> None:
    found = marker(
        '{"logs":[{"level":"INFO","message":1.50}],'
        '"metrics":[{"name":"a","type":"counter","value":1e1,"tags":{"v":1.10}}]}'
    )

    assert found.logs == (LogEntry(Level.INFO, "1.50"),)
    assert found.metrics == (MetricEntry(name="a", type="counter", value=10.0, tags={"v": "1.10"}),)


@pytest.mark.parametrize(
    "fields",
    [
        '{"name":"","type":"counter","value":1}',
        '{"name":"a","type":"counter","value":1,"tags":{"":"x"}}',
        '{"name":"a","type":"counter","value":"NaN"}',
        '{"name":"a","type":"counter","value":"-Infinity"}',
    ],
)
def test_a_metric_that_kestra_chokes_on_is_left_out_by_itself(fields: str) -> None:
    found = marker('{"metrics":[' + fields + '],"outputs":{"a":1}}')

    assert found.metrics == ()
    assert [text.partition("'")[0] for text in found.problems] == ["Invalid metric "]
    assert found.outputs == {"a": 1}


def test_an_empty_timestamp_of_a_metric_is_none_at_all() -> None:
    found = metric('{"name":"a","type":"counter","value":1,"timestamp":""}')

    assert found.metrics == (MetricEntry(name="a", type="counter", value=1.0),)


def test_a_description_of_a_metric_that_is_no_text_makes_the_line_unreadable() -> None:
    assert metric('{"name":"a","type":"counter","value":1,"description":{}}').metrics == ()
    assert metric('{"name":"a","type":"counter","value":1,"description":5}').metrics

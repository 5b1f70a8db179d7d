"""What holds for every template, number, text and date, tried with many of each."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RenderFailed
from runner.expr import Scope, render, render_typed, to_json, to_text
from runner.expr.faults import SyntaxFault
from runner.expr.lexer import TEXT, tokenize
from runner.expr.values import Float32, Instant

PLAIN = st.text().filter(lambda text: "{" not in text)
PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "'",
        '"',
        "\\",
        "#{",
        "}",
        "(",
        "[",
        "a",
        "1",
        " ",
        "\n",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_text_without_braces_is_one_token_and_renders_to_itself(text: str) -> None:
    assert [token[:2] for token in tokenize(text)[:-1]] == ([(TEXT, text)] if text else [])
    assert render(text, Scope()) == text


@given(st.lists(PIECES, max_size=30).map("".join))
def test_every_text_is_lexed_or_refused_with_a_place_inside_it(text: str) -> None:
    try:
        tokens = tokenize(text)
    except SyntaxFault as fault:
        assert 0 <= fault.pos <= len(text)
        return
    positions = [position for _, _, position in tokens]
    assert positions == sorted(positions)
    assert all(0 <= position <= len(text) for position in positions)


@given(st.text())
def test_a_string_literal_is_its_text(text: str) -> None:
    literal = text.replace("\\", "").replace("'", "\\'")

    assert render(f"{{{{ '{literal}' }}}}", Scope()) == text.replace("\\", "")


@given(st.text())
def test_raw_text_comes_out_as_it_went_in(text: str) -> None:
    content = text.replace("{%", "").replace("endraw", "")

    assert render(f"{{% raw %}}{content}{{% endraw %}}", Scope()) == content


@given(st.text())
def test_data_is_never_a_template(text: str) -> None:
    data = text.replace("endraw", "") + "{{ gone }}"

    assert render("{{ x }}", Scope({"x": data})) == data


@given(st.floats())
def test_a_double_is_printed_in_the_fewest_digits_that_read_back_the_same(value: float) -> None:
    text = to_text(value)

    read = float(text.replace("Infinity", "inf"))
    assert read == value or (math.isnan(read) and math.isnan(value))
    assert text in ("NaN", "Infinity", "-Infinity") or "." in text
    assert ("E" in text) == (math.isfinite(value) and value != 0 and not 1e-3 <= abs(value) < 1e7)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_is_printed_in_digits_that_read_back_to_32_bits(value: float) -> None:
    text = to_text(Float32.of(value))

    assert struct.pack("f", float(text)) == struct.pack("f", value)
    assert len(text.lstrip("-").partition("E")[0]) <= 12


@given(st.integers(), st.integers().filter(bool))
def test_division_and_remainder_agree(dividend: int, divisor: int) -> None:
    scope = Scope({"a": dividend, "b": divisor})

    quotient, rest = render_typed("{{ a / b }}", scope), render_typed("{{ a % b }}", scope)

    assert isinstance(quotient, int)
    assert isinstance(rest, int)
    assert quotient * divisor + rest == dividend
    assert abs(rest) < abs(divisor)
    assert rest == 0 or (rest < 0) == (dividend < 0)


def without_nulls(value: object) -> object:
    """The value as JSON keeps it: no map entries that are null."""
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        return {key: without_nulls(item) for key, item in entries.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in cast("list[object]", value)]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


@given(VALUES)
def test_json_is_read_back_as_what_was_written_without_nulls_in_maps(value: object) -> None:
    text = to_json(value)

    expected = json.dumps(without_nulls(value)).replace('"inf"', '"Infinity"')
    assert json.loads(text) == json.loads(expected.replace('"-inf"', '"-Infinity"'))


@given(VALUES)
def test_a_value_equals_itself_and_keeps_its_type_when_typed(value: object) -> None:
    scope = Scope({"x": value})

    assert render("{{ x == x }}", scope) == "true"
    assert render_typed("{{ x }}", scope) == value


MOMENTS = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001  (bounds are naive by contract)
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(MOMENTS)
def test_a_formatted_date_is_read_back_as_the_same_instant(moment: datetime) -> None:
    scope = Scope({"d": Instant.of(moment)})

    text = render("{{ d | date }}", scope)
    back = render("{{ d | date | timestampMicro }}", scope)

    assert datetime.fromisoformat(text) == moment
    assert int(back) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@given(MOMENTS, st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kolkata", "UTC"]))
def test_fields_of_a_date_are_those_of_the_zone(moment: datetime, zone: str) -> None:
    template = "{{ d | date('yyyy-MM-dd HH:mm:ss', timeZone=z) }}"

    text = render(template, Scope({"d": Instant.of(moment), "z": zone}))

    assert text == moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


@given(
    MOMENTS,
    st.sampled_from(
        [
            "dd/MM/yyyy HH:mm:ss",
            "yyyyMMddHHmmss",
            "MMM d, yyyy h:mm:ss a",
            "EEE, dd MMM yyyy HH:mm:ss XXX",
            "yyyy-DDD'T'HH:mm:ss",
        ]
    ),
)
def test_a_pattern_reads_what_it_wrote(moment: datetime, pattern: str) -> None:
    scope = Scope({"d": Instant.of(moment.replace(microsecond=0)), "p": pattern})

    back = render("{{ d | date(p) | date('iso_sec', existingFormat=p) }}", scope)

    assert back == moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@given(MOMENTS)
def test_weeks_are_those_of_iso_where_the_locale_counts_so(moment: datetime) -> None:
    scope = Scope({"d": Instant.of(moment)})
    year, week, day = moment.isocalendar()

    assert render("{{ d | date('YYYY-w-e', locale='fr_FR') }}", scope) == f"{year}-{week}-{day}"


@given(MOMENTS, st.integers(-2000, 2000))
def test_days_added_and_taken_away_cancel_out(moment: datetime, days: int) -> None:
    scope = Scope({"d": Instant.of(moment), "n": days})

    text = render("{{ d | dateAdd(n, 'DAYS') | dateAdd(-n, 'DAYS') }}", scope)

    assert datetime.fromisoformat(text) == moment


@given(st.text(alphabet="yMdHhmsSaEXVz'[]-/: GQqwWeDkKAnNTB", max_size=12))
def test_every_date_pattern_formats_or_fails_with_our_own_error(pattern: str) -> None:
    scope = Scope({"p": pattern})
    for template in ("{{ 0 | date(p) }}", "{{ '2024-05-06' | date(existingFormat=p) }}"):
        try:
            render(template, scope)
        except RenderFailed as error:
            assert error.kind == "eval"

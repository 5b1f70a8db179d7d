"""Masking of secrets in text."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.lines import ENTRY_LENGTH, LineSplitter
from runner.engine.masking import MASK, Masker

SECRET = 'pa$$ wörd/+?&"x'


def masker(*secrets: str) -> Masker:
    made = Masker()
    for secret in secrets:
        assert made.add(secret)
    return made


def test_a_masker_without_secrets_is_false_and_gives_the_text_back() -> None:
    nothing = Masker()
    lines = ["a", "b"]

    assert not nothing
    assert nothing.mask("s3cr3t") == "s3cr3t"
    assert nothing.mask_lines(lines) is lines


def test_a_secret_is_replaced_wherever_it_stands() -> None:
    mask = masker("s3cr3t").mask

    assert mask("the secret is s3cr3t") == "the secret is ******"
    assert mask("s3cr3ts3cr3t, s3cr3t") == "************, ******"


@pytest.mark.parametrize("value", ["", "abc", "****", "******", "a\n", "   \n"])
def test_a_value_that_is_too_short_or_only_asterisks_is_not_masked(value: str) -> None:
    made = Masker()

    assert not made.add(value)
    assert not made


def test_the_longer_of_two_secrets_is_replaced_whole() -> None:
    assert masker("token", "token-of-prod").mask("it is token-of-prod.") == "it is ******."


def test_secrets_that_overlap_leave_nothing_of_either() -> None:
    assert masker("abcdef", "efghij").mask("<abcdefghij>") == "<******>"


@pytest.mark.parametrize(
    "spelled",
    [
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        b64encode(SECRET.encode()).decode().rstrip("="),
        urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_found_in_its_usual_spellings(spelled: str) -> None:
    assert masker(SECRET).mask(f"<{spelled}>") == f"<{MASK}>"


@pytest.mark.parametrize("user", ["a", "ab", "abc", "bot"])
def test_a_password_is_found_inside_basic_authentication(user: str) -> None:
    encoded = b64encode(f"{user}:correct-horse!".encode()).decode()

    masked = masker("correct-horse!").mask(encoded)

    assert MASK in masked
    assert len(masked.replace(MASK, "")) <= len(user) + 8


def test_each_line_of_a_secret_of_several_lines_is_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\r\n  kqhkiG9w0BAQEF\nxy\n"

    masked = masker(key).mask_lines(["MIIEvQIBADANBg", "  kqhkiG9w0BAQEF", "xy", "BEGIN"])

    assert masked == ["******", "  ******", "xy", "BEGIN"]


def test_a_secret_that_ends_in_a_line_break_is_masked_without_it() -> None:
    assert masker("hunter2\n").mask("got hunter2") == "got ******"


def test_lines_without_a_secret_are_the_same_object() -> None:
    lines = ["no", "secrets", "here"]

    assert masker("s3cr3t").mask_lines(lines) is lines


def test_a_secret_added_later_is_masked_from_then_on_and_the_first_one_still() -> None:
    made = masker("first-one")
    made.add("second-one")

    assert made.mask("first-one second-one") == "****** ******"


@given(
    before=st.text(alphabet="xyz", max_size=40),
    after=st.text(alphabet="xyz", max_size=40),
    shift=st.integers(-12, 12),
    sizes=st.lists(st.integers(1, 9000), max_size=6),
    ended=st.booleans(),
)
def test_a_secret_on_the_border_of_two_entries_is_masked(
    before: str, after: str, shift: int, sizes: list[int], ended: bool
) -> None:
    made = masker("sEcReT-value")
    text = before + "x" * (ENTRY_LENGTH + shift - len(before)) + "sEcReT-value" + after
    data = (text + "\n" * ended).encode()
    splitter = LineSplitter(masker=made)
    entries: list[str] = []
    for size in sizes:
        entries += splitter.feed(data[:size])
        data = data[size:]
    entries += splitter.feed(data)
    entries += splitter.flush()

    assert "".join(entries) == text
    assert "".join(made.mask_lines(entries)) == text.replace("sEcReT-value", MASK)
    assert max(map(len, entries)) <= ENTRY_LENGTH


def test_a_secret_longer_than_an_entry_is_kept_in_one_piece() -> None:
    secret = "k" * 10 + "v" * ENTRY_LENGTH + "z"
    made = masker(secret)
    splitter = LineSplitter(masker=made)
    lines = [*splitter.feed(f"at: {secret}!".encode()), *splitter.flush()]

    assert "".join(made.mask(line) for line in lines) == "at: ******!"

"""The order of a script's outputs, against what a Kestra 1.2.14 printed (golden p02)."""

from __future__ import annotations

from runner.tasks.hash_order import hash_ordered


def test_outputs_have_the_order_that_kestra_printed() -> None:
    sent = ["s", "i", "f", "big", "b", "n", "l", "m", "e", "u"]

    ordered = list(hash_ordered(dict.fromkeys(sent, 1)))

    assert ordered == ["big", "b", "s", "e", "u", "f", "i", "l", "m", "n"]


def test_no_outputs_have_an_order_too() -> None:
    assert hash_ordered({}) == {}


def test_a_sign_outside_of_the_basic_plane_counts_as_two_units() -> None:
    # Its hash in Java is 1772899: bucket 8 of 16, as that of "h", which comes later.
    ordered = list(hash_ordered(dict.fromkeys(["\U0001f600", *"abcdefghij"], 1)))

    assert ordered == [*"abcdefg", "\U0001f600", *"hij"]

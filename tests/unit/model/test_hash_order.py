"""The order of a script's outputs, against what a Kestra 1.2.14 printed (golden p02)."""

from __future__ import annotations

from runner.model.hash_order import hash_ordered


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


def test_numbers_and_booleans_have_a_place_too() -> None:
    # As `{3: 1, 1: 2, 20: 3, 'x': 1}` was printed.
    assert list(hash_ordered({3: 1, 1: 2, 20: 3, "x": 1})) == ["x", 1, 3, 20]
    assert list(hash_ordered({True: 1, "z": 1, None: 1})) == [None, "z", True]

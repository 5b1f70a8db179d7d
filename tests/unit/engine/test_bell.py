"""Waking whoever waits for the next change."""

from __future__ import annotations

from runner.engine.bell import Bell


def test_a_ring_wakes_all_who_wait_and_nobody_who_comes_later() -> None:
    bell = Bell()
    first, same = bell.next, bell.next

    bell.ring()

    assert first is same
    assert first.is_set()
    assert not bell.next.is_set()


def test_a_ring_that_nobody_waits_for_wakes_nobody() -> None:
    bell = Bell()

    bell.ring()

    assert not bell.next.is_set()

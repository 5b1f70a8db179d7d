"""A short run of the fuzzer; the long one is `python tests/unit/expr/fuzz_templates.py`."""

from __future__ import annotations

from fuzz_templates import Generator, run


def test_two_thousand_random_templates_raise_nothing_but_our_own_errors() -> None:
    rendered, failed = run(2000, seed=20_240_501)

    assert rendered > 300
    assert failed > 300


def test_the_same_seed_gives_the_same_templates() -> None:
    one, other = Generator(7), Generator(7)

    assert [one.template() for _ in range(50)] == [other.template() for _ in range(50)]

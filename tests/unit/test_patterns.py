"""Regular expressions that wait until they are used."""

from __future__ import annotations

import re

import pytest

from runner.patterns import regex


def test_it_has_the_methods_and_attributes_of_a_pattern() -> None:
    pattern = regex(r"(?P<word>\w+)\s", re.IGNORECASE)

    for _ in range(2):
        found = pattern.match("one two")
        assert found is not None
        assert found["word"] == "one"
        assert pattern.sub("x", "one two") == "xtwo"
    assert (pattern.pattern, pattern.groupindex["word"]) == (r"(?P<word>\w+)\s", 1)
    assert pattern.flags & re.IGNORECASE


def test_it_is_compiled_when_it_is_used() -> None:
    pattern = regex("(")

    with pytest.raises(re.error, match="unterminated subpattern"):
        pattern.search("")
    with pytest.raises(AttributeError, match="finally"):
        _ = regex("").finally_  # type: ignore[attr-defined]

"""Java's regular expressions: what they match, what they refuse, and how long they may take."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.expr import javaregex
from runner.expr.faults import Fault, LimitFault


@pytest.mark.parametrize(
    ("regex", "text", "found"),
    [
        ("a|b", "xb", "b"),
        (r"\d+", "a١12", "12"),
        (r"\w+", "é_a1", "_a1"),
        (r"(?U)\w+", "é_a1", "é_a1"),
        (r"\p{L}+", "1Éa2", "Éa"),
        (r"\p{Lu}", "aÉ", "É"),
        (r"\P{L}", "a1", "1"),
        (r"\p{IsLatin}+", "яab", "ab"),
        (r"\p{IsCyrillic}+", "abя", "я"),
        (r"\p{Punct}+", "a!?b", "!?"),
        (r"\p{javaLowerCase}", "Aé", "é"),
        (r"[a-z&&[^aeiou]]+", "aeixyz", "xyz"),
        (r"[^a-c&&b-d]", "bd", "d"),
        (r"[a-c[x-z]]+", "qaxz", "axz"),
        (r"[\w&&[^\d]]+", "12ab", "ab"),
        (r"[]a]+", "b]a", "]a"),
        (r"\Qa.b\E+", "a.bbb", "a.bbb"),
        (r"a\Q.*", "a.*", "a.*"),
        (r"(?i)straße", "STRAßE", "STRAßE"),
        (r"(?i)é", "É", None),
        (r"(?iu)é", "É", "É"),
        (r"a(?i)b|c", "C", "C"),
        (r"(?i:a)b", "AB", None),
        (r"(?x) a b # comment", "ab", "ab"),
        (r"(?s)a.b", "a\nb", "a\nb"),
        (r"a.b", "a\u2028b", None),
        (r"b$", "ab\r\n", "b"),
        (r"(?m)^b$", "a\nb\nc", "b"),
        (r"^b", "a\nb", None),
        (r"a++a", "aaa", None),
        (r"(?>a+)a", "aaa", None),
        (r"(?<year>\d{4})-\k<year>", "2024-2024", "2024-2024"),
        (r"(a)(b)\2\1", "abba", "abba"),
        (r"(a)\2", "aa", None),
        (r"(?<=a)b(?!c)", "abd", "b"),
        (r"\x41\u0042\t\x{43}", "AB\tC", "AB\tC"),
        (r"\0101", "A", "A"),
        (r"\R", "a\r\nb", "\r\n"),
        (r"\h\v", "a \nb", " \n"),
        (r"\bfoo\b", "a foo b", "foo"),
        (r"x{2,3}?", "xxx", "xx"),
        (r"\z", "a", ""),
        ("", "a", ""),
    ],
)
def test_a_pattern_finds_what_java_finds(regex: str, text: str, found: str | None) -> None:
    match = javaregex.search(regex, text)

    assert (match[0] if match else None) == found


REFUSED = (
    *("(", ")", "[", "[a", "*a", "a**", "a{", "a{2", "{1}", r"\p{Nope}", r"\p{", r"\q"),
    *("(?<1>a)", "(?<n>a)(?<n>b)", r"\k<x>", "(?z)", "[z-a]", r"\x1", r"\u12", "a{3,2}"),
    *("(" * 300 + ")" * 300,),
)


@pytest.mark.parametrize("regex", REFUSED)
def test_what_java_refuses_is_refused(regex: str) -> None:
    with pytest.raises(Fault, match="Invalid regular expression"):
        javaregex.search(regex, "a")


@pytest.mark.parametrize(
    ("regex", "text", "limit", "parts"),
    [
        (",", "a,b,,", 0, ["a", "b"]),
        (",", "a,b,,", -1, ["a", "b", "", ""]),
        (",", "a,b,c", 2, ["a", "b,c"]),
        (",", ",a", 0, ["", "a"]),
        (",", "", 0, [""]),
        (",", ",", 0, []),
        ("", "abc", 0, ["a", "b", "c"]),
        ("", "abc", -1, ["a", "b", "c", ""]),
        ("", "abc", 2, ["a", "bc"]),
        ("x*", "axb", 0, ["a", "", "b"]),
        (r"\s*,\s*", "a , b", 0, ["a", "b"]),
        ("(,)", "a,b", 0, ["a", "b"]),
        ("z", "abc", 0, ["abc"]),
    ],
)
def test_a_text_is_split_as_java_splits_it(
    regex: str, text: str, limit: int, parts: list[str]
) -> None:
    assert javaregex.split(regex, text, limit) == parts


@pytest.mark.parametrize(
    ("regex", "replacement", "text", "result"),
    [
        ("a", "$0$0", "ba", "baa"),
        ("(a)(b)?", "<$1$2>", "a", "<a>"),
        ("(a)", "$10", "a", "a0"),
        ("(?<x>a)", "${x}!", "a", "a!"),
        ("a", r"\$1\\", "a", "$1\\"),
        ("x*", "-", "abc", "-a-b-c-"),
        ("a*", "-", "baac", "-b--c-"),
    ],
)
def test_replacements_know_groups_and_backslashes(
    regex: str, replacement: str, text: str, result: str
) -> None:
    assert javaregex.replace_all(regex, replacement, text) == result


@pytest.mark.parametrize("replacement", ["$", "$x", "$2", "${no}", "\\"])
def test_a_replacement_that_java_refuses_is_refused(replacement: str) -> None:
    with pytest.raises(Fault):
        javaregex.replace_all("(a)", replacement, "a")


@pytest.mark.parametrize("regex", ["(a+)+$", "(a|aa)+$", "(.*)(.*)(.*)(.*)(.*)c$", r"(\w+\s?)*!"])
def test_a_pattern_that_never_ends_is_stopped(regex: str) -> None:
    begin = perf_counter()

    with pytest.raises(LimitFault, match="takes more than 2 s"):
        javaregex.search(regex, "a" * 2000 + "b")

    assert perf_counter() - begin < 10


def test_a_risky_pattern_that_ends_gives_the_same_elsewhere() -> None:
    text = "ab " * 50 + "c"

    assert javaregex.replace_all("(a|b)+", "x", text) == "x " * 50 + "c"
    assert javaregex.search("(?<n>(a|b)+) c", text) == ["ab c", "ab", "b"]


@given(
    st.text(alphabet="ab.*+?|()[]^$\\{}1,-&:<>=!dwsQE", max_size=14), st.text("ab1 ", max_size=6)
)
def test_every_pattern_matches_or_is_refused_with_our_own_error(regex: str, text: str) -> None:
    try:
        javaregex.split(regex, text, 0)
    except Fault:
        return


@given(st.lists(st.sampled_from(["a", "b", "(a|b)", "[ab]", "a?", "b{1,2}"]), max_size=6))
def test_plain_patterns_mean_what_they_mean_in_python(pieces: list[str]) -> None:
    regex = "".join(pieces)
    for text in ("", "a", "ab", "abba", "bbaab"):
        ours, theirs = javaregex.search(regex, text), re.search(regex, text)
        assert (ours and ours[0]) == (theirs and theirs[0])

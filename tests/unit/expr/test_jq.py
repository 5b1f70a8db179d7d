"""The jq language: results as Kestra's jq has them, errors as errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.expr.faults import Fault
from runner.expr.jq.machine import run
from runner.expr.limits import Budget

ROWS = [{"id": 1, "x": 2}, {"id": 2, "x": None}]

PROGRAMS: list[tuple[str, Any, list[Any]]] = [
    ("", 1, [1]),
    (".", None, [None]),
    (".a.b", {"a": {"b": 1}}, [1]),
    (".a?", 1, []),
    ('."a b", .["c"], .a["b"]?', {"a b": 1, "c": 2, "a": 3}, [1, 2]),
    ('.["a","b"]', {"a": 1, "b": 2}, [1, 2]),
    ("[.[] | {id, n: .x}]", ROWS, [[{"id": 1, "n": 2}, {"id": 2, "n": None}]]),
    ("{(.a, .b): 1}", {"a": "x", "b": "y"}, [{"x": 1}, {"y": 1}]),
    ('{"a\\(1)": 2, "k"}', {"k": 3}, [
        {"a1": 2, "k": 3}
    ]),
    (".[1:], .[:1], .[-1:], .[:-1]", [1, 2, 3], [[2, 3], [1], [3], [1, 2]]),
    (".[2:4]", "abcdef", ["cd"]),
    (".[-1], .[9]", [1, 2], [2, None]),
    (".[[2]]", [1, 2, 3, 2], [[1, 3]]),
    ("(1,2) + (10,20)", None, [11, 12, 21, 22]),
    ("[range(5)], [range(2;4)], [range(0;10;3)], [range(3;0;-1)]", None, [
        [0, 1, 2, 3, 4], [2, 3], [0, 3, 6, 9], [3, 2, 1]
    ]),
    ("10 / 4, 10 / 5, 7 % 3, -7 % 3, 1.5 * 2", None, [2.5, 2, 1, -1, 3]),
    ("1.0, .[0], (.[0] | floor), (2.5 | round), (4 | sqrt)", [7.2], [1.0, 7.2, 7.0, 3.0, 2.0]),
    ("1.0 + 1.0, -(.[0])", [1.5], [2, -1.5]),
    ('"a" * 3, "a" * 0, "a,b" / ",", [1,2,1] - [1]', None, ["aaa", None, ["a", "b"], [2]]),
    ('{"a": {"b": 1}} * {"a": {"c": 2}}', None, [{"a": {"b": 1, "c": 2}}]),
    ('1 == 1.0, [1] < [2], {} > [], null < false, "a" < "b"', None, [True] * 5),
    (".a // \"d\", (.b, .c) // 5", {"b": False, "c": 3}, ["d", 3]),
    ("if . > 1 then \"y\" elif . == 1 then \"e\" else \"n\" end", 1, ["e"]),
    ("[.[] | select(.id == 1) | .x]", ROWS, [[2]]),
    ('try error("x") catch ., (try error({a: 1}) catch .a), ([.[] | try (1 / .) catch "z"])',
     [0, 1], ["x", 1, ["z", 1]]),
    ("reduce .[] as $x (0; . + $x)", [1, 2, 3], [6]),
    ("[foreach .[] as $x (0; . + $x; [$x, .])]", [1, 2], [[[1, 1], [2, 3]]]),
    (". as [$a, {b: $c, $d}] | [$a, $c, $d]", [1, {"b": 2, "d": 3}], [[1, 2, 3]]),
    ("def f(g; $n): [g * $n]; f(.[]; 2)", [1, 2], [[2, 4]]),
    ("def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; fac", 5, [120]),
    ("[label $out | range(10) | ., (select(. == 1) | break $out)]", None, [[0, 1]]),
    (".a = 1, .a |= . + 1, .a += 5, .b //= 9, del(.a)", {"a": 1}, [
        {"a": 1}, {"a": 2}, {"a": 6}, {"a": 1, "b": 9}, {}
    ]),
    (".[1:3] = [9]", [1, 2, 3, 4], [[1, 9, 4]]),
    (".. |= (if type == \"number\" then . + 1 else . end)", [1, [2]], [[2, [3]]]),
    ("[paths], [leaf_paths]", {"a": [1]}, [[["a"], ["a", 0]], [["a", 0]]]),
    ('getpath(["a","b"]), setpath(["a",1]; 1), delpaths([["x"]])', {"x": 1}, [
        None, {"x": 1, "a": [None, 1]}, {}
    ]),
    ("[..], [recurse(if . < 2 then . + 1 else empty end)]", 1, [[1], [1, 2]]),
    ("to_entries, with_entries(.value += 1), (to_entries | from_entries)", {"a": 1}, [
        [{"key": "a", "value": 1}], {"a": 2}, {"a": 1}
    ]),
    ("keys, length, (map(.) | add)", {"b": 1, "a": 2}, [["a", "b"], 2, 3]),
    ("sort, group_by(. % 2), unique, min, max, reverse, add", [3, 1, 2, 1], [
        [1, 1, 2, 3], [[2], [3, 1, 1]], [1, 2, 3], 1, 3, [1, 2, 1, 3], 7
    ]),
    ("sort_by(.a, -.b) | map(.b)", [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 0, "b": 3}],
     [[3, 2, 1]]),
    ("flatten, flatten(1)", [1, [2, [3]]], [[1, 2, 3], [1, 2, [3]]]),
    ('any, all, any(. == null), ([.[] | . != null] | all)', [True, None],
     [True, False, True, False]),
    ("[limit(2; range(9))], first(range(5; 9)), last(range(3)), nth(1; range(5; 9))", None, [
        [0, 1], 5, 2, 6
    ]),
    ("[while(. < 9; . * 2)], until(. > 9; . * 2)", 1, [[1, 2, 4, 8], 16]),
    ("transpose, [combinations]", [[1, 2], [3]], [[[1, 3], [2, None]], [[1, 3], [2, 3]]]),
    ("walk(if type == \"number\" then . + 1 else . end)", [1, {"a": 2}], [[2, {"a": 3}]]),
    ("has(\"a\"), contains({a: [1]}), inside({a: [1, 2], b: 3})", {"a": [1, 2]},
     [True, True, True]),
    ('tostring, tojson, (tojson | fromjson)', [1.0, None, "a"], [
        '[1,null,"a"]', '[1,null,"a"]', [1, None, "a"]
    ]),
    ("map(tonumber), map(tonumber | tostring)", ["1.0", "2.5"], [[1, 2.5], ["1", "2.5"]]),
    ('ascii_upcase, explode, (explode | implode), utf8bytelength, length', "aé", [
        "Aé", [97, 233], "aé", 3, 2
    ]),

        ('startswith("a"), endswith("c"), ltrimstr("a"), rtrimstr("c"), split("b"), index("c")',
     "abc", [
        True, True, "bc", "ab", ["a", "c"], 2
    ]),
    ('join("-"), (map(tostring) | join(","))', ["a", 1, None], ["a-1-", "a,1,null"]),
    ('test("B"; "i"), [match("a(.)"; "g") | .captures[0].string], capture("(?<x>b)")', "abab", [
        True, ["b", "b"], {"x": "b"}
    ]),
    ('sub("(?<l>[a-z])"; "<\\(.l)>"), gsub("[a-z]"; "-")', "ab1", ["<a>b1", "--1"]),
    ('[scan("[0-9]")], [splits(", *")]', "ab1, 2", [["1", "2"], ["ab1", "2"]]),
    ('@csv, @tsv, @sh, @html, @uri, @base64, @json, @text', ["a\"b", 1, None], [
        '"a""b",1,', 'a"b\t1\t', "'a\"b' 1 null", "[&quot;a\\&quot;b&quot;,1,null]",
        "%5B%22a%5C%22b%22%2C1%2Cnull%5D", "WyJhXCJiIiwxLG51bGxd", '["a\\"b",1,null]',
        '["a\\"b",1,null]'
    ]),
    ('@base64d, @base64 "x\\(.)"', "aGk=", ["hi", "xYUdrPQ=="]),
    ("infinite | isinfinite, (nan | isnan), (1 | isnormal), ([nan] | sort | length)", None,
     [True, True, True, 1]),
    ("splits(\"a\")", "bab", ["b", "b"]),
    ("pow(2; 10), (8 | log2 | round), (1 | exp | floor)", None, [1024.0, 3.0, 2.0]),
    (". as $x | [1, 2] | map(. + $x) # comment", 1, [[2, 3]]),
    ("error(null), 1", None, [1]),
]  # fmt: skip


@pytest.mark.parametrize(("program", "value", "results"), PROGRAMS)
def test_a_program_gives_what_kestra_s_jq_gives(
    program: str, value: Any, results: list[Any]
) -> None:
    found = run(program, value, Budget())

    assert found == results
    assert list(map(type, found)) == list(map(type, results))


REFUSED = (
    *(".[", "1 +", "if . then 1 end", "{a: }", '"abc', ". foo", "@nope", "}", "def f: 1"),
    *("reduce . as x (0; 1)", "1 as $x", ".a.[", "\\", '"\\x"', "1 == 2 == 3", "try"),
    "99999999999999999999",
    *("(" * 500 + ")" * 500,),
)


@pytest.mark.parametrize("program", REFUSED)
def test_what_is_no_program_is_refused(program: str) -> None:
    with pytest.raises(
        ValueError, match=r"unexpected|invalid|not closed|not a valid|nested|binding|too large"
    ):
        run(program, None, Budget())


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ('1 + "a"', r'number \(1\) and string \("a"\) cannot be added'),
        (".a", "Cannot index number with string"),
        (".[]", "Cannot iterate over"),
        ("error", "5"),
        ("nosuch(1)", "Function nosuch/1 does not exist"),
        ("$x", "not defined"),
        ("$__loc__", "not defined"),
        (". |= empty", "gives nothing"),
        ("1 / 0", "divisor is zero"),
        ("break $x", "not defined"),
        ("1 = 2", "Invalid path expression"),
        ("tostream", "does not exist"),
        ('test("a")', "cannot be matched"),
    ],
)
def test_an_error_of_a_program_is_one_of_ours(program: str, message: str) -> None:
    with pytest.raises(Fault, match=message):
        run(program, 5, Budget())


WORDS = (
    *("as $x", "if", "then", "else", "end", "reduce", "map(.)", "..", "//", "|=", "not", "try"),
    *("catch", "def f:", "$x", '"\\(', "limit(1;", "path("),
)
PIECES = st.sampled_from([*'.[]{}()|,:;?"$@+-*/%=<> a1', *WORDS])


@given(
    st.lists(PIECES, max_size=12).map("".join), st.sampled_from([None, 1, "a", [1, [2]], {"a": 1}])
)
def test_every_text_runs_or_fails_with_our_own_error(program: str, value: Any) -> None:
    try:
        run(program, value, Budget())
    except (Fault, ValueError, RecursionError):
        return

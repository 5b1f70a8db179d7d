"""Runs jq programs."""

from __future__ import annotations

from functools import lru_cache

from runner.expr.faults import Fault
from runner.expr.jq import parser
from runner.expr.jq.calls import Define
from runner.expr.jq.formats import dump
from runner.expr.jq.tree import Broken, Env, Node
from runner.expr.jq.values import JqError, Json
from runner.expr.limits import Budget

_PRELUDE = """
def map(f): [.[] | f];
def map_values(f): .[] |= f;
def with_entries(f): to_entries | map(f) | from_entries;
def del(f): delpaths([path(f)]);
def arrays: select(type == "array");
def objects: select(type == "object");
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def nulls: select(type == "null");
def finites: select(isfinite);
def normals: select(isnormal);
def values: select(. != null);
def iterables: select(type == "array" or type == "object");
def scalars: select(type != "array" and type != "object");
def first: .[0];
def last: .[-1];
def nth(n): n as $n | .[$n];
def in(xs): . as $x | xs | has($x);
def inside(xs): . as $x | xs | contains($x);
.
"""


@lru_cache(1)
def _definitions() -> tuple[Define, ...]:
    """Give the functions that are written in jq itself."""
    found: list[Define] = []
    node: Node = parser.parse(_PRELUDE)
    while isinstance(node, Define):
        found.append(node)
        node = node.rest
    return tuple(found)


def run(program: str, value: Json, budget: Budget) -> list[Json]:
    """Give the list of results of `program` for the input `value`, which is plain JSON data.

    Raises:
        Fault: the program ended with an error, or took too long.
        ValueError: the text is no jq program.
    """
    tree = parser.parse(program)
    env = Env(budget, None, "", None)
    for definition in _definitions():
        env = definition.scope(env)
    try:
        return list(tree.run(env, value))
    except JqError as error:
        message = error.value if isinstance(error.value, str) else dump(error.value)
        raise Fault(message) from error
    except Broken:
        raise Fault("break outside of its label") from None

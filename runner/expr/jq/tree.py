"""Parsed jq programs, which run themselves.

Every node gives a stream of results (`run`), and most can also give the paths of what they pick
out of the input (`paths`), for assignments and `path()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import cast

from runner.expr.jq import indexing, values
from runner.expr.jq.values import (
    JqError,
    Json,
    Path,
    fields_of,
    is_array,
    is_container,
    is_object,
    items_of,
    truth,
    type_name,
)
from runner.expr.limits import Budget

Located = tuple[Path, Json]


class Env:
    """Variables and functions in scope, innermost first, and what is left of the limits."""

    __slots__ = ("above", "budget", "key", "value")

    def __init__(self, budget: Budget, above: Env | None, key: str, value: object) -> None:
        self.budget = budget
        self.above = above
        self.key = key
        self.value = value

    def bind(self, key: str, value: object) -> Env:
        """Give an environment in which `key` is also known."""
        return Env(self.budget, self, key, value)

    def find(self, key: str) -> tuple[bool, object]:
        """Look a name up; the first of the pair says whether it is known."""
        env: Env | None = self
        while env is not None:
            if env.key == key:
                return True, env.value
            env = env.above
        return False, None

    def step(self) -> None:
        """Count one step of the program."""
        self.budget.spend_items(1)
        if not self.budget.items & 255:
            self.budget.look_at_clock()


class Broken(Exception):
    """`break`: leaves the label with this identity."""

    def __init__(self, label: object) -> None:
        super().__init__("break")
        self.label = label


class Node:
    """One part of a program."""

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the results for the input `value`."""
        raise NotImplementedError

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places inside the input that this part picks, with what is there."""
        raise JqError("Invalid path expression")
        yield


class Identity(Node):
    """`.`."""

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the input."""
        yield value

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the place of the input."""
        yield path, value


class RecurseAll(Node):
    """`..`."""

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the input and everything inside it."""
        for _, found in self.paths(env, (), value):
            yield found

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give every place, outer ones first."""
        stack: list[Iterator[Located]] = [iter([(path, value)])]
        while stack:
            env.step()
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                continue
            yield entry
            where, found = entry
            if is_container(found):
                stack.append(children(where, found))


def children(path: Path, value: Json) -> Iterator[Located]:
    """Give the places directly inside `value`."""
    if is_array(value):
        return (((*path, place), item) for place, item in enumerate(items_of(value)))
    if is_object(value):
        return (((*path, name), item) for name, item in fields_of(value).items())
    raise JqError(f"Cannot iterate over {values.shown(value) if value is not None else 'null'}")


class Literal(Node):
    """A constant."""

    def __init__(self, constant: Json) -> None:
        self.constant = constant

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the constant."""
        yield self.constant

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """`null` alone is a path expression: that of nothing."""
        if self.constant is not None:
            raise JqError("Invalid path expression")
        yield (), None


class Text(Node):
    """A string with `\\(…)` inside; `form` turns each inserted value into text."""

    def __init__(self, parts: Sequence[str | Node], form: Callable[[Json], str]) -> None:
        self.parts = parts
        self.form = form

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the text, once for each combination of inserted values."""
        return cast("Iterator[Json]", self._texts(env, value, len(self.parts)))

    def _texts(self, env: Env, value: Json, count: int) -> Iterator[str]:
        if not count:
            yield ""
            return
        part = self.parts[count - 1]
        pieces = [part] if isinstance(part, str) else map(self.form, part.run(env, value))
        for piece in pieces:
            for before in self._texts(env, value, count - 1):
                env.budget.spend(len(before) + len(piece))
                yield before + piece


class Index(Node):
    """`target[key]`."""

    __match_args__ = ("target", "key")

    def __init__(self, target: Node, key: Node) -> None:
        self.target = target
        self.key = key

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Look the key up in each result of the target."""
        for key in self.key.run(env, value):
            for holder in self.target.run(env, value):
                env.step()
                yield indexing.index(holder, key)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places one step further in."""
        for key in self.key.run(env, value):
            for where, holder in self.target.paths(env, path, value):
                env.step()
                yield (*where, key), indexing.index(holder, key)


class Slice(Node):
    """`target[start:end]`."""

    def __init__(self, target: Node, start: Node | None, end: Node | None) -> None:
        self.target = target
        self.start = start or Literal(None)
        self.end = end or Literal(None)

    def _keys(self, env: Env, value: Json) -> Iterator[dict[str, Json]]:
        for start in self.start.run(env, value):
            for end in self.end.run(env, value):
                yield {"start": start, "end": end}

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Cut the part out of each result of the target."""
        for key in self._keys(env, value):
            for holder in self.target.run(env, value):
                yield indexing.index(holder, key)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places of the parts."""
        for key in self._keys(env, value):
            for where, holder in self.target.paths(env, path, value):
                yield (*where, key), indexing.index(holder, key)


class Iterate(Node):
    """`target[]`."""

    __match_args__ = ("target",)

    def __init__(self, target: Node) -> None:
        self.target = target

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the items of each result of the target."""
        for holder in self.target.run(env, value):
            if is_array(holder):
                for item in items_of(holder):
                    env.step()
                    yield item
            else:
                for _, item in children((), holder):
                    env.step()
                    yield item

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places of the items."""
        for where, holder in self.target.paths(env, path, value):
            for entry in children(where, holder) if holder is not None else ():
                env.step()
                yield entry


class Try(Node):
    """`try body catch handler`, and `body?`."""

    def __init__(self, body: Node, handler: Node | None) -> None:
        self.body = body
        self.handler = handler

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the results up to the first error, and then those of the handler."""
        try:
            yield from self.body.run(env, value)
        except JqError as error:
            if self.handler is None:
                return
            caught = error.value
        else:
            return
        yield from self.handler.run(env, caught)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places up to the first error."""
        try:
            yield from self.body.paths(env, path, value)
        except JqError as error:
            if self.handler is None:
                return
            caught = error.value
        else:
            return
        yield from self.handler.paths(env, (), caught)


def optional(node: Node) -> Node:
    """Give `node?`: after `a.b` or `a[]` it is about the last step only, not about `a`."""
    match node:
        case Index(target, Literal() as key):
            return Pipe(target, Try(Index(Identity(), key), None))
        case Iterate(target):
            return Pipe(target, Try(Iterate(Identity()), None))
        case _:
            return Try(node, None)


class Pipe(Node):
    """`left | right`."""

    def __init__(self, left: Node, right: Node) -> None:
        self.left = left
        self.right = right

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give each result of the left side to the right side."""
        for result in self.left.run(env, value):
            yield from self.right.run(env, result)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places that the right side picks in those of the left."""
        for where, found in self.left.paths(env, path, value):
            yield from self.right.paths(env, where, found)


class Comma(Node):
    """`left, right`."""

    def __init__(self, left: Node, right: Node) -> None:
        self.left = left
        self.right = right

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the results of both."""
        return chain(self.left.run(env, value), self.right.run(env, value))

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places of both."""
        return chain(self.left.paths(env, path, value), self.right.paths(env, path, value))


class Alternative(Node):
    """`left // right`: what of the left is neither null nor false; without any, the right."""

    def __init__(self, left: Node, right: Node) -> None:
        self.left = left
        self.right = right

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the results; unlike in the first jq, errors of the left side are errors."""
        found = False
        for result in self.left.run(env, value):
            if truth(result):
                found = True
                yield result
        if not found:
            yield from self.right.run(env, value)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places of the side that counts."""
        found = False
        for entry in self.left.paths(env, path, value):
            if truth(entry[1]):
                found = True
                yield entry
        if not found:
            yield from self.right.paths(env, path, value)


class Logic(Node):
    """`and` and `or`."""

    def __init__(self, left: Node, right: Node, stops_at: bool) -> None:
        self.left = left
        self.right = right
        self.stops_at = stops_at

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Look at the right side only where it decides."""
        for left in self.left.run(env, value):
            if truth(left) is self.stops_at:
                yield self.stops_at
            else:
                for right in self.right.run(env, value):
                    yield truth(right)


class Binary(Node):
    """Arithmetic and comparisons: every pair of results, the right side outermost."""

    def __init__(
        self, left: Node, right: Node, operation: Callable[[Json, Json, Budget], Json]
    ) -> None:
        self.left = left
        self.right = right
        self.operation = operation

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Calculate."""
        for right in self.right.run(env, value):
            for left in self.left.run(env, value):
                env.step()
                yield self.operation(left, right, env.budget)


class Negation(Node):
    """`-x`."""

    def __init__(self, operand: Node) -> None:
        self.operand = operand

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Change the sign."""
        for result in self.operand.run(env, value):
            if not values.is_number(result):
                raise JqError(f"{values.shown(result)} cannot be negated")
            yield values.multiply(result, -1, env.budget)


class Conditional(Node):
    """`if a then b elif c then d else e end`."""

    def __init__(self, branches: Sequence[tuple[Node, Node]], otherwise: Node) -> None:
        self.branches = branches
        self.otherwise = otherwise

    def _chosen(self, env: Env, value: Json, start: int) -> Iterator[Node]:
        if start == len(self.branches):
            yield self.otherwise
            return
        condition, body = self.branches[start]
        for result in condition.run(env, value):
            if truth(result):
                yield body
            else:
                yield from self._chosen(env, value, start + 1)

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Run the branch for each result of the condition."""
        for body in self._chosen(env, value, 0):
            yield from body.run(env, value)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places of the chosen branches."""
        for body in self._chosen(env, value, 0):
            yield from body.paths(env, path, value)


class ListOf(Node):
    """`[body]`."""

    def __init__(self, body: Node | None) -> None:
        self.body = body

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Collect the results in a list."""
        yield list(self.body.run(env, value)) if self.body else []


class ObjectOf(Node):
    """`{key: value}`: an object for each combination of keys and values."""

    def __init__(self, fields: Sequence[tuple[Node, Node]]) -> None:
        self.fields = fields

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the objects."""
        return cast("Iterator[Json]", self._objects(env, value, len(self.fields)))

    def _objects(self, env: Env, value: Json, count: int) -> Iterator[dict[str, Json]]:
        if not count:
            yield {}
            return
        key_node, value_node = self.fields[count - 1]
        for before in self._objects(env, value, count - 1):
            for key in key_node.run(env, value):
                if not isinstance(key, str):
                    raise JqError(f"Object keys must be strings, not {type_name(key)}")
                for item in value_node.run(env, value):
                    env.step()
                    yield {**before, key: item}


Native = Callable[[Env, Json, Sequence[Node]], Iterator[Json]]
NativePaths = Callable[[Env, Path, Json, Sequence[Node]], Iterator[Located]]

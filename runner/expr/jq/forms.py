"""The parts of jq that bind names: `as`, `reduce`, `foreach`, `label`, and assignments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from runner.expr.jq import indexing, values
from runner.expr.jq.tree import Broken, Env, Located, Node
from runner.expr.jq.values import JqError, Json, Path, truth
from runner.expr.limits import Budget


class Pattern:
    """What stands after `as`: `$x`, `[$a, $b]`, `{key: $v}`."""

    def bind(self, env: Env, value: Json) -> Iterator[Env]:
        """Give the scopes in which the variables have the parts of `value`."""
        raise NotImplementedError


class Single(Pattern):
    """`$name`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def bind(self, env: Env, value: Json) -> Iterator[Env]:
        """Bind the whole value."""
        yield env.bind("$" + self.name, value)


class Items(Pattern):
    """`[a, b]`."""

    def __init__(self, parts: Sequence[Pattern]) -> None:
        self.parts = parts

    def bind(self, env: Env, value: Json) -> Iterator[Env]:
        """Bind the items."""
        return self._from(env, value, 0)

    def _from(self, env: Env, value: Json, place: int) -> Iterator[Env]:
        if place == len(self.parts):
            yield env
            return
        for inner in self.parts[place].bind(env, indexing.index(value, place)):
            yield from self._from(inner, value, place + 1)


class Fields(Pattern):
    """`{key: pattern, $name}`; a key may be an expression."""

    def __init__(self, parts: Sequence[tuple[Node, str | None, Pattern | None]]) -> None:
        self.parts = parts

    def bind(self, env: Env, value: Json) -> Iterator[Env]:
        """Bind the fields."""
        return self._from(env, value, 0)

    def _from(self, env: Env, value: Json, place: int) -> Iterator[Env]:
        if place == len(self.parts):
            yield env
            return
        key_node, variable, pattern = self.parts[place]
        for key in key_node.run(env, value):
            if not isinstance(key, str):
                raise JqError(f"Cannot index object with {values.type_name(key)}")
            field = indexing.index(value, key)
            own = env.bind("$" + variable, field) if variable else env
            for inner in pattern.bind(own, field) if pattern else (own,):
                yield from self._from(inner, value, place + 1)


class Bind(Node):
    """`source as pattern | body`."""

    def __init__(self, source: Node, pattern: Pattern, body: Node) -> None:
        self.source = source
        self.pattern = pattern
        self.body = body

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Run the body for each value of the source."""
        for result in self.source.run(env, value):
            for scope in self.pattern.bind(env, result):
                yield from self.body.run(scope, value)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places of the body."""
        for result in self.source.run(env, value):
            for scope in self.pattern.bind(env, result):
                yield from self.body.paths(scope, path, value)


class Reduce(Node):
    """`reduce source as pattern (start; update)`."""

    def __init__(self, source: Node, pattern: Pattern, start: Node, update: Node) -> None:
        self.source = source
        self.pattern = pattern
        self.start = start
        self.update = update

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Update the state for each value; the last result of an update is the new state."""
        for state in self.start.run(env, value):
            for item in self.source.run(env, value):
                for scope in self.pattern.bind(env, item):
                    env.step()
                    before, state = state, None
                    for result in self.update.run(scope, before):
                        state = result
            yield state


class Foreach(Node):
    """`foreach source as pattern (start; update; extract)`."""

    def __init__(
        self, source: Node, pattern: Pattern, start: Node, update: Node, extract: Node
    ) -> None:
        self.source = source
        self.pattern = pattern
        self.start = start
        self.update = update
        self.extract = extract

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give what `extract` makes of every state."""
        for state in self.start.run(env, value):
            for item in self.source.run(env, value):
                for scope in self.pattern.bind(env, item):
                    env.step()
                    before = state
                    for result in self.update.run(scope, before):
                        state = result
                        yield from self.extract.run(scope, state)


class Label(Node):
    """`label $name | body`."""

    def __init__(self, name: str, body: Node) -> None:
        self.name = name
        self.body = body

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Run the body up to its `break`."""
        identity = object()
        try:
            yield from self.body.run(env.bind("*" + self.name, identity), value)
        except Broken as broken:
            if broken.label is not identity:
                raise

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places up to the `break`."""
        identity = object()
        try:
            yield from self.body.paths(env.bind("*" + self.name, identity), path, value)
        except Broken as broken:
            if broken.label is not identity:
                raise


class Break(Node):
    """`break $name`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Leave the label."""
        known, identity = env.find("*" + self.name)
        if not known:
            raise JqError(f"$*label-{self.name} is not defined")
        raise Broken(identity)
        yield

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Leave the label."""
        for _ in self.run(env, value):
            yield path, value


class Assign(Node):
    """`target = source`."""

    def __init__(self, target: Node, source: Node) -> None:
        self.target = target
        self.source = source

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Set all places of the target, once for each value of the source."""
        for new in self.source.run(env, value):
            result = value
            for path, _ in self.target.paths(env, (), value):
                env.step()
                result = indexing.set_path(result, path, new, env.budget)
            yield result


class Update(Node):
    """`target |= source`: the first result replaces the value."""

    def __init__(self, target: Node, source: Node) -> None:
        self.target = target
        self.source = source

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Change every place of the target."""
        result = value
        for path, _ in self.target.paths(env, (), value):
            env.step()
            old = indexing.get_path(result, path)
            for new in self.source.run(env, old):
                result = indexing.set_path(result, path, new, env.budget)
                break
            else:
                raise JqError("The right side of |= gives nothing")
        yield result


class Operate(Node):
    """`target += source` and the like; `//=` sets what is null or false."""

    def __init__(
        self,
        target: Node,
        source: Node,
        operation: Callable[[Json, Json, Budget], Json] | None,
    ) -> None:
        self.target = target
        self.source = source
        self.operation = operation

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Change every place of the target, once for each value of the source."""
        for operand in self.source.run(env, value):
            result = value
            for path, _ in self.target.paths(env, (), value):
                env.step()
                old = indexing.get_path(result, path)
                if self.operation is not None:
                    new = self.operation(old, operand, env.budget)
                else:
                    new = old if truth(old) else operand
                result = indexing.set_path(result, path, new, env.budget)
            yield result

"""Variables, definitions and calls of jq programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.expr.jq.tree import Env, Literal, Located, Node
from runner.expr.jq.values import JqError, Json, Path


class Variable(Node):
    """`$name`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Give the variable's value."""
        known, found = env.find("$" + self.name)
        if not known:
            raise JqError(f"${self.name} is not defined")
        yield found


class Function(Node):
    """A function with its parameters, and the scope that it was defined in."""

    def __init__(self, parameters: Sequence[str], body: Node, env: Env) -> None:
        self.parameters = parameters
        self.body = body
        self.env = env


class Define(Node):
    """`def name(parameters): body; rest`."""

    def __init__(self, name: str, parameters: Sequence[str], body: Node, rest: Node) -> None:
        self.name = name
        self.parameters = parameters
        self.body = body
        self.rest = rest

    def scope(self, env: Env) -> Env:
        """Give the scope in which the function is known, to itself too."""
        function = Function(self.parameters, self.body, env)
        inner = env.bind(f"{self.name}/{len(self.parameters)}", function)
        function.env = inner
        return inner

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Run the rest with the function in scope."""
        return self.rest.run(self.scope(env), value)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places of the rest."""
        return self.rest.paths(self.scope(env), path, value)


class Call(Node):
    """A call of a function: one of the program, one built in, or a parameter."""

    def __init__(self, name: str, arguments: Sequence[Node]) -> None:
        self.name = name
        self.arguments = arguments
        self.key = f"{name}/{len(arguments)}"

    def _scopes(self, env: Env, value: Json, function: Function) -> Iterator[Env]:
        """Give the scope of the body, once for each combination of `$` parameters."""
        scopes = [function.env]
        for parameter, argument in zip(function.parameters, self.arguments, strict=True):
            closure = Function((), argument, env)
            if parameter[0] != "$":
                scopes = [scope.bind(f"{parameter}/0", closure) for scope in scopes]
                continue
            results = list(argument.run(env, value))
            scopes = [
                scope.bind(f"{parameter[1:]}/0", Function((), Literal(result), env)).bind(
                    parameter, result
                )
                for result in results
                for scope in scopes
            ]
        return iter(scopes)

    def run(self, env: Env, value: Json) -> Iterator[Json]:
        """Call it."""
        from runner.expr.jq.builtins import NATIVE

        env.step()
        known, function = env.find(self.key)
        if known and isinstance(function, Function):
            for scope in self._scopes(env, value, function):
                yield from function.body.run(scope, value)
            return
        native = NATIVE.get(self.key)
        if native is None:
            raise JqError(f"Function {self.key} does not exist")
        yield from native(env, value, self.arguments)

    def paths(self, env: Env, path: Path, value: Json) -> Iterator[Located]:
        """Give the places that the function picks."""
        from runner.expr.jq.builtins import NATIVE_PATHS

        env.step()
        known, function = env.find(self.key)
        if known and isinstance(function, Function):
            for scope in self._scopes(env, value, function):
                yield from function.body.paths(scope, path, value)
            return
        native = NATIVE_PATHS.get(self.key)
        if native is None:
            raise JqError(f"Invalid path expression: {self.key}")
        yield from native(env, path, value, self.arguments)

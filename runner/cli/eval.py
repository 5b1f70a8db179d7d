"""`eyas eval`: what an expression gives, or what is wrong with it and where."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, cast

import click

from runner.cli.stored import offered_executions, state_dir_option
from runner.errors import RenderFailed
from runner.expr import Scope, Services, is_truthy, render, render_typed, render_value, to_text

if TYPE_CHECKING:
    from pathlib import Path

    from runner.expr.values import LocalDateTime


class EvalServices(Services):
    """Secrets out of environment variables, keys out of a map; there are no files and no logs.

    `kv` is keys by namespace, `namespace` the one of the flow that is pretended.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        kv: Mapping[str, Mapping[str, object]] | None = None,
        namespace: str = "",
        env_prefix: str = "",
    ) -> None:
        self._environ = environ
        self._kv = kv or {}
        self._namespace = namespace
        self._env_prefix = env_prefix

    def secret(self, key: str, namespace: str | None) -> str:
        """The secret from the variable `SECRET_<KEY>`, which holds it in Base64."""
        from runner.settings import from_base64, secret_variable

        text = secret_variable(self._environ, key)
        decoded = None if text is None else from_base64(text)
        if decoded is None:
            raise RenderFailed(f"Cannot find secret for key '{key}'.")
        return decoded

    def kv(self, key: str, namespace: str | None) -> object:
        """The value stored under `key`, in the namespace or in the flow's own and its parents."""
        parts = self._namespace.split(".")
        own = [".".join(parts[:size]) for size in range(len(parts), 0, -1)]
        for name in [namespace] if namespace else own:
            if key in self._kv.get(name, {}):
                return self._kv[name][key]
        raise LookupError(key)

    def env(self, name: str) -> str | None:
        """The variable of the environment, if it has the prefix of those that flows may read."""
        if self._env_prefix and name.startswith(self._env_prefix):
            return self._environ.get(name)
        return None

    def time_zone(self) -> str:
        """The zone of the process (`TZ`), otherwise UTC."""
        from runner.expr.dates.zones import zone
        from runner.expr.faults import Fault

        name = self._environ.get("TZ", "").removeprefix(":") or "UTC"
        try:
            return zone(name).id
        except Fault:
            return "UTC"

    def warn(self, message: str) -> None:
        """Say it on stderr."""
        click.echo(f"warning: {message}", err=True)


def untagged(value: object) -> object:
    """Give `value` with `{"$instant": text}`, `$date` and `$ldt` turned into values of time.

    Raises:
        ValueError: the text is no such time.
    """
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        if len(entries) == 1:
            tag, inner = next(iter(entries.items()))
            if tag in ("$instant", "$date", "$ldt") and isinstance(inner, str):
                return _moment(tag, inner)
        return {key: untagged(item) for key, item in entries.items()}
    if isinstance(value, list):
        return [untagged(item) for item in cast("list[object]", value)]
    return value


def _moment(tag: str, text: str) -> object:
    from datetime import date

    from runner.expr.values import Instant

    if tag == "$instant":
        return Instant.parse(text)
    return date.fromisoformat(text) if tag == "$date" else _local(text)


def _local(text: str) -> LocalDateTime:
    from datetime import datetime

    from runner.expr.values import LocalDateTime

    return LocalDateTime.of(datetime.fromisoformat(text))


def evaluate(expr: object, scope: Scope, *, typed: bool = False, recursive: bool = False) -> object:
    """Give what a template, or every template in a structure, renders to.

    Raises:
        RenderFailed: it can not be parsed or evaluated.
    """
    if not isinstance(expr, str):
        return render_value(expr, scope, typed=typed, recursive=recursive)
    return render_typed(expr, scope) if typed else render(expr, scope, recursive=recursive)


def json_of(value: object) -> str:
    """Give a result as JSON: nulls stay, what JSON has no form for is its text."""
    return json.dumps(_jsonable(value), ensure_ascii=False)


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        entries = cast("dict[object, object]", value)
        return {str(key): _jsonable(item) for key, item in entries.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in cast("list[object]", value)]
    if isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        return to_text(value)
    return value if value is None or isinstance(value, (str, int, float)) else to_text(value)


def answer(line: str) -> dict[str, object]:
    """Give the answer to one line of `--jsonl`."""
    try:
        case = json.loads(line)
        if not isinstance(case, dict) or "expr" not in case:
            return {"error": "the line is no JSON object with `expr`", "kind": "parse"}
        request = cast("dict[str, object]", case)
        context = _object(request, "context")
        services = EvalServices(
            {name: str(text) for name, text in _object(request, "env").items()},
            cast("dict[str, dict[str, object]]", _object(request, "kv")),
            _namespace(context),
        )
    except (ValueError, RecursionError) as error:
        return {"error": f"the line is no request: {error}", "kind": "parse"}
    scope = Scope(context, services)
    typed, recursive = bool(request.get("typed")), bool(request.get("recursive"))
    try:
        result = evaluate(request["expr"], scope, typed=typed, recursive=recursive)
        truthy = is_truthy(None if result is None else to_text(result))
    except RenderFailed as error:
        return {"error": str(error), "kind": error.kind}
    return {"result": result, "truthy": truthy}


def _object(request: Mapping[str, object], name: str) -> dict[str, object]:
    """Give the object `name` of a request, an empty one when it is absent."""
    found = untagged(request.get(name) or {})
    if not isinstance(found, dict):
        raise ValueError(f"`{name}` is no JSON object")
    return cast("dict[str, object]", found)


def _namespace(variables: Mapping[str, object]) -> str:
    """Give `flow.namespace`, or nothing."""
    flow = variables.get("flow")
    if not isinstance(flow, dict):
        return ""
    return str(cast("dict[str, object]", flow).get("namespace", ""))


def _answer_lines(lines: Iterable[bytes], out: IO[str]) -> None:
    for line in lines:
        if line.strip():
            # In ASCII, whatever the locale: half a surrogate pair has no other form.
            text = json.dumps(_jsonable(answer(line.decode("utf-8", "replace"))))
            out.write(text + "\n")
            out.flush()


def read_variables(source: str | None) -> dict[str, object]:
    """Give the variables in a JSON file (`-`: stdin).

    Raises:
        click.BadParameter: the file can not be read, or holds no JSON object.
    """
    if source is None:
        return {}
    try:
        with click.open_file(source, encoding="utf-8") as file:
            found = untagged(json.load(file))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{source}: {error}", param_hint="--vars") from error
    if not isinstance(found, dict):
        raise click.BadParameter(f"{source}: not a JSON object", param_hint="--vars")
    return cast("dict[str, object]", found)


def explained(error: RenderFailed) -> str:
    """Give the error with the line that is meant and a caret under the place."""
    excerpt = error.excerpt()
    return f"{error}\n\n{excerpt}" if excerpt else str(error)


def scope_of_variables(variables: Mapping[str, object]) -> Scope:
    """Give a scope with these variables, and the secrets and `envs` of this process."""
    from runner.settings import load_settings

    settings = load_settings()
    services = EvalServices(settings.environ, None, _namespace(variables), settings.env_prefix)
    prefix = settings.env_prefix
    envs = {
        name[len(prefix) :].lower(): text
        for name, text in settings.environ.items()
        if prefix and name.startswith(prefix)
    }
    return Scope({"envs": envs, **variables}, services)


@click.command(name="eval")
@click.argument("expr", required=False)
@click.option(
    "--vars",
    "variables",
    metavar="FILE",
    help='JSON file with the variables (\'-\': stdin), for example {"inputs": {"n": 1}}.',
)
@click.option(
    "--execution",
    metavar="ID",
    shell_complete=offered_executions,
    help="Evaluate in the context of this stored execution; --vars wins over it.",
)
@click.option("--typed", is_flag=True, help="Keep the type of a lone value, and print JSON.")
@click.option("--recursive", is_flag=True, help="Render the result again while it changes.")
@click.option(
    "--jsonl", is_flag=True, help="Answer one JSON object a line from stdin, one a line to stdout."
)
@state_dir_option
def eval_command(
    expr: str | None,
    variables: str | None,
    execution: str | None,
    typed: bool,
    recursive: bool,
    jsonl: bool,
    state_dir: Path | None,
) -> None:
    """Print what a template gives: eyas eval '{{ inputs.n + 1 }}' --vars vars.json.

    With --execution it sees what the flow's outputs would see: inputs, outputs, labels, the
    trigger, files and keys. eyas eval --execution 6bWz '{{ outputs.load.vars }}'

    Ends with status 1 and an error that points at the place when it can not be evaluated.

    \b
    A line for --jsonl has `expr` and may have `context` (the variables), `typed`, `recursive`,
    `env` (for secret()) and `kv` (keys by namespace). The answer is one of
      {"result": ..., "truthy": true}
      {"error": "...", "kind": "missing|parse|eval"}
    """
    if jsonl:
        _answer_lines(sys.stdin.buffer, sys.stdout)
        return
    if expr is None:
        raise click.UsageError("Missing argument 'EXPR' (or --jsonl).")
    given = read_variables(variables)
    if execution is None:
        scope = scope_of_variables(given)
    else:
        from runner.cli.execution_scope import scope_of_execution

        scope = scope_of_execution(execution, state_dir).with_variables(**given)
    try:
        result = evaluate(expr, scope, typed=typed, recursive=recursive)
    except RenderFailed as error:
        click.echo(explained(error), err=True)
        raise SystemExit(1) from None
    click.echo(json_of(result) if typed else cast("str", result))
    if "{" not in expr:
        click.echo("note: the text has no {{ }}, so it was printed as it is", err=True)

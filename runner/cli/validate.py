"""`eyas validate`: check flow files, and say everything that is wrong with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import click

from runner.errors import FlowInvalid, Problem
from runner.records import record
from runner.settings import Settings

INVALID = 2
_SUFFIXES = (".yaml", ".yml")


@record
class Checked:
    """What was found in one file; `id` and `namespace` are empty if they could not be read."""

    file: str
    problems: Sequence[Problem]
    id: str = ""
    namespace: str = ""

    def is_valid(self, strict: bool) -> bool:
        """Whether the flow can run here; `strict` lets warnings count."""
        return not any(strict or problem.kind != "warning" for problem in self.problems)


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--output",
    type=click.Choice(["pretty", "json"]),
    default="pretty",
    help="How to show what was found; json is one document.",
)
@click.option("--strict", is_flag=True, help="Let warnings count as problems.")
def validate_command(paths: Sequence[str], output: Literal["pretty", "json"], strict: bool) -> None:
    """Check flows, and say what is wrong: in files, in all .yaml and .yml files of folders, or
    in standard input (-).

    Needs no server and no engine. Exits with 0 if all can run here, else with 2.
    """
    from runner.settings import load_settings

    settings = load_settings()
    results = [*without_twins(_check(path, settings) for path in _files(paths))]
    if output == "json":
        _print_json(results, strict)
    else:
        _print_pretty(results, strict)
    sys.stdout.flush()
    if not all(result.is_valid(strict) for result in results):
        sys.exit(INVALID)


def _files(paths: Sequence[str]) -> Iterator[str | Checked]:
    """The files to check, in order; a folder without any gives a problem."""
    for path in paths:
        if path == "-" or not os.path.isdir(path):  # noqa: PTH112 # a NUL must not raise
            yield path
            continue
        errors: list[OSError] = []
        found = list(flows_under(path, errors))
        yield from found
        for error in errors:
            yield _failed(str(error.filename), f"The folder cannot be read: {error.strerror}")
        if not found and not errors:
            hint = "flows are files that end in .yaml or .yml"
            yield _failed(path, "There are no flows in this folder", hint)


def flows_under(folder: str, errors: list[OSError]) -> Iterator[str]:
    """Flow files below the folder; hidden files and folders are left out, links not followed."""
    for base, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield os.path.join(base, name)  # noqa: PTH118 # 300 files in a second


def _failed(file: str, message: str, hint: str = "") -> Checked:
    return Checked(file, [Problem(message=message, file=file, hint=hint)])


def _check(path: str | Checked, settings: Settings) -> Checked:
    """What is wrong with one file, or with standard input."""
    from runner.loading.flow import load, read_text
    from runner.loading.source import MAX_CHARACTERS, decode

    if isinstance(path, Checked):
        return path
    file = "<stdin>" if path == "-" else path
    try:
        if path == "-":
            text = decode(sys.stdin.buffer.read(4 * MAX_CHARACTERS + 1), file)
        else:
            text = read_text(path)
        flow = load(text, file=file, settings=settings)
    except FlowInvalid as invalid:
        return Checked(file, invalid.problems)
    return Checked(file, flow.problems, flow.id, flow.namespace)


def without_twins(results: Iterator[Checked]) -> Iterator[Checked]:
    """The results, with a problem for each flow whose name an earlier file has already."""
    first: dict[tuple[str, str], str] = {}
    for result in results:
        name = (result.namespace, result.id)
        if result.id and first.setdefault(name, result.file) != result.file:
            twin = Problem(
                message=f"Flow {result.namespace}.{result.id} is in {first[name]} already",
                file=result.file,
                line=1,
                column=1,
                path="id",
                hint="give one of them another id",
            )
            yield Checked(result.file, [twin, *result.problems], result.id, result.namespace)
        else:
            yield result


def _print_pretty(results: Sequence[Checked], strict: bool) -> None:
    from runner.cli.problems import shown

    blocks = [shown(problem) for result in results for problem in result.problems]
    if blocks:
        click.echo("\n".join(blocks))
    kinds = [problem.kind for result in results for problem in result.problems]
    bad = sum(not result.is_valid(strict) for result in results)
    parts = [f"{_count(len(results), 'file')} checked"]
    parts += [_count(bad, "file") + " with problems"] if bad else []
    parts += [_count(kinds.count("invalid"), "error")] if "invalid" in kinds else []
    parts += [f"{kinds.count('unsupported')} unsupported"] if "unsupported" in kinds else []
    parts += [_count(kinds.count("warning"), "warning")] if "warning" in kinds else []
    click.echo(click.style(", ".join(parts), fg="red" if bad else "green", bold=True))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_json(results: Sequence[Checked], strict: bool) -> None:
    import json

    files = [_as_json(result, strict) for result in results]
    valid = sum(file["valid"] for file in files)
    document = {
        "files": files,
        "summary": {"files": len(files), "valid": valid, "invalid": len(files) - valid},
    }
    click.echo(json.dumps(document, indent=2))


def _as_json(result: Checked, strict: bool) -> dict[str, Any]:
    return {
        "file": result.file,
        "id": result.id or None,
        "namespace": result.namespace or None,
        "valid": result.is_valid(strict),
        "problems": [
            {
                "kind": problem.kind,
                "message": problem.message,
                "line": problem.line or None,
                "column": problem.column or None,
                "path": problem.path or None,
                "hint": problem.hint or None,
                "source": problem.source_line or None,
            }
            for problem in result.problems
        ],
    }

"""Figures of the expression language, beside their floors in the same run.

    python tests/bench/bench_expr.py [--rounds N] [--json]

Rendering `{{ outputs.a.vars.n + 1 }}` from the cache (at most 10 µs; floor: the same sum in
Python), parsing a template of 10 KB (at most 5 ms; floor: one regular expression over it), a value
of 1 MB through `| json` (at most 2.5 times `json.dumps`), the first import of `runner.expr` (at
most 30 ms; floor: the modules of the standard library that it needs). All of it in processor
time, so that other work on the machine counts less. Exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from time import process_time
from typing import NamedTuple

from runner.expr import Scope, render
from runner.expr.parser import parse

_IMPORT = """
import sys, time
begin = time.process_time()
import {module}
print(time.process_time() - begin)
"""
_EXPRESSIONS = (
    "{{ outputs.extract.vars.rows | length }} rows of {{ inputs.table ?? 'none' | upper }}\n"
    "{% if trigger.date is defined and inputs.n > 3 %}since {{ trigger.date | "
    "dateAdd(-1, 'DAYS') | date('yyyy-MM-dd') }}{% endif %}\n"
    "text that stands between, as scripts have it, with no braces in it at all\n"
)


class Figure(NamedTuple):
    """A measured time in seconds, its floor, and the most that it may be (None: no target)."""

    name: str
    seconds: float
    floor: float
    target: float | None


def best(work: Callable[[], object], rounds: int, repeat: int) -> float:
    """The shortest time of one call, over so many rounds of `repeat` calls."""
    times: list[float] = []
    for _ in range(rounds):
        begin = process_time()
        for _ in range(repeat):
            work()
        times.append((process_time() - begin) / repeat)
    return min(times)


def imported(module: str, rounds: int, cache: str) -> float:
    """The median time of importing a module in a fresh Python, compiled beforehand in `cache`."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", _IMPORT.format(module=module)]
    times: list[float] = []
    for _ in range(rounds + 1):
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
        times.append(float(done.stdout))
    return statistics.median(times[1:])


def megabyte(*, floats: bool) -> object:
    """Some 1 MB of rows as a task gives them; with `floats` also what JSON of Kestra's changes."""
    row: dict[str, object] = {
        "id": 0,
        "name": "row with some text é",
        "ok": True,
        "tags": ["a", "b"],
    }
    if floats:
        row |= {"price": 12.5, "big": 1.25e9, "small": 1e-5, "nothing": None}
    return [{**row, "id": number} for number in range(8_000 if floats else 12_000)]


def figures(rounds: int) -> list[Figure]:
    """Everything that is measured."""
    outputs = {"a": {"vars": {"n": 41}}}
    scope = Scope({"outputs": outputs})
    template = "{{ outputs.a.vars.n + 1 }}"
    long = _EXPRESSIONS * (10_000 // len(_EXPRESSIONS) + 1)
    words = re.compile(r"\w+|\W")
    found = [
        Figure(
            "render from the cache",
            best(lambda: render(template, scope), rounds, 5000),
            best(lambda: str(outputs["a"]["vars"]["n"] + 1), rounds, 5000),
            10e-6,
        ),
        Figure(
            f"parse {len(long)} characters",
            best(lambda: parse(long), rounds, 5),
            best(lambda: words.findall(long), rounds, 5),
            5e-3,
        ),
    ]
    for floats in (False, True):
        value = megabyte(floats=floats)
        text = json.dumps(value)
        values = Scope({"x": value})
        ours = best(lambda values=values: render("{{ x | json }}", values), rounds, 3)
        floor = best(lambda value=value: json.dumps(value), rounds, 3)
        name = f"{len(text) / 1e6:.2f} MB to JSON" + (" with floats and nulls" if floats else "")
        found.append(Figure(name, ours, floor, 2.5 * floor))
    with tempfile.TemporaryDirectory() as cache:
        # What any program of this kind imports; the rest is ours.
        floor = imported("json, datetime, dataclasses", rounds, cache)
        ours = imported("runner.expr", rounds, cache)
    found.append(Figure("import runner.expr", ours, floor, 30e-3))
    script = (
        "#!/bin/sh\n" + "echo 'a line of a long script'\n" * 6000 + "echo {{ outputs.a.vars.n }}\n"
    )
    found.append(
        Figure(
            f"render a script of {len(script) // 1000} KB",
            best(lambda: render(script, scope), rounds, 50),
            best(lambda: script.replace("{{ outputs.a.vars.n }}", "41"), rounds, 50),
            None,
        )
    )
    return found


def shown(seconds: float) -> str:
    """A time in the unit that fits."""
    return f"{seconds * 1e6:.2f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = figures(options.rounds)
    if options.json:
        print(json.dumps([figure._asdict() for figure in found]))
    else:
        for figure in found:
            target = f"at most {shown(figure.target)}" if figure.target else ""
            print(
                f"{figure.name:42} {shown(figure.seconds):>12}  floor {shown(figure.floor):>12}  "
                f"{target}"
            )
    missed = [figure.name for figure in found if figure.target and figure.seconds > figure.target]
    if missed:
        print(f"missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

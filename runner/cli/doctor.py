"""`eyas doctor`: what is here to run flows with, and what to do about what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from runner.cli.findings import Finding

MISSING = 3
_MARKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "missing": ("✗", "red")}


@click.command("doctor")
@click.argument("flows", nargs=-1, metavar="[FLOW...]")
@click.option(
    "--output",
    type=click.Choice(["pretty", "json"]),
    default="pretty",
    help="How to show what was found; json is one document.",
)
def doctor_command(flows: Sequence[str], output: Literal["pretty", "json"]) -> None:
    """Look for all that running flows needs: Docker, Python, uv, disk, and the images that the
    given flows use (files, or folders of them).

    Changes nothing. Exits with 0 if all that is needed is here, else with 3.
    """
    import anyio

    from runner.cli.findings import examine
    from runner.settings import load_settings

    findings = anyio.run(examine, load_settings(), flows)
    healthy = not any(finding.level == "missing" for finding in findings)
    if output == "json":
        document = {"ok": healthy, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(findings)
    if not healthy:
        sys.exit(MISSING)


def _print(findings: Sequence[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark, colour = _MARKS[finding.level]
        first, *more = [*finding.found.splitlines(), *finding.advice.splitlines()]
        click.echo(f"{click.style(mark, fg=colour)} {finding.name:<{width}}  {first}")
        for line in more:
            click.echo(f"  {'':<{width}}  {line}")

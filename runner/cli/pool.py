"""`eyas pool`: the containers that stand by for tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.stored import settings_of, state_dir_option
from runner.cli.tables import output_option, print_json, print_table


@click.command(name="pool")
@output_option("table", "json")
@state_dir_option
def pool_command(output: str, state_dir: Path | None) -> None:
    """Show the containers that wait for tasks in the running daemon.

    A row for each kind: how many are ready, are being started, and are wanted by what was run
    lately. The setting `standbys` says how many there may be; 0 switches them off.
    """
    from runner.cli.client import connected

    with connected(settings_of(state_dir)) as client:
        found: dict[str, Any] = client.get("/standbys")
    if output == "json":
        print_json(found)
        return
    kinds: list[dict[str, Any]] = found["kinds"]
    print_table(["IMAGE", "READY", "STARTING", "WANTED", "OLDEST"], [_row(each) for each in kinds])
    if not found["limit"]:
        click.echo("Switched off: `standbys` is 0, or the machine has little memory", err=True)
    elif not kinds:
        click.echo("Nothing stands by: no task in a container was run lately", err=True)


def _row(kind: dict[str, Any]) -> list[str]:
    age = f"{kind['ageSeconds']:.0f} s" if kind["ready"] else ""
    return [kind["image"], *(str(kind[name]) for name in ("ready", "starting", "wanted")), age]

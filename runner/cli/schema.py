"""`eyas schema`: print the JSON Schema of flows, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from runner.errors import SettingInvalid


@click.command("schema")
@click.argument("what", type=click.Choice(["flow", "task", "trigger"]), default="flow")
@click.option(
    "-f", "--file", type=click.Path(path_type=Path), help="Write it into this file instead."
)
def schema_command(what: Literal["flow", "task", "trigger"], file: Path | None) -> None:
    """Print the JSON Schema (draft-07) of a flow, a task or a trigger.

    Editors complete and check flows with it: put the path of the file that --file wrote into the
    first line of a flow, as `# yaml-language-server: $schema=flow.schema.json`.
    """
    import json

    from runner.loading.schema import schema_of

    text = json.dumps(schema_of(what), indent=1)
    if file is None:
        click.echo(text)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise SettingInvalid(f"'--file {file}': {error.strerror}") from error
    click.echo(f"wrote {file}", err=True)

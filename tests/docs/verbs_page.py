"""Makes the reference in docs/cli.md from what `--help` says: `python tests/docs/verbs_page.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from runner.cli.main import VERBS, cli

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN = "<!-- From here on made by tests/docs/verbs_page.py: change the help of the verb. -->\n"


def reference() -> str:
    """The help of every verb, one section each."""
    parent = click.Context(cli, info_name="eyas")
    return "\n".join(_sections(parent))


def _sections(parent: click.Context) -> Iterator[str]:
    for name in VERBS:
        command = cli.get_command(parent, name)
        assert command is not None
        context = _context(command, name, parent)
        yield f"### eyas {name}\n\n{_block(context)}"
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                below = command.get_command(context, inner)
                assert below is not None
                yield _block(_context(below, inner, context))


def _context(command: click.Command, name: str, parent: click.Context) -> click.Context:
    return click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=80,
        max_content_width=80,
        help_option_names=["-h", "--help"],
    )


def _block(context: click.Context) -> str:
    return f"```text\n{context.get_help().strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(BEGIN)[0] + BEGIN + "\n" + reference())

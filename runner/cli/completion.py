"""`eyas completion`: what a shell needs to complete verbs, options, and names of things."""

from __future__ import annotations

import click


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script that makes a shell complete eyas.

    \b
    bash: eyas completion bash > ~/.local/share/bash-completion/completions/eyas
    zsh:  eyas completion zsh > a folder of $fpath, as _eyas
    fish: eyas completion fish > ~/.config/fish/completions/eyas.fish

    It completes verbs and options, and ids of executions, flows and triggers of the state folder.
    """
    from click.shell_completion import get_completion_class

    from runner.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:  # click knows every shell that is a choice
        raise click.UsageError(f"No completion for {shell}")
    click.echo(kind(cli, {}, "eyas", "_EYAS_COMPLETE").source())

"""Verbs that are families: `eyas kv` lists, `eyas kv get` does something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Family(click.Group):
    """A group whose command `list` is meant when none is named: `eyas kv --namespace a`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before options that are not the group's own."""
        options = bool(args) and args[0].startswith("-") and args[0] not in ("-h", "--help")
        if options or not (args or ctx.resilient_parsing):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named; a wrong name is answered with a near one."""
        if args and args[0] not in self.commands and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.commands, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, or the options of `list`."""
        if incomplete.startswith("-"):
            return self.commands["list"].shell_complete(ctx, incomplete)
        return super().shell_complete(ctx, incomplete)

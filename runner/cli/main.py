"""The command `eyas`: its verbs, and how errors become exit statuses."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from runner import __version__
from runner.errors import (
    Conflict,
    FlowInvalid,
    InputInvalid,
    NotFound,
    RunnerError,
    RunnerUnavailable,
    SettingInvalid,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBS: dict[str, tuple[str, str]] = {
    "run": ("runner.cli.run:run_command", "Run one flow to its end."),
    "validate": ("runner.cli.validate:validate_command", "Check flows and say what is wrong."),
    "graph": ("runner.cli.graph:graph_command", "Draw a flow."),
    "eval": ("runner.cli.eval:eval_command", "Evaluate an expression."),
    "serve": ("runner.cli.serve:serve_command", "Watch a folder of flows and run them."),
    "ps": ("runner.cli.ps:ps_command", "List executions."),
    "show": ("runner.cli.show:show_command", "Show an execution."),
    "logs": ("runner.cli.logs:logs_command", "Show or follow the log of an execution."),
    "metrics": ("runner.cli.metrics:metrics_command", "Show what an execution measured."),
    "kill": ("runner.cli.act:kill_command", "Kill an execution."),
    "pause": ("runner.cli.act:pause_command", "Pause an execution."),
    "resume": ("runner.cli.act:resume_command", "Go on with a paused execution."),
    "restart": ("runner.cli.act:restart_command", "Run a failed execution again."),
    "replay": ("runner.cli.act:replay_command", "Run an execution again as a new one."),
    "flows": ("runner.cli.flows:flows_command", "List, show and start flows."),
    "triggers": ("runner.cli.triggers:triggers_command", "List triggers, switch them off and on."),
    "kv": ("runner.cli.kv:kv_command", "Read and write the keys that flows share."),
    "files": ("runner.cli.files:files_command", "Read and write the files that flows share."),
    "cache": ("runner.cli.cache:cache_command", "List, remove and prefetch packages of tasks."),
    "pool": ("runner.cli.pool:pool_command", "Show the containers that wait for tasks."),
    "pull": ("runner.cli.pull:pull_command", "Fetch the images of flows."),
    "completion": ("runner.cli.completion:completion_command", "Complete eyas in a shell."),
    "schema": ("runner.cli.schema:schema_command", "Print the JSON Schema of flows."),
    "doctor": ("runner.cli.doctor:doctor_command", "Say what is here and what is missing."),
}
"""Every verb: where its command stands (imported on use), and its line in the help."""

SUCCESS, FAILED, INVALID, ENVIRONMENT, CANCELLED = 0, 1, 2, 3, 130
"""Exit statuses of every verb."""


class _Verbs(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        # The group's own way would import every verb for its line of help.
        return [
            *(
                CompletionItem(name, help=text)
                for name, (_, text) in VERBS.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="eyas")
def cli() -> None:
    """Run Kestra flows with Python scripts, without a Kestra server."""


def status_of(error: RunnerError) -> int:
    """The exit status that says what kind of error it was."""
    if isinstance(error, FlowInvalid | InputInvalid | NotFound | Conflict | SettingInvalid):
        return INVALID
    return ENVIRONMENT if isinstance(error, RunnerUnavailable) else FAILED


def main() -> NoReturn:
    """Run the command line and exit; an expected error is one message, never a traceback."""
    try:
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.UsageError as error:
        error.show()
        status = INVALID
    except click.ClickException as error:
        error.show()
        status = INVALID
    except (click.Abort, KeyboardInterrupt):
        status = CANCELLED
    except BrokenPipeError:
        # Whoever read our output is gone (`eyas ... | head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = CANCELLED
    except RunnerError as error:
        click.echo(f"eyas: {error}", err=True)
        status = status_of(error)
    except OSError as error:
        # A full or read-only disk, a folder that may not be entered: this machine's matter.
        click.echo(f"eyas: {error.filename or 'this machine'}: {error.strerror}", err=True)
        status = ENVIRONMENT
    sys.exit(status or 0)

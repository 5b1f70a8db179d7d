"""How a script file is run, and what that needs to be there (script-tasks 1.4, 2.2)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from runner.records import record
from runner.runners.base import ReadOnly
from runner.tasks.context import RunContext
from runner.tasks.languages import LANGUAGES


@record(kw_only=True)
class Programs:
    """`line` gives the command that runs a script file, for an interpreter that reads it.

    `env` are variables that the command needs. `before` are lines that stand before the author's
    own `beforeCommands`, for an interpreter that is a shell. `reads` are folders that the command
    needs in a container.
    """

    line: Callable[[Path, Sequence[str]], str]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    before: Sequence[str] = ()
    reads: Sequence[ReadOnly] = ()


async def programs_of(ctx: RunContext, name: str) -> Programs:
    """What runs script files of the language `name`, all but Python."""
    program = LANGUAGES[name].program or ""
    if name == "jbang" and await ctx.flag("quiet"):
        program = f"{program} --quiet"
    return Programs(line=lambda file, _: f"{program} {shlex.quote(str(file))}".lstrip())

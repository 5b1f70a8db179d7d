"""The command line and the environment of a script task (script-tasks 2.2, 5.1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.errors import TaskFailed
from runner.model.convert import text
from runner.settings import Settings
from runner.tasks.context import RunContext
from runner.tasks.languages import Language
from runner.tasks.script_files import (
    Given,
    new_name,
    warn_of_second_rendering,
    write_files,
)

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"})
_LONGEST_ARGUMENT_BYTES = 100_000
"""Linux takes 128 KiB in one element of a command line; more goes into a file."""


def is_shell(interpreter: Sequence[str]) -> bool:
    """Whether the interpreter understands the language of `sh`."""
    return bool(interpreter) and Path(interpreter[0]).name in _SHELLS


async def chosen(ctx: RunContext, name: str, words: Sequence[str]) -> str:
    """The rendered property `name`, one of `words`; the first if it is not set.

    Raises:
        TaskFailed: it is none of them.
    """
    word = await ctx.text(name)
    if word is None:
        return words[0]
    if word not in words:
        raise TaskFailed(f"Invalid {name} '{word}': one of {', '.join(words)} is needed")
    return word


async def command_line(
    ctx: RunContext,
    language: Language,
    interpreter: Sequence[str],
    before: Sequence[str],
    main: Sequence[str],
    folder: Path,
    *,
    is_script: bool,
) -> list[str]:
    """The argv that runs the lines `before`, the author's `beforeCommands`, and then `main`.

    All lines are one text for the interpreter. Without an interpreter and without
    `beforeCommands`, `main` is the argv itself.
    """
    windows = await chosen(ctx, "targetOS", ("AUTO", "LINUX", "WINDOWS")) == "WINDOWS"
    before = [*language.prelude, *before]
    if not interpreter and not before:
        return list(main)
    lines: list[str] = []
    if await ctx.flag("failFast") and (is_script or language.commands_fail_fast):
        # Kestra knows no such line for Windows, and leaves an empty one.
        lines.append("" if windows else language.fail_fast)
    joined = ("\r\n" if windows else "\n").join([*lines, *before, *main])
    if is_shell(interpreter) and len(joined.encode()) > _LONGEST_ARGUMENT_BYTES:
        name = new_name(".sh")
        await write_files(folder, [Given(name, joined)])
        joined = f". {folder / name}"
    return [*interpreter, joined]


async def environment(
    ctx: RunContext, language: Language, folder: Path, output_dir: Path | None
) -> dict[str, str]:
    """The variables of the command; those of Kestra win over the author's.

    Raises:
        TaskFailed: a name or a value cannot stand in an environment.
    """
    found: dict[str, str] = {}
    for name, value in (await ctx.mapping("env")).items():
        if isinstance(value, Mapping | list | tuple):
            raise TaskFailed(
                f"Invalid env: the value of '{name}' must be a text, not a map or list"
            )
        content = text(value)
        if content is None:
            continue
        if not name or "=" in name or "\0" in name + content:
            raise TaskFailed(f"Invalid env: '{name}' cannot be set: its name or value is not valid")
        warn_of_second_rendering(ctx, f"env: {name}", content)
        found[name] = content
    found |= {**language.env, "WORKING_DIR": str(folder)}
    if output_dir is not None:
        found["OUTPUT_DIR"] = str(output_dir)
    return found


def search_path(settings: Settings, env: Mapping[str, str]) -> str:
    """The PATH of a process of this machine that is given `env`."""
    return env.get("PATH") or settings.environ.get("PATH") or os.defpath

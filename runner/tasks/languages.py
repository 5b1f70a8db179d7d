"""The languages that script tasks speak: what differs from one to the other (script-tasks 1.4).

Images and interpreters are properties with defaults; those stand in the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from runner.records import record

_PYTHON_ENV = {"PYTHONUNBUFFERED": "true", "PIP_ROOT_USER_ACTION": "ignore"}


@record(kw_only=True)
class Language:
    """One language.

    `program` runs a script file whose name ends in `extension`; None: the script is given to the
    interpreter as it is. An empty program: the file is a command itself. `fail_fast` is the line
    that makes the interpreter stop at the first error. `env` wins over the author's. `prelude` are
    lines before the author's own `beforeCommands`. `user` is who runs it in a container unless
    the author says otherwise.
    """

    program: str | None = None
    extension: str = ""
    fail_fast: str = "set -e"
    commands_fail_fast: bool = True
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    prelude: Sequence[str] = ()
    user: str | None = None


LANGUAGES: Mapping[str, Language] = {
    "python": Language(
        program="python",
        extension=".py",
        env=_PYTHON_ENV | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    ),
    "shell": Language(),
    "node": Language(program="node", extension=".js", env=_PYTHON_ENV),
    "bun": Language(program="bun run", extension=".ts"),
    "deno": Language(program="deno run", extension=".ts"),
    "r": Language(program="Rscript", extension=".R"),
    "ruby": Language(program="ruby", extension=".rb"),
    "julia": Language(program="julia", extension=".jl"),
    "perl": Language(program="perl", extension=".pl", commands_fail_fast=False),
    "php": Language(program="php", extension=".js"),
    "lua": Language(program="lua", extension=".lua"),
    "go": Language(program="go run", extension=".go"),
    # Kestra always runs it as root, in Docker, whatever the task says; only the user is kept.
    "groovy": Language(program="groovy", extension=".groovy", user="root"),
    # Its `extension` and `quiet` are properties of the task.
    "jbang": Language(program="jbang", extension=".java"),
    "powershell": Language(
        program="", extension=".ps1", fail_fast="$ErrorActionPreference = 'Stop'"
    ),
    "dotnet": Language(
        program="dotnet-script",
        extension=".csx",
        prelude=(
            "dotnet tool install --global dotnet-script >/dev/null 2>&1 || true",
            'export PATH="$PATH:$HOME/.dotnet/tools"',
        ),
    ),
}
"""By the part of the type's name that names them: `io.kestra.plugin.scripts.<name>.Script`."""

SCRIPT_TYPES = tuple(f"io.kestra.plugin.scripts.{name}.Script" for name in LANGUAGES)
COMMANDS_TYPES = tuple(f"io.kestra.plugin.scripts.{name}.Commands" for name in LANGUAGES)


def language_of(type_: str) -> tuple[str, Language]:
    """The name and the language of a script task's canonical type."""
    name = type_.split(".")[-2]
    return name, LANGUAGES[name]

"""The execution's variables as a file for the script: `executionContext` (script-tasks 5.3)."""

from __future__ import annotations

from pathlib import Path

from runner.model.convert import json_text
from runner.tasks.context import RunContext
from runner.tasks.script_files import write_file

CONTEXT_FILE = ".kestra-execution-context.json"
"""Its reserved name in the working directory."""

_VARIABLES = (
    *("inputs", "outputs", "labels", "vars", "trigger", "flow", "execution", "task", "taskrun"),
    *("parents", "tasks", "kestra"),
)


async def write_context(ctx: RunContext, folder: Path, *, private: bool) -> dict[str, str]:
    """Write the file and return the variable that names it.

    `private`: only this user may read it, as secret inputs stand in it in plain text.
    """
    found = await ctx.render_typed({name: f"{{{{ {name} ?? null }}}}" for name in _VARIABLES})
    known = {name: value for name, value in found.items() if value is not None}
    path = folder / CONTEXT_FILE
    write_file(path, json_text(known), CONTEXT_FILE, 0o600 if private else 0o644)
    return {"KESTRA_EXECUTION_CONTEXT_FILE": str(path)}

"""Python tasks: which interpreter runs the script, with which packages (script-tasks 7.3, 8)."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runner.model.execution import Level
from runner.patterns import regex
from runner.records import record
from runner.tasks.context import RunContext
from runner.tasks.script_lines import chosen, is_shell, search_path
from runner.tasks.script_programs import Programs
from runner.tasks.script_runner import Place

if TYPE_CHECKING:
    from runner.tasks.package_recipe import Image

LIBRARY = ".kestra_additional_python_lib"
"""Name of the folder, in the working directory, that holds the task's `dependencies`."""

_IMAGE_VERSION = regex(r"python:([2-9]\d*(?:\.\d+)*)")


async def set_up(
    ctx: RunContext,
    place: Place,
    folder: Path,
    env: Mapping[str, str],
    until: ExitStack,
    image: Callable[[], Awaitable[Image]],
) -> Programs:
    """Find the interpreter and install the packages that the task asks for.

    `env` are the command's variables so far, `image` tells what a container's image is. Packages
    of the cache are kept there until `until` is closed. Nothing is started and the network is not
    touched unless the task has `dependencies` or, as a process, a `pythonVersion`.

    Raises:
        TaskFailed: there is no such Python, or the packages could not be installed.
    """
    manager = await chosen(ctx, "packageManager", ("UV", "PIP"))
    wanted = await ctx.text("pythonVersion") or ""
    packages = [line for line in await ctx.texts("dependencies") if line and line.strip()]
    in_container = place.docker is not None
    if in_container and not wanted and not _IMAGE_VERSION.search(place.image_hint):
        ctx.log(Level.WARN, "No Python Version found. Using default version: '3.13'")
    if not packages and (in_container or not wanted):
        return Programs(line=_Line(ctx, None, in_container))
    # Only now: most tasks need none of it.
    from runner.tasks.interpreters import find_python
    from runner.tasks.python_dependencies import Dependencies
    from runner.tasks.python_tools import Around, Tools

    around = Around.of(ctx)
    tools = Tools(around, place.docker, folder, env)
    found = None if in_container else await find_python(tools, wanted)
    program = found.executable if found else None
    if not packages:
        return Programs(line=_Line(ctx, program, in_container))
    cached = ctx.settings.package_cache == "on" and await ctx.flag("dependencyCacheEnabled")
    return await Dependencies(
        tools=tools,
        packages=packages,
        python=found,
        image=await image() if in_container and cached else None,
        manager=manager,
        version=wanted,
        needs_uv=not await ctx.flag("uvAutoInstallEnabled"),
        cached=cached,
        patterns=await ctx.texts("outputFiles"),
        since=began(ctx),
    ).install(folder / LIBRARY, env, until)


def may_install(before: Sequence[str]) -> bool:
    """Whether the first of `beforeCommands` looks like an installation of packages; quick."""
    return bool(before) and " install " in before[0] and "pip" in before[0]


def began(ctx: RunContext) -> datetime | None:
    """When the execution began, if the packages it uses are to be made anew; else None."""
    return ctx.execution.history.start if ctx.settings.refresh else None


@record
class _Line:
    """The command that runs a script file without installed packages.

    An environment that `beforeCommands` activate comes first. `python` None: the `python` of the
    PATH as it is then, and `python3` where there is no `python`.
    """

    ctx: RunContext
    python: str | None
    in_container: bool

    def __call__(self, file: Path, interpreter: Sequence[str]) -> str:
        script = shlex.quote(str(file))
        if not is_shell(interpreter):
            return f"{self._outside_a_shell()} {script}"
        # One that was active when Eyas started is no choice of the flow: there PATH decides.
        outer = "" if self.in_container else self.ctx.settings.environ.get("VIRTUAL_ENV", "")
        active = '"$VIRTUAL_ENV/bin/python"'
        test = f'[ "${{VIRTUAL_ENV:-}}" != {shlex.quote(outer)} ] && [ -x {active} ]'
        choices = [f"if {test}; then {active} {script}"]
        if self.python is None:
            only3 = "! command -v python >/dev/null 2>&1 && command -v python3 >/dev/null 2>&1"
            choices.append(f"elif {only3}; then python3 {script}")
        choices.append(f"else {shlex.quote(self.python or 'python')} {script}")
        return "; ".join([*choices, "fi"])

    def _outside_a_shell(self) -> str:
        if self.python is not None or self.in_container:
            return self.python or "python"
        import shutil

        path = search_path(self.ctx.settings, {})
        return "python" if shutil.which("python", path=path) else "python3"

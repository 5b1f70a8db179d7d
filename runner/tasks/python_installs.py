"""Installations in `beforeCommands`: done once, then given to each script that wants them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from runner.errors import RunnerError
from runner.records import record
from runner.runners.base import ReadOnly
from runner.tasks.interpreters import Interpreter, configurations, interpreter_at, is_pyenv
from runner.tasks.package_entry import START, Entry
from runner.tasks.package_recipe import Image, Recipe, influences
from runner.tasks.package_supply import obtain
from runner.tasks.pip_lines import Install, leading_installs
from runner.tasks.python_tools import Tools
from runner.tasks.script_lines import is_shell

NOT_IN_ADVANCE, AS_WRITTEN = "Not installed in advance", "Installed as it is written"
"""How the lines of a log begin that say why `beforeCommands` are run as they are."""


@record(kw_only=True)
class Installs:
    """The `beforeCommands` of one attempt, and `rest`, all that runs after them.

    `env` are the command's variables. `image` tells what the container's image is; None: it is a
    process. `since`: sets made before are not good enough.
    """

    tools: Tools
    interpreter: Sequence[str]
    before: Sequence[str]
    rest: Sequence[str]
    env: Mapping[str, str]
    since: datetime | None
    image: Callable[[], Awaitable[Image]] | None

    async def replaced(self, until: ExitStack) -> tuple[Sequence[str], Sequence[ReadOnly]]:
        """The lines to run instead of `before`, and the folders that a container needs for them.

        The same lines if nothing can be done in advance.

        A set of the cache is kept until `until` is closed.

        Raises:
            TaskFailed: it is not in the cache, and Eyas is offline.
        """
        settings = self.tools.around.settings
        if settings.package_cache == "off" or not is_shell(self.interpreter):
            return self.before, ()
        folder = self.tools.folder
        find = leading_installs
        installs = await anyio.to_thread.run_sync(find, self.before, self.rest, folder)
        recipe = await self._recipe(installs) if installs else None
        if recipe is None:
            return self.before, ()
        try:
            entry = await obtain(self.tools.around, recipe, until, source=folder, since=self.since)
        except RunnerError as error:
            if settings.offline:
                raise
            # It fails again then, with the lines and the status that it has everywhere.
            self.tools.debug(f"{NOT_IN_ADVANCE}: {str(error).splitlines()[-1]}")
            return self.before, ()
        if not entry.manifest.faithful:
            self.tools.debug(f"{AS_WRITTEN}: {entry.manifest.why_not}")
            return self.before, ()
        rest = self.before[len(installs) :]
        if self.image is None:
            return [shell_line(entry, entry.library), *rest], ()
        inside = entry.read_only()
        return [shell_line(entry, inside.target), *rest], (inside,)

    async def _recipe(self, installs: Sequence[Install]) -> Recipe | None:
        """How the set is made; None if it is not known for which Python."""
        if any("PYTHONPATH" in name or name == "PYTHONHOME" for name in self.env):
            return None
        if self.image is not None:
            # Which Python uv would take is known there only if it is told.
            unclear = any(each.uses_uv and "--system" not in each.words for each in installs)
            recipe = self._of(installs, self.env)
            return None if unclear else replace(recipe, image=await self.image())
        python = await self._python(installs)
        if python is None:
            return None
        settings = self.tools.around.settings
        # What is installed there already counts: an installer leaves it alone.
        state = _changed(python.site)
        files = configurations(settings.environ, python.prefix)
        identity = f"{python.identity} {state} {files}"
        recipe = self._of(installs, {**settings.environ, **self.env})
        return replace(recipe, python=python.executable, identity=identity)

    def _of(self, installs: Sequence[Install], env: Mapping[str, str]) -> Recipe:
        folder = self.tools.folder
        names = [name for install in installs for name in install.files]
        return Recipe(
            kind="install",
            wanted=[shlex.join(install.words) for install in installs],
            floating=not all(install.exact for install in installs),
            env=influences(env),
            files={name: (folder / name).read_text(encoding="utf-8-sig") for name in names},
        )

    async def _python(self, installs: Sequence[Install]) -> Interpreter | None:
        """The interpreter of this machine that all of them install for, None if unclear."""
        paths = {self._path(install) for install in installs}
        if len(paths) != 1:
            return None
        path = paths.pop()
        return None if path is None else await interpreter_at(self.tools, path)

    def _path(self, install: Install) -> str | None:
        first = install.words[0]
        if install.uses_uv:
            if "--system" in install.words:
                return self.tools.which("python3") or self.tools.which("python")
            active = self.tools.variable("VIRTUAL_ENV")
            return f"{active}/bin/python" if active else None
        found = self.tools.which(first)
        if found is None or install.program == 3:
            return found
        return _interpreter_of(Path(found))


def shell_line(entry: Entry, library: Path | str) -> str:
    """The line of shell after which all is as if the packages of `entry` had been installed.

    `library` is where the command finds them.
    """
    start = shlex.quote(f"{library}/{START}")
    line = f'export PYTHONPATH={start}"${{PYTHONPATH:+:$PYTHONPATH}}"'
    if entry.manifest.programs:
        line += f' PATH={shlex.quote(f"{library}/bin")}":$PATH"'
    return line


def _changed(site: str) -> int:
    """When something was last installed there."""
    try:
        return Path(site).stat().st_mtime_ns
    except OSError:
        return 0


def _interpreter_of(script: Path) -> str | None:
    """The Python that the first line of a script names, None if it names none itself."""
    try:
        with script.open("rb") as stream:
            text = stream.read(1000)
    except OSError:
        return None
    if is_pyenv(text):
        return str(script.with_name("python"))
    first = text.partition(b"\n")[0].decode("utf-8", "replace").strip()
    path = first.removeprefix("#!").strip()
    named = first.startswith("#!/") and os.path.basename(path).startswith("python")  # noqa: PTH119
    return path if named and " " not in path else None

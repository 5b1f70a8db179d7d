"""The `dependencies` of one attempt: from the cache where that is possible, else installed."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from runner.records import record
from runner.tasks.globs import below
from runner.tasks.interpreters import Interpreter, configurations
from runner.tasks.package_entry import Entry
from runner.tasks.package_recipe import (
    Image,
    Recipe,
    influences,
    is_exact,
    local_packages,
    passed_on,
)
from runner.tasks.package_supply import obtain
from runner.tasks.python_tools import Tools
from runner.tasks.script_lines import search_path
from runner.tasks.script_programs import Programs


@record(kw_only=True)
class Dependencies:
    """The packages that one attempt needs.

    `python` None: they are for a container. `image` is its image; None: they are not cached.
    `needs_uv`: pip is no substitute for uv. `cached` False: the task wants them installed anew.
    `patterns` are the task's `outputFiles`. `since`: sets made before are not good enough.
    """

    tools: Tools
    packages: Sequence[str]
    python: Interpreter | None
    image: Image | None
    manager: str
    version: str
    needs_uv: bool
    cached: bool
    patterns: Sequence[str]
    since: datetime | None

    async def install(self, library: Path, env: Mapping[str, str], until: ExitStack) -> Programs:
        """Have the packages at `library`; what lets a command find them there.

        `env` are its variables so far. A set of the cache is kept until `until` is closed.

        Raises:
            TaskFailed: they could not be installed.
        """
        program = self.python.executable if self.python else "python"
        added = {"PYTHONPATH": _joined(str(library), env.get("PYTHONPATH", ""))}
        found = Programs(
            line=lambda file, _: f"{shlex.quote(program)} {shlex.quote(str(file))}", env=added
        )
        recipe = await anyio.to_thread.run_sync(self._recipe, env)
        if recipe is None:
            python = self.python.executable if self.python else ""
            image = (self.tools.docker and self.tools.docker.image) or ""
            from runner.tasks.python_packages import Packages

            packages = Packages(self.tools, self.manager, python, image, needs_uv=self.needs_uv)
            await packages.install(self.packages, library)
            return found
        entry = await obtain(
            self.tools.around, recipe, until, source=self.tools.folder, since=self.since
        )
        inside = None if self.image is None else entry.read_only()
        target = Path(inside.target) if inside else entry.library
        await anyio.to_thread.run_sync(_place, entry, target, library, self.patterns)
        # Behind all others: what a script finds without them it finds with them.
        own, before = f"{library}/bin", list[str]()
        if entry.manifest.programs and inside is None:
            added["PATH"] = _joined(search_path(self.tools.around.settings, env), own)
        elif entry.manifest.programs:
            before.append(f'export PATH="$PATH":{shlex.quote(own)}')
        return replace(found, before=before, reads=[inside] if inside else [])

    def _recipe(self, env: Mapping[str, str]) -> Recipe | None:
        """How the set is made; None if it is not one for the cache."""
        settings = self.tools.around.settings
        if not self.cached or settings.package_cache == "off":
            return None
        here = self.image is None
        wheels = local_packages(self.packages, self.tools.folder, anywhere=here)
        if wheels is None:
            return None
        floating = [text for text in self.packages if not is_exact(text)]
        recipe = Recipe(
            kind="dependencies",
            wanted=list(self.packages),
            manager=self.manager,
            version=self.version,
            needs_uv=self.needs_uv,
            floating=len(floating) > len(wheels),
            wheels=wheels,
        )
        environ = settings.environ
        if self.image is not None:
            env = influences({**passed_on(environ), **env})
            return replace(recipe, image=self.image, env=env)
        python = self.python
        if python is None or not python.identity:
            return None
        identity = f"{python.identity} {configurations(environ, python.prefix)}"
        env = influences({**environ, **env})
        return replace(recipe, python=python.executable, identity=identity, env=env)


def _joined(*paths: str) -> str:
    return ":".join(path for path in paths if path)


def _place(entry: Entry, target: Path, library: Path, patterns: Sequence[str]) -> None:
    """Have the packages at the path where Kestra installs them, without copying if possible.

    `target` is where the command has them.
    """
    if library.is_symlink():
        # Of another task that shares the folder: on Kestra both are installed into it.
        before = _linked(library, entry.folder.parent.parent)
        library.unlink()
        if before is not None and before != entry.library:
            shutil.copytree(before, library, symlinks=True)
    if library.exists() or _collects(entry, library, patterns):
        shutil.copytree(entry.library, library, symlinks=True, dirs_exist_ok=True)
    else:
        library.symlink_to(target)


def _linked(library: Path, root: Path) -> Path | None:
    """The packages of the cache at `root` that a link of ours leads to, here or in a container."""
    target = library.readlink()
    if target.is_dir():
        return target
    return next(root.glob(f"{target.name}*/current/lib"), None)


def _collects(entry: Entry, library: Path, patterns: Sequence[str]) -> bool:
    """Whether `outputFiles` mean files of the packages: only what is really there is collected."""
    near = [text for text in patterns if _reaches(text, f"{library.name}/")]
    if not near:
        return False
    matches = below(str(library.parent), near)
    return any(matches(f"{library}/{name}") for name in entry.files())


def _reaches(pattern: str, folder: str) -> bool:
    """Whether a pattern may match something in `folder`; quick, and true if in doubt."""
    if pattern.startswith(("glob:", "regex:")):
        return True
    literal = re.split(r"[*?\[{\\]", pattern.removeprefix("/"), maxsplit=1)[0]
    crosses = "**" in pattern or "/" in pattern or "{" in pattern
    return crosses and (folder.startswith(literal) or literal.startswith(folder))

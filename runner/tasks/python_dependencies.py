"""The `dependencies` of one attempt: from the cache where that is possible, else installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from runner.tasks.globs import below
from runner.tasks.interpreters import Interpreter, configurations
from runner.tasks.package_entry import Entry
from runner.tasks.package_recipe import Recipe, influences, is_exact, local_packages
from runner.tasks.package_supply import obtain
from runner.tasks.python_tools import Tools
from runner.tasks.script_lines import search_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The packages that one attempt needs.

    `python` None: they are for the image of `tools`. `needs_uv`: pip is no substitute for uv.
    `cached` False: the task wants them installed anew. `patterns` are the task's `outputFiles`.
    `since`: sets made before are not good enough.
    """

    tools: Tools
    packages: Sequence[str]
    python: Interpreter | None
    manager: str
    version: str
    needs_uv: bool
    cached: bool
    patterns: Sequence[str]
    since: datetime | None

    async def install(
        self, library: Path, env: Mapping[str, str], until: ExitStack
    ) -> Mapping[str, str]:
        """Have the packages at `library`; the variables that let a command find them.

        `env` are its variables so far. A set of the cache is kept until `until` is closed.

        Raises:
            TaskFailed: they could not be installed.
        """
        added = {"PYTHONPATH": _joined(str(library), env.get("PYTHONPATH", ""))}
        recipe = await anyio.to_thread.run_sync(self._recipe, env)
        if recipe is None:
            python = self.python.executable if self.python else ""
            image = (self.tools.docker and self.tools.docker.image) or ""
            from runner.tasks.python_packages import Packages

            packages = Packages(self.tools, self.manager, python, image, needs_uv=self.needs_uv)
            await packages.install(self.packages, library)
            return added
        entry = await obtain(
            self.tools.around, recipe, until, source=self.tools.folder, since=self.since
        )
        await anyio.to_thread.run_sync(_place, entry, library, self.patterns)
        if entry.manifest.programs:
            path = search_path(self.tools.around.settings, env)
            added["PATH"] = _joined(path, str(library / "bin"))
        return added

    def _recipe(self, env: Mapping[str, str]) -> Recipe | None:
        """How the set is made; None if it is not one for the cache."""
        settings = self.tools.around.settings
        if not self.cached or settings.package_cache == "off":
            return None
        if self.python is None or not self.python.identity:
            return None
        wheels = local_packages(self.packages, self.tools.folder, anywhere=True)
        if wheels is None:
            return None
        floating = [text for text in self.packages if not is_exact(text)]
        identity = f"{self.python.identity} {configurations(settings.environ, self.python.prefix)}"
        return Recipe(
            kind="dependencies",
            wanted=list(self.packages),
            manager=self.manager,
            version=self.version,
            needs_uv=self.needs_uv,
            python=self.python.executable,
            identity=identity,
            floating=len(floating) > len(wheels),
            env=influences({**settings.environ, **env}),
            wheels=wheels,
        )


def _joined(*paths: str) -> str:
    return ":".join(path for path in paths if path)


def _place(entry: Entry, library: Path, patterns: Sequence[str]) -> None:
    """Have the packages at the path where Kestra installs them, without copying if possible."""
    if not library.exists() and not library.is_symlink():
        if not _collects(entry, library, patterns):
            library.symlink_to(entry.library)
            return
    elif library.is_symlink():
        # Of another task that shares the folder: on Kestra both are installed into it.
        before = library.resolve()
        if before == entry.library.resolve():
            return
        library.unlink()
        _copy(before, library)
    _copy(entry.library, library)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


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

"""The `dependencies` of a Python task, installed into a folder (script-tasks 8)."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from runner.errors import TaskFailed
from runner.tasks.package_recipe import passed_on
from runner.tasks.python_tools import Done, Tools
from runner.tasks.script_files import write_file

_NO_INSTALLER = 97
_IN_IMAGE = f"""
for python in python python3 ''; do
  command -v "$python" >/dev/null 2>&1 && break
done
[ -n "$python" ] || {{ echo "there is no Python in the image" >&2; exit 127; }}
if [ "$3" = UV ] && command -v uv >/dev/null 2>&1; then
  exec uv pip install --no-config --index-strategy unsafe-best-match --link-mode copy \\
    --compile-bytecode --python "$python" --target "$1" --requirement "$2"
elif "$python" -m pip --version >/dev/null 2>&1; then
  exec "$python" -m pip install --no-cache-dir --no-input --target "$1" --requirement "$2"
fi
"$python" -c 'import platform, sys
libc = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
print("%d.%d" % sys.version_info[:2], platform.machine() + "-unknown-linux-" + libc)'
exit {_NO_INSTALLER}
"""
"""Installs with what the image has; if that is nothing, tells uv outside what the image is."""


class Packages:
    """Installs packages into a folder.

    `manager` is UV or PIP, `python` the interpreter of this machine that will run the script;
    empty: that of `image` will. `needs_uv`: pip is no substitute where uv is wanted.
    """

    def __init__(
        self, tools: Tools, manager: str, python: str, image: str, *, needs_uv: bool
    ) -> None:
        self._tools = tools
        self._image = image
        self._manager = manager
        self._python = python
        self._needs_uv = needs_uv

    async def install(self, packages: Sequence[str], library: Path) -> Sequence[str]:
        """Install `packages` into the folder `library`; what is there then, as `name==version`.

        Raises:
            TaskFailed: the installer failed; its last lines are in the message.
        """
        listed = self._tools.folder / f"{token_hex(16)}-requirements.in"
        write_file(listed, "\n".join(packages) + "\n", listed.name)
        if self._python:
            done = await self._here(self._python, library, listed)
        else:
            done = await self._in_image(library, listed)
        if done.code != 0:
            raise TaskFailed(
                f"Failed to install the dependencies {', '.join(packages)}: "
                f"exit code {done.code}\n{done.last}"
            )
        installed = names_in(library)
        self._tools.debug(f"Installed dependencies: {', '.join(installed)}")
        return installed

    async def _here(self, python: str, library: Path, listed: Path) -> Done:
        """Install for an interpreter of this machine."""
        uv = self._uv_if_wanted()
        if uv is not None:
            return await self._with_uv(uv, ["--python", python], library, listed)
        install = ["install", "--no-input", "--target", str(library), "--requirement", str(listed)]
        done = await self._tools.run([python, "-m", "pip", *install])
        if done.code != 0 and "No module named pip" in done.last:
            # Debian's Python comes without pip; the one beside us can install for it.
            ours = [sys.executable, "-m", "pip", "--python", python]
            done = await self._tools.run([*ours, *install])
        return done

    def _uv_if_wanted(self) -> str | None:
        if self._manager != "UV":
            return None
        uv = self._tools.uv()
        if uv is None:
            if self._needs_uv:
                raise TaskFailed("uv was not found and `uvAutoInstallEnabled` is false: install uv")
            self._tools.debug("uv was not found; pip installs the dependencies")
        return uv

    async def _with_uv(self, uv: str, target: Sequence[str], library: Path, listed: Path) -> Done:
        lock = listed.with_suffix(".txt")
        common = ["--no-config", "--index-strategy", "unsafe-best-match", *target]
        done = await self._tools.run(
            [uv, "pip", "compile", *common, "--output-file", str(lock), str(listed)]
        )
        if done.code != 0:
            return done
        into = ["--reinstall", "--target", str(library), "--requirement", str(lock)]
        how = ["--link-mode", "copy"]
        if self._python:
            how.append("--compile-bytecode")
        return await self._tools.run([uv, "pip", "install", *common, *how, *into])

    async def _in_image(self, library: Path, listed: Path) -> Done:
        """Install in a container of the task's image, for which the packages then fit."""
        env = passed_on(self._tools.environ)
        argv = ["/bin/sh", "-c", _IN_IMAGE, "sh", str(library), str(listed), self._manager]
        done = await self._tools.run_in_image(argv, env)
        if done.code != _NO_INSTALLER:
            return done
        uv = self._tools.uv()
        if uv is None:
            raise TaskFailed(
                f"Cannot install the dependencies: the image {self._image} has neither pip nor uv,"
                " and there is no uv on this machine that could do it instead"
            )
        version, platform = done.out.splitlines()[-1].split()
        fit = ["--python-version", version, "--python-platform", platform]
        return await self._with_uv(uv, fit, library, listed)


def names_in(library: Path) -> list[str]:
    """Names and versions of the packages in the folder, as a lock file has them."""
    found: list[str] = []
    for path in sorted(library.glob("*.dist-info")):
        match = re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name)
        if match:
            found.append(f"{match[1]}=={match[2]}")
    return found

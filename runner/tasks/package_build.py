"""Making a set of packages by its recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from runner.errors import TaskFailed
from runner.tasks.package_cache import remove, utc_now
from runner.tasks.package_entry import LIBRARY, START, Manifest
from runner.tasks.package_recipe import Recipe, shown
from runner.tasks.pip_lines import parsed
from runner.tasks.python_packages import Packages
from runner.tasks.python_tools import Around, Tools
from runner.tasks.script_files import write_file

FOREIGN = Path(__file__).with_name("foreign")

_INSTALLER, _PLAN, _RESULT = "install_packages.py", "plan.json", "result.json"
_NO_PYTHON = 98
_FIND_PYTHON = f"""
case $1 in
pip*)
  found=$(command -v "$1") || exit {_NO_PYTHON}
  IFS= read -r first < "$found"
  python=${{first#\\#!}} ;;
uv) python=python3 ;;
*) python=$1 ;;
esac
case $python in */env\\ *) python=${{python##* }} ;; esac
"$python" -c '' 2>/dev/null || exit {_NO_PYTHON}
shift
exec "$python" "$@"
"""
"""Runs a program with the Python that `$1`, an installer, installs for."""


async def built(
    around: Around, recipe: Recipe, folder: Path, source: Path | None = None
) -> Manifest:
    """Install what `recipe` says into the folder `lib` of `folder`, and say what that is.

    Raises:
        TaskFailed: it cannot be installed.
    """
    await anyio.to_thread.run_sync(_put_files, recipe, folder, source)
    docker = recipe.image.options() if recipe.image else None
    tools = Tools(around, docker, folder, recipe.env)
    manifest = Manifest(
        key=recipe.key,
        created=utc_now(),
        wanted=shown(recipe.wanted),
        target=recipe.target,
        floating=recipe.floating,
        recipe=recipe.kept(),
    )
    if recipe.kind == "install":
        return await _installed(tools, recipe, manifest)
    image = recipe.image.name if recipe.image else ""
    packages = Packages(tools, recipe.manager, recipe.python, image, needs_uv=recipe.needs_uv)
    return replace(manifest, names=await packages.install(recipe.wanted, folder / LIBRARY))


async def _installed(tools: Tools, recipe: Recipe, manifest: Manifest) -> Manifest:
    """Install what lines say, as an installer would, but into the folder of the set."""
    folder, library = tools.folder, tools.folder / LIBRARY
    installs = [parsed(line, folder) for line in recipe.wanted]
    plan = [
        {"program": each.words[: each.program], "arguments": each.words[each.program + 1 :]}
        for each in installs
        if each is not None
    ]
    (folder / _PLAN).write_text(json.dumps(plan))
    (folder / _INSTALLER).write_text((FOREIGN / _INSTALLER).read_text())
    program = [f"{folder}/{name}" for name in (_INSTALLER, _PLAN, _RESULT)]
    if recipe.python:
        done = await tools.run([recipe.python, *program])
    else:
        words = installs[0].words if installs[0] else [""]
        argv = ["/bin/sh", "-c", _FIND_PYTHON, "sh", words[0], *program]
        done = await tools.run_in_image(argv, {})
    if done.code == _NO_PYTHON:
        return replace(manifest, faithful=False, why_not="its Python was not found")
    if done.code != 0 or len(plan) != len(installs):
        raise TaskFailed(f"exit code {done.code}\n{done.last}")
    result = json.loads((folder / _RESULT).read_bytes())
    if result["why_not"]:
        remove(library)
        return replace(manifest, faithful=False, why_not=result["why_not"])
    start = library / START
    start.mkdir(parents=True)
    for name, text in (
        ("sitecustomize.py", (FOREIGN / "sitecustomize.py").read_text()),
        ("prefix", result["prefix"]),
    ):
        (start / name).write_text(text)
    tools.debug(f"Installed packages: {', '.join(result['names'])}")
    return replace(manifest, names=result["names"], prefix=result["prefix"])


def _put_files(recipe: Recipe, folder: Path, source: Path | None) -> None:
    for name, text in recipe.files.items():
        write_file(folder / name, text, name)
    for name in recipe.wheels:
        target = folder / name
        # An absolute path is used where it is.
        if source is not None and not Path(name).is_absolute():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((source / name).read_bytes())

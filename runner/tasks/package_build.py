"""Making a set of packages by its recipe, and deciding which version of it a task is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from runner.errors import RunnerError, TaskFailed
from runner.model.execution import Level
from runner.tasks.package_cache import PackageCache, remove, utc_now
from runner.tasks.package_entry import LIBRARY, Entry, Manifest
from runner.tasks.package_recipe import Recipe, passed_on, shown
from runner.tasks.pip_lines import parsed
from runner.tasks.python_packages import Packages
from runner.tasks.python_tools import Around, Tools
from runner.tasks.script_files import write_file

START = ".eyas-start"
"""The folder in a set, for PYTHONPATH, that has Python use it as if it were installed."""

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

_OVERDUE = 7
"""A set this many times older than it should get is made anew before it is used."""


async def obtain(
    around: Around,
    recipe: Recipe,
    until: ExitStack,
    *,
    source: Path | None = None,
    since: datetime | None = None,
) -> Entry:
    """The set that `recipe` leads to, from the cache if it is there; kept until `until` is closed.

    `source` is the folder that has the recipe's local packages. `since`: a set made before is not
    good enough.

    Raises:
        TaskFailed: it is not there and could not be made.
    """
    cache, settings = PackageCache.of(around.settings), around.settings
    known = await anyio.to_thread.run_sync(cache.held, recipe.key, until)
    now = utc_now()

    def good(entry: Entry) -> bool:
        manifest = entry.manifest
        if since is not None and manifest.created < since:
            return False
        return not manifest.floating or now - manifest.created < settings.package_refresh * _OVERDUE

    if known is None or not (good(known) or settings.offline):
        try:
            return await _made(around, cache, recipe, until, good, source)
        except RunnerError as error:
            if known is None:
                raise
            reason = str(error).splitlines()[-1]
            around.log(Level.DEBUG, f"The packages could not be made anew: {reason}")
    _tell(around, known, now)
    return known


async def _made(
    around: Around,
    cache: PackageCache,
    recipe: Recipe,
    until: ExitStack,
    good: Callable[[Entry], bool],
    source: Path | None,
) -> Entry:
    if around.settings.offline:
        raise TaskFailed(
            f"The packages {', '.join(shown(recipe.wanted))} are not in the cache, and Eyas is"
            " offline: run `eyas cache prefetch` with a network, or without --offline"
        )

    async def build(folder: Path) -> Manifest:
        return await built(around, recipe, folder, source)

    begin = utc_now()
    entry = await cache.built(recipe.key, until, build, good)
    if entry.manifest.created < begin:
        _tell(around, entry, begin)
    return entry


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
        done = await tools.run_in_image(argv, passed_on(tools.environ))
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


def _tell(around: Around, entry: Entry, now: datetime) -> None:
    """Log what is reused, from when."""
    manifest = entry.manifest
    names = ", ".join(manifest.names) or "none"
    around.log(Level.DEBUG, f"Packages installed on {manifest.made_on} are reused: {names}")
    if manifest.floating and now - manifest.created >= around.settings.package_refresh:
        around.log(Level.DEBUG, "They may not be the newest: `eyas cache prefetch` renews them")

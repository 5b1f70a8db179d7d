"""Which set of packages a task is given: one that is there, or a new one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from runner.errors import RunnerError, TaskFailed
from runner.model.execution import Level
from runner.tasks.package_cache import PackageCache, utc_now
from runner.tasks.package_entry import Entry, Manifest
from runner.tasks.package_recipe import Recipe, shown
from runner.tasks.python_tools import Around

PACKAGES = "Packages"
"""How the line of a log begins that says which packages a task was given."""

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

    `source` is the folder that has the recipe's local packages. `since`: a set without fixed
    versions that was made before is not good enough.

    Raises:
        TaskFailed: it is not there and could not be made.
    """
    cache, settings = PackageCache.of(around.settings), around.settings
    known = await anyio.to_thread.run_sync(cache.held, recipe.key, until)
    now = utc_now()

    def good(entry: Entry) -> bool:
        manifest = entry.manifest
        if not manifest.floating:
            return True
        fresh = since is None or manifest.created >= since
        return fresh and now - manifest.created < settings.package_refresh * _OVERDUE

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
        # As a rule there is nothing to build.
        from runner.tasks.package_build import built

        return await built(around, recipe, folder, source)

    entry = await cache.built(recipe.key, until, build, good)
    _tell(around, entry, utc_now())
    return entry


def _tell(around: Around, entry: Entry, now: datetime) -> None:
    """Log what is reused, from when."""
    manifest = entry.manifest
    names = ", ".join(manifest.names) or "none"
    around.log(Level.DEBUG, f"{PACKAGES} of {manifest.made_on}: {names}")
    if manifest.floating and now - manifest.created >= around.settings.package_refresh:
        around.log(Level.DEBUG, "They may not be the newest: `eyas cache prefetch` renews them")

"""Making sets of packages anew in the background, before anybody has to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import anyio
import anyio.to_thread

from runner.errors import RunnerError
from runner.model.execution import Level, new_id
from runner.runners.base import Owner
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.tasks.package_build import built
from runner.tasks.package_cache import PackageCache, utc_now
from runner.tasks.package_entry import Entry
from runner.tasks.package_recipe import Recipe
from runner.tasks.python_tools import Around

LOOK_EVERY = timedelta(minutes=10)
_USED_WITHIN = 7
"""A set that was not used for so many times its age of renewal is not renewed any more."""


async def keep_fresh(
    settings: Settings, runners: TaskRunners, tell: Callable[[str, str], None]
) -> None:
    """Renew, one after the other and for ever, sets without fixed versions that have become old.

    Tasks go on with the old one until the new one is there. `tell` is told the key of a set that
    was looked at, and what became of it.
    """
    if settings.package_cache == "off" or settings.offline:
        return
    while True:
        await refresh_old(settings, runners, tell)
        await anyio.sleep(min(LOOK_EVERY, settings.package_refresh).total_seconds())


async def refresh_old(
    settings: Settings, runners: TaskRunners, tell: Callable[[str, str], None]
) -> None:
    """Renew each set that is old and in use; one that cannot be renewed stays as it is."""
    cache = PackageCache.of(settings)
    for entry in await anyio.to_thread.run_sync(cache.entries):
        if not _is_due(entry, settings):
            continue
        manifest = entry.manifest
        assert manifest.recipe is not None
        try:
            await _renew(settings, runners, cache, Recipe.of(manifest.recipe), entry)
        except RunnerError as error:
            tell(manifest.key, f"not renewed: {str(error).splitlines()[-1]}")
        else:
            tell(manifest.key, "renewed")


def _is_due(entry: Entry, settings: Settings) -> bool:
    manifest, now, age = entry.manifest, utc_now(), settings.package_refresh
    if not manifest.floating or manifest.recipe is None:
        return False
    return now - manifest.created >= age and now - entry.last_used < age * _USED_WITHIN


async def _renew(
    settings: Settings, runners: TaskRunners, cache: PackageCache, recipe: Recipe, old: Entry
) -> None:
    owner = Owner(
        namespace="system",
        flow_id="package-cache",
        execution_id=new_id(),
        task_id="refresh",
        task_run_id=new_id(),
        attempt=0,
    )

    def ignore(level: Level, message: str) -> None:
        """What installers say is of no interest when nobody waits for them."""

    around = Around(settings=settings, runners=runners, owner=owner, log=ignore)

    used = old.last_used
    with ExitStack() as until:
        new = await cache.built(
            old.manifest.key,
            until,
            lambda folder: built(around, recipe, folder),
            lambda entry: entry.manifest.created > old.manifest.created,
        )
        # Renewing is no use of it: else it would be renewed for ever.
        new.touch(used)

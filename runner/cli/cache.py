"""`eyas cache`: the packages that were installed for tasks: list, remove, fetch in advance."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.tables import local_time, output_option, print_json, print_table

if TYPE_CHECKING:
    from runner.settings import Settings
    from runner.tasks.package_cache import PackageCache
    from runner.tasks.package_entry import Entry

_state_dir = click.option("--state-dir", type=click.Path(path_type=Path), help="Where state is.")


@click.group("cache")
def cache_command() -> None:
    """Packages of Python tasks, installed once and kept in the state folder."""


@cache_command.command("ls")
@_state_dir
@output_option("table", "json")
def ls_command(state_dir: Path | None, output: str) -> None:
    """List the sets of packages, the one used last first."""
    cache = _cache(_settings(state_dir))
    entries = cache.entries()
    if output == "json":
        print_json([_document(cache, entry) for entry in entries])
        return
    rows = [
        (
            entry.manifest.key[:12],
            size_of(entry.manifest.size_bytes),
            local_time(entry.manifest.created),
            local_time(entry.last_used),
            entry.manifest.target,
            ", ".join(entry.manifest.names) or entry.manifest.why_not or "-",
        )
        for entry in entries
    ]
    print_table(("KEY", "SIZE", "MADE", "LAST USED", "FOR", "PACKAGES"), rows)
    total = sum(entry.manifest.size_bytes for entry in entries)
    click.echo(f"{len(entries)} sets, {size_of(total)}")


@cache_command.command("prune")
@click.option("--days", type=click.FloatRange(min=0), help="Those not used for so many days.")
@click.option("--max-bytes", type=click.IntRange(min=0), help="Until no more than this is left.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@_state_dir
@output_option("text", "json")
def prune_command(
    days: float | None, max_bytes: int | None, everything: bool, state_dir: Path | None, output: str
) -> None:
    """Remove sets: those used longest ago, until the limit of the settings is kept.

    A set that a task uses right now stays.
    """
    cache = _cache(_settings(state_dir))
    unused_since = None if days is None else datetime.now(UTC) - timedelta(days=days)
    before = len(cache.entries())
    freed = cache.sweep(0 if everything else max_bytes, unused_since)
    left = cache.entries()
    if output == "json":
        print_json({"removed": before - len(left), "freedBytes": freed, "left": len(left)})
    else:
        click.echo(f"{before - len(left)} sets removed, {size_of(freed)} freed, {len(left)} left")


@cache_command.command("prefetch")
@click.argument(
    "flows", nargs=-1, required=True, metavar="FLOW...", type=click.Path(path_type=Path)
)
@click.option("--refresh", is_flag=True, help="Make sets without fixed versions anew in any case.")
@_state_dir
@output_option("text", "json")
def prefetch_command(
    flows: Sequence[Path], refresh: bool, state_dir: Path | None, output: str
) -> None:
    """Install what the tasks of flows need, so that they start at once, also offline.

    Sets older than the setting package_refresh are made anew. What depends on inputs without
    defaults or on outputs is not known in advance. Exits with 1 if something could not be had.
    """
    import anyio

    from runner.cli.prefetch import prefetch

    settings = _settings(state_dir)
    now = datetime.now(UTC)
    since = now if refresh else now - settings.package_refresh
    results = anyio.run(prefetch, settings, flows, since)
    if output == "json":
        print_json([result.document() for result in results])
    else:
        for result in results:
            click.echo(f"{result.flow}.{result.task}: {result.state}: {result.text}")
    if any(result.state == "failed" for result in results):
        sys.exit(1)


def _settings(state_dir: Path | None) -> Settings:
    from runner.settings import load_settings

    return load_settings(state_dir=state_dir, defaults={"task_runner": "docker"})


def _cache(settings: Settings) -> PackageCache:
    from runner.tasks.package_cache import PackageCache

    return PackageCache.of(settings)


def _document(cache: PackageCache, entry: Entry) -> dict[str, Any]:
    manifest = entry.manifest
    return {
        "key": manifest.key,
        "wanted": list(manifest.wanted),
        "packages": list(manifest.names),
        "programs": list(manifest.programs),
        "for": manifest.target,
        "sizeBytes": manifest.size_bytes,
        "created": manifest.created.isoformat(),
        "lastUsed": entry.last_used.isoformat(),
        "floating": manifest.floating,
        "inUse": cache.in_use(entry),
        "runsAsWritten": manifest.why_not or None,
    }


def size_of(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"

"""The cache of installed packages on disk: built once, given out whole, repaired, evicted."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from runner.errors import TaskFailed
from runner.tasks.package_cache import PackageCache, utc_now
from runner.tasks.package_entry import Entry, Manifest, is_whole

KEY = "k" * 64
EVERYTHING = 10**9


@dataclass
class Builder:
    """Builds a set with one module, and counts how often; waits for `gate` if there is one."""

    text: str = "VALUE = 1\n"
    size: int = 0
    gate: anyio.Event | None = None
    builds: int = 0
    folders: list[Path] = field(default_factory=list[Path])

    async def __call__(self, folder: Path) -> Manifest:
        self.builds += 1
        self.folders.append(folder)
        module = folder / "lib" / "package" / "__init__.py"
        module.parent.mkdir()
        module.write_text(self.text + "#" * self.size)
        (folder / "lib" / "bin").mkdir()
        (folder / "lib" / "bin" / "tool").write_text("#!/bin/sh\n")
        if self.gate is not None:
            await self.gate.wait()
        return Manifest(key=KEY, created=utc_now(), wanted=["package"], target="python")


def always(_: Entry) -> bool:
    """Whatever is there is good enough."""
    return True


def never(_: Entry) -> bool:
    """Nothing that is there is good enough."""
    return False


async def make(cache: PackageCache, key: str, builder: Builder) -> Entry:
    """Have a set, and let it go again."""
    with ExitStack() as until:
        return await cache.built(key, until, builder, always)


def held(cache: PackageCache, key: str = KEY) -> Entry | None:
    """The set, let go again."""
    with ExitStack() as until:
        return cache.held(key, until)


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    """An empty cache without a limit that matters."""
    return PackageCache(tmp_path / "packages", EVERYTHING)


async def test_a_set_is_built_once_and_given_out_with_what_is_known_of_it(
    cache: PackageCache,
) -> None:
    builder = Builder()

    assert held(cache) is None
    first = await make(cache, KEY, builder)
    again = held(cache)

    assert again == first
    assert first.manifest.programs == ["tool"]
    assert first.manifest.size_bytes > 0
    assert (first.library / "package" / "__init__.py").stat().st_mode & 0o777 == 0o444
    assert sorted(first.files()) == ["bin/tool", "package/__init__.py"]
    assert builder.builds == 1


async def test_tasks_that_want_the_same_set_build_it_once(cache: PackageCache) -> None:
    builder = Builder(gate=anyio.Event())
    found: list[Entry] = []

    async def want() -> None:
        with ExitStack() as until:
            found.append(await cache.built(KEY, until, builder, always))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(want)
        await anyio.wait_all_tasks_blocked()
        assert builder.gate is not None
        builder.gate.set()

    assert (builder.builds, len(found), len({entry.folder for entry in found})) == (1, 5, 1)


def test_processes_that_want_the_same_set_build_it_once(tmp_path: Path) -> None:
    code = f"""
import anyio, sys
from contextlib import ExitStack
from pathlib import Path
from runner.tasks.package_cache import PackageCache, utc_now
from runner.tasks.package_entry import Manifest
async def build(folder):
    sys.stdout.write("built\\n")
    await anyio.sleep(0.3)
    return Manifest(key="k", created=utc_now(), wanted=[], target="python")
async def main():
    with ExitStack() as until:
        cache = PackageCache(Path({str(tmp_path)!r}), 1000)
        await cache.built("k", until, build, lambda entry: True)
anyio.run(main)
"""
    many = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate()[0] for process in many]

    assert [process.returncode for process in many] == [0, 0, 0]
    assert "".join(said) == "built\n"


async def test_a_build_that_fails_leaves_nothing_and_the_next_one_tries_again(
    cache: PackageCache,
) -> None:
    async def fail(folder: Path) -> Manifest:
        (folder / "lib" / "half").write_text("")
        raise TaskFailed("no such package")

    with ExitStack() as until, pytest.raises(TaskFailed, match="no such package"):
        await cache.built(KEY, until, fail, always)

    assert [path.name for path in (cache.root / KEY).iterdir()] == ["build.lock"]
    assert (await make(cache, KEY, Builder())).library.is_dir()


async def test_a_build_that_is_cancelled_leaves_nothing(cache: PackageCache) -> None:
    builder = Builder(gate=anyio.Event())

    async with anyio.create_task_group() as group:
        group.start_soon(make, cache, KEY, builder)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert not builder.folders[0].exists()
    assert held(cache) is None


async def test_what_a_crash_left_half_built_is_removed_by_the_next_build(
    cache: PackageCache,
) -> None:
    left = cache.root / KEY / ".new-0123"
    (left / "lib").mkdir(parents=True)

    await make(cache, KEY, Builder())

    assert not left.exists()


@pytest.mark.parametrize("damage", ["file", "manifest", "library", "link", "all"])
async def test_a_damaged_set_is_none_and_is_built_again(cache: PackageCache, damage: str) -> None:
    entry = await make(cache, KEY, Builder())
    match damage:
        case "file":
            (entry.library / "package" / "__init__.py").unlink()
        case "manifest":
            (entry.folder / "manifest.json").write_text('{"key": ')
        case "library":
            entry.library.rename(entry.folder / "gone")
        case "link":
            (entry.folder.parent / "current").unlink()
        case _:
            entry.folder.rename(entry.folder.with_name("gone"))

    assert held(cache) is None
    builder = Builder()
    again = await make(cache, KEY, builder)

    assert (builder.builds, is_whole(again)) == (1, True)
    assert held(cache) == again


async def test_a_set_to_which_python_added_files_is_read_in_full_once_and_kept(
    cache: PackageCache,
) -> None:
    entry = await make(cache, KEY, Builder())
    (entry.library / "package" / "__pycache__").mkdir()

    kept = held(cache)

    assert kept is not None
    assert kept.folder == entry.folder
    assert kept.manifest.folders != entry.manifest.folders
    assert held(cache) == kept


async def test_a_changed_file_is_noticed_when_all_are_read(cache: PackageCache) -> None:
    entry = await make(cache, KEY, Builder())
    assert is_whole(entry)

    file = entry.library / "package" / "__init__.py"
    file.chmod(0o644)
    file.write_text("VALUE = 2\n")

    assert not is_whole(entry)


async def test_a_newer_version_does_not_touch_the_one_that_is_in_use(cache: PackageCache) -> None:
    with ExitStack() as using:
        old = await cache.built(KEY, using, Builder(), always)
        with ExitStack() as until:
            new = await cache.built(KEY, until, Builder(text="VALUE = 2\n"), never)
            cache.sweep()

        assert held(cache) == new
        assert (old.library / "package" / "__init__.py").read_text() == "VALUE = 1\n"

    cache.sweep()
    assert not old.folder.exists()
    assert held(cache) == new


async def test_the_sets_used_longest_ago_go_first_when_there_are_too_many(tmp_path: Path) -> None:
    cache = PackageCache(tmp_path / "packages", EVERYTHING)
    now = utc_now()
    for number in range(4):
        entry = await make(cache, f"key{number}", Builder(size=1000))
        entry.touch(now - timedelta(days=number))
    limited = PackageCache(cache.root, 2500)

    freed = limited.sweep()

    assert [entry.folder.parent.name for entry in limited.entries()] == ["key0", "key1"]
    assert freed >= 2000


async def test_what_is_in_use_is_not_evicted(cache: PackageCache) -> None:
    with ExitStack() as using:
        entry = await cache.built(KEY, using, Builder(), always)

        assert cache.in_use(entry)
        assert cache.sweep(0) == 0
        assert not cache.remove(entry)
        assert held(cache) == entry

    assert not cache.in_use(entry)
    assert cache.sweep(0) == entry.manifest.size_bytes
    assert held(cache) is None


async def test_sets_that_were_not_used_for_long_go_on_request(cache: PackageCache) -> None:
    old, new = await make(cache, "old", Builder()), await make(cache, "new", Builder())
    now = datetime.now(UTC)
    old.touch(now - timedelta(days=8))

    cache.sweep(unused_since=now - timedelta(days=7))

    assert cache.entries() == [new]


async def test_using_a_set_makes_it_the_one_used_last(cache: PackageCache) -> None:
    first, second = await make(cache, "a", Builder()), await make(cache, "b", Builder())
    past = utc_now() - timedelta(days=1)
    first.touch(past)
    second.touch(past + timedelta(hours=1))

    held(cache, "a")

    assert cache.entries() == [first, second]


async def test_only_we_can_read_what_a_set_was_made_of(cache: PackageCache) -> None:
    entry = await make(cache, KEY, Builder())

    assert (entry.folder / "manifest.json").stat().st_mode & 0o077 == 0

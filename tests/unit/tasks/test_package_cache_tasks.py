"""Tasks that are given packages from the cache, as processes and without a package index."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from script_bench import PROCESS, Bench

from runner.errors import TaskFailed
from runner.model.execution import Level
from runner.tasks.package_cache import PackageCache, utc_now
from runner.tasks.package_entry import write_manifest
from runner.tasks.package_refresh import refresh_old
from runner.tasks.script import prepare_packages, run_commands, run_script

UV = str(Path(sys.executable).parent / "uv")
SYSTEM = "/usr/bin:/bin"
SAY = "import probe; print(probe.VALUE)"


class Shop:
    """A folder of wheels that is the only index, and a Python without packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        self.python = folder / "venv" / "bin" / "python"

    def sell(self, version: str) -> None:
        """Offer the package `probe`, with a module, a program and an answer: its version."""
        info = f"probe-{version}.dist-info"
        with zipfile.ZipFile(self.wheels / f"probe-{version}-py3-none-any.whl", "w") as archive:
            code = f"VALUE = {version!r}\ndef main(): print('tool', VALUE)\n"
            archive.writestr("probe/__init__.py", code)
            archive.writestr("probe/data.csv", "1\n")
            archive.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: probe\nVersion: {version}\n"
            )
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntool = probe:main\n")
            archive.writestr(f"{info}/RECORD", "")

    def close(self) -> None:
        """Have the index offer nothing."""
        for wheel in self.wheels.iterdir():
            wheel.unlink()

    def task(self, kind: str = "python.Script", **properties: Any) -> Bench:
        """A task that buys here; upper case names are variables of this machine."""
        environ = {name: properties.pop(name) for name in list(properties) if name.isupper()}
        changes: Mapping[str, Any] = properties.pop("settings", {})
        given: dict[str, Any] = {"taskRunner": PROCESS, "packageManager": "PIP", **properties}
        if kind == "python.Script":
            given.setdefault("script", SAY)
        else:
            given.pop("packageManager")
        shop = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "UV_OFFLINE": "1"}
        path = {"PATH": f"{self.python.parent}:{SYSTEM}", "HOME": str(self.folder)}
        bench = Bench(self.folder, kind, given, environ={**path, **shop, **environ})
        bench.settings = replace(bench.settings, **changes)
        return bench

    @property
    def cache(self) -> PackageCache:
        """The cache of its tasks."""
        return PackageCache.of(self.task().settings)

    def make_older(self, age: timedelta) -> None:
        """Let every set look as if it had been made so long ago."""
        for entry in self.cache.entries():
            manifest = replace(entry.manifest, created=utc_now() - age)
            write_manifest(entry.folder, manifest)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip and nothing else."""
    import subprocess

    folder = tmp_path_factory.mktemp("python") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / "bin" / "python"


@pytest.fixture
def shop(tmp_path: Path, python: Path) -> Shop:
    """An index that offers version 1.0."""
    found = Shop(tmp_path)
    found.python = python
    found.sell("1.0")
    return found


async def said(ctx: Bench) -> list[str]:
    """Run the task; what it printed."""
    async with ctx.leaving:
        await (run_script if ctx.type.endswith("Script") else run_commands)(ctx)
    return ctx.lines()


def reused(ctx: Bench) -> bool:
    """Whether no installer was heard."""
    debug = ctx.lines(Level.DEBUG)
    assert any(line.startswith("Packages of ") and "probe==" in line for line in debug)
    return not any("Installed" in line or "Collecting" in line for line in debug)


WAYS: dict[str, Mapping[str, Any]] = {
    "dependencies": {"dependencies": ["probe"]},
    "line": {"beforeCommands": ["pip install probe"]},
    "module": {"beforeCommands": ["python -m pip install -q probe"]},
    "file": {
        "beforeCommands": ["pip install -r requirements.txt"],
        "inputFiles": {"requirements.txt": "probe>=1  # needed\n"},
    },
}


@pytest.mark.parametrize("way", WAYS)
async def test_packages_are_installed_once_and_then_without_an_index(shop: Shop, way: str) -> None:
    first = shop.task(**WAYS[way])
    assert await said(first) == ["1.0"]
    assert not reused(first)
    shop.close()

    again = shop.task(**WAYS[way])

    assert await said(again) == ["1.0"]
    assert reused(again)
    assert again.left() == []


@pytest.mark.parametrize("way", WAYS)
async def test_programs_and_metadata_are_there_too(shop: Shop, way: str) -> None:
    look = ["tool", "pip list --format=freeze | grep probe", "python -m pip show -q probe"]
    kind = "python.Commands"
    ctx = shop.task(kind, **WAYS[way], commands=look)

    assert await said(ctx) == ["tool 1.0", "probe==1.0"]


@pytest.mark.parametrize("way", WAYS)
async def test_offline_only_the_cache_is_asked(shop: Shop, way: str) -> None:
    offline = {"offline": True}
    with pytest.raises(TaskFailed, match="are not in the cache, and Eyas is offline"):
        await said(shop.task(**WAYS[way], settings=offline))
    await said(shop.task(**WAYS[way]))

    assert await said(shop.task(**WAYS[way], settings=offline)) == ["1.0"]


async def test_a_set_is_kept_apart_by_packages_and_by_index_but_not_by_order(shop: Shop) -> None:
    wanted = ["probe", "probe>=0.5"]
    for dependencies in (wanted, wanted[::-1], ["probe==1.0"]):
        await said(shop.task(dependencies=dependencies))
    assert len(shop.cache.entries()) == 2

    await said(shop.task(dependencies=wanted, env={"PIP_PRE": "1"}))
    await said(shop.task(dependencies=wanted, env={"OTHER": "1"}))

    assert len(shop.cache.entries()) == 3


@pytest.mark.parametrize("way", ["dependencies", "line"])
async def test_switched_off_everything_is_installed_every_time(shop: Shop, way: str) -> None:
    ctx = shop.task(**WAYS[way], settings={"package_cache": "off"}, VIRTUAL_ENV="")
    if way == "line":
        ctx.properties["beforeCommands"] = ["pip install --target lib probe"]
        ctx.properties["script"] = f"import sys; sys.path.insert(0, 'lib')\n{SAY}"

    await said(ctx)

    assert not (ctx.settings.state_dir / "cache").exists()


async def test_a_task_may_refuse_the_cache(shop: Shop) -> None:
    await said(shop.task(dependencies=["probe"], dependencyCacheEnabled=False))

    assert shop.cache.entries() == []


async def test_a_set_that_lost_a_file_repairs_itself(shop: Shop) -> None:
    await said(shop.task(dependencies=["probe"]))
    (entry,) = shop.cache.entries()
    (entry.library / "probe" / "__init__.py").unlink()

    assert await said(shop.task(dependencies=["probe"])) == ["1.0"]


async def test_a_floating_version_is_used_when_old_and_renewed_when_very_old(shop: Shop) -> None:
    await said(shop.task(dependencies=["probe"]))
    shop.sell("2.0")
    shop.make_older(timedelta(hours=30))
    old = shop.task(dependencies=["probe"])

    assert await said(old) == ["1.0"]
    assert any("may not be the newest" in line for line in old.lines(Level.DEBUG))
    shop.make_older(timedelta(days=8))
    assert await said(shop.task(dependencies=["probe"])) == ["2.0"]


async def test_a_very_old_set_is_used_where_there_is_no_index_any_more(shop: Shop) -> None:
    await said(shop.task(dependencies=["probe"]))
    shop.make_older(timedelta(days=8))
    shop.close()
    ctx = shop.task(dependencies=["probe"])

    assert await said(ctx) == ["1.0"]
    assert any("could not be made anew" in line for line in ctx.lines(Level.DEBUG))


async def test_a_fixed_version_is_never_renewed(shop: Shop) -> None:
    await said(shop.task(dependencies=["probe==1.0"]))
    shop.make_older(timedelta(days=400))
    shop.close()

    ctx = shop.task(dependencies=["probe==1.0"])
    assert await said(ctx) == ["1.0"]
    assert reused(ctx)


async def test_refresh_renews_what_was_made_before_the_execution(shop: Shop) -> None:
    refresh = {"refresh": True}
    await said(shop.task(dependencies=["probe"]))
    shop.make_older(timedelta(days=400))
    shop.sell("2.0")

    assert await said(shop.task(dependencies=["probe"], settings=refresh)) == ["2.0"]


async def test_the_daemon_renews_old_sets_without_counting_that_as_a_use(shop: Shop) -> None:
    await said(shop.task(dependencies=["probe"]))
    (before,) = shop.cache.entries()
    used = before.last_used
    told: list[tuple[str, str]] = []
    shop.sell("2.0")
    ctx = shop.task()

    def tell(key: str, text: str) -> None:
        told.append((key, text))

    await refresh_old(ctx.settings, ctx.runners, tell)
    assert told == []
    shop.make_older(timedelta(hours=30))
    await refresh_old(ctx.settings, ctx.runners, tell)

    (after,) = shop.cache.entries()
    assert told == [(before.manifest.key, "renewed")]
    assert (after.manifest.names, after.last_used) == (["probe==2.0"], used)
    assert await said(shop.task(dependencies=["probe"], settings={"offline": True})) == ["2.0"]


async def test_a_renewal_that_fails_leaves_the_old_set(shop: Shop) -> None:
    await said(shop.task(dependencies=["probe"]))
    shop.make_older(timedelta(hours=30))
    shop.close()
    told: list[str] = []
    ctx = shop.task()

    await refresh_old(ctx.settings, ctx.runners, lambda _, text: told.append(text))

    assert [text.split(":")[0] for text in told] == ["not renewed"]
    assert await said(shop.task(dependencies=["probe"])) == ["1.0"]


async def test_an_installation_that_fails_runs_as_it_is_written(shop: Shop) -> None:
    ctx = shop.task("shell.Commands", beforeCommands=["pip install absent"], commands=["echo on"])

    with pytest.raises(TaskFailed):
        await said(ctx)

    assert ctx.lines() != ["on"]
    assert any("No matching distribution" in line for line in ctx.lines(Level.ERROR))
    assert any("Not installed in advance" in line for line in ctx.lines(Level.DEBUG))


async def test_what_the_python_has_already_is_left_alone(shop: Shop) -> None:
    ctx = shop.task(
        "shell.Commands",
        beforeCommands=["pip install setuptools"],
        commands=["python -c 'import setuptools; print(setuptools.__file__)'"],
    )
    installed = shop.python.parents[1] / "lib"

    (path,) = await said(ctx)
    assert path.startswith(str(installed))
    assert any(line.endswith(": none") for line in ctx.lines(Level.DEBUG))


async def test_another_python_does_not_see_what_was_installed(shop: Shop, tmp_path: Path) -> None:
    other = tmp_path / "other"
    await anyio.run_process([sys.executable, "-m", "venv", "--without-pip", str(other)])
    commands = [f"{other}/bin/python -c 'import probe' || echo absent"]
    ctx = shop.task("shell.Commands", beforeCommands=["pip install probe"], commands=commands)

    assert await said(ctx) == ["absent"]


async def test_a_module_of_python_is_not_hidden_by_an_installed_one(shop: Shop) -> None:
    with zipfile.ZipFile(shop.wheels / "probe-3.0-py3-none-any.whl", "w") as archive:
        archive.writestr("statistics.py", "WRONG = 1\n")
        archive.writestr("probe.py", "VALUE = 3\n")
        info = "probe-3.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: probe\nVersion: 3.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    script = f"import statistics; print(hasattr(statistics, 'WRONG')); {SAY}"

    assert await said(shop.task(beforeCommands=["pip install probe"], script=script)) == [
        "False",
        "3",
    ]


@pytest.mark.parametrize(
    ("patterns", "collected"),
    [
        (["*.csv"], []),
        (["out/**"], []),
        (["**/*.csv"], [".kestra_additional_python_lib/probe/data.csv"]),
    ],
)
async def test_output_files_may_mean_files_of_packages(
    shop: Shop, patterns: list[str], collected: list[str]
) -> None:
    for _ in range(2):
        ctx = shop.task(dependencies=["probe"], outputFiles=patterns)
        async with ctx.leaving:
            result = await run_script(ctx)

        assert result is not None and result.outputs is not None
        assert list(result.outputs["outputFiles"]) == collected


async def test_tasks_that_share_a_folder_see_each_others_packages(
    shop: Shop, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with zipfile.ZipFile(shop.wheels / "other-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("other.py", "")
        info = "other-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    for dependencies in (["other"], ["probe"]):
        ctx = shop.task(dependencies=dependencies, script="import os; print(1)")
        ctx.shared_dir = shared
        await said(ctx)

    ctx = shop.task(dependencies=["probe"], script=f"import other; {SAY}")
    ctx.shared_dir = shared

    assert await said(ctx) == ["1.0"]


async def test_packages_can_be_had_before_the_task_runs(shop: Shop) -> None:
    script = "{{ outputs.other.vars.code }}"
    for way in WAYS.values():
        await prepare_packages(shop.task(**{**way, "script": script}))
    shop.close()

    for way in WAYS.values():
        assert await said(shop.task(**way)) == ["1.0"]


async def test_passwords_are_not_written_down(shop: Shop) -> None:
    env = {"PIP_EXTRA_INDEX_URL": "https://user:password@index.invalid/simple"}
    await said(shop.task(dependencies=["probe"], env=env))

    (entry,) = shop.cache.entries()
    assert entry.manifest.recipe is None
    assert "password" not in (entry.folder / "manifest.json").read_text()

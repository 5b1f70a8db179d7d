"""What is in the package: all of the code, its data files, and the command `eyas`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def build(source: Path, target: str, folder: Path) -> Path:
    """Build a `wheel` or an `sdist` of the project in `source`, as pip would."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def code_in(folder: Path) -> set[str]:
    """Every file of the two import packages, as paths below `folder`."""
    found: set[str] = set()
    for package in ("runner", "kestra_shim"):
        files = (path for path in (folder / package).rglob("*") if path.is_file())
        found |= {str(path.relative_to(folder)) for path in files}
    return {name for name in found if "__pycache__" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from the source distribution, not from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    # Debian 12's Python 3.11.2 has no safe `tarfile.extractall` yet.
    subprocess.run(["tar", "xf", build(ROOT, "sdist", folder)], cwd=folder, check=True)
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return build(source, "wheel", folder)


def test_the_wheel_holds_every_file_of_the_code_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert names == code_in(ROOT)


def test_the_wheel_gives_the_command_and_the_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {
            name.split(".dist-info/")[1]: name for name in archive.namelist() if "-info/" in name
        }
        commands = archive.read(info["entry_points.txt"]).decode()
        metadata = archive.read(info["METADATA"]).decode()

    assert "eyas = runner.__main__:main" in commands
    assert "licenses/LICENSE" in info
    assert "License-Expression: Apache-2.0" in metadata
    assert "Provides-Extra: tty" in metadata


def test_the_lock_file_pins_everything_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["tty"],
        *project["dependency-groups"]["dev"],
    ]
    lock = (ROOT / "tests" / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))

    wanted = [Requirement(text) for text in asked]

    assert [
        str(requirement)
        for requirement in wanted
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ] == []
    assert "://" not in lock, "the lock file must work with any package index"

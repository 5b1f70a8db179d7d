"""A container's deletions in a shared folder are undone (script-tasks 6.6, golden q91)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.tasks.kept_files import kept_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `a`, `b`, `d/e` and the empty folder `n`."""
    found = tmp_path / "wd"
    (found / "d").mkdir(parents=True)
    (found / "n").mkdir()
    for name in ("a", "b", "d/e"):
        (found / name).write_text(name)
    return found


def listed(folder: Path) -> list[str]:
    """All paths below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


async def test_what_was_deleted_comes_back_and_what_was_changed_stays_so(folder: Path) -> None:
    async with kept_files(folder):
        (folder / "a").unlink()
        (folder / "b").write_text("changed")
        shutil.rmtree(folder / "d")
        (folder / "n").rmdir()
        (folder / "new").write_text("new")

    assert listed(folder) == ["a", "b", "d", "d/e", "n", "new"]
    assert [(folder / name).read_text() for name in ("a", "b", "d/e")] == ["a", "changed", "d/e"]
    assert listed(folder.parent)[0] == "wd"


async def test_a_renamed_file_is_there_under_both_names_as_two_files(folder: Path) -> None:
    async with kept_files(folder):
        (folder / "a").rename(folder / "z")

    (folder / "z").write_text("other")
    assert (folder / "a").read_text() == "a"


async def test_nothing_is_written_through_a_link_in_its_place(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "f").mkdir(parents=True)
    (folder / "d" / "f").mkdir()
    (folder / "d" / "f" / "g").write_text("g")
    async with kept_files(folder):
        shutil.rmtree(folder / "d")
        (folder / "d").symlink_to(outside)
        (folder / "a").unlink()
        (folder / "a").symlink_to(outside / "a")

    assert listed(outside) == ["f"]
    assert (folder / "a").is_symlink()


async def test_it_is_undone_after_an_error_too(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with kept_files(folder):
            (folder / "a").unlink()
            raise ZeroDivisionError

    assert (folder / "a").exists()

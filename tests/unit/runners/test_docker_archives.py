"""Folders into containers and back: what a script leaves in one may be anything."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import TaskFailed
from runner.runners.docker_pack import END, Owner, packed_folder, packed_texts
from runner.runners.docker_unpack import Limits, Unpacker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "wd"
    made.mkdir()
    return made


def unpack(folder: Path, data: bytes, limits: Limits | None = None) -> None:
    Unpacker(folder, limits or Limits()).unpack(io.BytesIO(data).read)


Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, len(content), link, 0o644
    return info, content


def archive(*entries: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, content in entries:
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tree(folder: Path) -> dict[str, str]:
    """All that is below a folder: its kind, or its content."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"  # noqa: PTH115 - the exact text
        else:
            found[name] = "folder" if path.is_dir() else path.read_text()
    return found


# Out of a container


def test_files_folders_and_modes_come_back(folder: Path) -> None:
    run = entry("wd/sub/run", b"x")
    run[0].mode = 0o4777
    unpack(
        folder, archive(entry("wd", kind=tarfile.DIRTYPE), run, entry("wd/e", kind=tarfile.DIRTYPE))
    )

    assert tree(folder) == {"e": "folder", "sub": "folder", "sub/run": "x"}
    assert stat.S_IMODE((folder / "sub/run").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "name", ["/etc/x", "wd/../../x", "../x", "wd/a/../../../x", "wd/..", "/wd/x", "x"]
)
def test_names_that_lead_out_are_left_out(folder: Path, name: str) -> None:
    unpack(folder, archive(entry(name, b"canary")))

    assert tree(folder.parent) == {"wd": "folder"}


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_and_pipes_are_left_out(folder: Path, kind: bytes) -> None:
    unpack(folder, archive(entry("wd/d", kind=kind), entry("wd/f", b"y")))

    assert tree(folder) == {"f": "y"}


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("f", True),
        ("sub/../f", True),
        ("..", False),
        ("../../etc/passwd", False),
        ("/etc/passwd", False),
        ("sub/../../x", False),
    ],
)
def test_links_are_kept_if_they_stay_inside(folder: Path, target: str, kept: bool) -> None:
    unpack(folder, archive(entry("wd/l", kind=tarfile.SYMTYPE, link=target)))

    assert tree(folder) == ({"l": f"-> {target}"} if kept else {})


def test_a_link_to_the_folder_itself_by_its_path_is_kept(folder: Path) -> None:
    unpack(folder, archive(entry("wd/l", kind=tarfile.SYMTYPE, link=f"{folder}/f")))

    assert tree(folder) == {"l": f"-> {folder}/f"}


def test_nothing_is_written_through_a_link(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("old")
    # Put there by an earlier container, or by this archive itself.
    (folder / "l").symlink_to(outside)
    (folder / "g").symlink_to(outside / "f")

    unpack(folder, archive(entry("wd/l/f", b"canary"), entry("wd/g", b"canary")))

    assert (outside / "f").read_text() == "old"
    assert tree(folder) == {"g": "canary", "l": "folder", "l/f": "canary"}


def test_a_hard_link_is_the_same_file(folder: Path) -> None:
    unpack(
        folder,
        archive(
            entry("wd/a", b"x"),
            entry("wd/b", kind=tarfile.LNKTYPE, link="wd/a"),
            entry("wd/c", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
            entry("wd/d", kind=tarfile.LNKTYPE, link="wd/none"),
        ),
    )

    assert tree(folder) == {"a": "x", "b": "x"}


def test_a_hard_link_to_a_link_is_left_out(folder: Path) -> None:
    (folder / "l").symlink_to("/etc/passwd")

    unpack(folder, archive(entry("wd/b", kind=tarfile.LNKTYPE, link="wd/l")))

    assert not (folder / "b").exists()


def test_what_was_there_gives_way(folder: Path) -> None:
    (folder / "was-folder").mkdir()
    (folder / "was-folder/x").write_text("")
    (folder / "was-file").write_text("")
    os.mkfifo(folder / "was-fifo")

    unpack(
        folder,
        archive(
            entry("wd/was-folder", b"1"), entry("wd/was-file/x", b"2"), entry("wd/was-fifo", b"3")
        ),
    )

    assert tree(folder) == {
        "was-fifo": "3",
        "was-file": "folder",
        "was-file/x": "2",
        "was-folder": "1",
    }


def test_files_that_the_script_deleted_stay(folder: Path) -> None:
    (folder / "input").write_text("data")

    unpack(folder, archive(entry("wd/new", b"x")))

    assert tree(folder) == {"input": "data", "new": "x"}


def test_names_with_newlines_and_bad_bytes_are_just_names(folder: Path) -> None:
    name = b"wd/a\nb\xff".decode("utf-8", "surrogateescape")

    unpack(folder, archive(entry(name, b"x")))

    assert [os.fsencode(path.name) for path in folder.iterdir()] == [b"a\nb\xff"]


def test_a_huge_sparse_file_is_refused_before_a_byte_of_it_is_written(folder: Path) -> None:
    info = tarfile.TarInfo("wd/huge")
    info.size = 10**12
    head = info.tobuf(tarfile.PAX_FORMAT)

    with pytest.raises(TaskFailed, match="1000000000000"):
        unpack(folder, head + b"\0" * 4096)

    assert tree(folder) == {}


def test_too_many_bytes_files_or_folders_are_refused_with_the_number(folder: Path) -> None:
    files = archive(*(entry(f"wd/{number}", b"12345") for number in range(10)))

    with pytest.raises(TaskFailed, match="more than 30 bytes"):
        unpack(folder, files, Limits(bytes=30))
    with pytest.raises(TaskFailed, match="more than 5 files"):
        unpack(folder, files, Limits(entries=5))
    with pytest.raises(TaskFailed, match="deeper than 3"):
        unpack(folder, archive(entry("wd/a/b/c/d", b"")), Limits(depth=3))


@pytest.mark.parametrize("length", [100, 700, 1100])
def test_an_archive_that_is_cut_off_is_an_error(folder: Path, length: int) -> None:
    with pytest.raises(TaskFailed, match="ended too early"):
        unpack(folder, archive(entry("wd/a", b"x" * 1000))[:length])


def test_a_full_disk_is_named(small_disk: Path) -> None:
    with pytest.raises(TaskFailed, match="No space left on device"):
        unpack(small_disk, archive(entry("wd/a", b"x" * 1_000_000)))


NAMES = st.text(st.sampled_from("ab./\n\0é"), min_size=1, max_size=12)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, KINDS, NAMES), max_size=8))
def test_no_archive_touches_anything_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]]
) -> None:
    top = tmp_path_factory.mktemp("any")
    folder = top / "a" / "b"
    folder.mkdir(parents=True)
    (top / "canary").write_text("safe")
    (top / "a/canary").write_text("safe")
    data = archive(
        *(
            entry(
                f"b/{name}" if number % 2 else name,
                b"" if kind != tarfile.REGTYPE else b"x",
                kind,
                link,
            )
            for number, (name, kind, link) in enumerate(entries)
        )
    )

    with suppress(TaskFailed):
        unpack(folder, data)

    outside = {
        path.relative_to(top).as_posix(): path.read_text() if path.is_file() else ""
        for path in top.rglob("*")
        if folder not in path.parents
    }
    assert outside == {"canary": "safe", "a": "", "a/canary": "safe", "a/b": ""}


# Into a container


async def packed(folder: Path, owner: Owner) -> tarfile.TarFile:
    data = b"".join([chunk async for chunk in packed_folder(folder, "/x/wd", owner)])
    return tarfile.open(fileobj=io.BytesIO(data + END), errors="surrogateescape")


async def test_a_folder_is_packed_with_all_that_can_be(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/f").write_text("x" * 1000)
    (folder / "l").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode(b"bad\xff")).write_text("")

    with await packed(folder, Owner(uid=0)) as found:
        names = {info.name: info for info in found}

    assert set(names) == {"x/wd", "x/wd/sub", "x/wd/sub/f", "x/wd/l", "x/wd/bad\udcff"}
    assert names["x/wd/sub/f"].size == 1000
    assert names["x/wd/l"].linkname == "/etc/passwd"


@pytest.mark.parametrize(
    ("owner", "uid", "file_mode", "folder_mode"),
    [
        (Owner(uid=1000, gid=7), 1000, 0o600, 0o700),
        (Owner(uid=None), 0, 0o666, 0o777),
    ],
)
async def test_files_belong_to_the_user_or_are_open_to_all(
    folder: Path, owner: Owner, uid: int, file_mode: int, folder_mode: int
) -> None:
    (folder / "f").write_text("")
    os.chmod(folder / "f", 0o600)  # noqa: PTH101 - async code
    os.chmod(folder, 0o700)  # noqa: PTH101

    with await packed(folder, owner) as found:
        top, file = found.getmembers()

    assert (top.uid, top.mode, file.uid, file.mode) == (uid, folder_mode, uid, file_mode)
    assert file.gid == owner.gid


@pytest.mark.parametrize("size", [0, 3_000_000])
async def test_a_file_that_changes_meanwhile_does_not_spoil_the_archive(
    folder: Path, size: int
) -> None:
    (folder / "f").write_bytes(b"x" * 1_000_000)
    chunks: list[bytes] = []
    async for chunk in packed_folder(folder, "wd", Owner(uid=0)):
        chunks.append(chunk)
        (folder / "f").write_bytes(b"y" * size)

    assert len(chunks) > 2
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks) + END)) as found:
        assert [(info.name, info.size) for info in found] == [("wd", 0), ("wd/f", 1_000_000)]


def test_texts_are_packed_with_the_modes_of_their_folders() -> None:
    data = packed_texts({"o/s/f": b"text"}, {"o": 0o755, "o/s": 0o777})

    with tarfile.open(fileobj=io.BytesIO(data + END)) as found:
        assert [(info.name, info.mode, info.isdir()) for info in found] == [
            ("o", 0o755, True),
            ("o/s", 0o777, True),
            ("o/s/f", 0o644, False),
        ]

"""One set of installed packages on disk: what it holds, and whether it is still whole."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.records import record
from runner.runners.base import ReadOnly

MANIFEST = "manifest.json"
LIBRARY = "lib"
"""The folder of a set that holds the packages; their programs are in `bin` below it."""

START = ".eyas-start"
"""The folder in a set, for PYTHONPATH, that has Python use it as if it were installed."""

_INSIDE = "/.eyas/packages"
"""The folder of a container that has the sets it uses."""

_CHECKSUMS = "checksums.json"
_USED = "used"
_BYTECODE = "__pycache__"
_READ_ONLY_MODE = 0o555


@record(kw_only=True)
class Manifest:
    """What is known of a set.

    `wanted` are the requirements as somebody wrote them, `names` what is installed
    (`six==1.16.0`), `programs` the names in its `bin`. `floating`: another build may give newer
    packages. `target` says in words what it was built for. `recipe` is what it takes to build it
    again, None if that holds a password. `prefix` is the `sys.prefix` of the Python that it was
    made for ("": any). `folders` are the modification times (ns) of the folders in it.
    `faithful` False: an installation that cannot be given from a folder; there is nothing in it.
    """

    key: str
    created: datetime
    wanted: Sequence[str]
    target: str
    names: Sequence[str] = ()
    programs: Sequence[str] = ()
    floating: bool = False
    recipe: Mapping[str, Any] | None = None
    prefix: str = ""
    faithful: bool = True
    why_not: str = ""
    size_bytes: int = 0
    folders: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def made_on(self) -> str:
        """When it was made, for people."""
        return self.created.strftime("%Y-%m-%d %H:%M UTC")


@record
class Entry:
    """A set that is there; `folder` holds it."""

    folder: Path
    manifest: Manifest

    @property
    def library(self) -> Path:
        """The folder with the packages."""
        return self.folder / LIBRARY

    @property
    def last_used(self) -> datetime:
        """When a task last used it."""
        try:
            return datetime.fromtimestamp((self.folder / _USED).stat().st_mtime, UTC)
        except FileNotFoundError:
            return self.manifest.created

    def read_only(self) -> ReadOnly:
        """The packages for a container."""
        root = self.folder.parent.parent
        target = f"{_INSIDE}/{self.manifest.key[:16]}"
        return ReadOnly(folder=self.library, root=root, target=target)

    def touch(self, when: datetime | None = None) -> None:
        """Remember that it was used, now unless `when` says otherwise."""
        file = self.folder / _USED
        file.touch()
        if when is not None:
            os.utime(file, (when.timestamp(), when.timestamp()))

    def files(self) -> Sequence[str]:
        """The paths of its files, below the folder of the packages."""
        return list(_checksums(self.folder) or ())


def read(folder: Path) -> Entry | None:
    """The set in a folder; None if there is none, or one that cannot be read."""
    try:
        data: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        data["created"] = datetime.fromisoformat(data["created"])
        return Entry(folder, Manifest(**data))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def looks_whole(entry: Entry) -> bool:
    """Whether nothing was added to or removed from its folders: quick, done at every use."""
    library = entry.library
    try:
        for name, changed in entry.manifest.folders.items():
            if os.stat(f"{library}/{name}").st_mtime_ns != changed:  # noqa: PTH116 # hundreds
                return False
    except OSError:
        return False
    return True


def is_whole(entry: Entry) -> bool:
    """Whether every file is as it was made; reads all of them."""
    known = _checksums(entry.folder)
    if known is None:
        return False
    library = entry.library
    try:
        return all(_checksum(library / name) == tuple(was) for name, was in known.items())
    except OSError:
        return False


def seal(folder: Path, manifest: Manifest) -> Entry:
    """Make the set in a folder what is never changed again: with checksums, read-only, on disk."""
    library = folder / LIBRARY
    library.mkdir(exist_ok=True)
    checksums: dict[str, tuple[int, str]] = {}
    for path in _files(library):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & _READ_ONLY_MODE | 0o444)
        if path.parent.name != _BYTECODE:
            checksums[str(path.relative_to(library))] = _checksum(path)
    size = sum(path.lstat().st_size for path in _files(library))
    (folder / _CHECKSUMS).write_text(json.dumps(checksums))
    whole = replace(manifest, size_bytes=size, programs=_programs(library))
    entry = write_manifest(folder, replace(whole, folders=_folders(library)))
    # A set that lost a file to a power cut would be noticed only by scripts.
    os.sync()
    return entry


def write_manifest(folder: Path, manifest: Manifest) -> Entry:
    """Write what is known of a set, all or nothing."""
    data = asdict(manifest) | {"created": manifest.created.isoformat()}
    new = folder / f"{MANIFEST}.new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as stream:
        json.dump(data, stream)
    new.replace(folder / MANIFEST)
    return Entry(folder, manifest)


def accept(entry: Entry) -> Entry:
    """Take the folders as they are now: their files were all found to be as they were made."""
    return write_manifest(entry.folder, replace(entry.manifest, folders=_folders(entry.library)))


def _files(library: Path) -> Sequence[Path]:
    return [path for path in library.rglob("*") if path.is_symlink() or not path.is_dir()]


def _folders(library: Path) -> dict[str, int]:
    """Every folder's time of change; Python may add to those of bytecode."""
    found = {".": library.stat().st_mtime_ns}
    for path in library.rglob("*"):
        if path.is_dir() and not path.is_symlink() and path.name != _BYTECODE:
            found[str(path.relative_to(library))] = path.stat().st_mtime_ns
    return found


def _programs(library: Path) -> Sequence[str]:
    folder = library / "bin"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ()


def _checksum(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file; of a link the place that it points to."""
    content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
    return len(content), hashlib.sha256(content).hexdigest()


def _checksums(folder: Path) -> Mapping[str, tuple[int, str]] | None:
    try:
        return json.loads((folder / _CHECKSUMS).read_bytes())
    except (OSError, ValueError):
        return None

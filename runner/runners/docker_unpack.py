"""Taking a folder back from a container: its archive is made of whatever a script left there."""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from runner.errors import TaskFailed

_CHUNK_BYTES = 1024 * 1024
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may come out of one container."""

    bytes: int = 10 * 1024**3
    entries: int = 100_000
    depth: int = 50


class Unpacker:
    """Writes the entries of an archive below `folder`, and nowhere else.

    Files, folders and links that stay inside are made; devices, FIFOs and links that lead out are
    left out. Nothing is followed: every folder on the way is opened without following links.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._bytes = 0
        self._entries = 0

    def unpack(self, read: Callable[[int], bytes]) -> None:
        """Write all entries of the tar stream that `read` gives; blocks, so for a thread.

        Raises:
            TaskFailed: there is more than the limits allow, or the disk is full.
        """
        stream = cast("IO[bytes]", _Reading(read))
        try:
            with (
                tarfile.open(
                    fileobj=stream, mode="r|", errors="surrogateescape", bufsize=_CHUNK_BYTES
                ) as archive,
                ExitStack() as closing,
            ):
                root = os.open(self._folder, _FOLDER_FLAGS)
                closing.callback(os.close, root)
                while (entry := archive.next()) is not None:
                    self._take(root, entry, archive)
                    # It would remember every entry, and there may be very many.
                    remembered: Any = archive
                    remembered.members.clear()
        except tarfile.TarError as error:
            raise TaskFailed(f"The files of the container ended too early: {error}") from error
        except OSError as error:
            raise TaskFailed(
                f"Cannot write the container's files to {self._folder}: {error.strerror}"
            ) from error

    def _take(self, root: int, entry: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        self._entries += 1
        parts = self._parts(entry.name)
        if self._entries > self._limits.entries:
            raise TaskFailed(f"The container's folder has more than {self._limits.entries} files")
        if parts is None:
            return
        with ExitStack() as closing:
            if entry.isdir():
                _enter(root, parts, closing)
                return
            folder = _enter(root, parts[:-1], closing)
            if entry.isreg():
                self._write(folder, parts[-1], entry, archive)
            elif entry.issym():
                self._link(folder, parts, entry.linkname)
            elif entry.islnk():
                self._hard_link(root, folder, parts[-1], entry.linkname, closing)

    def _parts(self, name: str) -> list[str] | None:
        """The path below the folder; None for the folder itself and for what is no such path."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or name.startswith("/") or "\0" in name:
            return None
        # The engine puts the folder's own name before everything in it.
        del parts[:1]
        if len(parts) > self._limits.depth:
            raise TaskFailed(
                f"The container's folder is nested deeper than {self._limits.depth} folders"
            )
        return parts or None

    def _write(
        self, folder: int, name: str, entry: tarfile.TarInfo, archive: tarfile.TarFile
    ) -> None:
        self._bytes += entry.size
        if self._bytes > self._limits.bytes:
            raise TaskFailed(
                f"The container's folder holds more than {self._limits.bytes} bytes"
                f" ('{entry.name}' alone has {entry.size})"
            )
        content = archive.extractfile(entry)
        assert content is not None
        _remove(folder, name)
        mode = 0o755 if entry.mode & 0o111 else 0o644
        fd = os.open(name, _NEW_FILE_FLAGS, mode, dir_fd=folder)
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            while chunk := content.read(_CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            os.utime(fd, (entry.mtime, entry.mtime))

    def _link(self, folder: int, parts: list[str], target: str) -> None:
        """Make a symbolic link again, if what it says stays inside."""
        here = posixpath.join(str(self._folder), *parts[:-1])
        end = posixpath.normpath(posixpath.join(here, target))
        inside = end == str(self._folder) or end.startswith(f"{self._folder}/")
        if inside and "\0" not in target:
            _remove(folder, parts[-1])
            os.symlink(target, parts[-1], dir_fd=folder)

    def _hard_link(
        self, root: int, folder: int, name: str, target: str, closing: ExitStack
    ) -> None:
        parts = self._parts(target)
        if parts is None:
            return
        source = _enter(root, parts[:-1], closing)
        with suppress(FileNotFoundError):
            if stat.S_ISREG(os.lstat(parts[-1], dir_fd=source).st_mode):
                _remove(folder, name)
                os.link(
                    parts[-1], name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False
                )


class _Reading:
    """A function that gives bytes, as the file that `tarfile` wants."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


def _enter(root: int, parts: list[str], closing: ExitStack) -> int:
    """A descriptor of the folder at `parts` below `root`, made where it is missing."""
    folder = root
    for part in parts:
        try:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
        except OSError:
            # Missing, or something else, or a link: what the container has here is a folder.
            _remove(folder, part)
            os.mkdir(part, 0o755, dir_fd=folder)
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
        closing.callback(os.close, inner)
        folder = inner
    return folder


def _remove(folder: int, name: str) -> None:
    """Make room for a new entry: remove what is there, a folder with all in it."""
    try:
        found = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)

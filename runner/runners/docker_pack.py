"""A folder as a tar stream for a container; memory use does not depend on its size."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

_CHUNK_BYTES = 256 * 1024
_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose the files are in the container. `uid` None: not known, so everybody may write."""

    uid: int | None
    gid: int = 0

    def mode(self, mode: int) -> int:
        """The mode of a file or folder of ours, for this owner."""
        if self.uid is not None:
            return mode & 0o777
        # As `chmod a+rwX`.
        return (mode | 0o666 | (0o111 if mode & 0o111 else 0)) & 0o777


async def packed_folder(folder: Path, name: str, owner: Owner) -> AsyncGenerator[bytes]:
    """The folder and all in it, as tar entries below `name`, without the end of an archive.

    Symbolic links stay links; what is neither file, folder nor link is left out.
    """
    chunks = _chunks(folder, name.strip("/"), owner)
    while (chunk := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
        yield chunk


def packed_texts(files: Mapping[str, bytes], folders: Mapping[str, int]) -> bytes:
    """Files of root's, with the folders around them and their modes, as tar entries."""
    parts: list[bytes] = []
    for name, mode in folders.items():
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, mode
        parts.append(_header(info))
    for name, data in files.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        parts += [_header(info), data, _padding(len(data))]
    return b"".join(parts)


END = b"\0" * (2 * _BLOCK)
"""What ends an archive."""


def _chunks(folder: Path, name: str, owner: Owner) -> Iterator[bytes]:
    """The entries in pieces of about a chunk each."""
    pending: list[bytes] = []
    size = 0
    for piece in _pieces(folder, name, owner):
        pending.append(piece)
        size += len(piece)
        if size >= _CHUNK_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)


def _pieces(folder: Path, name: str, owner: Owner) -> Iterator[bytes]:
    yield _header(_info(name, folder.lstat(), owner))
    waiting = [(folder, name)]
    while waiting:
        inside, prefix = waiting.pop()
        with os.scandir(inside) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                found = entry.stat(follow_symlinks=False)
                info = _info(f"{prefix}/{entry.name}", found, owner)
                if stat.S_ISDIR(found.st_mode):
                    yield _header(info)
                    waiting.append((Path(entry.path), info.name))
                elif stat.S_ISLNK(found.st_mode):
                    info.type, info.size = tarfile.SYMTYPE, 0
                    info.linkname = os.readlink(entry.path)  # noqa: PTH115 - the exact text
                    yield _header(info)
                elif stat.S_ISREG(found.st_mode):
                    yield from _file(Path(entry.path), info)


def _file(path: Path, info: tarfile.TarInfo) -> Iterator[bytes]:
    """A file's header and exactly as many bytes as the header says, whatever happens to it."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb", buffering=0) as file:
        yield _header(info)
        left = info.size
        while left:
            piece = file.read(min(left, _CHUNK_BYTES))
            if not piece:
                piece = b"\0" * min(left, _CHUNK_BYTES)
            left -= len(piece)
            yield piece
    yield _padding(info.size)


def _info(name: str, found: os.stat_result, owner: Owner) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if stat.S_ISDIR(found.st_mode) else tarfile.REGTYPE
    info.size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    info.mode = owner.mode(found.st_mode)
    info.mtime = int(found.st_mtime)
    info.uid, info.gid = owner.uid or 0, owner.gid
    return info


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)

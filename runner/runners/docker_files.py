"""How a command's files get into its container and back: shared folders or archives."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio.from_thread
import anyio.to_thread

from runner.errors import RunnerUnavailable, TaskFailed
from runner.runners.base import Command
from runner.runners.docker_archive import next_chunk, one, put, read_file
from runner.runners.docker_client import Engine, EngineError, EngineInfo
from runner.runners.docker_entry import SIDE
from runner.runners.docker_options import DockerOptions
from runner.runners.docker_pack import Owner, packed_folder, packed_texts
from runner.runners.docker_unpack import Limits, Unpacker
from runner.runners.docker_visibility import Mount, bind
from runner.runners.side_file import NAME, READ_LIMIT_BYTES, SideFolder, parse

OURS = ".eyas"
"""The folder at a container's root that holds the shim and the side file."""

SIDE_FILE = f"{SIDE}/{NAME}"
SHIM_SITE = f"/{OURS}/shim/site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """How the files of one command travel.

    `shared`: the working directory and the side file's folder are mounted, else they are copied
    in and out. `shim_shared`: the same for the shim. `owner`: whom they belong to inside.
    `reads_shared`: the folders that it only reads are mounted. `writable_root` False: copies go
    into volumes, as the container's root cannot be written.
    """

    command: Command
    side: SideFolder
    shared: bool
    shim_shared: bool
    owner: Owner
    writable_root: bool
    reads_shared: bool = True

    def mounts(self) -> Sequence[Mount]:
        """The mounts of the container."""
        mounts: list[Mount] = []
        if self.shared:
            mounts.append(bind(self.command.workdir, str(self.command.workdir)))
            mounts.append(bind(self.side.path, f"/{OURS}/side"))
        elif not self.writable_root:
            mounts.append({"Type": "volume", "Target": str(self.command.workdir.parent)})
            mounts.append({"Type": "volume", "Target": f"/{OURS}"})
        for read in self.command.reads:
            if self.reads_shared:
                mounts.append(bind(read.folder, read.target, read_only=True))
            elif not self.writable_root:
                mounts.append({"Type": "volume", "Target": str(Path(read.target).parent)})
        if self.command.shim and self.shim_shared:
            from kestra_shim import site_path

            mounts.append(bind(site_path.parent, f"/{OURS}/shim", read_only=True))
        return mounts

    async def prepare(self, engine: Engine, container: str) -> None:
        """Bring what is not mounted and any task needs into a container that was not started."""
        if not self.reads_shared:
            await self._put_reads(engine, container)
        if self.shared or self.writable_root:
            if ours := self._ours():
                await put(engine, container, "/", one(ours))
        else:
            await put(engine, container, f"/{OURS}", one(self._ours("")))

    async def put_in(
        self, engine: Engine, container: str, entry: Mapping[str, bytes] | None = None
    ) -> None:
        """Bring the task's own files into the container, and those of `entry` beside its markers.

        It may run already, but must not have begun the command.
        """
        if not self.shared:
            workdir = self.command.workdir
            place = "/" if self.writable_root else str(workdir.parent)
            content = packed_folder(workdir, str(workdir.relative_to(place)), self.owner)
            await put(engine, container, place, content)
        elif self.owner.uid != 0:
            await anyio.to_thread.run_sync(open_up, self.command.workdir, self.owner)
        if entry:
            await self.put_beside(engine, container, entry)

    async def put_beside(self, engine: Engine, container: str, texts: Mapping[str, bytes]) -> None:
        """Bring a few small files into the private folder of a container, by their names."""
        if self.shared:
            for name, data in texts.items():
                _write_new(self.side.path / name, data)
        else:
            await put(engine, container, SIDE, one(packed_texts(texts, {})))

    async def _put_reads(self, engine: Engine, container: str) -> None:
        for read in self.command.reads:
            target = Path(read.target)
            place = "/" if self.writable_root else str(target.parent)
            content = packed_folder(read.folder, str(target.relative_to(place)), Owner(uid=0))
            await put(engine, container, place, content)

    def _ours(self, prefix: str = f"{OURS}/") -> bytes:
        """The shim and the side file's folder, as far as they are not mounted."""
        folders: dict[str, int] = {}
        texts: dict[str, bytes] = {}
        if not self.shared:
            folders[f"{prefix}side"] = 0o777
        if self.command.shim and not self.shim_shared:
            from kestra_shim import files

            texts = {f"{prefix}shim/{path}": data for path, data in files().items()}
            for path in texts:
                parents = [str(parent) for parent in reversed(Path(path).parents)]
                folders |= {parent: 0o755 for parent in parents if parent not in (".", OURS)}
        if not folders:
            return b""
        top = {prefix.rstrip("/"): 0o755} if prefix else {}
        return packed_texts(texts, {**top, **folders})

    async def take_back(self, engine: Engine, container: str, exit_code: int) -> Sequence[str]:
        """Copy the working directory back, if it was copied; gives the side file's markers.

        Raises:
            TaskFailed: there is more than may be copied, or the disk is full.
        """
        if self.shared:
            return await self.side.markers()
        if exit_code == 0 or self.command.sync_back:
            await self._folder_back(engine, container)
        if not self.command.shim:
            return ()
        try:
            data = await read_file(engine, container, SIDE_FILE, READ_LIMIT_BYTES)
        except EngineError:
            # The script sent nothing, or removed it.
            return ()
        return parse(data)

    async def _folder_back(self, engine: Engine, container: str) -> None:
        unpacker = Unpacker(self.command.workdir, Limits())
        path = f"containers/{container}/archive"
        params = {"path": str(self.command.workdir)}
        try:
            async with engine.request("GET", path, params=params) as response:

                def read(size: int) -> bytes:
                    anyio.from_thread.check_cancelled()
                    return anyio.from_thread.run(next_chunk, response, size)

                await anyio.to_thread.run_sync(unpacker.unpack, read)
        except EngineError as error:
            if error.status != 404:
                raise
            if await engine.inspect(container) is None:
                raise TaskFailed("The container was removed with the task's files") from error
            raise TaskFailed("The script removed its working directory") from error


def _write_new(file: Path, data: bytes) -> None:
    """Write a file that any user may read, whatever our umask, and that was not there before.

    What runs in the container already may have put a link to another file in its place.

    Raises:
        RunnerUnavailable: something is in its place, or it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(file, flags, 0o600)
        with os.fdopen(handle, "wb") as writing:
            os.fchmod(handle, 0o644)
            writing.write(data)
    except FileExistsError as error:
        raise RunnerUnavailable(
            f"The image's own programs have made /{OURS}/side/{file.name} before the task began"
        ) from error
    except OSError as error:
        raise RunnerUnavailable(f"Cannot write to {file.parent}: {error.strerror}") from error


def open_up(folder: Path, owner: Owner) -> None:
    """Let the container's user, who is not root, write what is in a mounted folder."""
    for path, _, names in os.walk(folder):
        for name in (path, *(os.path.join(path, name) for name in names)):  # noqa: PTH118
            found = os.lstat(name)
            if stat.S_ISLNK(found.st_mode):
                continue
            # What an earlier container made belongs to its user: it is as he left it.
            with suppress(PermissionError):
                if owner.uid is not None and os.geteuid() == 0:
                    os.chown(name, owner.uid, owner.gid, follow_symlinks=False)
                else:
                    Path(name).chmod(owner.mode(found.st_mode))


def may_share(options: DockerOptions, info: EngineInfo, owner: Owner) -> bool:
    """Whether a mounted folder would be ours to use and to delete afterwards."""
    if info.labels_files:
        return False
    if options.file_handling == "MOUNT":
        return True
    ours = os.geteuid()
    if ours == 0:
        return True
    if info.rootless:
        return owner.uid == 0
    return owner.uid == ours and not info.maps_users


def owner_of(user: str) -> Owner:
    """Whom files belong to, for the `user` of a container: numbers, a name, or nothing (root)."""
    name, _, group = user.partition(":")
    if name in ("", "root"):
        return Owner(uid=0)
    if not name.isdigit():
        return Owner(uid=None)
    return Owner(uid=int(name), gid=int(group) if group.isdigit() else 0)

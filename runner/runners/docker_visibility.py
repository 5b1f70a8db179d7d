"""Which folders of this machine a Docker engine sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import anyio
import anyio.to_thread

from runner.runners.docker_archive import read_file
from runner.runners.docker_client import Engine, EngineError
from runner.runners.docker_container import made
from runner.runners.maker import Maker

Mount = Mapping[str, Any]


def bind(source: Path | str, target: str, *, read_only: bool = False) -> Mount:
    """A folder of this machine in a container. Unlike `Binds` it makes no missing source."""
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


class Visibility:
    """Which folders of ours the engine sees at the same path; asked once, then remembered.

    Nothing is taken for granted: the engine may be remote, in a virtual machine, in another mount
    namespace, or we may be in a container ourselves. A container is made, never started, and
    asked for a file that only we can have put there.
    """

    def __init__(self, engine: Engine, maker: Maker, tmp_dir: Path) -> None:
        self._engine = engine
        self._maker = maker
        self._tmp_dir = tmp_dir
        self._known: dict[Path, bool] = {}
        self._lock = anyio.Lock(fast_acquire=True)

    async def of_folder(self, folder: Path, image: str) -> bool:
        """Whether the engine sees `folder`. `image` is any image that is there."""
        # All working directories are in one folder as a rule: one question answers for all.
        covered = _is_within(folder, self._tmp_dir)
        root = self._tmp_dir if covered else folder
        return await self._remembered(root, lambda: self._by_nonce(root, image))

    async def of_shim(self, image: str) -> bool:
        """Whether the engine sees the shim, and any user may read it there."""
        from kestra_shim import site_path

        return await self._remembered(site_path, lambda: self._by_content(site_path, image))

    async def _remembered(self, root: Path, ask: Callable[[], Awaitable[bool]]) -> bool:
        async with self._lock:
            if root not in self._known:
                self._known[root] = await ask()
            return self._known[root]

    async def _by_nonce(self, root: Path, image: str) -> bool:
        name = f"eyas-probe-{token_hex(16)}"
        nonce = name.encode()
        file = root / name
        try:
            file.write_bytes(nonce)
            return await self._shows(image, root, name) == nonce
        except OSError:
            return False
        finally:
            file.unlink(missing_ok=True)

    async def _by_content(self, site: Path, image: str) -> bool:
        root = site.parent
        names = await anyio.to_thread.run_sync(_closed_to_others, root)
        if names:
            return False
        name = "site/sitecustomize.py"
        return await self._shows(image, root, name) == (root / name).read_bytes()

    async def _shows(self, image: str, folder: Path, name: str) -> bytes | None:
        """What the engine has at `folder`/`name`; None if nothing."""
        config = {
            "Image": image,
            "Cmd": ["none"],
            "Entrypoint": [""],
            "Labels": self._maker.labels(token_hex(8)),
            "HostConfig": {"Mounts": [bind(folder, "/eyas-probe", read_only=True)]},
        }
        container_name = f"eyas-probe-{token_hex(8)}"
        try:
            async with made(
                self._engine, config, container_name, keep=lambda: False, warn=lambda _: None
            ) as container:
                return await read_file(self._engine, container, f"/eyas-probe/{name}", 65536)
        except EngineError:
            # "bind source path does not exist", in the words of whatever engine it is.
            return None


def _is_within(folder: Path, root: Path) -> bool:
    """Whether `folder` is below `root`, with no other file system mounted in between."""
    return root in folder.parents and root.stat().st_dev == folder.stat().st_dev


def _closed_to_others(root: Path) -> Sequence[Path]:
    """The files and folders of the shim that another user could not read."""
    paths = [root, *root.rglob("*")]
    return [
        path
        for path in paths
        if path.stat().st_mode & (0o5 if path.is_dir() else 0o4) != (0o5 if path.is_dir() else 0o4)
    ]

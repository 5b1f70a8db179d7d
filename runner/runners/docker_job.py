"""What one command needs of its container, known before there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runner.runners.base import Command
from runner.runners.docker_client import Engine, EngineInfo
from runner.runners.docker_entry import Entry
from runner.runners.docker_files import SHIM_SITE, SIDE_FILE, Files, may_share, owner_of
from runner.runners.docker_images import Image, Images
from runner.runners.docker_options import DockerOptions
from runner.runners.docker_recipe import Recipe, recipe_of
from runner.runners.docker_standbys import Standbys
from runner.runners.docker_visibility import Visibility
from runner.runners.side_file import SideFolder
from runner.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """An engine and what was found out about it."""

    engine: Engine
    info: EngineInfo
    images: Images
    visibility: Visibility
    standbys: Standbys


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command on its way into a container. `entry` None: only the engine can start it."""

    host: Host
    command: Command
    options: DockerOptions
    recipe: Recipe
    env: Mapping[str, str]
    entry: Entry | None

    def files(self, side: SideFolder) -> Files:
        """How its files travel, with its own private folder."""
        return replace(self.recipe.files, command=self.command, side=side)


async def job_of(
    host: Host, command: Command, options: DockerOptions, image: Image, settings: Settings
) -> Job:
    """A command on its way into a container of `image`, which is there."""
    env = _environment(command, image)
    strict = settings.docker_profile == "strict"
    recipe = recipe_of(
        command,
        options,
        image,
        await _files(host, command, options, image, writable_root=not strict),
        log_driver=host.info.log_driver,
        strict=strict,
    )
    entry = Entry.of(command.argv, env, options)
    return Job(host=host, command=command, options=options, recipe=recipe, env=env, entry=entry)


async def _files(
    host: Host, command: Command, options: DockerOptions, image: Image, *, writable_root: bool
) -> Files:
    owner = owner_of(options.user if options.user is not None else image.user)
    # A container that outlives its task must not lose its folder with it.
    shared = options.wait and may_share(options, host.info, owner)
    see = host.visibility
    return Files(
        command=command,
        side=SideFolder.at(Path()),
        shared=shared and await see.of_folder(command.workdir, image.id),
        reads_shared=options.wait
        and not host.info.labels_files
        and all([await see.of_folder(read.root, image.id) for read in command.reads]),
        shim_shared=command.shim and not host.info.labels_files and await see.of_shim(image.id),
        owner=owner,
        writable_root=writable_root,
    )


def _environment(command: Command, image: Image) -> Mapping[str, str]:
    env = dict(command.env)
    if command.shim:
        # The image's own path is lost if we set one.
        path = (SHIM_SITE, env.get("PYTHONPATH") or image.env.get("PYTHONPATH", ""))
        env["PYTHONPATH"] = ":".join(part for part in path if part)
        env["EYAS_SIDE_FILE"] = SIDE_FILE
    return env

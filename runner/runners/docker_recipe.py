"""What a container is made of before it is known whose it will be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anyio.lowlevel import checkpoint

from runner.runners.base import Command
from runner.runners.docker_entry import waiting_line
from runner.runners.docker_files import Files
from runner.runners.docker_images import Image
from runner.runners.docker_options import DockerOptions
from runner.runners.docker_request import container_request
from runner.runners.side_file import SideFolder

_WORKDIR, _SIDE = Path("/workdir"), Path("/side")
"""They stand for the folders of a container in what all of its kind have in common."""

_NETWORKS = (None, "default", "bridge", "none", "host")
"""Networks that are always there; others would be kept from being removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make containers of one kind: all that cannot be changed once they are made.

    `files` says how files travel; its command and side folder stand for those of any task.
    """

    options: DockerOptions
    image: Image
    files: Files
    log_driver: str
    strict: bool

    def request(
        self,
        argv: Sequence[str],
        *,
        waits: bool,
        workdir: Path,
        side: SideFolder,
        labels: Mapping[str, str],
        env: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """The body of `POST /containers/create` for a container with these folders.

        `waits`: its first process waits for a line on its input.
        """
        command = replace(self.files.command, argv=argv, workdir=workdir)
        files = replace(self.files, command=command, side=side)
        return container_request(
            command,
            self.options,
            env=env or {},
            mounts=files.mounts(),
            labels=labels,
            log_driver=self.log_driver,
            strict=self.strict,
            waits=waits,
        )

    def waiting(
        self, shell: str, *, workdir: Path, side: SideFolder, labels: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """The request for a container in which `shell` waits for its command."""
        argv = waiting_line(shell)
        return self.request(argv, waits=True, workdir=workdir, side=side, labels=labels)

    def kind(self, shell: str, workdir: Path | None) -> str:
        """A text that is the same for all containers that may stand in for each other.

        `shell` waits in it. `workdir` None: any new, empty folder will do.
        """
        side = SideFolder.at(_SIDE)
        request = self.waiting(shell, workdir=workdir or _WORKDIR, side=side, labels={})
        return json.dumps([self.options.host, self.image.id, request], sort_keys=True)

    @property
    def may_be_held(self) -> bool:
        """Whether a container may stay as it is for a moment after its command has ended.

        Not if what the command tells of its end is not enough.
        """
        return self.files.shared and self.options.memory is None

    @property
    def may_wait(self) -> bool:
        """Whether such containers may stand by: they hold nothing that others could want."""
        options = self.options
        return not (
            options.volumes
            or options.port_bindings
            or options.device_requests
            or options.privileged
            or options.network_mode not in _NETWORKS
        )


def recipe_of(
    command: Command,
    options: DockerOptions,
    image: Image,
    files: Files,
    *,
    log_driver: str,
    strict: bool,
) -> Recipe:
    """The recipe behind one command's container, without anything that is the command's own."""
    plain = replace(command, argv=(), env={}, leaving=None, standby=None, recorded=checkpoint)
    return Recipe(
        options=replace(options, credentials=None, config=None),
        image=image,
        files=replace(files, command=plain),
        log_driver=log_driver,
        strict=strict,
    )

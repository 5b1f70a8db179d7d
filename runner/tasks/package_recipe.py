"""What it takes to install a set of packages, and the key that the result is known by."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runner.records import record

if TYPE_CHECKING:
    from runner.runners.docker_options import DockerOptions


PASSED_ON = (
    *("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""Variables of this machine that say where packages come from; a container gets them too."""


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of this machine that an installer in a container gets."""
    return {name: environ[name] for name in PASSED_ON if name in environ}


_INFLUENCE = ("PIP_", "UV_")
_COMPILERS = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")
_NO_INFLUENCE = ("PIP_ROOT_USER_ACTION", "PIP_DISABLE_PIP_VERSION_CHECK", "UV_PATH")
_EXACT = r"[^=<>!~;@]+(==[^*=<>!~,]+|===.+)(;.*)?"
_PASSWORD = r"://[^/\s@]+@"


@record(kw_only=True)
class Image:
    """The image that a set is made for and in. `id` is its digest, `name` what people call it."""

    id: str
    name: str
    user: str | None = None
    host: str | None = None
    network_mode: str | None = None
    extra_hosts: Sequence[str] = ()

    def options(self) -> DockerOptions:
        """A container of exactly this image, with a network and without limits."""
        from runner.runners.docker_options import DockerOptions

        return DockerOptions(
            image=self.id,
            pull_policy="NEVER",
            user=self.user,
            host=self.host,
            network_mode=None if self.network_mode == "none" else self.network_mode,
            extra_hosts=self.extra_hosts,
        )


@record(kw_only=True)
class Recipe:
    """How a set is made.

    `kind`: `dependencies` of a task, or the `install` lines of its `beforeCommands`. `wanted` are
    requirements, or whole lines. `files` are texts that these lines or requirements name, `wheels`
    checksums of local packages that they name; both by their paths in the working directory.
    `python` is an interpreter of this machine and `identity` what is known of it; without one,
    `image` says where. `env` are the variables of the task that an installer heeds. `floating`:
    another day may bring other packages.
    """

    kind: Literal["dependencies", "install"]
    wanted: Sequence[str]
    manager: str = "UV"
    version: str = ""
    needs_uv: bool = False
    python: str = ""
    identity: str = ""
    image: Image | None = None
    floating: bool = False
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    wheels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        """A name that two recipes share only if they lead to the same packages."""
        image = self.image
        where = f"image {image.id} {image.user}" if image else f"{self.python} {self.identity}"
        # The order of requirements means nothing, that of lines does.
        wanted = sorted(self.wanted) if self.kind == "dependencies" else list(self.wanted)
        parts = [
            *("eyas-packages-1", self.kind, where, wanted, self.manager, self.version),
            *(sorted(self.env.items()), sorted(self.files.items()), sorted(self.wheels.items())),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def target(self) -> str:
        """What the set is for, in words."""
        return self.image.name if self.image else self.python

    def kept(self) -> Mapping[str, Any] | None:
        """The recipe as plain data; None if it has a password, or files that will not last."""
        data = asdict(self)
        return None if self.wheels or re.search(_PASSWORD, json.dumps(data)) else data

    @staticmethod
    def of(data: Mapping[str, Any]) -> Recipe:
        """The recipe that `kept` gave."""
        known = {each.name for each in fields(Recipe)}
        values: dict[str, Any] = {name: data[name] for name in known if name in data}
        if values.get("image"):
            values["image"] = Image(**values["image"])
        return Recipe(**values)


def is_exact(requirement: str) -> bool:
    """Whether a requirement names one version."""
    return re.fullmatch(_EXACT, requirement.strip()) is not None


def shown(wanted: Sequence[str]) -> Sequence[str]:
    """Requirements or lines without passwords."""
    return [re.sub(_PASSWORD, "://***@", text) for text in wanted]


def influences(env: Mapping[str, str]) -> dict[str, str]:
    """The variables in `env` that an installer heeds."""
    return {
        name: value
        for name, value in env.items()
        if (name.startswith(_INFLUENCE) or name in PASSED_ON or name in _COMPILERS)
        and name not in _NO_INFLUENCE
    }


def local_packages(wanted: Sequence[str], folder: Path, *, anywhere: bool) -> dict[str, str] | None:
    """Checksums of the files that requirements name, by their paths; {} if they name none.

    None: one of them is no file, or outside of `folder` while only what is in it can be used.
    """
    found: dict[str, str] = {}
    for requirement in wanted:
        name = _local(requirement, folder)
        if name is None:
            continue
        path = folder / name
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if not path.is_file() or not (inside or anywhere):
            return None
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _local(requirement: str, folder: Path) -> str | None:
    """The path that a requirement names, None if it names none."""
    text = requirement.partition(" @ ")[2] or requirement
    text = text.strip().partition(";")[0].rstrip()
    if text.startswith("file:"):
        from urllib.parse import unquote, urlsplit

        return unquote(urlsplit(text).path)
    bare = re.sub(r"\[[^]]*\]$", "", text)
    is_path = text.startswith((".", "/")) or (os.sep in bare and "://" not in bare)
    return bare if is_path or (folder / bare).is_file() else None

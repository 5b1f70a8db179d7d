"""Settings: read once from the environment and one file, then handed down, never changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

INSTANCE_LABEL = "eyas.instance"
"""Label of every container and volume that Eyas makes; its value says which Eyas made it."""

TEMP_PREFIX = "eyas-"
"""How the names of Eyas's folders in the temporary directory begin."""


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where executions, files and keys are kept unless a setting says otherwise."""
    base = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "eyas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with its default.

    `environ` is the process environment at the start: secrets (`SECRET_*`), variables for flows
    and Docker's own variables are looked up in it. Task processes inherit it.

    For the daemon: `host` and `port` are where its API listens; on another address than loopback
    it wants `api_user` and `api_password`, or `api_token`. `read_only` refuses every change
    through the API. `allowed_hosts` are further names a request may call it by, `cors_origins`
    web pages that may use it. `drain` is how long running tasks may take to end when it stops.
    """

    state_dir: Path = Path(".eyas")
    tmp_dir: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    task_runner: Literal["auto", "docker", "process"] = "docker"
    env_prefix: str = "ENV_"
    unknown_properties: Literal["refuse", "warn"] = "refuse"
    docker_host: str | None = None
    docker_volume_enabled: bool = False
    docker_privileged_enabled: bool = False
    docker_host_namespaces_enabled: bool = False
    docker_profile: Literal["default", "strict"] = "default"
    stop_grace: timedelta = timedelta(seconds=5)
    pipe_grace: timedelta = timedelta(seconds=5)
    host: str = "127.0.0.1"
    port: int = 8080
    read_only: bool = False
    api_user: str | None = None
    api_password: str | None = None
    api_token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_upload_bytes: int = 10 * 1024**3
    drain: timedelta = timedelta(seconds=30)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

"""What a flow may ask of the engine: judged on the rendered options, before anything is made."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runner.errors import RunnerUnavailable
from runner.runners.docker_host import Endpoint
from runner.runners.docker_options import DockerOptions
from runner.settings import Settings

_NEVER = (
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run",
    "/sys",
    "/usr",
    "/var",
    "/var/run",
)
"""Host folders that are not mounted as a whole even when volumes are on (reliability R2)."""

_NEVER_BELOW = ("/proc", "/sys", "/dev", "/etc")
_NAMED_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_METADATA = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))


def allowed(
    options: DockerOptions, settings: Settings, endpoint: Endpoint, warn: Callable[[str], None]
) -> DockerOptions:
    """`options` without what is ignored here; `warn` is told what that is.

    Raises:
        RunnerUnavailable: they ask for something that a setting has to allow first.
    """
    if options.privileged:
        _need(settings.docker_privileged_enabled, "privileged: true", "docker_privileged_enabled")
    if options.device_requests:
        _need(settings.docker_privileged_enabled, "deviceRequests", "docker_privileged_enabled")
    mode = options.network_mode or ""
    if mode == "host" or mode.startswith("container:"):
        _need(
            settings.docker_host_namespaces_enabled,
            f"networkMode: {mode}",
            "docker_host_namespaces_enabled",
        )
    if options.port_bindings:
        _need(
            settings.docker_host_namespaces_enabled,
            "portBindings",
            "docker_host_namespaces_enabled",
        )
    for entry in options.extra_hosts:
        if _is_metadata(entry):
            _need(
                settings.docker_host_namespaces_enabled,
                f"extraHosts '{entry}'",
                "docker_host_namespaces_enabled",
            )
    if not options.volumes:
        return options
    if not settings.docker_volume_enabled:
        # Kestra ignores them too, without a word (script-tasks 6.1).
        warn(
            f"volumes are not mounted ({', '.join(options.volumes)}): the setting"
            " docker_volume_enabled (EYAS_DOCKER_VOLUME_ENABLED=true) allows them"
        )
        return replace(options, volumes=())
    for volume in options.volumes:
        _check_volume(volume, settings, endpoint)
    return options


def _need(enabled: bool, what: str, setting: str) -> None:
    if not enabled:
        raise RunnerUnavailable(
            f"Cannot start the container: {what} is not allowed here. The setting {setting}"
            f" (EYAS_{setting.upper()}=true) allows it."
        )


def _check_volume(volume: str, settings: Settings, endpoint: Endpoint) -> None:
    """Refuse a mount that would hand over the host."""
    source, _, rest = volume.partition(":")
    if _NAMED_VOLUME.fullmatch(source) and rest:
        return
    if not source.startswith("/") or not rest.startswith("/"):
        raise RunnerUnavailable(
            f"Invalid volume '{volume}': write /path/on/host:/path/in/container[:ro]"
        )
    real = os.path.realpath(source)
    state = os.path.realpath(settings.state_dir)
    forbidden = [
        real in _NEVER,
        any(real.startswith(f"{folder}/") for folder in _NEVER_BELOW),
        _holds(real, state) or _holds(state, real),
        endpoint.socket is not None and _holds(real, os.path.realpath(endpoint.socket)),
        Path(real).name in ("docker.sock", "podman.sock"),
    ]
    if any(forbidden):
        raise RunnerUnavailable(
            f"Cannot start the container: policy: {real} is never mounted (volume '{volume}');"
            " mount a folder of data instead"
        )


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _is_metadata(entry: str) -> bool:
    """Whether a `host:ip` points to the addresses where clouds keep credentials."""
    try:
        address = ipaddress.ip_address(entry.partition(":")[2].strip("[]"))
    except ValueError:
        # `host-gateway`, or something that the engine refuses itself.
        return False
    return any(address in network for network in _METADATA)

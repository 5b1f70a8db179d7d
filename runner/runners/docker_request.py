"""The request that makes a container: the only place that says what may be in one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Owner
from runner.runners.docker_options import DeviceRequest, DockerOptions
from runner.runners.maker import Maker

LABEL_LIMIT = 63
PIDS_LIMIT = 512

_LOG_BOUNDS = {"max-size": "10m", "max-file": "2"}
"""The log is only for what was printed while nobody was attached; scripts may print anything."""

_PORT = re.compile(
    r"(?:(?P<ip>[^:\[\]]*|\[.*\]):)?(?P<host>\d*):(?P<inside>\d+)(?:/(?P<kind>\w+))?"
)


def labels(owner: Owner, maker: Maker, run: str) -> Mapping[str, str]:
    """Kestra's labels, for people, and ours, by which containers are found again."""
    values = {
        "namespace": owner.namespace,
        "flow-id": owner.flow_id,
        "task-id": owner.task_id,
        "execution-id": owner.execution_id,
        "taskrun-id": owner.task_run_id,
        "taskrun-attempt": str(owner.attempt),
    }
    found = {f"kestra.io/{name}": label_value(value) for name, value in values.items()}
    return {**found, **maker.labels(run)}


def label_value(text: str) -> str:
    """`text` cut as Kestra cuts the value of a label (script-tasks 6.1)."""
    return text[:LABEL_LIMIT].rstrip("-").rstrip(".").rstrip("_")


def container_request(
    command: Command,
    options: DockerOptions,
    *,
    env: Mapping[str, str],
    mounts: Sequence[Mapping[str, Any]],
    labels: Mapping[str, str],
    log_driver: str,
    strict: bool,
    waits: bool = False,
) -> Mapping[str, Any]:
    """The body of `POST /containers/create`. `strict`: no capabilities, read-only root.

    `waits`: its first process reads a line from its input, which ends when we are gone.

    There is no init process, as with Kestra: a program that is missing is refused at the start
    then, and `$$`, `ps` and what a signal does are what flows were written with.
    """
    request: dict[str, Any] = {
        "Image": options.image,
        "Cmd": list(command.argv),
        "WorkingDir": str(command.workdir),
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Labels": dict(labels),
        "AttachStdin": waits,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "OpenStdin": waits,
        "StdinOnce": waits,
        "HostConfig": {
            **_host_config(options, mounts, strict=strict),
            "LogConfig": {"Type": log_driver, "Config": _LOG_BOUNDS},
        },
    }
    if options.entry_point is not None:
        request["Entrypoint"] = list(options.entry_point)
    if options.user is not None:
        request["User"] = options.user
    if options.port_bindings:
        ports = _ports(options.port_bindings)
        request["ExposedPorts"] = {port: {} for port in ports}
        request["HostConfig"]["PortBindings"] = ports
    return request


def _host_config(
    options: DockerOptions, mounts: Sequence[Mapping[str, Any]], *, strict: bool
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Mounts": list(mounts),
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": PIDS_LIMIT,
        "OomScoreAdj": 500,
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
    }
    if options.privileged:
        config |= {"Privileged": True, "SecurityOpt": []}
    if strict:
        config |= {"CapDrop": ["ALL"], "ReadonlyRootfs": True, "Tmpfs": {"/tmp": ""}}
    wanted: dict[str, Any] = {
        "NetworkMode": options.network_mode,
        "Binds": list(options.volumes),
        "ExtraHosts": list(options.extra_hosts),
        "NanoCpus": None if options.cpus is None else round(options.cpus * 1e9),
        "Memory": options.memory,
        "MemorySwap": options.memory_swap,
        "MemoryReservation": options.memory_reservation,
        "KernelMemory": options.kernel_memory,
        "MemorySwappiness": options.memory_swappiness,
        "OomKillDisable": options.oom_kill_disable,
        "ShmSize": options.shm_size,
        "DeviceRequests": [_device_request(device) for device in options.device_requests],
    }
    return config | {name: value for name, value in wanted.items() if value not in (None, [])}


def _device_request(device: DeviceRequest) -> Mapping[str, Any]:
    request: dict[str, Any] = {
        "Driver": device.driver,
        "DeviceIDs": list(device.device_ids),
        "Capabilities": [list(words) for words in device.capabilities],
        "Options": dict(device.options),
    }
    if device.count is not None:
        request["Count"] = device.count
    return request


def _ports(bindings: Sequence[str]) -> dict[str, list[Mapping[str, str]]]:
    """Docker's map of `[ip:]hostPort:containerPort[/proto]`."""
    ports: dict[str, list[Mapping[str, str]]] = {}
    for binding in bindings:
        found = _PORT.fullmatch(binding)
        if found is None:
            raise RunnerUnavailable(
                f"Invalid portBindings '{binding}': write [ip:]hostPort:containerPort[/proto]"
            )
        target = {"HostIp": (found["ip"] or "").strip("[]"), "HostPort": found["host"]}
        ports.setdefault(f"{found['inside']}/{found['kind'] or 'tcp'}", []).append(target)
    return ports

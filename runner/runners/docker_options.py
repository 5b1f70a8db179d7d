"""The options of a Docker task runner, as a flow wrote them and expressions left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast

from runner.errors import TaskFailed
from runner.runners.properties import PropertyReader, from_json, plain

PullPolicy = Literal["IF_NOT_PRESENT", "ALWAYS", "NEVER"]
FileHandling = Literal["VOLUME", "MOUNT"]

_PULL_POLICIES: tuple[PullPolicy, ...] = ("IF_NOT_PRESENT", "ALWAYS", "NEVER")
_FILE_HANDLINGS: tuple[FileHandling, ...] = ("VOLUME", "MOUNT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What to show a registry. `registry` None: the registry of the image that is pulled."""

    registry: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    registry_token: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)
    auth: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """Devices that a container asks for, by the fields of Docker's own API."""

    driver: str = ""
    count: int | None = None
    device_ids: Sequence[str] = ()
    capabilities: Sequence[Sequence[str]] = ()
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerOptions:
    """How to make the container of one task. Sizes are in bytes; None: the engine's default.

    `image` None must be filled in before the options are used. `entry_point` None keeps the
    image's own ENTRYPOINT, `("",)` clears it. `config` is the content of a Docker `config.json`.
    `wait` False: start the container and leave it alone. `delete` False: keep it afterwards.
    `kill_grace` zero: kill at once. `host` None: the engine that the settings name.
    """

    image: str | None = None
    pull_policy: PullPolicy = "IF_NOT_PRESENT"
    user: str | None = None
    entry_point: Sequence[str] | None = ("",)
    network_mode: str | None = None
    volumes: Sequence[str] = ()
    port_bindings: Sequence[str] = ()
    extra_hosts: Sequence[str] = ()
    cpus: float | None = None
    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    kernel_memory: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    shm_size: int | None = None
    device_requests: Sequence[DeviceRequest] = ()
    privileged: bool = False
    credentials: Credentials | None = None
    config: Mapping[str, Any] | None = field(default=None, repr=False)
    file_handling: FileHandling = "VOLUME"
    delete: bool = True
    wait: bool = True
    kill_grace: timedelta = timedelta(0)
    host: str | None = None
    resume: bool = True

    @classmethod
    def parse(cls, properties: Mapping[str, Any], *, legacy: bool = False) -> DockerOptions:
        """The options in `properties`: rendered values under Kestra's names.

        `legacy`: they come from the deprecated `docker` property, which keeps the image's
        ENTRYPOINT unless it sets another (script-tasks 1.3).

        Raises:
            TaskFailed: a value has the wrong type or is none of those allowed.
        """
        read = PropertyReader(properties)
        memory = read.part("memory")
        entry_point = read.texts("entryPoint")
        return cls(
            image=read.text("image"),
            pull_policy=read.choice("pullPolicy", _PULL_POLICIES),
            user=read.text("user"),
            entry_point=entry_point if entry_point is not None or legacy else ("",),
            network_mode=read.text("networkMode"),
            volumes=read.texts("volumes") or (),
            port_bindings=read.texts("portBindings") or (),
            extra_hosts=read.texts("extraHosts") or (),
            cpus=read.part("cpu").number("cpus"),
            memory=memory.size("memory"),
            memory_swap=memory.size("memorySwap"),
            memory_reservation=memory.size("memoryReservation"),
            kernel_memory=memory.size("kernelMemory"),
            memory_swappiness=memory.integer("memorySwappiness"),
            oom_kill_disable=memory.flag("oomKillDisable"),
            shm_size=read.size("shmSize"),
            device_requests=tuple(map(_device_request, read.parts("deviceRequests"))),
            privileged=read.flag_or("privileged", default=False),
            credentials=_credentials(read),
            config=_config(read),
            file_handling=read.choice("fileHandlingStrategy", _FILE_HANDLINGS),
            delete=read.flag_or("delete", default=True),
            wait=read.flag_or("wait", default=True),
            kill_grace=read.duration("killGracePeriod") or timedelta(0),
            host=read.text("host") or read.text("dockerHost"),
            resume=read.flag_or("resume", default=True),
        )


def _credentials(read: PropertyReader) -> Credentials | None:
    if read.raw("credentials") is None:
        return None
    part = read.part("credentials")
    return Credentials(
        registry=part.text("registry"),
        username=part.text("username"),
        password=part.text("password"),
        registry_token=part.text("registryToken"),
        identity_token=part.text("identityToken"),
        auth=part.text("auth"),
    )


def _config(read: PropertyReader) -> Mapping[str, Any] | None:
    name = "config" if read.raw("config") is not None else "dockerConfig"
    value = read.raw(name)
    if value is None or value == "":
        return None
    found = from_json(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        # Not the value itself: it may hold a password.
        raise TaskFailed(f"Invalid '{name}': a map, or the JSON text of one, is needed")
    return cast("Mapping[str, Any]", found)


def _device_request(part: PropertyReader) -> DeviceRequest:
    capabilities = part.items("capabilities") or ()
    for words in capabilities:
        if not isinstance(words, list | tuple):
            raise part.bad("capabilities", words, "a list of lists")
    return DeviceRequest(
        driver=part.text("driver") or "",
        count=part.integer("count"),
        device_ids=part.texts("deviceIds") or (),
        capabilities=[[plain(word) for word in words] for words in capabilities],
        options=part.pairs("options"),
    )

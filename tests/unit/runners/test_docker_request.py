"""The request for a container: what it always holds, and what a flow can never put into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Owner
from runner.runners.docker_client import EngineInfo
from runner.runners.docker_files import may_share, owner_of
from runner.runners.docker_host import Endpoint
from runner.runners.docker_options import DeviceRequest, DockerOptions
from runner.runners.docker_pack import Owner as FileOwner
from runner.runners.docker_policy import allowed
from runner.runners.docker_request import container_request, label_value, labels
from runner.runners.maker import Maker
from runner.settings import Settings

OWNER = Owner(
    namespace="a.b", flow_id="f", execution_id="e", task_id="t", task_run_id="r", attempt=1
)
SOCKET = Endpoint(url="unix:///var/run/docker.sock", source="")


def request(options: DockerOptions, *, strict: bool = False) -> Mapping[str, Any]:
    return container_request(
        Command(argv=["true"], workdir=Path("/wd"), owner=OWNER),
        options,
        env={"A": "1"},
        mounts=[],
        labels=labels(OWNER, Maker(instance="instance"), "run"),
        log_driver="local",
        strict=strict,
    )


def test_a_plain_request_is_small_and_safe() -> None:
    found = request(DockerOptions(image="i"))

    assert found["Entrypoint"] == [""]
    assert found["WorkingDir"] == "/wd"
    assert found["Env"] == ["A=1"]
    assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert found["HostConfig"]["LogConfig"]["Config"]["max-size"] == "10m"
    # Left to the engine, as Kestra leaves it.
    for name in ("AutoRemove", "RestartPolicy", "NetworkMode", "Init", "Privileged", "Memory"):
        assert name not in found["HostConfig"]


def test_options_become_the_engines_fields() -> None:
    options = DockerOptions(
        image="i",
        user="1",
        cpus=0.5,
        memory=5,
        memory_swap=6,
        shm_size=7,
        network_mode="none",
        extra_hosts=["h:1.2.3.4"],
        port_bindings=["127.0.0.1:80:8080/udp", "81:8080", ":8081"],
        device_requests=[DeviceRequest(driver="nvidia", count=-1, capabilities=[["gpu"]])],
    )

    found = request(options)

    host: Mapping[str, Any] = found["HostConfig"]
    assert found["User"] == "1"
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 5, 6)
    assert (host["ShmSize"], host["NetworkMode"], host["ExtraHosts"]) == (7, "none", ["h:1.2.3.4"])
    assert host["DeviceRequests"][0]["Count"] == -1
    assert host["PortBindings"] == {
        "8080/udp": [{"HostIp": "127.0.0.1", "HostPort": "80"}],
        "8080/tcp": [{"HostIp": "", "HostPort": "81"}],
        "8081/tcp": [{"HostIp": "", "HostPort": ""}],
    }


def test_a_port_binding_in_another_form_is_refused() -> None:
    with pytest.raises(RunnerUnavailable, match="portBindings 'x:y'"):
        request(DockerOptions(port_bindings=["x:y"]))


def test_the_strict_profile_drops_all_capabilities() -> None:
    host: Mapping[str, Any] = request(DockerOptions(image="i"), strict=True)["HostConfig"]

    assert (host["CapDrop"], host["ReadonlyRootfs"], host["Tmpfs"]) == (["ALL"], True, {"/tmp": ""})


def test_privileged_is_without_the_setting_against_privileges() -> None:
    host: Mapping[str, Any] = request(DockerOptions(image="i", privileged=True))["HostConfig"]

    assert (host["Privileged"], host["SecurityOpt"]) == (True, [])


@pytest.mark.parametrize(
    ("text", "value"),
    [("a" * 70, "a" * 63), ("a-", "a"), ("a._", "a."), ("a_.-", "a"), ("a" * 62 + "-b", "a" * 62)],
)
def test_label_values_are_cut_as_kestra_cuts_them(text: str, value: str) -> None:
    assert label_value(text) == value


TEXTS = st.lists(st.text(max_size=12), max_size=3)


@given(
    st.builds(
        DockerOptions,
        image=st.just("i"),
        network_mode=st.sampled_from([None, "host", "none", "container:x", "bridge", "host "]),
        volumes=TEXTS,
        port_bindings=TEXTS,
        extra_hosts=TEXTS,
        privileged=st.booleans(),
        device_requests=st.sampled_from([(), (DeviceRequest(driver="x"),)]),
        user=st.sampled_from([None, "0", "root"]),
        file_handling=st.sampled_from(["VOLUME", "MOUNT"]),
    )
)
def test_no_options_open_the_host_while_the_settings_are_off(options: DockerOptions) -> None:
    try:
        judged = allowed(options, Settings(environ={}), SOCKET, lambda _: None)
        host: Mapping[str, Any] = request(judged)["HostConfig"]
    except RunnerUnavailable:
        return

    assert host.get("NetworkMode") not in ("host", "container:x")
    for name in ("Binds", "Privileged", "PortBindings", "DeviceRequests", "Devices", "CapAdd"):
        assert not host.get(name)
    assert host["SecurityOpt"] == ["no-new-privileges"]


@pytest.mark.parametrize("volume", ["data:/data", "/srv/data:/data", "/srv/data:/data:ro"])
def test_folders_and_named_volumes_may_be_mounted_when_volumes_are_on(
    volume: str, tmp_path: Path
) -> None:
    settings = Settings(state_dir=tmp_path, docker_volume_enabled=True, environ={})
    options = DockerOptions(volumes=[volume])

    assert allowed(options, settings, SOCKET, lambda _: None) == options


@pytest.mark.parametrize("volume", ["./a:/b", "../a:/b", "/a", "/a:b", ":/b", "~/a:/b"])
def test_a_volume_in_another_form_is_refused(volume: str, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, docker_volume_enabled=True, environ={})

    with pytest.raises(RunnerUnavailable, match="Invalid volume"):
        allowed(DockerOptions(volumes=[volume]), settings, SOCKET, lambda _: None)


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (DockerOptions(privileged=True), "docker_privileged_enabled"),
        (DockerOptions(device_requests=[DeviceRequest()]), "docker_privileged_enabled"),
        (DockerOptions(network_mode="host"), "docker_host_namespaces_enabled"),
        (DockerOptions(port_bindings=["1:2"]), "docker_host_namespaces_enabled"),
        (DockerOptions(extra_hosts=["m:169.254.169.254"]), "docker_host_namespaces_enabled"),
        (DockerOptions(extra_hosts=["m:[fe80::1]"]), "docker_host_namespaces_enabled"),
    ],
)
def test_each_setting_allows_what_its_name_says(options: DockerOptions, setting: str) -> None:
    settings = Settings(environ={})

    with pytest.raises(RunnerUnavailable, match=f"EYAS_{setting.upper()}"):
        allowed(options, settings, SOCKET, lambda _: None)

    enabled: Mapping[str, Any] = {setting: True}
    assert allowed(options, replace(settings, **enabled), SOCKET, lambda _: None) == options


INFO = EngineInfo(
    name="Docker",
    version="1",
    api="1.41",
    architecture="amd64",
    root_dir="/",
    rootless=False,
    maps_users=False,
    labels_files=False,
    limits_memory=True,
    log_driver="local",
)


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        ("", FileOwner(uid=0)),
        ("root:root", FileOwner(uid=0)),
        ("0", FileOwner(uid=0)),
        ("1000", FileOwner(uid=1000)),
        ("1000:50", FileOwner(uid=1000, gid=50)),
        ("1000:staff", FileOwner(uid=1000)),
        ("nobody", FileOwner(uid=None)),
    ],
)
def test_whose_files_are_is_read_from_the_user(user: str, owner: FileOwner) -> None:
    assert owner_of(user) == owner


@pytest.mark.parametrize(
    ("our_uid", "info", "user", "shared"),
    [
        (0, INFO, "", True),
        (0, INFO, "nobody", True),
        (0, replace(INFO, labels_files=True), "", False),
        # Root of the container would leave files that we cannot delete.
        (1000, INFO, "", False),
        (1000, INFO, "1000", True),
        (1000, INFO, "1001", False),
        (1000, replace(INFO, rootless=True), "", True),
        (1000, replace(INFO, rootless=True), "1000", False),
        (1000, replace(INFO, maps_users=True), "1000", False),
    ],
)
def test_a_folder_is_shared_only_if_all_in_it_stays_ours(
    monkeypatch: pytest.MonkeyPatch, our_uid: int, info: EngineInfo, user: str, shared: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: our_uid)

    assert may_share(DockerOptions(), info, owner_of(user)) is shared


def test_mount_is_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert may_share(DockerOptions(file_handling="MOUNT"), INFO, owner_of(""))

"""Reading Docker's options from a flow: Kestra's names, spellings and refusals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runner.errors import TaskFailed
from runner.runners.docker_options import Credentials, DeviceRequest, DockerOptions

MB = 1024**2


def test_nothing_given_is_kestras_defaults() -> None:
    options = DockerOptions.parse({})

    assert options == DockerOptions()
    assert (options.pull_policy, options.entry_point) == ("IF_NOT_PRESENT", ("",))
    assert (options.delete, options.wait, options.resume) == (True, True, True)
    assert options.kill_grace == timedelta(0)


def test_the_old_docker_property_keeps_the_images_entry_point() -> None:
    assert DockerOptions.parse({}, legacy=True).entry_point is None
    assert DockerOptions.parse({"entryPoint": ["x"]}, legacy=True).entry_point == ("x",)


def test_every_option_is_read() -> None:
    options = DockerOptions.parse(
        {
            "type": "io.kestra.plugin.scripts.runner.docker.Docker",
            "image": "i:1",
            "pullPolicy": "ALWAYS",
            "user": 1000,
            "entryPoint": '["/bin/x", "-y"]',
            "networkMode": "none",
            "volumes": ["/a:/b"],
            "portBindings": ["8080:80"],
            "extraHosts": ["h:1.2.3.4"],
            "cpu": {"cpus": "1.5"},
            "memory": {
                "memory": "64mb",
                "memorySwap": "67108864",
                "memoryReservation": "32MB",
                "kernelMemory": "1GB",
                "memorySwappiness": "10",
                "oomKillDisable": "true",
            },
            "shmSize": "16KB",
            "deviceRequests": [
                {"driver": "nvidia", "count": -1, "capabilities": [["gpu"]], "options": {"a": 1}}
            ],
            "privileged": "false",
            "credentials": {"registry": "r", "username": "u", "password": "p"},
            "config": '{"auths": {}}',
            "fileHandlingStrategy": "MOUNT",
            "delete": False,
            "wait": "false",
            "killGracePeriod": "PT1M2.5S",
            "host": "tcp://h:1",
            "resume": False,
        }
    )

    assert options == DockerOptions(
        image="i:1",
        pull_policy="ALWAYS",
        user="1000",
        entry_point=("/bin/x", "-y"),
        network_mode="none",
        volumes=("/a:/b",),
        port_bindings=("8080:80",),
        extra_hosts=("h:1.2.3.4",),
        cpus=1.5,
        memory=64 * MB,
        memory_swap=64 * MB,
        memory_reservation=32 * MB,
        kernel_memory=1024 * MB,
        memory_swappiness=10,
        oom_kill_disable=True,
        shm_size=16384,
        device_requests=(
            DeviceRequest(driver="nvidia", count=-1, capabilities=[["gpu"]], options={"a": "1"}),
        ),
        credentials=Credentials(registry="r", username="u", password="p"),
        config={"auths": {}},
        file_handling="MOUNT",
        delete=False,
        wait=False,
        kill_grace=timedelta(minutes=1, seconds=2.5),
        host="tcp://h:1",
        resume=False,
    )


@pytest.mark.parametrize("size", ["64m", "64Mi", "0.5GB", "64 MB", "-1", "MB", "64MBx"])
def test_sizes_in_other_spellings_are_refused_in_kestras_words(size: str) -> None:
    with pytest.raises(TaskFailed) as caught:
        DockerOptions.parse({"memory": {"memory": size}})

    assert str(caught.value).splitlines()[0] == f"Invalid size with value '{size}'"


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"pullPolicy": "SOMETIMES"}, "Invalid pullPolicy 'SOMETIMES'"),
        ({"fileHandlingStrategy": "COPY"}, "Invalid fileHandlingStrategy 'COPY'"),
        ({"cpu": {"cpus": "many"}}, "Invalid cpu.cpus 'many'"),
        ({"cpu": {"cpus": -1}}, "Invalid cpu.cpus '-1'"),
        ({"cpu": "2"}, "Invalid cpu '2'"),
        ({"memory": {"memorySwappiness": "x"}}, "Invalid memory.memorySwappiness 'x'"),
        ({"wait": "maybe"}, "Invalid wait 'maybe'"),
        ({"volumes": "/a:/b"}, "Invalid volumes '/a:/b'"),
        ({"entryPoint": {"a": 1}}, "Invalid entryPoint"),
        ({"killGracePeriod": "10s"}, "Invalid killGracePeriod '10s'"),
        ({"killGracePeriod": "P"}, "Invalid killGracePeriod 'P'"),
        ({"user": ["a"]}, "Invalid user"),
        ({"deviceRequests": [{"capabilities": ["gpu"]}]}, "Invalid deviceRequests"),
        ({"credentials": "x"}, "Invalid credentials"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(properties: dict[str, Any], words: str) -> None:
    with pytest.raises(TaskFailed) as caught:
        DockerOptions.parse(properties)

    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("config", ["canary", "[1]", ["canary"]])
def test_a_wrong_config_is_refused_without_showing_it(config: Any) -> None:
    with pytest.raises(TaskFailed, match="config") as caught:
        DockerOptions.parse({"config": config})

    assert "canary" not in str(caught.value)


def test_secrets_are_not_in_the_text_of_options() -> None:
    options = DockerOptions.parse(
        {
            "credentials": {"password": "canary", "auth": "canary", "registryToken": "canary"},
            "config": {"auths": {"r": {"auth": "canary"}}},
        }
    )

    assert "canary" not in repr(options)

"""Which engine is used: the order of all who may name one."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest

from runner.errors import RunnerUnavailable, SettingInvalid
from runner.runners.docker_host import Endpoint, Tls, answers, find_endpoint
from runner.runners.registry import TaskRunners
from runner.settings import Settings


def settings(tmp_path: Path, docker_host: str | None = None, **environ: str) -> Settings:
    return Settings(
        state_dir=tmp_path,
        docker_host=docker_host,
        environ={"DOCKER_CONFIG": str(tmp_path), **environ},
    )


def write_context(tmp_path: Path, name: str, meta: Any) -> Path:
    """A context as `docker context create` makes it; gives the folder of its TLS files."""
    key = hashlib.sha256(name.encode()).hexdigest()
    folder = tmp_path / "contexts/meta" / key
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(meta if isinstance(meta, str) else json.dumps(meta))
    return tmp_path / "contexts/tls" / key / "docker"


def test_the_flow_wins_over_the_setting_and_that_over_the_environment(tmp_path: Path) -> None:
    named = settings(tmp_path, "tcp://setting:1", DOCKER_HOST="tcp://environment:1")

    assert find_endpoint(named, "tcp://flow:1").url == "tcp://flow:1"
    assert find_endpoint(named).url == "tcp://setting:1"
    assert find_endpoint(settings(tmp_path, DOCKER_HOST="tcp://environment:1")) == Endpoint(
        url="tcp://environment:1", source="DOCKER_HOST"
    )


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("/run/x.sock", "unix:///run/x.sock"),
        ("h:2375", "tcp://h:2375"),
        ("ssh://u@h", "ssh://u@h"),
    ],
)
def test_a_host_without_scheme_is_a_socket_or_an_address(
    tmp_path: Path, host: str, url: str
) -> None:
    assert find_endpoint(settings(tmp_path, DOCKER_HOST=host)).url == url


def test_tls_files_come_from_the_cert_path(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    named = settings(
        tmp_path, DOCKER_HOST="tcp://h:2376", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path)
    )

    assert find_endpoint(named).tls == Tls(
        ca=tmp_path / "ca.pem", cert=tmp_path / "cert.pem", key=tmp_path / "key.pem"
    )


def test_tls_is_not_for_sockets(tmp_path: Path) -> None:
    named = settings(tmp_path, DOCKER_HOST="unix:///x", DOCKER_TLS_VERIFY="1")

    assert find_endpoint(named).tls is None


@pytest.mark.parametrize("by", ["variable", "config file"])
def test_a_context_names_the_engine(tmp_path: Path, by: str) -> None:
    tls = write_context(
        tmp_path,
        "far",
        {"Endpoints": {"docker": {"Host": "tcp://far:2376", "SkipTLSVerify": True}}},
    )
    tls.mkdir(parents=True)
    (tls / "ca.pem").write_text("")
    environ = {"DOCKER_CONTEXT": "far"} if by == "variable" else {}
    if by == "config file":
        (tmp_path / "config.json").write_text('{"currentContext": "far"}')

    assert find_endpoint(settings(tmp_path, **environ)) == Endpoint(
        url="tcp://far:2376", source="context 'far'", tls=Tls(ca=tls / "ca.pem", verify=False)
    )


def test_docker_host_wins_over_a_context(tmp_path: Path) -> None:
    named = settings(tmp_path, DOCKER_HOST="tcp://h:1", DOCKER_CONTEXT="far")

    assert find_endpoint(named).url == "tcp://h:1"


def test_a_context_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="'nowhere' does not exist"):
        find_endpoint(settings(tmp_path, DOCKER_CONTEXT="nowhere"))


@pytest.mark.parametrize("meta", ["{", "[]", {}, {"Endpoints": {"docker": None}}])
def test_a_damaged_context_is_an_error_without_traceback(tmp_path: Path, meta: Any) -> None:
    write_context(tmp_path, "bad", meta)

    with pytest.raises(SettingInvalid, match="'bad' cannot be read"):
        find_endpoint(settings(tmp_path, DOCKER_CONTEXT="bad"))


def test_a_rootless_socket_is_found_when_nothing_names_an_engine(
    tmp_path: Path,
) -> None:
    if Path("/var/run/docker.sock").exists() or Path("/dind/docker.sock").exists():
        pytest.skip("a socket that comes first is there")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
        found = find_endpoint(settings(tmp_path, XDG_RUNTIME_DIR=str(tmp_path)))

    assert found.url == f"unix://{tmp_path}/docker.sock"


@pytest.fixture
async def serve(tmp_path: Path) -> Any:
    """Something on a unix socket that answers every connection with the same bytes."""
    async with AsyncExitStack() as closing, anyio.create_task_group() as group:

        async def started(answer: bytes) -> str:
            path = tmp_path / "s"
            listener = await anyio.create_unix_listener(path)
            await closing.enter_async_context(listener)

            async def handle(stream: anyio.abc.SocketStream) -> None:
                async with stream:
                    await stream.receive()
                    await stream.send(answer)

            group.start_soon(listener.serve, handle)
            return f"unix://{path}"

        yield started
        group.cancel_scope.cancel()


async def test_an_engine_answers_a_ping(serve: Any, tmp_path: Path) -> None:
    url = await serve(b"HTTP/1.0 200 OK\r\n\r\nOK")

    assert await answers(Endpoint(url=url, source=""))
    async with TaskRunners(settings(tmp_path, url)) as runners:
        assert await runners.engine_answers()


@pytest.mark.parametrize("answer", [b"HTTP/1.0 503 no\r\n\r\n", b"hello"])
async def test_what_answers_otherwise_is_no_engine(serve: Any, answer: bytes) -> None:
    assert not await answers(Endpoint(url=await serve(answer), source=""))


@pytest.mark.parametrize("host", ["unix:///no/such.sock", "tcp://127.0.0.1:1", "ftp://x", "tcp://"])
async def test_nothing_there_is_no_engine_and_no_error(tmp_path: Path, host: str) -> None:
    async with TaskRunners(settings(tmp_path, host)) as runners:
        assert not await runners.engine_answers()


async def test_a_socket_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with ExitStack() as closing:
        listening = closing.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        with anyio.fail_after(5):
            assert not await answers(Endpoint(url=f"unix://{tmp_path}/s", source=""))


def test_the_places_where_no_engine_was_found_are_named(tmp_path: Path) -> None:
    if Path("/var/run/docker.sock").exists():
        pytest.skip("there is one")
    with pytest.raises(RunnerUnavailable, match=r"docker\.sock"):
        find_endpoint(settings(tmp_path))


def imported_by_process_runner() -> Iterator[str]:
    """Modules that belong to Docker, as loaded by a fresh interpreter that runs processes."""
    import subprocess
    import sys

    code = (
        "import sys, runner.runners.registry as r, runner.settings as s;"
        "r.TaskRunners(s.Settings()).process(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    yield from done.stdout.split()


def test_a_process_does_not_wait_for_the_import_of_an_http_library() -> None:
    loaded = set(imported_by_process_runner())

    assert not loaded & {"aiohttp", "aiodocker", "docker", "requests"}

"""What all tests share: the Docker engine, and the check that nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import docker
import leaks
import pytest
from docker.errors import DockerException
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI", "").lower() in ("true", "1")
"""Whether a missing engine is a failure instead of a reason to skip."""


# Machines are shared: how long an example takes says nothing. In CI the examples are the same ones
# every time, so that a failure there belongs to the change.
settings.register_profile(
    "eyas", deadline=None, derandomize=IN_CI, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("eyas")


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a temporary directory of its own, so that what is in it is ours."""
    os.environ[leaks.MARK] = uuid.uuid4().hex
    # `eyas` and `uv` are found as in an activated environment, however Pytest was started.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Pytest's own folders stay where a person finds them after a failure.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="pytest-eyas-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the engine."""
    for item in items:
        if "docker_engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.docker)


class Engine:
    """The Docker engine of the session: asked for once, by the first test that needs it."""

    def __init__(self, closing: ExitStack) -> None:
        self._closing = closing
        self._client: docker.DockerClient | None = None
        self._missing = ""

    def client(self) -> docker.DockerClient:
        """A client of the engine; skips the running test, or fails it in CI, if none answers."""
        if self._client is None and not self._missing:
            self._connect()
        if self._client is not None:
            return self._client
        reason = f"no Docker engine: {self._missing} (sh tests/setup/engine.sh starts one)"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    def _connect(self) -> None:
        try:
            client = docker.from_env()
            self._closing.callback(client.close)
            client.ping()
        except DockerException as error:
            self._missing = str(error)
        else:
            self._client = client


@pytest.fixture(scope="session")
def _engine() -> Iterator[Engine]:
    with ExitStack() as closing:
        yield Engine(closing)


@pytest.fixture
def docker_engine(_engine: Engine) -> docker.DockerClient:
    """A client of a real Docker engine. A test that uses it is marked `docker`."""
    return _engine.client()


@pytest.fixture(scope="session")
def _processes() -> leaks.Processes:
    return leaks.Processes()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(
    request: pytest.FixtureRequest,
    _engine: Engine,
    _processes: leaks.Processes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Fail a test that leaves a process, a folder, a container or a volume of ours."""
    temp = Path(tempfile.gettempdir())
    watched: list[leaks.Processes | leaks.TempFolders | leaks.EngineObjects] = [
        _processes,
        leaks.TempFolders(temp),
    ]
    if request.node.get_closest_marker("docker"):
        folders = [temp, tmp_path_factory.getbasetemp()]
        watched.append(leaks.EngineObjects(_engine.client(), folders, alone=IN_CI))
    for things in watched:
        things.remember()
    yield
    left = [line for things in watched for line in leaks.settle(things.left)]
    _processes.end()
    if left:
        pytest.fail("left behind:\n" + "\n".join(left), pytrace=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 KB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)

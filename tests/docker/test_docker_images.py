"""Images from real registries on loopback: policies, names, logins, retries."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import docker
import pytest
from docker.errors import ImageNotFound

from runner.errors import RunnerUnavailable
from runner.runners.base import Command, Owner, PullProgress, Stream
from runner.runners.docker_images import PullTiming
from runner.runners.docker_options import Credentials, DockerOptions
from runner.runners.registry import TaskRunners
from runner.settings import Settings

pytestmark = pytest.mark.docker

OPEN = "127.0.0.1:5000"
PRIVATE = "127.0.0.1:5001"
AT_ONCE = PullTiming(tries=2, first_wait=timedelta(milliseconds=10))

Pull = Callable[..., Any]


@pytest.fixture
def engine(docker_engine: docker.DockerClient) -> Any:
    """A synchronous client, to look from outside."""
    return docker_engine


@pytest.fixture
def repository(engine: Any) -> Iterator[str]:
    """A repository of this test's own in the open registry, with the tags `latest` and `1`."""
    name = f"{OPEN}/eyas-test/{uuid.uuid4().hex}"
    made = engine.containers.create("busybox:latest", "true")
    made.commit(repository=name, tag="1", changes=f"LABEL test={name}")
    made.remove()
    engine.images.get(f"{name}:1").tag(name, "latest")
    engine.images.push(name)
    yield name
    forget(engine, name)


def forget(engine: Any, name: str) -> None:
    """Remove every tag of a repository from the engine."""
    for image in engine.images.list(name):
        for reference in {*image.tags, *image.attrs.get("RepoDigests", ())}:
            if reference.startswith(name):
                try:
                    engine.images.remove(reference, force=True)
                except ImageNotFound:
                    continue


def is_here(engine: Any, name: str) -> bool:
    try:
        engine.images.get(name)
    except ImageNotFound:
        return False
    return True


@pytest.fixture
def progress() -> list[PullProgress]:
    return []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "docker").mkdir()
    environ = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")}
    return Settings(state_dir=tmp_path / "state", tmp_dir=tmp_path, environ=environ)


@pytest.fixture
async def runners(
    settings: Settings, progress: list[PullProgress], engine: Any
) -> AsyncIterator[TaskRunners]:
    async with TaskRunners(settings, progress.append, timing=AT_ONCE) as opened:
        yield opened


@pytest.fixture
def use(runners: TaskRunners, tmp_path: Path) -> Pull:
    """Runs `echo ok` in a container of an image; raises what the runner raises."""
    (tmp_path / "work").mkdir()

    async def ignore(_: Stream, __: bytes) -> None:
        return None

    async def used(image: str, warnings: list[str] | None = None, **options: Any) -> None:
        owner = Owner(
            namespace="n",
            flow_id="f",
            execution_id="e",
            task_id="t",
            task_run_id=uuid.uuid4().hex,
            attempt=0,
        )
        command = Command(argv=["/bin/sh", "-c", "echo ok"], workdir=tmp_path / "work", owner=owner)
        wanted = DockerOptions(image=image, network_mode="none", **options)
        warn = (warnings if warnings is not None else []).append
        outcome = await runners.docker(wanted, warn).run(command, ignore)
        assert outcome.exit_code == 0

    return used


def pulls(progress: list[PullProgress]) -> int:
    return sum(report.status == "pulling" for report in progress)


# Policies and names


async def test_a_local_tag_is_used_without_asking_any_registry(
    use: Pull, engine: Any, progress: list[PullProgress]
) -> None:
    # No registry knows it, and this one does not even exist.
    name = f"no.such.registry.invalid/eyas/{uuid.uuid4().hex}:1"
    engine.images.get("busybox:latest").tag(name)
    try:
        await use(name)
        await use(name, pull_policy="NEVER")
    finally:
        engine.images.remove(name)

    assert progress == []


async def test_an_absent_image_is_pulled_and_then_kept(
    use: Pull, engine: Any, repository: str, progress: list[PullProgress]
) -> None:
    forget(engine, repository)

    await use(f"{repository}:1")
    await use(f"{repository}:1")

    assert pulls(progress) == 1
    assert progress[-1] == PullProgress(image=f"{repository}:1", status="pulled", ended=True)


async def test_no_tag_means_latest_and_only_that(use: Pull, engine: Any, repository: str) -> None:
    forget(engine, repository)

    await use(repository)

    assert is_here(engine, f"{repository}:latest")
    assert not is_here(engine, f"{repository}:1")


async def test_latest_is_not_pulled_again_if_it_is_not_present(
    use: Pull, repository: str, progress: list[PullProgress]
) -> None:
    await use(f"{repository}:latest")

    assert pulls(progress) == 0


@pytest.mark.parametrize("with_tag", [False, True])
async def test_a_digest_is_pulled_as_such(
    use: Pull, engine: Any, repository: str, progress: list[PullProgress], with_tag: bool
) -> None:
    digests = engine.images.get(f"{repository}:1").attrs["RepoDigests"]
    digest = next(each for each in digests if each.startswith(repository)).partition("@")[2]
    forget(engine, repository)
    name = f"{repository}:1@{digest}" if with_tag else f"{repository}@{digest}"

    await use(name)
    await use(name)

    assert pulls(progress) == 1


async def test_always_pulls_every_time(
    use: Pull, repository: str, progress: list[PullProgress]
) -> None:
    await use(f"{repository}:1", pull_policy="ALWAYS")
    await use(f"{repository}:1", pull_policy="ALWAYS")

    assert pulls(progress) == 2


async def test_always_fails_without_a_registry_even_if_the_image_is_here(
    use: Pull, engine: Any
) -> None:
    name = f"127.0.0.1:1/eyas/{uuid.uuid4().hex}:1"
    engine.images.get("busybox:latest").tag(name)
    try:
        with pytest.raises(RunnerUnavailable, match="registry cannot be reached"):
            await use(name, pull_policy="ALWAYS")
    finally:
        engine.images.remove(name)


async def test_never_fails_with_kestras_words_and_what_to_do(use: Pull) -> None:
    with pytest.raises(RunnerUnavailable) as caught:
        await use("does-not-exist:1", pull_policy="NEVER")

    first, advice = str(caught.value).split("\n")
    assert first == 'Status 404: {"message": "No such image: does-not-exist:1"}'
    assert "docker pull does-not-exist:1" in advice


async def test_a_missing_tag_fails_at_once_and_is_named(
    use: Pull, repository: str, progress: list[PullProgress]
) -> None:
    with pytest.raises(RunnerUnavailable, match=f"image {repository}:nope not found"):
        await use(f"{repository}:nope")

    assert pulls(progress) == 1


async def test_a_registry_that_cannot_be_reached_is_tried_again(
    use: Pull, progress: list[PullProgress]
) -> None:
    with pytest.raises(RunnerUnavailable, match="registry cannot be reached"):
        await use("127.0.0.1:1/a/b:1")

    assert pulls(progress) == AT_ONCE.tries
    assert progress[-1].status == "failed"


@pytest.mark.parametrize("name", ["UPPER/case:1", "a b", "x:y:z", "-a", "https://a/b"])
async def test_what_is_no_image_name_is_refused(use: Pull, name: str) -> None:
    with pytest.raises(RunnerUnavailable):
        await use(name)


async def test_an_image_removed_by_its_id_later_is_pulled_again(
    use: Pull, engine: Any, repository: str, progress: list[PullProgress]
) -> None:
    await use(f"{repository}:1")
    forget(engine, repository)
    await use(f"{repository}:1")

    assert pulls(progress) == 1


# Several at once, and stopping


async def test_many_tasks_share_one_pull(
    use: Pull, engine: Any, repository: str, progress: list[PullProgress]
) -> None:
    forget(engine, repository)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(use, f"{repository}:1")

    assert pulls(progress) == 1


async def test_the_others_go_on_when_the_one_who_began_a_pull_is_killed(
    use: Pull, engine: Any, repository: str, progress: list[PullProgress]
) -> None:
    forget(engine, repository)

    async with anyio.create_task_group() as group, anyio.create_task_group() as first:
        first.start_soon(use, f"{repository}:1")
        group.start_soon(use, f"{repository}:1")
        await anyio.lowlevel.checkpoint()
        first.cancel_scope.cancel()

    assert is_here(engine, f"{repository}:1")


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A registry that takes every connection and never answers; gives its address."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)

    async def say_nothing(stream: Any) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, say_nothing)
        address: Any = listener.extra(anyio.abc.SocketAttribute.local_address)
        yield f"127.0.0.1:{address[1]}"
        group.cancel_scope.cancel()


async def test_a_pull_without_any_progress_is_given_up(
    settings: Settings, silent: str, tmp_path: Path, engine: Any
) -> None:
    timing = replace(AT_ONCE, tries=1, silence=timedelta(seconds=0.3))
    async with TaskRunners(settings, timing=timing) as runners:
        runner = runners.docker(DockerOptions(image=f"{silent}/a/b:1"))
        with anyio.fail_after(10):
            with pytest.raises(RunnerUnavailable, match=r"no progress for 0 s"):
                await runner.run(_command(tmp_path), _ignore)


async def test_a_task_that_is_killed_during_a_pull_ends_at_once(
    runners: TaskRunners, silent: str, tmp_path: Path, progress: list[PullProgress]
) -> None:
    runner = runners.docker(DockerOptions(image=f"{silent}/a/b:1"))

    with anyio.fail_after(5):
        with anyio.move_on_after(0.5):
            await runner.run(_command(tmp_path), _ignore)

    assert progress[0].status == "pulling"
    async with anyio.create_task_group():
        await anyio.sleep(0.05)
    assert progress[-1] == PullProgress(image=f"{silent}/a/b:1", status="cancelled", ended=True)


async def _ignore(_: Stream, __: bytes) -> None:
    return None


def _command(workdir: Path) -> Command:
    owner = Owner(
        namespace="n", flow_id="f", execution_id="e", task_id="t", task_run_id="r", attempt=0
    )
    return Command(argv=["true"], workdir=workdir, owner=owner)


# Logins

PRIVATE_IMAGE = f"{PRIVATE}/private/busybox:latest"
EYAS = {"username": "eyas", "password": "secret"}
AUTH = base64.b64encode(b"eyas:secret").decode()


@pytest.fixture
def private(engine: Any) -> Iterator[str]:
    """An image that needs a login, and is not here yet."""
    forget(engine, f"{PRIVATE}/private/busybox")
    yield PRIVATE_IMAGE
    forget(engine, f"{PRIVATE}/private/busybox")


async def test_a_private_image_without_login_says_what_to_set(use: Pull, private: str) -> None:
    with pytest.raises(RunnerUnavailable, match="credentials"):
        await use(private)


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(**EYAS),
        Credentials(registry=PRIVATE, **EYAS),
        Credentials(registry=f"http://{PRIVATE}/v2/", **EYAS),
        Credentials(auth=AUTH),
    ],
)
async def test_the_tasks_credentials_are_shown(
    use: Pull, private: str, credentials: Credentials
) -> None:
    await use(private, credentials=credentials)


async def test_a_wrong_password_is_refused_without_being_shown(use: Pull, private: str) -> None:
    wrong = Credentials(username="eyas", password="canary")

    with pytest.raises(RunnerUnavailable) as caught:
        await use(private, credentials=wrong)

    assert "canary" not in str(caught.value)


async def test_credentials_for_another_registry_are_not_shown(use: Pull, private: str) -> None:
    other = Credentials(registry="ghcr.io", **EYAS)

    with pytest.raises(RunnerUnavailable):
        await use(private, credentials=other)


async def test_the_config_of_the_task_is_used(use: Pull, private: str) -> None:
    await use(private, config={"auths": {PRIVATE: {"auth": AUTH}}})


@pytest.mark.parametrize(
    "config",
    [
        {"auths": {PRIVATE: {"auth": AUTH}}},
        {"auths": {f"http://{PRIVATE}/v1/": {"auth": AUTH}}},
        {"auths": {PRIVATE: EYAS}},
    ],
)
async def test_dockers_own_login_is_used(
    use: Pull, private: str, settings: Settings, config: dict[str, Any]
) -> None:
    _write_config(settings, config)

    await use(private)


def _write_config(settings: Settings, config: dict[str, Any]) -> None:
    folder = Path(settings.environ["DOCKER_CONFIG"])
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("property_", ["credHelpers", "credsStore"])
async def test_a_credential_helper_is_asked(
    settings: Settings,
    private: str,
    tmp_path: Path,
    engine: Any,
    property_: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "docker-credential-test"
    answer = json.dumps({"ServerURL": PRIVATE, "Username": "eyas", "Secret": "secret"})
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    value: Any = {PRIVATE: "test"} if property_ == "credHelpers" else "test"
    _write_config(settings, {property_: value})
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    async with TaskRunners(settings, timing=AT_ONCE) as runners:
        outcome = await runners.docker(DockerOptions(image=private)).run(
            _command(tmp_path), _ignore
        )

    assert outcome.exit_code == 0


async def test_a_helper_that_is_not_installed_is_a_warning(
    use: Pull, settings: Settings, repository: str, engine: Any
) -> None:
    forget(engine, repository)
    _write_config(settings, {"credsStore": "not-installed"})
    warnings: list[str] = []

    await use(f"{repository}:1", warnings=warnings)

    assert "docker-credential-not-installed is not installed" in warnings[0]


async def test_a_helper_that_a_flow_names_is_not_started(use: Pull, private: str) -> None:
    with pytest.raises(RunnerUnavailable, match="credentials"):
        await use(private, config={"credHelpers": {PRIVATE: "test"}})

"""The image of deploy/Dockerfile, built from this checkout, and daemons that run in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import docker
import requests
from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
BASE = "eyas-test/python:latest"
SOCKET = Path("/var/run/docker.sock")
TOKEN = "token-of-the-test"
LABELS = {"eyas-test": "deploy"}


def built(client: docker.DockerClient, tag: str, **arguments: str) -> str:
    """Build the image as `tag`, with build arguments, and give that name."""
    # The stage that builds has a name too, or every change of the code would leave one behind.
    for target, name in (("build", f"{tag}-build"), (None, tag)):
        before = _image_id(client, name)
        client.images.build(
            path=str(ROOT),
            dockerfile="deploy/Dockerfile",
            tag=name,
            target=cast(str, target),  # the stubs know no build of the last stage
            rm=True,
            forcerm=True,
            buildargs={"PYTHON_IMAGE": BASE, **arguments},
        )
        if before not in (None, _image_id(client, name)):
            with suppress(APIError):  # somebody else still uses it
                client.images.remove(str(before))
    return tag


def _image_id(client: docker.DockerClient, name: str) -> str | None:
    try:
        return client.images.get(name).id
    except ImageNotFound:
        return None


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that is ready, in a container, and its address on this machine."""

    container: Container
    address: str

    def run(self, flow: str) -> dict[str, Any]:
        """The execution of a flow (`namespace/id`) that has ended."""
        answer = requests.post(
            f"{self.address}/api/v1/main/executions/{flow}?wait=true",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json()

    def eyas(self, *words: str) -> Any:
        """What a verb prints as JSON inside the container."""
        return json.loads(self.inside("eyas", *words))

    def inside(self, *words: str) -> str:
        """What a program prints inside the container."""
        done = self.container.exec_run(list(words))
        output = cast(bytes, done.output)
        assert done.exit_code == 0, output
        return output.decode()

    def stop(self) -> int:
        """Ask it to stop, and give its exit status."""
        self.container.stop(timeout=40)
        return int(self.container.wait()["StatusCode"])


@contextmanager
def daemon(
    client: docker.DockerClient,
    image: str,
    mounts: Mapping[Path | str, str],
    *,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> Generator[Daemon]:
    """A daemon in `image` that is ready, with folders or volumes of `mounts` in it.

    `options` are further ones of `containers.create`; the container is removed afterwards.
    """
    options.setdefault("group_add", [str(SOCKET.stat().st_gid)])
    options.setdefault("init", True)  # as docs/install.md says: it buries what scripts leave
    options.setdefault("ports", {"8080/tcp": ("127.0.0.1", None)})
    container = client.containers.create(
        image,
        environment={"EYAS_API_TOKEN": TOKEN, **(environ or {})},
        volumes=[f"{source}:{target}" for source, target in {**mounts, SOCKET: SOCKET}.items()],
        labels=LABELS,
        **options,
    )
    try:
        container.start()
        wait_for_line(container, "daemon.ready")
        container.reload()
        (published,) = cast("dict[str, list[dict[str, str]]]", container.ports)["8080/tcp"]
        yield Daemon(container, f"http://127.0.0.1:{published['HostPort']}")
    finally:
        # In order, so that nothing waits for its next start.
        container.stop(timeout=40)
        container.remove(force=True, v=True)


def wait_for_line(container: Container, event: str) -> None:
    """Wait until the log says that `event` happened; fails if the container ends first."""
    seen: list[Mapping[str, Any]] = []
    with closing(lines_of("logs", "--follow", str(container.id))) as lines:
        for line in lines:
            seen.append(json.loads(line))
            if seen[-1].get("event") == event:
                return
    raise AssertionError(f"it ended without {event}: {seen}")


def lines_of(*words: str) -> Generator[str]:
    """Each line that `docker` prints, until nobody wants more."""
    argv = ["docker", *words]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as started:
        try:
            assert started.stdout is not None
            yield from started.stdout
        finally:
            started.kill()


def flows_in(folder: Path, *texts: str) -> Path:
    """A folder with flows that any user may read."""
    folder.mkdir()
    folder.chmod(0o755)
    for number, text in enumerate(texts):
        file = folder / f"{number}.yaml"
        file.write_text(text)
        file.chmod(0o644)
    return folder


def outputs(execution: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the tasks of an execution that succeeded sent, by task."""
    runs: Sequence[Mapping[str, Any]] = execution["taskRunList"]
    assert execution["state"]["current"] == "SUCCESS", runs
    return {run["taskId"]: run["outputs"]["vars"] for run in runs}

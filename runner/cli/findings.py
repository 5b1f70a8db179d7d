"""What `eyas doctor` looks at, each part on its own, so that one failure hides no other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import anyio.to_thread

from runner.errors import FlowInvalid, RunnerError
from runner.records import record
from runner.runners.docker_auth import known_logins
from runner.runners.docker_client import Engine, EngineInfo, open_engine
from runner.runners.docker_host import find_endpoint
from runner.runners.docker_visibility import Visibility
from runner.runners.maker import Maker
from runner.runners.registry import instance_of
from runner.settings import Settings

MIN_FREE_BYTES = 256 * 1024 * 1024
"""Less free space than this is not enough to run anything (reliability E1)."""

_DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"
_SCRIPTS = "io.kestra.plugin.scripts."


@record(kw_only=True)
class Finding:
    """One thing that was looked at. `missing` keeps flows from running, `note` may or may not."""

    name: str
    level: Literal["ok", "note", "missing"]
    found: str
    advice: str = ""


async def examine(settings: Settings, flows: Sequence[str]) -> Sequence[Finding]:
    """Everything that was found, in the order in which it is shown."""
    images, findings = _images_of(flows, settings)
    findings = [*_machine(settings), *findings]
    async for finding in _docker(settings, images):
        findings.append(finding)
    return findings


def _machine(settings: Settings) -> list[Finding]:
    return [
        _python(settings),
        _uv(settings),
        _folder("state folder", settings.state_dir),
        _folder("temporary folder", settings.tmp_dir),
    ]


def _python(settings: Settings) -> Finding:
    """The interpreter that Process tasks find first (script-tasks 7.3)."""
    for name in ("python", "python3"):
        path = shutil.which(name, path=settings.environ.get("PATH"))
        if path is None:
            continue
        asked = subprocess.run(
            [path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if asked.returncode == 0:
            return Finding(name="Python", level="ok", found=f"{asked.stdout.strip()} at {path}")
    return Finding(
        name="Python",
        level="note",
        found="neither python nor python3 is on PATH",
        advice="Python tasks with the Process runner need one; those in containers do not.",
    )


def _uv(settings: Settings) -> Finding:
    environ = settings.environ
    home = Path(environ.get("HOME", "/nonexistent"), ".local/bin/uv")
    named = [environ.get("UV_PATH"), str(home), shutil.which("uv", path=environ.get("PATH"))]
    for path in named:
        if path and os.access(path, os.X_OK):
            return Finding(name="uv", level="ok", found=path)
    return Finding(
        name="uv",
        level="note",
        found="not found",
        advice="Tasks with `dependencies` use pip then; `pip install uv` makes them faster.",
    )


def _folder(name: str, folder: Path) -> Finding:
    """Whether a folder, or the one where it will be made, can be written and has space."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding(
            name=name,
            level="missing",
            found=f"{folder} cannot be written: {error.strerror}",
            advice="Set EYAS_STATE_DIR or TMPDIR to a folder of yours, or make space.",
        )
    free = shutil.disk_usage(there).free
    if free < MIN_FREE_BYTES:
        return Finding(
            name=name,
            level="missing",
            found=f"{folder}: {_size(free)} free",
            advice=f"Make space: at least {_size(MIN_FREE_BYTES)} are needed.",
        )
    return Finding(name=name, level="ok", found=f"{folder}, {_size(free)} free")


async def _docker(settings: Settings, images: Mapping[str, str]) -> AsyncGenerator[Finding]:
    """The engine, what it sees of our folders, logins, and the `images` with their policies."""
    try:
        endpoint = find_endpoint(settings)
        async with open_engine(endpoint) as engine:
            info = await engine.info()
            kind = ", rootless" if info.rootless else ""
            yield Finding(
                name="Docker",
                level="ok",
                found=f"{info.name} {info.version} (API {info.api}{kind}) at {endpoint.url},"
                f" {endpoint.source}",
            )
            for finding in [*_limits(info), *await _images(engine, images)]:
                yield finding
            yield await _sharing(engine, info, settings)
    except RunnerError as error:
        first, _, rest = str(error).partition("\n")
        yield Finding(name="Docker", level="missing", found=first, advice=rest)
    logins = await anyio.to_thread.run_sync(known_logins, settings)
    for registry, where in logins.items():
        helper = where if where.startswith("docker-credential-") else None
        lost = helper is not None and shutil.which(helper) is None
        yield Finding(
            name="login",
            level="note" if lost else "ok",
            found=f"{registry}: {where}" + (", which is not installed" if lost else ""),
            advice="Install it, or `docker login` again." if lost else "",
        )


def _limits(info: EngineInfo) -> Sequence[Finding]:
    if info.limits_memory:
        return []
    return [
        Finding(
            name="memory limits",
            level="note",
            found="this machine cannot limit the memory of containers",
            advice="Enable the memory cgroup (cgroup_enable=memory on a Raspberry Pi).",
        )
    ]


async def _sharing(engine: Engine, info: EngineInfo, settings: Settings) -> Finding:
    """How files get into containers: shared folders, or copies."""
    name = "files"
    image = await engine.any_image()
    if image is None:
        return Finding(
            name=name, level="note", found="not tried, as the engine has no image at all yet"
        )
    visibility = Visibility(engine, Maker(instance=instance_of(settings)), settings.tmp_dir)
    seen = await visibility.of_folder(settings.tmp_dir, image)
    if seen and not info.labels_files:
        return Finding(name=name, level="ok", found=f"the engine sees {settings.tmp_dir}")
    reason = "SELinux keeps containers from it" if seen else "the engine does not see it"
    return Finding(
        name=name,
        level="note",
        found=f"{settings.tmp_dir} is not shared with containers: {reason}",
        advice="Files are copied in and out, which is slower for large ones.",
    )


async def _images(engine: Engine, images: Mapping[str, str]) -> list[Finding]:
    findings: list[Finding] = []
    for image, policy in images.items():
        name = f"image {image}"
        if "{{" in image:
            findings.append(Finding(name=name, level="note", found="known when the flow runs"))
        elif await engine.image(image) is not None:
            findings.append(Finding(name=name, level="ok", found="present"))
        elif policy == "NEVER":
            advice = f"Its pullPolicy is NEVER: run `docker pull {image}`, or build it."
            findings.append(Finding(name=name, level="missing", found="absent", advice=advice))
        else:
            advice = "It is pulled when the flow runs, which needs the network."
            findings.append(Finding(name=name, level="note", found="absent", advice=advice))
    return findings


def _images_of(flows: Sequence[str], settings: Settings) -> tuple[Mapping[str, str], list[Finding]]:
    """The images of the flows with their pull policies, and the flows that cannot be read."""
    if not flows:
        return {}, []
    from runner.loading.flow import load_file

    images: dict[str, str] = {}
    findings: list[Finding] = []
    for path in _files(flows):
        try:
            flow = load_file(path, settings=settings)
        except FlowInvalid as error:
            count = len(error.problems)
            findings.append(
                Finding(
                    name=f"flow {path}",
                    level="missing",
                    found=f"{count} problem{'s' if count != 1 else ''}",
                    advice=f"Run `eyas validate {path}`.",
                )
            )
            continue
        for task in flow.walk():
            if task.type.startswith(_SCRIPTS) and not task.disabled:
                images |= _image_of(task.type, task.properties)
    return images, findings


def _files(paths: Sequence[str]) -> Iterator[str]:
    """The files to read: those named, and those in the folders that are named."""
    from runner.cli.validate import flows_under

    for path in paths:
        if Path(path).is_dir():
            yield from flows_under(path, [])
        else:
            yield path


def _image_of(type_: str, properties: Mapping[str, Any]) -> Mapping[str, str]:
    """The image of one script task, with its pull policy; empty for one that is a process."""
    from runner.model.catalog import catalog

    runner: Any = properties.get("taskRunner") or {}
    legacy = properties.get("runner")
    if legacy == "PROCESS" or not isinstance(runner, Mapping):
        return {}
    options = cast("Mapping[str, Any]", properties.get("docker") or runner)
    if legacy is None and options is runner and options.get("type", _DOCKER) != _DOCKER:
        return {}
    info = catalog().task(type_)
    default = info.properties["containerImage"].default if info else None
    image = options.get("image") or properties.get("containerImage") or default
    return {str(image): str(options.get("pullPolicy", "IF_NOT_PRESENT"))}


def _size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"

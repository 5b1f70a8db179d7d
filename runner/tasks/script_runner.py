"""Where a script runs: as a process, or in a container of which options (script-tasks 1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from runner.errors import TaskFailed
from runner.model.execution import Level
from runner.records import record
from runner.runners.base import TaskRunner
from runner.tasks.context import RunContext

if TYPE_CHECKING:
    from runner.runners.docker_options import DockerOptions

_PROCESS = "io.kestra.plugin.core.runner.Process"
_DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"


@record
class Place:
    """Where a script runs. `docker` None: as a process of this machine.

    `image_hint` is the task's `containerImage`, which tells the Python version even where the
    runner names another image.
    """

    docker: DockerOptions | None = None
    image_hint: str = ""

    def pulled(self) -> Place:
        """The same, after its image was pulled as its policy says."""
        if self.docker is None or self.docker.pull_policy != "ALWAYS":
            return self
        return replace(self, docker=replace(self.docker, pull_policy="IF_NOT_PRESENT"))

    def runner(self, ctx: RunContext) -> TaskRunner:
        """The task runner for it."""
        if self.docker is None:
            return ctx.runners.process()
        return ctx.runners.docker(self.docker, lambda text: ctx.log(Level.WARN, text))


async def choose_place(ctx: RunContext, user: str | None, more: Mapping[str, object]) -> Place:
    """Where the task runs, by its properties and the settings; `user` None: the image's user.

    `more` are variables that the runner's options may use.

    Raises:
        TaskFailed: `taskRunner` is no map, an option is wrong, or there is no image.
    """
    properties = ctx.task.properties
    legacy = properties.get("runner")
    raw = _runner_map(properties.get("taskRunner"))
    docker = legacy == "DOCKER" or (legacy is None and raw.get("type", _DOCKER) == _DOCKER)
    if ctx.settings.task_runner == "process" or legacy == "PROCESS":
        return Place()
    if not docker:
        if raw["type"] != _PROCESS:
            raise TaskFailed(f"Invalid taskRunner: Eyas has no task runner '{raw['type']}'")
        return Place()
    # `docker` replaces all that stands under `taskRunner`, and keeps the image's ENTRYPOINT.
    old = properties.get("docker")
    is_old = old is not None or legacy is not None
    options = await _options(ctx, (old or {}) if is_old else raw, more, legacy=is_old)
    image = await ctx.text("containerImage") or ""
    if options.image is None:
        if not image:
            raise TaskFailed("Missing image: set `containerImage`")
        options = replace(options, image=image)
    if ctx.settings.offline:
        options = replace(options, pull_policy="NEVER")
    if options.user is None and user is not None:
        options = replace(options, user=user)
    return Place(options, image)


def _runner_map(raw: Any) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise TaskFailed(
            f"Invalid taskRunner '{raw}': a map is needed. Write `taskRunner: {{type: {raw}}}`."
        )
    return cast("Mapping[str, Any]", raw)


async def _options(
    ctx: RunContext, raw: Mapping[str, Any], more: Mapping[str, object], *, legacy: bool
) -> DockerOptions:
    # Only where a container is used: a process should not wait for it.
    from runner.runners.docker_options import DockerOptions

    fixed = {name: raw[name] for name in ("type", "version", "killGracePeriod") if name in raw}
    others = {name: value for name, value in raw.items() if name not in fixed}
    return DockerOptions.parse({**fixed, **await ctx.render(others, **more)}, legacy=legacy)

"""Having the packages of flows in the cache before they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from runner.cli.planned import PlannedContext, script_tasks
from runner.errors import RenderFailed, RunnerError
from runner.model.flow import Flow, Task
from runner.records import record
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.tasks.package_supply import PACKAGES
from runner.tasks.python_installs import AS_WRITTEN, NOT_IN_ADVANCE
from runner.tasks.script import prepare_packages


@record(kw_only=True)
class Prefetched:
    """What came of one task: `text` says which packages, or why not."""

    flow: str
    task: str
    state: Literal["ready", "as written", "unknown", "failed"]
    text: str

    def document(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


async def prefetch(
    settings: Settings, files: Sequence[Path], since: datetime
) -> Sequence[Prefetched]:
    """Have the packages of all tasks of the flows; those that need none are left out.

    A set without fixed versions that was made before `since` is made anew.
    """
    from dataclasses import replace

    settings = replace(settings, refresh=True)
    results: list[Prefetched] = []
    async with TaskRunners(settings) as runners:
        for flow, task in script_tasks(files, settings):
            found = await _prefetch(flow, task, settings, runners, since)
            if found is not None:
                results.append(found)
    return results


async def _prefetch(
    flow: Flow, task: Task, settings: Settings, runners: TaskRunners, since: datetime
) -> Prefetched | None:
    context = PlannedContext(flow, task, settings, runners, since)

    def ended(state: Literal["ready", "as written", "unknown", "failed"], text: str) -> Prefetched:
        return Prefetched(flow=flow.id, task=task.id, state=state, text=text)

    try:
        async with context.leaving:
            await prepare_packages(context)
    except RenderFailed as error:
        return ended("unknown", f"known only when it runs: {error}")
    except RunnerError as error:
        return ended("failed", str(error).splitlines()[-1])
    lines = [text for _, text in context.lines]
    ready = [text for text in lines if text.startswith(f"{PACKAGES} of ")]
    written = [text for text in lines if text.startswith((NOT_IN_ADVANCE, AS_WRITTEN))]
    if written:
        return ended("as written", written[-1])
    return ended("ready", "; ".join(ready)) if ready else None

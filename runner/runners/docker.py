"""The Docker task runner: every command in a container of its own, used once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from typing import Any

import anyio

from runner.errors import RunnerUnavailable
from runner.failpoints import failpoint
from runner.runners.base import Command, Emit, Outcome
from runner.runners.docker_client import Attached, Engine, EngineError, EngineInfo, NotBegun
from runner.runners.docker_container import Container, Ended, engine_back, remove
from runner.runners.docker_entry import UNUSED_STATUS, EndMarks
from runner.runners.docker_files import Files, owner_of
from runner.runners.docker_images import Image
from runner.runners.docker_job import Host, Job, job_of
from runner.runners.docker_left import says_unused
from runner.runners.docker_options import DockerOptions
from runner.runners.docker_output import Output
from runner.runners.docker_policy import allowed
from runner.runners.docker_request import labels
from runner.runners.docker_standby import Place, Standby, attached_container, standing_by
from runner.runners.docker_verdict import judged
from runner.runners.intents import Left, forget, note, note_started, note_starting
from runner.runners.limits import check_size
from runner.runners.maker import Maker
from runner.runners.side_file import SideFolder
from runner.settings import KEEP_LABEL, Settings

_LAST_WORDS_S = 1
"""How long the output of a container that was stopped is still read."""


@dataclass(slots=True)
class _Begun:
    """Whether a command has begun (`value`), and so whether its container stays at the end.

    It does when the flow wants it (`kept`), or the next Eyas goes on with it.
    """

    kept: bool
    handing_over: Callable[[], bool]
    value: bool = False

    def stays(self) -> bool:
        """Whether the container is left as it is."""
        return self.value and (self.kept or self.handing_over())


class DockerRunner:
    """Runs commands in containers as `options` say.

    `host` gives the engine, connected when it is first awaited. `maker` marks the containers as
    ours. `lost_after` is how long a task waits for an engine that went away. While
    `handing_over` gives True, a cancelled container is left as it is, for the next Eyas.
    """

    def __init__(
        self,
        settings: Settings,
        options: DockerOptions,
        host: Callable[[], Awaitable[Host]],
        maker: Maker,
        lost_after: timedelta,
        warn: Callable[[str], None],
        handing_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._options = options
        self._host = host
        self._maker = maker
        self._lost_after = lost_after
        self._warn = warn
        self._handing_over = handing_over

    @property
    def keeps_returns(self) -> bool:
        """Kestra's containers keep the `\\r` that ends a line (script-tasks 3.1)."""
        return True

    async def run(self, command: Command, emit: Emit) -> Outcome:
        """Run `command` in a new container and return how it ended; see `TaskRunner.run`.

        On cancellation the container is stopped (at once, or with SIGTERM and `kill_grace`) and
        removed. With `wait: false` it returns as soon as the container has started.

        Raises:
            RunnerUnavailable: no engine, no image, refused by the policy or by the engine.
            TaskFailed: the container's files could not be copied back.
        """
        async with AsyncExitStack() as stack:
            if command.resumed is not None:
                outcome = await self._resume(command, command.resumed, emit, stack)
            else:
                outcome = await self._run(command, emit, stack)
            if command.leaving is not None:
                command.leaving.push_async_exit(stack.pop_all())
                command.leaving.takes_time = True
            return outcome

    async def _run(self, command: Command, emit: Emit, stack: AsyncExitStack) -> Outcome:
        """Run `command` in a new container; `stack` takes what is left to be cleaned up."""
        check_size(command.argv, command.env)
        host = await self._host()
        options = allowed(self._options, self._settings, host.engine.endpoint, self._warn)
        image = await host.images.ensure(options, self._warn)
        self._check(host.info, image, options)
        job = await job_of(host, command, options, image, self._settings)
        standby = await self._ready(job, stack)
        for last_try in (False, True):
            try:
                if standby is not None and not last_try:
                    return await self._hand_over(job, standby, emit)
                return await self._run_once(job, emit, stack)
            except (EngineError, NotBegun) as error:
                if last_try or not await self._can_try_again(job, error):
                    raise
        raise AssertionError

    async def expect(self, command: Command) -> None:
        """Have a container stand by for a command like this one, which is about to come.

        Raises:
            RunnerUnavailable: there is no engine, or it is refused by the policy.
        """
        host = await self._host()
        options = allowed(self._options, self._settings, host.engine.endpoint, lambda _: None)
        image = await host.images.local(options.image or "")
        if image is None or options.pull_policy == "ALWAYS":
            return
        job = await job_of(host, command, options, image, self._settings)
        if job.entry is not None:
            folder = None if command.series else command.workdir
            host.standbys.expect(command, job.recipe, job.entry.shell, host, folder)

    async def _ready(self, job: Job, stack: AsyncExitStack) -> Standby | None:
        """A container that stands by for this command; None if there is none."""
        command, entry = job.command, job.entry
        if entry is None or not job.recipe.may_wait:
            return None
        reserved = command.standby
        kind = job.recipe.kind(entry.shell, None if command.series else command.workdir)
        if command.series:
            job.host.standbys.used(command.series, kind, job.recipe, entry.shell, job.host)
            return reserved if reserved is not None and reserved.kind == kind else None
        found = await job.host.standbys.take(kind)
        if found is not None:
            stack.push_async_exit(found.stack)
        return found

    def _clean_up(self, side: SideFolder) -> None:
        if not self._handing_over():
            side.remove()

    async def _resume(
        self, command: Command, left: Left, emit: Emit, stack: AsyncExitStack
    ) -> Outcome:
        """Follow a container that an earlier Eyas has started to its end."""
        side = SideFolder.at(left.intent.folder)
        stack.callback(self._clean_up, side)
        host = await self._host()
        engine, options = host.engine, self._options
        if not options.wait:
            return Outcome(exit_code=0, details={"containerId": left.id})
        if options.delete:
            stack.push_async_callback(self._removed, engine, left.id)
        if left.status == "paused":
            self._warn("The container is paused: somebody else did that")
        marks = EndMarks(left.intent.run)
        container, output = Container(engine, left.id, self._warn), Output(emit, marks)

        async def follow(scope: anyio.CancelScope) -> None:
            await output.follow_log(engine, left.id, scope)

        ended = await self._to_end(container, output, follow, None, options)
        if output.may_lack_lines:
            self._warn("More was printed than Docker keeps: lines from meanwhile may be missing")
        since = left.intent.started or time.time()
        outcome = await judged(engine, container, ended, options, since, self._warn)
        if ended.gone:
            return outcome
        files = Files(
            command=command,
            side=side,
            shared=left.shares_folder,
            shim_shared=True,
            owner=owner_of(""),
            writable_root=True,
        )
        markers = await files.take_back(engine, left.id, outcome.exit_code)
        return replace(outcome, markers=markers)

    async def _removed(self, engine: Engine, container: str) -> None:
        if not self._handing_over():
            with anyio.move_on_after(60, shield=True):
                await remove(engine, container, self._warn)

    async def _can_try_again(self, job: Job, error: EngineError | NotBegun) -> bool:
        """Whether what kept the command from beginning has been put right."""
        if isinstance(error, NotBegun):
            await engine_back(job.host.engine, self._lost_after, error)
            return True
        removed = error.status == 404 and "no such image" in error.text.lower()
        if removed and job.options.pull_policy != "NEVER":
            # Between our look at it and now (reliability D9).
            await job.host.images.pull(job.options, self._warn)
            return True
        return False

    def _check(self, info: EngineInfo, image: Image, options: DockerOptions) -> None:
        """Tell what will not work as written."""
        if image.architecture and info.architecture not in ("", image.architecture):
            self._warn(
                f"Image {image.name} is {image.architecture}, this machine is {info.architecture}"
            )
        if options.memory is not None and not info.limits_memory:
            self._warn("This machine cannot limit memory (no memory cgroup): the limit is ignored")

    async def _run_once(self, job: Job, emit: Emit, stack: AsyncExitStack) -> Outcome:
        """Make a container for the command and run it in there."""
        await job.command.recorded()
        command, options, engine = job.command, job.options, job.host.engine
        run, kept = token_hex(8), not (options.delete and options.wait)
        marks = labels(command.owner, self._maker, run)
        marks = {**marks, KEEP_LABEL: "true"} if kept else marks
        name = f"eyas-{command.owner.task_run_id}-{command.owner.attempt}"
        async with AsyncExitStack() as mine:
            side = SideFolder(self._settings.tmp_dir, open_to_all=True)
            mine.callback(self._clean_up, side)
            note(side.outer, command, run, self._options.host)
            failpoint("container.noted")
            if job.entry is not None:
                place = Place(workdir=command.workdir, side=side)
                making = standing_by(
                    *(engine, job.recipe, job.entry.shell, place),
                    name=name,
                    labels=marks,
                    warn=self._warn,
                    holds=job.host.standbys.any_may_wait and command.leaving is not None,
                )
                standby = await mine.enter_async_context(making)
                outcome = await self._hand_over(job, standby, emit)
            else:
                request = job.recipe.request(
                    command.argv,
                    waits=False,
                    workdir=command.workdir,
                    side=side,
                    labels=marks,
                    env=job.env,
                )
                begun = _Begun(kept, self._handing_over)
                making = self._made(job, request, name, side, begun)
                id_, attached = await mine.enter_async_context(making)
                outcome = await self._start(job, id_, attached, side, begun, emit)
            stack.push_async_exit(mine.pop_all())
            return outcome

    def _made(
        self, job: Job, request: Mapping[str, Any], name: str, side: SideFolder, begun: _Begun
    ) -> AbstractAsyncContextManager[tuple[str, Attached]]:
        """A container that begins with the command, and has its files."""
        engine, files = job.host.engine, job.files(side)

        async def prepare(container: str) -> None:
            await files.prepare(engine, container)
            await files.put_in(engine, container)

        return attached_container(
            engine, request, name, prepare=prepare, stays=begun.stays, warn=self._warn
        )

    async def _start(
        self,
        job: Job,
        id_: str,
        attached: Attached,
        side: SideFolder,
        begun: _Begun,
        emit: Emit,
    ) -> Outcome:
        """Start a container that begins with the command, and follow it to its end."""
        engine = job.host.engine
        if not job.options.wait:
            note_starting(side.outer)
            await engine.start(id_)
            begun.value = True
            return Outcome(exit_code=0, details={"containerId": id_})
        container = Container(engine, id_, self._warn)

        async def start() -> None:
            note_starting(side.outer)
            failpoint("container.starting")
            await container.start()
            failpoint("container.started")
            note_started(side.outer)

        try:
            begun.value = True
            return await self._follow(job, container, attached, side, Output(emit), start)
        except EngineError:
            begun.value = False
            raise

    async def _hand_over(self, job: Job, standby: Standby, emit: Emit) -> Outcome:
        """Give the command to a container that waits for it, and follow it to its end."""
        assert job.entry is not None
        engine, side, command = job.host.engine, standby.place.side, job.command
        files = job.files(side)
        note(side.outer, command, standby.run, self._options.host)
        entry = job.entry.files(job.env, list(job.recipe.image.env))
        await files.put_in(engine, standby.id, entry)
        begun = _Begun(False, self._handing_over)
        standby.stays = begun.stays
        output = Output(emit, EndMarks(standby.run))

        async def begin() -> None:
            waits = standby.hold is not None and standby.hold.is_known
            if waits:
                await standby.load()
            await command.recorded()
            begun.value = True
            note_starting(side.outer)
            failpoint("container.waits")
            if standby.hold is not None:
                standby.hold.begin()
            if not waits:
                await standby.load()
            failpoint("container.started")
            note_started(side.outer)

        container = Container(engine, standby.id, self._warn, standby.let_go)
        try:
            outcome = await self._follow(job, container, standby.attached, side, output, begin)
            if outcome.exit_code == UNUSED_STATUS and output.status is None:
                shared = job.recipe.files.shared
                if await says_unused(engine, standby.id, side, shared=shared):
                    raise NotBegun(f"Container {standby.id[:12]} had no command")
            return outcome
        except NotBegun:
            begun.value = False
            forget(side.outer)
            raise

    async def _follow(
        self,
        job: Job,
        container: Container,
        attached: Attached,
        side: SideFolder,
        output: Output,
        start: Callable[[], Awaitable[None]],
    ) -> Outcome:
        """Start the command, emit what it prints, wait for its end and take its files back."""
        engine, options, start_time = job.host.engine, job.options, time.time()

        async def follow(scope: anyio.CancelScope) -> None:
            await output.follow(attached, scope)

        ended = await self._to_end(container, output, follow, start, options)
        outcome = await judged(engine, container, ended, options, start_time, self._warn)
        failpoint("container.ended")
        if not ended.gone:
            markers = await job.files(side).take_back(engine, container.id, outcome.exit_code)
            outcome = replace(outcome, markers=markers)
        return outcome

    async def _to_end(
        self,
        container: Container,
        output: Output,
        follow: Callable[[anyio.CancelScope], Coroutine[Any, Any, None]],
        start: Callable[[], Awaitable[None]] | None,
        options: DockerOptions,
    ) -> Ended:
        """Start the container and wait for its end; all that it printed was emitted."""
        failed: RunnerUnavailable | None = None
        ended: Ended | None = None
        async with anyio.create_task_group() as group:
            # It goes on while the container is being stopped: its last words count.
            following = anyio.CancelScope(shield=True)
            group.start_soon(follow, following)
            try:
                if start is not None:
                    await start()
                ended = await container.ending(
                    output, self._lost_after, memory_limited=options.memory is not None
                )
                if not ended.reported:
                    await output.drain(self._settings.pipe_grace.total_seconds())
            except RunnerUnavailable as error:
                # Raised below, not here, where the task group would wrap it.
                failed = error
            except BaseException:
                if self._handing_over():
                    raise
                limit_s = options.kill_grace.total_seconds() + 30
                # If the engine does not answer, its removal afterwards says so.
                with anyio.move_on_after(limit_s, shield=True), suppress(RunnerUnavailable):
                    await container.kill(options.kill_grace)
                with anyio.move_on_after(_LAST_WORDS_S, shield=True):
                    await output.ended.wait()
                raise
            finally:
                following.cancel()
        if failed is not None:
            raise failed
        assert ended is not None
        return ended

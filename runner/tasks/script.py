"""Script tasks, `io.kestra.plugin.scripts.*.Script` and `.Commands`: one attempt of one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from runner.errors import ExitStatus, RenderFailed, RunnerError, RunnerUnavailable, TaskFailed
from runner.failpoints import failpoint
from runner.model.convert import json_text
from runner.model.execution import Level, Outputs, new_id
from runner.model.hash_order import hash_ordered
from runner.model.texts import without_nulls
from runner.records import record
from runner.runners.base import Command, Outcome, Owner, ReadOnly, series_of
from runner.runners.work_dirs import make_folder
from runner.tasks.context import Executed, Result, RunContext
from runner.tasks.kept_files import kept_files
from runner.tasks.languages import COMMANDS_TYPES, SCRIPT_TYPES, Language, language_of
from runner.tasks.python import began, may_install, set_up
from runner.tasks.registry import task
from runner.tasks.script_context import CONTEXT_FILE, write_context
from runner.tasks.script_files import (
    Given,
    new_name,
    rendered_inputs,
    warn_of_second_rendering,
    with_local_files,
    write_files,
)
from runner.tasks.script_lines import command_line, environment, is_shell
from runner.tasks.script_programs import Programs, programs_of
from runner.tasks.script_runner import Place, choose_place
from runner.tasks.work_folder import work_folder

if TYPE_CHECKING:
    from runner.runners.docker_standby import Standby
    from runner.tasks.package_recipe import Image


class CommandFailed(ExitStatus):
    """The command of a script ended with a status other than 0; its outputs are kept."""

    def __init__(self, code: int, hint: str, outputs: Outputs) -> None:
        self.outputs = outputs
        super().__init__(code, hint)


async def foresee(ctx: RunContext) -> None:
    """Have a container start for a task that is about to come, where it is known which it needs.

    What it mounts for packages, and what depends on other tasks, is known only when it runs.
    """
    from runner.tasks.script_ahead import expect

    await expect(ctx, "" if ctx.shared_dir is not None else _series(ctx))


@task(*SCRIPT_TYPES, stages=True, foresee=foresee)
async def run_script(ctx: RunContext) -> Result:
    """Run the property `script`, by way of a file unless the language is the shell's own."""
    async with _attempt(ctx) as attempt:
        return await attempt.run(is_script=True)


@task(*COMMANDS_TYPES, stages=True, foresee=foresee)
async def run_commands(ctx: RunContext) -> Result:
    """Run the property `commands`, one line after the other in one shell."""
    async with _attempt(ctx) as attempt:
        return await attempt.run(is_script=False)


async def prepare_packages(ctx: RunContext) -> None:
    """Have the packages of a script task in the cache.

    Raises:
        RenderFailed: they depend on what is known only when the task runs.
        TaskFailed: they cannot be had.
    """
    async with _attempt(ctx) as attempt:
        await attempt.prepare()


@asynccontextmanager
async def _attempt(ctx: RunContext) -> AsyncGenerator[_Attempt]:
    """An attempt with its folder, which goes when its end is stored unless it is shared."""
    left = ctx.resumed.intent.workdir if ctx.resumed is not None else None
    folder, standby = ctx.shared_dir, None
    if folder is None:
        if left is None:
            standby = await ctx.runners.reserve(_series(ctx))
        ready = standby.place.workdir if standby is not None else left
        folder = await ctx.leaving.enter_async_context(work_folder(ctx, ready))
        if standby is not None:
            ctx.leaving.push_async_exit(standby.stack)
    yield await _begin(ctx, folder, standby)


def _series(ctx: RunContext) -> str:
    return series_of(ctx.execution.namespace, ctx.execution.flow_id, ctx.task.id)


async def _begin(ctx: RunContext, folder: Path, standby: Standby | None) -> _Attempt:
    name, language = language_of(ctx.task.type)
    properties = ctx.task.properties
    if "warningOnStdErr" in properties:
        ctx.log(Level.DEBUG, "`warningOnStdErr` has no effect, as on Kestra from 0.23 on")
    with_output_dir = "runner" in properties or await ctx.flag("outputDirectory")
    if ctx.resumed is not None and ctx.resumed.intent.output_dir is not None:
        output_dir = ctx.resumed.intent.output_dir
    else:
        # An empty folder is there in any case, as on Kestra; scripts that count files see it.
        output_dir = folder / new_id()
    try:
        if ctx.resumed is None:
            make_folder(output_dir)
    except OSError as error:
        raise TaskFailed(f"The working directory cannot be used: {error}") from error
    more = {"workingDir": str(folder)}
    if with_output_dir:
        more["outputDir"] = str(output_dir)
    place = await choose_place(ctx, language.user, more)
    output = output_dir if with_output_dir else None
    return _Attempt(ctx, name, language, place, folder, output, more, standby)


@record
class _Attempt:
    """One attempt: where it runs, in which folder. `more` are variables of its rendering.

    `standby` is a container that was reserved for it.
    """

    ctx: RunContext
    name: str
    language: Language
    place: Place
    folder: Path
    output_dir: Path | None
    more: Mapping[str, Any]
    standby: Standby | None

    async def run(self, *, is_script: bool) -> Result:
        """Stage the files, run the command, collect the files; the outputs.

        Raises:
            CommandFailed: the command's status is not 0.
            RunnerError: something else went wrong before, or with the files afterwards.
        """
        if self.ctx.resumed is not None:
            return await self._resume()
        with ExitStack() as until:
            return await self._run(until, is_script=is_script)

    async def _resume(self) -> Result:
        """Go on where an earlier Eyas was: the command has been started."""
        ctx = self.ctx
        if self.place.docker is None:
            raise TaskFailed("It ran in a container, and tasks are not to run in containers now")
        patterns = await ctx.texts("outputFiles")
        with suppress(RunnerError):
            # For the secrets in it: they are masked in the lines that come now, too.
            await ctx.render(dict(ctx.task.properties), **self.more)
        executed = await self._execute((), {}, (), keeps_files=bool(patterns))
        return await self._end(executed, patterns)

    async def _run(self, until: ExitStack, *, is_script: bool) -> Result:
        """The same; what the command needs is kept until `until` is closed."""
        ctx = self.ctx
        interpreter = await ctx.texts("interpreter", **self.more)
        patterns = await ctx.texts("outputFiles")
        script = await self._stage(is_script)
        env = await environment(ctx, self.language, self.folder, self.output_dir)
        programs = await self._programs(env, until)
        env |= programs.env
        if await ctx.flag("executionContext"):
            env |= await write_context(ctx, self.folder, private=self.place.docker is None)
        before: Sequence[str] = await self._lines("beforeCommands")
        reads = programs.reads
        main = await self._main_lines(script, programs, interpreter)
        if self.name in ("python", "shell") and may_install(before):
            rest = [*main, script.read_text()] if isinstance(script, Path) else main
            before, more = await self._installed(before, rest, interpreter, env, until)
            reads = [*reads, *more]
        if reads and self.place.docker is not None:
            from runner.tasks.script_ahead import wish_of

            ctx.runners.note_reads(wish_of(ctx.task), reads)
        if is_shell(interpreter):
            before = [*programs.before, *before]
        argv = await command_line(
            *(ctx, self.language, interpreter, before, main, self.folder), is_script=is_script
        )
        executed = await self._execute(argv, env, reads, keeps_files=bool(patterns))
        return await self._end(executed, patterns)

    async def prepare(self) -> None:
        """Do what comes before the command, as far as it is about packages."""
        ctx, properties = self.ctx, self.ctx.task.properties
        with ExitStack() as until:
            # A script may well need what is not known yet: packages seldom do.
            with suppress(RenderFailed):
                await self._stage(is_script=False)
            env = await environment(ctx, self.language, self.folder, self.output_dir)
            programs = await self._programs(env, until)
            before = await self._lines("beforeCommands")
            if self.name in ("python", "shell") and may_install(before):
                interpreter = await ctx.texts("interpreter", **self.more)
                rest = [str(properties.get(name)) for name in ("script", "commands")]
                await self._installed(before, rest, interpreter, {**env, **programs.env}, until)

    async def _stage(self, is_script: bool) -> str | Path | None:
        """Put the files into the folder. The script's text or file; None for Commands."""
        ctx, folder, properties = self.ctx, self.folder, self.ctx.task.properties
        in_file = is_script and self.language.program is not None
        given = await rendered_inputs(
            ctx, folder, properties.get("inputFiles"), self.more, twice_on_kestra=in_file
        )
        script = await self._script_text(in_file) if is_script else None
        shared_files = properties.get("namespaceFiles")
        if in_file and shared_files is not None:
            # Twice, as Kestra does: then `ifExists` is about the input files too (2.1).
            await write_files(folder, given)
        if shared_files is not None:
            from runner.tasks.working_directory_files import load_namespace_files

            await load_namespace_files(ctx, folder, shared_files)
        if self.place.docker is not None and self.place.docker.config is not None:
            given.append(Given("config.json", json_text(self.place.docker.config)))
        if script is None or not in_file:
            await write_files(folder, given)
            return script
        name = new_name(await ctx.text("extension") or self.language.extension)
        await write_files(folder, [*given, Given(name, script)])
        return folder / name

    async def _script_text(self, in_file: bool) -> str:
        text = await self.ctx.text("script", **self.more) or ""
        if in_file:
            warn_of_second_rendering(self.ctx, "script", text)
        return await with_local_files(self.ctx, self.folder, text)

    async def _programs(self, env: Mapping[str, str], until: ExitStack) -> Programs:
        """What runs script files; for Python this installs the task's `dependencies`."""
        if self.name == "python":
            return await set_up(self.ctx, self.place, self.folder, env, until, self._image)
        return await programs_of(self.ctx, self.name)

    async def _main_lines(
        self, script: str | Path | None, programs: Programs, interpreter: Sequence[str]
    ) -> list[str]:
        """The lines after `beforeCommands`."""
        if isinstance(script, Path):
            return [programs.line(script, interpreter)]
        if script is not None:
            return [script]
        return await self._lines("commands")

    async def _lines(self, name: str) -> list[str]:
        """The lines of a property, with paths in the place of files' addresses."""
        lines = await self.ctx.texts(name, **self.more)
        return [await with_local_files(self.ctx, self.folder, line or "") for line in lines]

    async def _installed(
        self,
        before: Sequence[str],
        rest: Sequence[str],
        interpreter: Sequence[str],
        env: Mapping[str, str],
        until: ExitStack,
    ) -> tuple[Sequence[str], Sequence[ReadOnly]]:
        """The lines `before` without what was installed earlier, and the folders of that."""
        # Only now: most tasks install nothing.
        from runner.tasks.python_installs import Installs
        from runner.tasks.python_tools import Around, Tools

        return await Installs(
            tools=Tools(Around.of(self.ctx), self.place.docker, self.folder, env),
            interpreter=interpreter,
            before=before,
            rest=rest,
            env=env,
            since=began(self.ctx),
            image=self._image if self.place.docker is not None else None,
        ).replaced(until)

    async def _image(self) -> Image:
        """The image of the container, which is there then."""
        from runner.tasks.package_recipe import Image

        options = self.place.docker
        assert options is not None
        ctx = self.ctx
        found = await ctx.runners.image(options, lambda text: ctx.log(Level.WARN, text))
        return Image(
            id=found.id,
            name=options.image or "",
            user=options.user,
            host=options.host,
            network_mode=options.network_mode,
            extra_hosts=list(options.extra_hosts),
        )

    async def _execute(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        reads: Sequence[ReadOnly],
        *,
        keeps_files: bool,
    ) -> Executed:
        ctx = self.ctx
        shared = ctx.shared_dir is not None
        command = Command(
            argv=argv,
            workdir=self.folder,
            owner=owner_of(ctx),
            env=env,
            output_dir=self.output_dir,
            sync_back=keeps_files or shared or self.output_dir is not None,
            reads=reads,
            main=True,
            leaving=ctx.leaving,
            resumed=ctx.resumed,
            series="" if shared else _series(ctx),
            standby=self.standby,
        )
        if ctx.resumed is None:
            ctx.log(Level.DEBUG, f"Starting command [{', '.join(argv)}]")
        try:
            async with self._as_it_was():
                place = self.place.pulled() if reads else self.place
                return await ctx.execute(place.runner(ctx), command)
        except RunnerUnavailable as error:
            cause = error.__cause__
            if self.place.docker is not None or not isinstance(cause, OSError):
                raise
            # Kestra's log has both lines: what could not be run, and the system's reason.
            ctx.log(Level.ERROR, str(error))
            reason = f"Exec failed, error: {cause.errno} ({cause.strerror}) "
            raise TaskFailed(reason) from error
        except anyio.get_cancelled_exc_class():
            if self.place.docker is None:
                ctx.log(Level.WARN, "Killing the process and all that it started: interrupted")
            raise

    @asynccontextmanager
    async def _as_it_was(self) -> AsyncGenerator[None]:
        """Around the command: afterwards the folder is as Kestra would have it back."""
        docker, ctx = self.place.docker, self.ctx

        def goes_on() -> bool:
            return docker is not None and ctx.runners.handing_over

        try:
            if docker is not None and docker.file_handling == "VOLUME" and ctx.shared_dir:
                resumed = ctx.resumed is not None
                async with kept_files(self.folder, resumed=resumed, goes_on=goes_on):
                    yield
            else:
                yield
        finally:
            if not goes_on():
                (self.folder / CONTEXT_FILE).unlink(missing_ok=True)

    async def _end(self, executed: Executed, patterns: Sequence[str]) -> Result:
        """The outputs, also of a command that failed."""
        from runner.tasks.working_directory_files import collect_folder, collect_outputs

        outcome = executed.outcome
        files: dict[str, str] = {}
        # A container that is not waited for has done nothing yet.
        if self.place.docker is None or self.place.docker.wait:
            if self.output_dir is not None:
                files |= await collect_folder(self.ctx, self.output_dir)
            files |= await collect_outputs(self.ctx, self.folder, patterns)
        failpoint("outputs.collected")
        outputs: dict[str, Any] = {
            "vars": without_nulls(hash_ordered(executed.vars)),
            "exitCode": outcome.exit_code,
            "outputFiles": files,
        }
        if outcome.exit_code != 0:
            raise CommandFailed(outcome.exit_code, _hint(outcome, self.place), outputs)
        if outcome.details:
            outputs["taskRunner"] = dict(outcome.details)
        self.ctx.log(Level.DEBUG, "Command succeed with exit code 0")
        return Result(outputs=outputs)


def owner_of(ctx: RunContext) -> Owner:
    """Whose command it is that the context's task runs."""
    return Owner(
        namespace=ctx.execution.namespace,
        flow_id=ctx.execution.flow_id,
        execution_id=ctx.execution.id,
        task_id=ctx.task.id,
        task_run_id=ctx.task_run.id,
        attempt=ctx.attempt,
    )


def _hint(outcome: Outcome, place: Place) -> str:
    """What a status other than 0 probably means; empty if it is the script's own affair."""
    where = f"the image {place.docker.image}" if place.docker else "the PATH of this machine"
    match outcome.reason, outcome.exit_code:
        case "oom", _:
            return "out of memory: the container reached its limit, see `memory`"
        case "killed_outside", _:
            return "the container was killed from outside"
        case "engine_lost", _:
            return "the container engine was lost while the task ran"
        case None, 126:
            return "a program was found but could not be executed: check its mode"
        case None, 127:
            return f"a program was not found: is it in {where}?"
        case None, 137:
            return "ended by SIGKILL"
        case reason, _:
            return reason or ""

"""Running Python's tools for a task: interpreters, uv and pip, here or in the task's image."""

from __future__ import annotations

import codecs
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import RunnerUnavailable
from runner.model.execution import Level
from runner.records import record
from runner.runners.base import Command, Owner, Stream, TaskRunner
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.tasks.context import RunContext
from runner.tasks.script_lines import search_path

if TYPE_CHECKING:
    from runner.runners.docker_options import DockerOptions

_KEPT_LINES = 20
_KEPT_OUTPUT_CHARS = 100_000


@record
class Done:
    """How a tool ended: its status, what it wrote to stdout, and its last lines for people."""

    code: int
    out: str
    last: str


@record(kw_only=True)
class Around:
    """What tools are run with: whose they are, and where their lines go."""

    settings: Settings
    runners: TaskRunners
    owner: Owner
    log: Callable[[Level, str], None]

    @staticmethod
    def of(ctx: RunContext) -> Around:
        """What a task's own tools are run with."""
        owner = Owner(
            namespace=ctx.execution.namespace,
            flow_id=ctx.execution.flow_id,
            execution_id=ctx.execution.id,
            task_id=ctx.task.id,
            task_run_id=ctx.task_run.id,
            attempt=ctx.attempt,
        )
        return Around(settings=ctx.settings, runners=ctx.runners, owner=owner, log=ctx.log)


class _Reader:
    """Keeps what a tool says, and logs its lines at DEBUG if there is a log."""

    def __init__(self, log: Callable[[Level, str], None] | None) -> None:
        self._log = log
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in Stream}
        self._open = dict.fromkeys(Stream, "")
        self.out = ""
        self.last: dict[Stream, deque[str]] = {s: deque(maxlen=_KEPT_LINES) for s in Stream}

    async def emit(self, stream: Stream, chunk: bytes) -> None:
        self._take(stream, self._decoders[stream].decode(chunk))

    def close(self) -> None:
        for stream in Stream:
            self._take(stream, self._decoders[stream].decode(b"", final=True) + "\n")

    def _take(self, stream: Stream, text: str) -> None:
        if stream is Stream.STDOUT and len(self.out) < _KEPT_OUTPUT_CHARS:
            self.out += text
        *lines, self._open[stream] = re.split(r"\r\n|\r|\n", self._open[stream] + text)
        for line in lines:
            if line.strip():
                self.last[stream].append(line)
                if self._log is not None:
                    self._log(Level.DEBUG, line)


class Tools:
    """Runs tools where the task itself will run, or on this machine.

    They work in `folder`, in a container of `docker` or, None, only on this machine. `env` are
    the variables of the task's command; a tool gets them too.
    """

    def __init__(
        self, around: Around, docker: DockerOptions | None, folder: Path, env: Mapping[str, str]
    ) -> None:
        self.around = around
        self.folder = folder
        self.docker = docker
        self._env = env

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables of this machine."""
        return self.around.settings.environ

    def variable(self, name: str) -> str | None:
        """A variable as a tool sees it."""
        return self._env.get(name) or self.environ.get(name)

    def debug(self, message: str) -> None:
        """Log a line at DEBUG."""
        self.around.log(Level.DEBUG, message)

    async def run(self, argv: Sequence[str], *, quiet: bool = False) -> Done:
        """Run a tool of this machine; a status of 127 where there is no such program.

        `quiet`: what it prints is for us, and not logged.
        """
        try:
            return await self._run(self.around.runners.process(), argv, {}, quiet=quiet)
        except RunnerUnavailable as error:
            return Done(127, "", str(error))

    async def run_in_image(self, argv: Sequence[str], env: Mapping[str, str]) -> Done:
        """Run a tool in a container of the task's image, with network and without limits."""
        options = self.docker
        assert options is not None
        network = None if options.network_mode == "none" else options.network_mode
        options = replace(
            options,
            network_mode=network,
            memory=None,
            memory_swap=None,
            memory_reservation=None,
            port_bindings=(),
            entry_point=("",),
            delete=True,
            wait=True,
        )
        runner = self.around.runners.docker(options, lambda text: self.around.log(Level.WARN, text))
        return await self._run(runner, argv, env)

    async def _run(
        self,
        runner: TaskRunner,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        quiet: bool = False,
    ) -> Done:
        reader = _Reader(None if quiet else self.around.log)
        command = Command(
            argv=argv,
            workdir=self.folder,
            owner=self.around.owner,
            env={**self._env, **env},
            shim=False,
        )
        outcome = await runner.run(command, reader.emit)
        reader.close()
        last = reader.last[Stream.STDERR] or reader.last[Stream.STDOUT]
        return Done(outcome.exit_code, reader.out.strip(), "\n".join(last))

    def which(self, program: str) -> str | None:
        """The absolute path of a program of this machine, by the task's PATH."""
        return shutil.which(program, path=search_path(self.around.settings, self._env))

    def uv(self) -> str | None:
        """uv on this machine, None if there is none (script-tasks 8)."""
        environ = self.environ
        home = Path(environ.get("HOME", "/nonexistent"), ".local/bin/uv")
        for candidate in (environ.get("UV_PATH"), str(home)):
            if candidate and os.access(candidate, os.X_OK):
                return candidate
        return self.which("uv")

"""Running Python's tools for a task: interpreters, uv and pip, here or in the task's image."""

from __future__ import annotations

import codecs
import os
import re
import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.errors import RunnerUnavailable, TaskFailed
from runner.model.execution import Level
from runner.runners.base import Command, Owner, Stream, TaskRunner
from runner.tasks.context import RunContext
from runner.tasks.script_lines import search_path
from runner.tasks.script_runner import Place

_KEPT_LINES = 20
_KEPT_OUTPUT_CHARS = 100_000
_VERSION_CODE = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)"


@dataclass(frozen=True, slots=True)
class Done:
    """How a tool ended: its status, what it wrote to stdout, and its last lines for people."""

    code: int
    out: str
    last: str


class _Reader:
    """Keeps what a tool says, and logs its lines at DEBUG if there is a log."""

    def __init__(self, ctx: RunContext | None) -> None:
        self._ctx = ctx
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
                if self._ctx is not None:
                    self._ctx.log(Level.DEBUG, line)


class Tools:
    """Runs tools where the task itself will run, or on this machine.

    `env` are the variables of the task's command; a tool gets them too.
    """

    def __init__(self, ctx: RunContext, place: Place, folder: Path, env: Mapping[str, str]) -> None:
        self.ctx = ctx
        self.folder = folder
        self.place = place
        self._env = env

    async def run(self, argv: Sequence[str], *, quiet: bool = False) -> Done:
        """Run a tool of this machine; a status of 127 where there is no such program.

        `quiet`: what it prints is for us, and not logged.
        """
        try:
            return await self._run(self.ctx.runners.process(), argv, {}, quiet=quiet)
        except RunnerUnavailable as error:
            return Done(127, "", str(error))

    async def run_in_image(self, argv: Sequence[str], env: Mapping[str, str]) -> Done:
        """Run a tool in a container of the task's image, with network and without limits."""
        options = self.place.docker
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
        return await self._run(Place(options).runner(self.ctx), argv, env)

    async def _run(
        self,
        runner: TaskRunner,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        quiet: bool = False,
    ) -> Done:
        reader = _Reader(None if quiet else self.ctx)
        command = Command(
            argv=argv,
            workdir=self.folder,
            owner=self._owner(),
            env={**self._env, **env},
            shim=False,
        )
        outcome = await runner.run(command, reader.emit)
        reader.close()
        last = reader.last[Stream.STDERR] or reader.last[Stream.STDOUT]
        return Done(outcome.exit_code, reader.out.strip(), "\n".join(last))

    def _owner(self) -> Owner:
        ctx = self.ctx
        return Owner(
            namespace=ctx.execution.namespace,
            flow_id=ctx.execution.flow_id,
            execution_id=ctx.execution.id,
            task_id=ctx.task.id,
            task_run_id=ctx.task_run.id,
            attempt=ctx.attempt,
        )

    def which(self, program: str) -> str | None:
        """The absolute path of a program of this machine, by the task's PATH."""
        return shutil.which(program, path=search_path(self.ctx, self._env))

    def uv(self) -> str | None:
        """uv on this machine, None if there is none (script-tasks 8)."""
        environ = self.ctx.settings.environ
        home = Path(environ.get("HOME", "/nonexistent"), ".local/bin/uv")
        for candidate in (environ.get("UV_PATH"), str(home)):
            if candidate and os.access(candidate, os.X_OK):
                return candidate
        return self.which("uv")


async def find_python(tools: Tools, wanted: str) -> str:
    """The absolute path of a Python of this machine; of version `wanted` unless that is empty.

    One on the PATH comes first; then what uv has; then uv may download one.

    Raises:
        TaskFailed: there is none.
    """
    names = ("python", "python3")
    if wanted:
        parts = wanted.split(".")
        names = (f"python{'.'.join(parts[:2])}", f"python{parts[0]}", "python3", "python")
    for path in dict.fromkeys(filter(None, map(tools.which, names))):
        found = await _answering(tools, path, wanted)
        if found:
            return found
    if not wanted:
        raise TaskFailed("Could not find Python: neither `python` nor `python3` is on PATH")
    uv = tools.uv()
    if uv is None:
        advice = "Install it, or install uv, which can download it."
        raise TaskFailed(f"Could not find or install Python '{wanted}' path\n{advice}")
    return await _from_uv(tools, uv, wanted)


async def _from_uv(tools: Tools, uv: str, wanted: str) -> str:
    find = [uv, "python", "find", "--no-config", wanted]
    done = await tools.run(find)
    if done.code != 0:
        # It downloads one, but does not say where to.
        installed = await tools.run([uv, "python", "install", "--no-config", wanted])
        done = await tools.run(find) if installed.code == 0 else installed
    if done.code != 0 or not done.out:
        raise TaskFailed(f"Could not find or install Python '{wanted}' path\n{done.last}")
    return done.out.splitlines()[-1]


async def _answering(tools: Tools, path: str, wanted: str) -> str | None:
    """The interpreter behind `path`, if it runs and its version is the wanted one."""
    done = await tools.run([path, "-c", _VERSION_CODE], quiet=True)
    lines = done.out.splitlines()
    if done.code != 0 or len(lines) != 2:
        return None
    version, executable = lines
    return executable if not wanted or f"{version}.".startswith(f"{wanted}.") else None

"""The Process task runner: a command as a local process with a session of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping

import anyio
import anyio.lowlevel
import anyio.to_thread

from runner.errors import RunnerUnavailable
from runner.failpoints import failpoint
from runner.runners.base import Command, Emit, Outcome, Stream
from runner.runners.cgroup import Cell, own_cgroup
from runner.runners.intents import note
from runner.runners.limits import check_size
from runner.runners.process_tree import (
    Process,
    carriers,
    descendants,
    signal_each,
    signal_group,
)
from runner.runners.side_file import SideFolder
from runner.settings import Settings

_CHUNK_BYTES = 256 * 1024
_SHORT_S = 1
"""A process that ends sooner has no cgroup: that would take longer than the process itself."""

_LAST_GRACE_S = 2
"""How long a pipe may stay open after everything that can be found was killed."""

_OWN_PREFIXES = ("EYAS_", "SECRET_", "NOTIFY_SOCKET", "WATCHDOG_")
"""Variables of the host that no script sees: our settings, the flows' secrets (reliability L4), and
what is between systemd and us."""


class ProcessRunner:
    """Runs commands as local processes, with the environment of the host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = anyio.Lock()
        self._cgroup = own_cgroup()
        self._host_env = {
            name: value
            for name, value in settings.environ.items()
            if not name.startswith(_OWN_PREFIXES)
        }

    @property
    def keeps_returns(self) -> bool:
        """A `\\r` that ends a line is dropped, as with Kestra's processes."""
        return False

    async def run(self, command: Command, emit: Emit) -> Outcome:
        """Run `command` to its end and return how it ended; see `TaskRunner.run`.

        On cancellation the process group and all descendants get SIGTERM, then SIGKILL after
        `stop_grace`; so has the cgroup, where there is one. After a normal end whatever is left of
        the group is killed too.

        Raises:
            RunnerUnavailable: no such program, no permission, too large, no memory.
        """
        with SideFolder(self._settings.tmp_dir) as side, Cell(self._cgroup) as cell:
            cookie = f"EYAS_SIDE_FILE={side.file}"
            env = self._environment(command, side)
            check_size(command.argv, env)
            if command.main:
                note(side.outer, command)
            await command.recorded()
            # Until a new process has its first turn, everything here stands still: with many of
            # them at a time that is long, and whoever waits for something else comes in between.
            async with self._turn:
                running = _Running(_start(command, env), cookie, cell, self._settings)
            failpoint("process.started")
            code = await running.to_end(emit)
            return Outcome(exit_code=128 - code if code < 0 else code, markers=await side.markers())

    def _environment(self, command: Command, side: SideFolder) -> Mapping[str, str]:
        env = {**self._host_env, **command.env, "EYAS_SIDE_FILE": str(side.file)}
        if command.shim:
            from kestra_shim import site_path

            path = [str(site_path), env.get("PYTHONPATH", "")]
            env["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        return env


def _start(command: Command, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the command, with pipes for its output and nothing for its input."""
    try:
        return subprocess.Popen(
            command.argv,
            cwd=command.workdir,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            umask=0o022,
        )
    except OSError as error:
        # Kestra's words, so that what looks for them in a log still finds them.
        raise RunnerUnavailable(
            f'Cannot run program "{command.argv[0]}" (in directory "{command.workdir}"):'
            f" error={error.errno}, {os.strerror(error.errno or 0)}{_advice(command, error)}"
        ) from error


def _advice(command: Command, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        if not command.workdir.is_dir():
            return "\nThe working directory has vanished."
        return "\nThere is no such program on PATH: is it installed, is `interpreter` right?"
    if isinstance(error, PermissionError):
        return "\nThe file may not be executed: check its mode and that of its folders."
    return ""


class _Running:
    """A process that was started, until it has ended and its pipes are closed."""

    def __init__(
        self, popen: subprocess.Popen[bytes], cookie: str, cell: Cell, settings: Settings
    ) -> None:
        self._popen = popen
        self._cookie = cookie
        self._cell = cell
        self._stop_grace_s = settings.stop_grace.total_seconds()
        self._pipe_grace_s = settings.pipe_grace.total_seconds()
        self._exited = anyio.Event()
        self._drained = anyio.Event()
        self._open_pipes = 2
        self._last_call = False
        self._waits: dict[int, anyio.CancelScope] = {}
        self._enclosing = anyio.CancelScope()
        self._pumps = [anyio.CancelScope(shield=True), anyio.CancelScope(shield=True)]

    async def to_end(self, emit: Emit) -> int:
        """Its return code, negative for a signal; everything it wrote was emitted."""
        popen = self._popen
        assert popen.stdout is not None and popen.stderr is not None
        pipes = (popen.stdout, popen.stderr)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch)
                if self._cell.is_there:
                    group.start_soon(self._enclose)
                for pipe, stream, scope in zip(pipes, Stream, self._pumps, strict=True):
                    group.start_soon(self._pump, pipe.fileno(), stream, scope, emit)
                try:
                    await self._exited.wait()
                    await self._drain()
                except BaseException:
                    with anyio.CancelScope(shield=True):
                        await self._stop()
                    raise
                finally:
                    self._enclosing.cancel()
        finally:
            # The leader was not reaped before, so its group's number is still its own.
            signal_group(popen.pid, signal.SIGKILL)
            for pipe in pipes:
                pipe.close()
            code = popen.wait()
        return code

    async def _enclose(self) -> None:
        """Put the process into its cell, if it goes on for long enough."""
        with self._enclosing:
            await anyio.sleep(_SHORT_S)
            await anyio.to_thread.run_sync(self._cell.take, self._found)

    def _found(self) -> list[int]:
        """The process and all that it started, as far as something leads to it."""
        pid = self._popen.pid
        found = {each.pid for each in (*descendants(pid), *carriers(self._cookie))}
        return [pid, *(found - {pid})]

    async def _watch(self) -> None:
        """Set `_exited` when the process has ended, without reaping it."""
        with anyio.CancelScope(shield=True):
            await _wait_exit(self._popen.pid)
            self._exited.set()

    async def _pump(self, fd: int, stream: Stream, scope: anyio.CancelScope, emit: Emit) -> None:
        """Emit what comes through a pipe until its end, or until the last call.

        It goes on while the process is being stopped, so that its last words are not lost.
        """
        os.set_blocking(fd, False)
        with scope:
            while (chunk := await self._read(fd)) != b"":
                await emit(stream, chunk)
                await anyio.lowlevel.checkpoint()
        self._open_pipes -= 1
        if self._open_pipes == 0:
            self._drained.set()

    async def _read(self, fd: int) -> bytes:
        """The next chunk of a pipe; empty at its end, or at the last call if nothing is there."""
        while True:
            try:
                return os.read(fd, _CHUNK_BYTES)
            except BlockingIOError:
                if self._last_call:
                    return b""
                with anyio.CancelScope() as self._waits[fd]:
                    await anyio.wait_readable(fd)

    def _call_last(self) -> None:
        """Let the pumps read what is there already, and then end."""
        self._last_call = True
        for wait in self._waits.values():
            wait.cancel()

    async def _drain(self) -> None:
        """Wait until both pipes were read to their end, and end what keeps them open."""
        with anyio.move_on_after(self._pipe_grace_s):
            await self._drained.wait()
            return
        self._kill_rest([])
        with anyio.move_on_after(_LAST_GRACE_S):
            await self._drained.wait()
        self._call_last()
        await self._drained.wait()

    async def _stop(self) -> None:
        """Stop the process and all that it started: SIGTERM, a wait, SIGKILL."""
        tree = descendants(self._popen.pid)
        signal_group(self._popen.pid, signal.SIGTERM)
        signal_each(tree, signal.SIGTERM)
        with anyio.move_on_after(self._stop_grace_s):
            await self._exited.wait()
            await self._drained.wait()
        self._kill_rest(tree)
        with anyio.move_on_after(_LAST_GRACE_S):
            await self._exited.wait()
            await self._drained.wait()
        self._call_last()
        with anyio.move_on_after(_LAST_GRACE_S):
            await self._drained.wait()
        for pump in self._pumps:
            pump.cancel()

    def _kill_rest(self, known: list[Process]) -> None:
        """Kill the group, even if its leader has gone, and what left the group."""
        self._cell.kill()
        rest = [*known, *descendants(self._popen.pid), *carriers(self._cookie)]
        signal_group(self._popen.pid, signal.SIGKILL)
        signal_each(rest, signal.SIGKILL)


async def _wait_exit(pid: int) -> None:
    """Return when the process has ended; it stays a zombie until it is reaped."""
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        # Not Linux, or an old kernel, or no descriptor left: a thread can wait as well.
        flags = os.WEXITED | os.WNOWAIT
        await anyio.to_thread.run_sync(os.waitid, os.P_PID, pid, flags)
        return
    try:
        await anyio.wait_readable(fd)
    finally:
        os.close(fd)

"""The contract of every task runner: what to run, how its output arrives, what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from anyio.lowlevel import checkpoint

from runner.records import record

if TYPE_CHECKING:
    from runner.runners.docker_standby import Standby
    from runner.runners.intents import Left


class Stream(IntEnum):
    """Which of a command's two output streams a chunk came from; Docker's own numbers."""

    STDOUT = 1
    STDERR = 2


Emit = Callable[[Stream, bytes], Awaitable[None]]
"""Takes a chunk of output, as it came; awaiting it slows the command down (back-pressure)."""


@record(kw_only=True)
class Owner:
    """Whose command it is; becomes the `kestra.io/*` labels of a container."""

    namespace: str
    flow_id: str
    execution_id: str
    task_id: str
    task_run_id: str
    attempt: int


@record(kw_only=True)
class ReadOnly:
    """A folder of this machine that a command reads.

    A process uses it where it is. A container has it at `target`, an absolute path: mounted if
    its engine sees `root`, a folder around it that is asked about once for all that are in it, else
    copied in.
    """

    folder: Path
    root: Path
    target: str


class Leavings(AsyncExitStack):
    """What an attempt leaves behind, to be cleaned up when its end is stored.

    `takes_time`: so long that what comes next should not wait for it.
    """

    takes_time = False


@record(kw_only=True)
class Command:
    """A command line, its environment and the folder it runs in.

    `workdir` exists on this machine and has the same path for the command, also in a container.
    `env` is what is added to the runner's own environment (the host's, or the image's).
    `shim` says to make the `kestra` module importable: the runner puts it where the command can
    read it and sets PYTHONPATH and the side file's variable. `output_dir`, below `workdir`, is the
    folder of the deprecated `outputDirectory`. `sync_back`: copy the folder back afterwards even
    if the command failed (a container without a shared folder only). `reads` are other folders that
    the command needs; nothing it does changes them.

    `main`: it is the task's own command, not a tool's. `leaving` takes what the command leaves
    behind, to be cleaned up when it is closed; None: at once. `resumed` is the container in which
    it runs, or ran, already: it is followed to its end instead of being started.

    `series` names what is run again and again with the same options, in a working directory of its
    own each time: a task of a flow ("": nothing like it). `standby` is a container that was
    reserved for it, with `workdir`; it is used if it is what the command needs.

    `recorded` comes back when it is stored that the command begins: nothing of it may happen before
    (reliability D1).
    """

    argv: Sequence[str]
    workdir: Path
    owner: Owner
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    shim: bool = True
    output_dir: Path | None = None
    sync_back: bool = True
    reads: Sequence[ReadOnly] = ()
    main: bool = False
    leaving: Leavings | None = None
    resumed: Left | None = None
    series: str = ""
    standby: Standby | None = None
    recorded: Callable[[], Awaitable[None]] = checkpoint


def series_of(namespace: str, flow_id: str, task_id: str) -> str:
    """The name of what is the same task of the same flow each time."""
    return f"{namespace}.{flow_id}.{task_id}"


@record(kw_only=True)
class Outcome:
    """How a command ended.

    `exit_code` follows the shell: 128+N for a command ended by signal N. `reason` is one word of
    reliability 0.1 for what is not the script's own doing (`oom`, `killed_outside`,
    `engine_lost`), else None. `details` becomes the output `taskRunner` ({} for a process).
    `markers` are the marker lines of the side file, in the order in which they were written.
    `hint` says in a few words what was behind the ending and what to do about it ("" if nothing
    is known).
    """

    exit_code: int
    reason: str | None = None
    hint: str = ""
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    markers: Sequence[str] = ()


@record(kw_only=True)
class PullProgress:
    """How far the pull of an image has come.

    `current` and `total` are bytes over all layers known so far (0: not known yet). `waits` is True
    when it failed and is tried again later, as `status` says. `ended` is True in the last report
    of a pull, also of one that failed.
    """

    image: str
    status: str
    current: int = 0
    total: int = 0
    waits: bool = False
    ended: bool = False


class TaskRunner(Protocol):
    """A way of running commands, with the options of one task already in it."""

    @property
    def keeps_returns(self) -> bool:
        """Whether a `\\r` that ends a line stays in the log, as with Kestra's containers."""
        ...

    async def run(self, command: Command, emit: Emit) -> Outcome:
        """Run `command` to its end and return how it ended.

        `emit` is awaited once per chunk, in order within a stream. On cancellation the command
        and everything it started is stopped, and only then does this return.

        Raises:
            RunnerUnavailable: the command could not be started at all.
        """
        ...

"""How a container that was started gets its command, and how the command's end is known at once.

The first process of a container is a shell that waits for one line on its input. Then it reads a
file, which sets the environment and turns the shell into the task's own command: what the script
sees (process 1, arguments, environment, `$$`, /dev/null as input) is as if the engine had started
it so. Before the script's first line it may wait again, until it is recorded that this begins. A
trap of that command says its exit status on both output streams; it does so only while these are
the container's own, as a script may have sent its output elsewhere. Without these marks the engine
says how the container ended, later.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.runners.base import Stream
from runner.runners.docker_options import DockerOptions
from runner.runners.limits import ONE_LIMIT_BYTES

SIDE = "/.eyas/side"
"""Where the command's private folder is in its container."""

UNUSED = "unused"
"""File in the private folder by which a shell says that it ended without having had a command."""

UNUSED_STATUS = 125
"""The exit status of such a shell; a command may have the same."""

HOLD = "hold"
"""Pipe in the private folder that keeps the shell from its command and from its end, if any."""

GO = b"\n"
"""What to write to that pipe: once for the shell to find, and when the command may begin."""

BEGIN = b"\n"
"""What to write to the shell's input when everything is in place."""

SIGNALLED = 128
"""An exit status from here on may be the work of a signal."""

_SHELLS = frozenset(("sh", "bash", "dash", "ash"))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READ_ONLY = frozenset(
    (
        "PPID",
        "UID",
        "EUID",
        "BASHOPTS",
        "SHELLOPTS",
        "BASH_VERSINFO",
        "OPTIND",
        "LINENO",
        "BASH_ENV",
    )
)
"""Variables that some shell does not let one set, or reads before the command does."""

_OF_SHELLS = ("PWD", "OLDPWD", "SHLVL", "_")
"""Variables that a waiting shell would pass on though nobody set them."""

_IDENTIFY = """\
eyas_of() {
    while read -r eyas_line; do
        case $eyas_line in ino:*) eyas_id=${eyas_line#ino:?} ;; esac
    done <"/proc/self/fdinfo/$1"
}
"""
"""Shell function: the number of the pipe behind a descriptor into `eyas_id`; Linux 5.14 has it."""

_READ_HOLD = (
    f"{{ command exec 3<>{SIDE}/{HOLD} 4<{SIDE}/{HOLD} 3>&-; }} 2>/dev/null"
    " && read -r eyas_line <&4"
)
"""An end of a pipe is opened at once if the other is open, and without it nothing is waited for.

`command` keeps a shell going where the pipe cannot be opened.
"""

_WAIT = f"""\
{_IDENTIFY}eyas_id=; eyas_of 1; eyas_out=$eyas_id; eyas_id=; eyas_of 2; eyas_err=$eyas_id
eyas_held=
[ ! -p {SIDE}/{HOLD} ] || {{ {_READ_HOLD} && eyas_held=1; command exec 4<&-; }}
echo "eyas_out=$eyas_out eyas_err=$eyas_err eyas_held=$eyas_held" >{SIDE}/streams
read -r eyas_line || {{ : >{SIDE}/{UNUSED}; exit {UNUSED_STATUS}; }}
. {SIDE}/start"""

_BEFORE = f"""\
. {SIDE}/streams
[ -z "$eyas_held" ] || {{
    {_READ_HOLD} || {{ : >{SIDE}/{UNUSED}; exit {UNUSED_STATUS}; }}
    command exec 4<&-
}}
unset eyas_out eyas_err eyas_held eyas_line
"""
"""All but the command is done by then: meanwhile it is being recorded that it begins.

Where the engine has a kernel of its own, its pipe is another one: nothing was found in that.
"""

_TRAP = f"""\
trap '{{ eyas_status=$?; set +x; }} 2>/dev/null; . {SIDE}/done' EXIT
"""

_SIGNALS = "HUP INT ILL TRAP ABRT FPE BUS SEGV SYS PIPE ALRM TERM XCPU XFSZ VTALRM USR1 USR2"

_BASH_TRAP = f"""\
trap : {_SIGNALS}
{_TRAP}trap - {_SIGNALS}
"""
"""With a trap for its end, bash lets itself be ended by signals that process 1 does not get else.

It does not for those that were trapped before, and they are not any more afterwards.
"""

_SOURCED = f". {SIDE}/end;"
"""What comes before the text of a script."""

_DONE = f"""\
set +eu
. {SIDE}/streams
{_IDENTIFY}\
eyas_told=
eyas_id=none; eyas_of 2
[ "$eyas_id" != "$eyas_err" ] || {{ echo "MARK $eyas_status" >&2 && eyas_told=1; }}
eyas_id=none; eyas_of 1
[ "$eyas_id" != "$eyas_out" ] || {{ echo "MARK $eyas_status" && eyas_told=1$eyas_told; }}
"""

_HELD = f"""\
[ "$$ $eyas_told" != "1 11" ] || [ "$eyas_status" -ge {SIGNALLED} ] || {{
    exec >/dev/null 2>&1
    kill -9 -1
    {_READ_HOLD}
}}
"""
"""Only process 1 of a container may end all others: they are those that its own end would end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that a waiting `shell` becomes; its `arguments` begin with the script's text."""

    shell: str
    arguments: Sequence[str]

    @classmethod
    def of(
        cls, argv: Sequence[str], env: Mapping[str, str], options: DockerOptions
    ) -> Entry | None:
        """How to hand over a command; None if only the engine can start it as it is meant.

        A container that stays, or is stopped with a signal that its script may wait for, begins
        with the command itself.
        """
        if len(argv) < 3 or argv[1] != "-c" or argv[0].rpartition("/")[2] not in _SHELLS:
            return None
        if "/" not in argv[0] and "PATH" in env:
            return None
        if not (options.wait and options.delete) or options.kill_grace:
            return None
        if options.entry_point is None or tuple(options.entry_point) != ("",):
            return None
        if any(not _NAME.fullmatch(name) or name in _READ_ONLY for name in env):
            return None
        if len(f"{_SOURCED}{argv[2]}".encode("utf-8", "surrogateescape")) > ONE_LIMIT_BYTES:
            return None
        return cls(argv[0], argv[2:])

    @property
    def waiting(self) -> Sequence[str]:
        """The command line of the container, whatever its task will be."""
        return waiting_line(self.shell)

    def files(self, env: Mapping[str, str], kept: Sequence[str]) -> Mapping[str, bytes]:
        """The files to have in the private folder before `BEGIN`, by their names.

        `kept` are variables that the image sets itself.
        """
        script, *rest = self.arguments
        dropped = [name for name in _OF_SHELLS if name not in kept]
        lines = [f"unset {' '.join(dropped)}"] if dropped else []
        lines += [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
        if lines:
            # What bash has to say of a locale that is not there, it says again when it begins.
            lines = ["{", *lines, "} 2>/dev/null"]
        words = [self.shell, "-c", f"{_SOURCED}{script}", *rest]
        lines.append(f"exec {shlex.join(words)} 0<>/dev/null")
        text = "\n".join(lines) + "\n"
        return {"start": text.encode("utf-8", "surrogateescape")}


def waiting_line(shell: str) -> Sequence[str]:
    """The command line of a container in which `shell` waits."""
    return [shell, "-c", _WAIT]


def waiting_files(shell: str, token: str, *, held: bool) -> Mapping[str, bytes]:
    """The files to have in the private folder from the beginning, by their names.

    `token` is in the marks. `held`: the shell waits for what holds it (`HOLD`), before the
    command's first line and when it has told its end.
    """
    done = _DONE.replace("MARK", f"{_mark(token)}") + (_HELD if held else "")
    end = _BASH_TRAP if shell.rpartition("/")[2] == "bash" else _TRAP
    return {"end": (_BEFORE + end if held else end).encode(), "done": done.encode()}


def _mark(token: str) -> str:
    return f"\x1eeyas-end {token}"


class EndMarks:
    """Takes the marks out of a container's output.

    `status` is the exit status they told, None before. `complete`: both streams have had theirs,
    so there is nothing more to come.
    """

    def __init__(self, token: str) -> None:
        self._mark = f"{_mark(token)} ".encode()
        self._held: dict[Stream, bytes] = {}
        self._marked: set[Stream] = set()
        self.status: int | None = None

    @property
    def complete(self) -> bool:
        """Whether both streams were told to have ended."""
        return len(self._marked) == len(Stream)

    def feed(self, stream: Stream, data: bytes) -> bytes:
        """The output in `data`; what may be the beginning of a mark is kept for the next call."""
        data = self._held.pop(stream, b"") + data
        if self._mark[:1] not in data:
            return data
        start = data.find(self._mark)
        if start < 0:
            start = data.rfind(self._mark[:1])
            if not self._mark.startswith(data[start:]):
                return data
        end = data.find(b"\n", start)
        if end < 0:
            self._held[stream] = data[start:]
            return data[:start]
        number = data[start + len(self._mark) : end]
        if not number.isdigit():
            return data
        self.status = int(number)
        self._marked.add(stream)
        return data[:start] + data[end + 1 :]

    def rest(self, stream: Stream) -> bytes:
        """What was kept, when the stream has ended without a mark."""
        return self._held.pop(stream, b"")

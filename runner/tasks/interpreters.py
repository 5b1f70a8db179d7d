"""What is known of the interpreters of this machine, asked once as long as they stay the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from runner.errors import TaskFailed
from runner.records import record
from runner.tasks.python_tools import Tools

_ELF = b"\x7fELF"
_CODE = """
import sys, sysconfig
paths = sysconfig.get_paths()
identity = " ".join([sys.version.replace("\\n", " "), sys.prefix, sysconfig.get_platform()])
print("%d.%d.%d" % sys.version_info[:3])
for line in (sys.executable, sys.prefix, paths["purelib"], identity):
    print(line)
"""


@record(kw_only=True)
class Interpreter:
    """A Python: what it says of itself. `site` is where it keeps installed packages."""

    version: str
    executable: str
    prefix: str = ""
    site: str = ""
    identity: str = ""

    def fits(self, wanted: str) -> bool:
        """Whether it is of version `wanted`, which may name only the first numbers of one."""
        return not wanted or f"{self.version}.".startswith(f"{wanted}.")


_FIELDS = ("version", "executable", "prefix", "site", "identity")


async def find_python(tools: Tools, wanted: str) -> Interpreter:
    """A Python of this machine; of version `wanted` unless that is empty.

    One on the PATH comes first; then what uv has; then uv may download one.

    Raises:
        TaskFailed: there is none.
    """
    names = ("python", "python3")
    if wanted:
        parts = wanted.split(".")
        names = (f"python{'.'.join(parts[:2])}", f"python{parts[0]}", "python3", "python")
    for path in dict.fromkeys(filter(None, map(tools.which, names))):
        found = await interpreter_at(tools, path)
        if found and found.fits(wanted):
            return found
    if not wanted:
        raise TaskFailed("Could not find Python: neither `python` nor `python3` is on PATH")
    uv = tools.uv()
    if uv is None:
        advice = "Install it, or install uv, which can download it."
        raise TaskFailed(f"Could not find or install Python '{wanted}' path\n{advice}")
    path = await _from_uv(tools, uv, wanted)
    return await interpreter_at(tools, path) or Interpreter(version=wanted, executable=path)


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


async def interpreter_at(tools: Tools, path: str) -> Interpreter | None:
    """The interpreter that answers when `path` is run, None if none does.

    A program that is no binary may choose by folder or variable, and is asked every time; but of
    pyenv's it is known what they choose by.
    """
    memo = _memo(tools, path)
    if memo is not None:
        try:
            return Interpreter(**json.loads(memo.read_bytes()))
        except (OSError, ValueError, TypeError):
            pass  # not asked yet, or cut short by a crash: asking answers both
    done = await tools.run([path, "-c", _CODE], quiet=True)
    lines = done.out.splitlines()
    if done.code != 0 or not 2 <= len(lines) <= 5:
        return None
    found = Interpreter(**dict(zip(_FIELDS, lines, strict=False)))
    if memo is not None:
        memo.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = memo.with_name(f"{memo.name}.{os.getpid()}")
        new.write_text(json.dumps(asdict(found)))
        new.replace(memo)
    return found


def _memo(tools: Tools, path: str) -> Path | None:
    """Where the answer of a program is kept; None if it is not to be."""
    settings = tools.around.settings
    if settings.package_cache == "off":
        return None
    file = Path(path)
    try:
        with file.open("rb") as stream:
            text = stream.read(1000)
        choice = [] if text.startswith(_ELF) else _choice_of_pyenv(tools, text)
        if choice is None:
            return None
        about: list[object] = [
            path,
            os.path.realpath(path),
            _state(file),
            _state(file.parents[1] / "pyvenv.cfg"),
            choice,
        ]
    except (OSError, IndexError):
        return None
    about.append({name: settings.environ.get(name) for name in ("PYTHONHOME", "PYTHONPATH")})
    name = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    return settings.state_dir.absolute() / "cache" / "interpreters" / name


def is_pyenv(text: bytes) -> bool:
    """Whether a program that begins with `text` is one of pyenv's, which choose an interpreter."""
    return text.startswith(b"#!") and b"pyenv" in text and b"exec " in text


def _choice_of_pyenv(tools: Tools, text: bytes) -> list[object] | None:
    """What a program of pyenv chooses an interpreter by; None if that may be something else."""
    root = re.search(rb'^export PYENV_ROOT="([^"$]+)"$', text, re.M)
    nearer = [tools.folder, *tools.folder.parents]
    if not is_pyenv(text) or root is None:
        return None
    if any((folder / ".python-version").exists() for folder in nearer):
        return None
    named = [tools.variable(name) for name in ("PYENV_VERSION", "PYENV_DIR")]
    return [*named, _state(Path(root[1].decode(), "version"))]


def _state(file: Path) -> list[int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def configurations(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The settings files of pip and uv that an interpreter of this machine would be given."""
    home = Path(environ.get("HOME", "/nonexistent"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = environ.get("PIP_CONFIG_FILE")
    files = [
        *(Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"),
        *(Path(prefix, "pip.conf"), Path("/etc/uv/uv.toml"), config / "uv/uv.toml"),
        *([Path(named)] if named else []),
    ]
    found: dict[str, str] = {}
    for file in files:
        try:
            found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            continue  # not there, as a rule
    return found

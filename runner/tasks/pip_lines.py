"""Reading `beforeCommands` that are nothing but installations by pip or uv.

Strict: whatever is not fully understood is no installation here, and runs as it is written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from runner.patterns import regex
from runner.records import record
from runner.tasks.package_recipe import is_exact

_PIP = regex(r"pip(3(\.\d+)?)?")
_PYTHON = regex(r"python(3(\.\d+)?)?")
_FLAGS = frozenset(
    {
        *("-q", "-qq", "-qqq", "--quiet", "-U", "--upgrade", "--no-cache-dir", "--no-cache"),
        *("--break-system-packages", "--no-input", "--disable-pip-version-check"),
        *("--root-user-action=ignore", "--prefer-binary", "--pre", "--no-warn-script-location"),
        *("--no-python-version-warning", "--progress-bar=off"),
    }
)
_UV_FLAGS = frozenset(
    {
        *("-q", "-qq", "--quiet", "-U", "--upgrade", "--no-cache", "-n", "--system"),
        *("--break-system-packages", "--no-progress"),
    }
)
_WITH_VALUE = frozenset(
    {
        *("-i", "--index-url", "--extra-index-url", "--trusted-host", "--timeout"),
        *("--default-timeout", "--retries", "--progress-bar", "--root-user-action"),
    }
)
_UV_WITH_VALUE = frozenset({"-i", "--index-url", "--extra-index-url", "--default-index", "--index"})
_FILES = ("-r", "--requirement")
_UV_FILES = ("-r", "--requirement", "--requirements")

_VERSIONS = r"(?:===?|~=|!=|[<>]=?)\s*[\w.*+!-]+"
_REQUIREMENT = regex(
    r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[\w\s,.-]+\])?\s*"
    rf"(?:\(?{_VERSIONS}(?:\s*,\s*{_VERSIONS})*\)?|@\s*https?://\S+)?\s*(?:;[^#]*)?"
)
_URL = regex(r"https?://\S+\.(?:whl|tar\.gz|zip)(?:#\S+)?")
_FILE_OPTION = regex(
    r"(?:-i|--index-url|--extra-index-url|--trusted-host)[ =]\S+|--pre|--prefer-binary"
)
_UNSAFE = regex(r"[$`\\?#{}\r\n]|(?<!=\d\.)(?<!\.\d\.)\*|(?:^|\s)~|!(?!=)")
_OTHER_INSTALLS = regex(
    r"\b(?:pip3?|uv|uvx|pipx|conda|mamba|poetry|pipenv|easy_install|get-pip|ensurepip)\b"
    r"(?![^\n]*\b(?:list|freeze|show|check|--version)\b)"
)
_OTHER_PYTHON = regex(r"PYTHON(?:PATH|HOME|SAFEPATH|NOUSERSITE)|\bpython[\d.]*\s+-\w*[IES]")
_LONGEST_FILE_BYTES = 1_000_000


@record(kw_only=True)
class Install:
    """One installation: `words` of its command, the `files` of requirements that it names.

    `program` is how many of the words name the installer (`python -m pip`: 3). `exact`: it
    names one version of each package.
    """

    words: Sequence[str]
    program: int
    files: Sequence[str]
    exact: bool

    @property
    def uses_uv(self) -> bool:
        """Whether uv installs it, not pip."""
        return Path(self.words[0]).name == "uv"


def leading_installs(lines: Sequence[str], rest: Sequence[str], folder: Path) -> list[Install]:
    """The installations at the beginning of `lines`, which are `beforeCommands`.

    `rest` is all that runs afterwards. Empty if one of what follows may look at, or change, where
    packages are: then they have to be where an installer puts them. `folder` has the files.
    """
    found: list[Install] = []
    for line in lines:
        install = parsed(line, folder)
        if install is None:
            break
        found.append(install)
    after = [*lines[len(found) :], *rest]
    if any(_OTHER_INSTALLS.search(text) or _OTHER_PYTHON.search(text) for text in after):
        return []
    return found


def parsed(line: str, folder: Path) -> Install | None:
    """The installation that a line of shell is, None if it is something else, or more."""
    text = line.strip()
    if _UNSAFE.search(text):
        return None
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return None
    if not words or any(set(word) <= set("();<>|&") for word in words):
        return None
    program = _program(words)
    if program is None or len(words) <= program or words[program] != "install":
        return None
    return _arguments(words, program, folder)


def _program(words: Sequence[str]) -> int | None:
    """How many words name pip or uv, None if they name neither."""
    if _PIP.fullmatch(words[0]):
        return 1
    if words[0] == "uv":
        return 2 if words[1:2] == ["pip"] else None
    if _PYTHON.fullmatch(words[0]) and list(words[1:3]) == ["-m", "pip"]:
        return 3
    return None


def _arguments(words: Sequence[str], program: int, folder: Path) -> Install | None:
    uv = words[0] == "uv"
    flags, with_value = (_UV_FLAGS, _UV_WITH_VALUE) if uv else (_FLAGS, _WITH_VALUE)
    of_file = _UV_FILES if uv else _FILES
    files: list[str] = []
    requirements: list[str] = []
    arguments = iter(words[program + 1 :])
    for word in arguments:
        name, equals, value = word.partition("=")
        if word in flags:
            continue
        if word.startswith("-"):
            if word.startswith("-r") and len(word) > 2 and not equals:
                name, equals, value = "-r", "=", word[2:]
            if name not in with_value and name not in of_file:
                return None
            value = value if equals else next(arguments, "")
            if not value:
                return None
            if name in of_file:
                files.append(value)
            continue
        if not _is_requirement(word, folder):
            return None
        requirements.append(word)
    for file in files:
        listed = _requirements_in(file, folder)
        if listed is None:
            return None
        requirements += listed
    if not requirements:
        return None
    exact = all(is_exact(each) for each in requirements)
    return Install(words=words, program=program, files=files, exact=exact)


def _is_requirement(word: str, folder: Path) -> bool:
    """Whether a word names a package of an index, or of the web; not a file or folder here."""
    if _URL.fullmatch(word):
        return True
    if word.lower().endswith((".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2")):
        return False
    match = _REQUIREMENT.fullmatch(word)
    return match is not None and not (folder / match["name"]).exists()


def _requirements_in(file: str, folder: Path) -> list[str] | None:
    """The requirements that a file in the folder lists; None if there is more in it."""
    path = folder / file
    if Path(file).is_absolute() and folder not in Path(file).parents:
        return None
    if ".." in Path(file).parts or path.is_symlink() or not path.is_file():
        return None
    if path.stat().st_size > _LONGEST_FILE_BYTES:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    if "${" in text:
        return None
    found: list[str] = []
    for raw in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = re.sub(r"(?:^|\s)#.*$", "", raw).strip()
        line, *hashes = re.split(r"\s+--hash[ =]", line)
        if not line or _FILE_OPTION.fullmatch(line):
            continue
        if any(not re.fullmatch(r"\w+:[0-9a-f]+", each.strip()) for each in hashes):
            return None
        if not _is_requirement(line, folder):
            return None
        found.append(line)
    return found

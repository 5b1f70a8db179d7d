"""The files a script is given: `inputFiles`, and storage URIs in its text (script-tasks 2.4)."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from runner.errors import TaskFailed
from runner.model.execution import Level
from runner.patterns import regex
from runner.records import record
from runner.runners.properties import plain
from runner.runners.work_dirs import make_folder
from runner.tasks.context import RunContext

_SCHEMES = ("kestra://", "nsfile://", "file://")
_STORAGE_URI = regex(r"kestra://[-\w.+~#=/%]*")
_TEMPLATE = regex(r"\{\{|\{%|\{#")
_NOT_IN_URI = regex(r'[\x00-\x20"<>\\^`{|}\[\]\x7f]')


@record
class Given:
    """One file to be put into the working folder: its path there and its text, or its source."""

    name: str
    content: str | Path


async def rendered_inputs(
    ctx: RunContext,
    folder: Path,
    raw: Any,
    more: Mapping[str, object],
    *,
    null_is_empty: bool = False,
    twice_on_kestra: bool = False,
) -> list[Given]:
    """What the property `inputFiles` with the unrendered value `raw` asks for.

    `more` are variables that are visible in it. `null_is_empty`: a null value makes an empty
    file, also in the map form. `twice_on_kestra`: Kestra renders the text twice here; if that
    would matter, the task's log says so.

    Raises:
        TaskFailed: `raw` is no map of texts, or a source is not there or not allowed.
    """
    if raw is None:
        return []
    entries = await _entries(ctx, raw, null_is_empty, more)
    found: list[Given] = []
    for name, value in entries.items():
        if value.startswith(_SCHEMES):
            found.append(Given(name, _source(ctx, folder, name, value)))
            continue
        if twice_on_kestra:
            warn_of_second_rendering(ctx, f"inputFiles: {name}", value)
        found.append(Given(name, value))
    return found


async def _entries(
    ctx: RunContext, raw: Any, null_is_empty: bool, more: Mapping[str, object]
) -> dict[str, str]:
    """Names and contents, rendered."""
    if isinstance(raw, str):
        return _from_text(await ctx.render(raw, **more))
    if not isinstance(raw, Mapping):
        raise TaskFailed(
            f"Invalid inputFiles: a map of names and contents is needed, not {_kind(raw)}"
        )
    found: dict[str, str] = {}
    for key, value in cast("Mapping[object, object]", raw).items():
        name = await ctx.render(plain(key), **more)
        if value is None:
            if null_is_empty:
                found[name] = ""
        elif isinstance(value, str):
            found[name] = await ctx.render(value, **more)
        else:
            raise TaskFailed(
                f"Invalid inputFiles: the content of '{name}' is {_kind(value)}, and Kestra takes "
                "text only. Put it in quotes."
            )
    return found


def _from_text(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise TaskFailed(f"Invalid inputFiles: not the JSON text of a map: {error}") from error
    if not isinstance(value, dict):
        raise TaskFailed(f"Invalid inputFiles: {_kind(value)}, not the JSON text of a map")
    found: dict[str, str] = {}
    for name, content in cast("dict[str, Any]", value).items():
        if isinstance(content, dict | list):
            raise TaskFailed(f"Invalid inputFiles: the content of '{name}' is not a text")
        found[name] = "" if content is None else plain(content)
    return found


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    return f"the {type(value).__name__} {plain(value)}"


def _source(ctx: RunContext, folder: Path, name: str, uri: str) -> Path:
    """The file that a whole value names."""
    bad = _NOT_IN_URI.search(uri)
    if bad:
        hint = " (a line break at its end? Write it in one line.)" if bad[0] in "\r\n" else ""
        raise TaskFailed(
            f"Illegal character in path at index {bad.start()}: {uri.rstrip()}\n"
            f"inputFiles: '{name}' is not a valid URI{hint}"
        )
    if not uri.startswith("file://"):
        return ctx.storage.open_for_task(ctx.execution, uri)
    path = Path(uri.removeprefix("file://"))
    if not path.resolve().is_relative_to(folder.resolve()):
        # Kestra's words; its two settings are not offered here.
        raise TaskFailed(
            f"The path {path} is not authorized. Only files inside the working directory are "
            "allowed by default, other path must be allowed either globally inside the Kestra "
            "configuration using the `kestra.local-files.allowed-paths` property, or by plugin "
            "using the `allowed-paths` plugin configuration."
        )
    return path


def warn_of_second_rendering(ctx: RunContext, what: str, text: str) -> None:
    """Say so if `text`, which is rendered, would change or fail when rendered once more.

    Kestra does that with some properties, which runs data as a template (script-tasks 1.5).
    Whatever still looks like a template does change or fail, so nothing has to be evaluated.
    """
    found = _TEMPLATE.search(text)
    if found:
        ctx.log(
            Level.WARN,
            f"{what} still holds `{found[0]}` after it was rendered. It is used as it is; Kestra "
            "renders it a second time and would change it or fail.",
        )


async def write_files(folder: Path, files: Sequence[Given]) -> None:
    """Put `files` into `folder`, over what is there.

    Raises:
        TaskFailed: a name leads out of the folder, or a file cannot be written.
    """
    if any(isinstance(file.content, Path) for file in files):
        await anyio.to_thread.run_sync(_write_all, folder, files)
    else:
        _write_all(folder, files)


def _write_all(folder: Path, files: Sequence[Given]) -> None:
    for file in files:
        write_file(target_of(folder, file.name), file.content, file.name)


def write_file(target: Path, content: str | Path, name: str, mode: int = 0o644) -> None:
    """Make a text or the copy of a file the content of `target`; `name` is for the message.

    Raises:
        TaskFailed: it cannot be written; a full disk is named.
    """
    try:
        if target.is_symlink():
            target.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        handle = os.open(target, flags, 0o600)
        with os.fdopen(handle, "wb") as writing:
            os.fchmod(handle, mode)
            if isinstance(content, str):
                writing.write(content.encode("utf-8", "surrogatepass"))
            else:
                import shutil

                with content.open("rb") as reading:
                    shutil.copyfileobj(reading, writing, 1 << 20)
    except OSError as error:
        raise cannot_write(name, target, error) from error


def target_of(folder: Path, name: str) -> Path:
    """Where the file `name` is below `folder`; the folders above it come into being.

    Raises:
        TaskFailed: it would be outside, also by way of a link.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    # Kestra writes `../x` outside and fails on `sub/../x`; neither is a place to write to.
    if not parts or ".." in parts or "\0" in name:
        raise TaskFailed(f"Invalid file name '{name}': it is not a path in the working directory")
    path = folder
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise TaskFailed(f"Invalid file name '{name}': '{path}' is a link out of the folder")
        try:
            make_folder(path)
        except OSError as error:
            raise cannot_write(name, path, error) from error
    return path / parts[-1]


def cannot_write(
    name: str, path: Path, error: OSError, size_bytes: int | None = None
) -> TaskFailed:
    """The failure of a task whose file `name` could not be written to `path` (reliability E2)."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return TaskFailed(f"Cannot write '{name}': {error.strerror}")
    import shutil

    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    size = "" if size_bytes is None else f" of {size_bytes} bytes"
    free = shutil.disk_usage(folder).free
    return TaskFailed(
        f"disk_full: cannot write '{name}'{size}, {free} bytes are free: {error.strerror}\n"
        f"Make space on the disk of {folder}."
    )


def new_name(extension: str) -> str:
    """A name for a file beside the author's: digits, then `extension` (script-tasks 2.3)."""
    return f"{int.from_bytes(os.urandom(8)) >> 1}{extension}"


async def with_local_files(ctx: RunContext, folder: Path, text: str) -> str:
    """`text` with each `kestra://` URI replaced by the path of a copy in `folder`.

    Each occurrence has a copy of its own, with the extension of the source.

    Raises:
        NotFound: there is no such file.
        TaskFailed: the URI is empty.
    """
    found = list(_STORAGE_URI.finditer(text))
    if not found:
        return text
    pieces: list[str] = []
    copies: list[Given] = []
    end = 0
    for match in found:
        if match[0] == "kestra://":
            raise TaskFailed("Expected authority at index 9: kestra://")
        source = ctx.storage.open_for_task(ctx.execution, match[0])
        name = new_name(source.suffix or ".tmp")
        copies.append(Given(name, source))
        pieces += [text[end : match.start()], str(folder / name)]
        end = match.end()
    await write_files(folder, copies)
    return "".join([*pieces, text[end:]])

"""The internal storage: files of executions and namespaces, by `kestra:///` URI."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from runner.errors import NotFound
from runner.model.execution import Execution, TaskRun
from runner.patterns import regex
from runner.storage.atomic import publish

SCHEME = "kestra://"
_NAMESPACE_SCHEME = "nsfile://"
_TEMPS = ".tmp"
_TEMP_LIFE_S = 24 * 3600
_UNSAFE = regex(r"[^A-Za-z0-9._-]")
_LONGEST_NAME = 200


class Storage:
    """The files below the folder `root`; the path of a URI is the path below it (flow-model 6.5).

    All methods block; none leaves a half written file. A URI or path that would lead out of its
    place raises `NotFound`, as one that leads to no file does.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(
        self,
        execution: Execution,
        task_run: TaskRun,
        name: str,
        source: Path | bytes,
        *,
        move: bool = False,
    ) -> str:
        """Store a file of a task run under `name` and return its URI.

        Characters of the name that a URI cannot hold become `_`; a file of that name is
        replaced. `move` takes the source file away.
        """
        folder = f"{_home(execution)}/tasks/{slug(task_run.task_id)}/{task_run.id}"
        return self._publish(f"{folder}/{_safe_name(name)}", source, move)

    def put_input(
        self,
        execution: Execution,
        input_id: str,
        name: str,
        source: Path | bytes,
        *,
        move: bool = False,
    ) -> str:
        """Store the file given for input `input_id` of an execution and return its URI."""
        folder = f"{_home(execution)}/inputs/{_safe_name(input_id)}"
        return self._publish(f"{folder}/{_safe_name(name)}", source, move)

    def _publish(self, path: str, source: Path | bytes, move: bool) -> str:
        publish(self.root / path, source, self.root / _TEMPS, move=move)
        return f"{SCHEME}/{path}"

    def open(self, uri: str, namespace: str | None = None) -> Path:
        """The file that `uri` names, to be read only.

        `namespace` is whose file `nsfile:///x` is.

        Raises:
            NotFound: the storage has no such file.
        """
        path = self._locate(uri, namespace)
        if path is None or not path.is_file():
            raise NotFound(f"{uri} (File not found)")
        return path

    def open_for(self, execution: Execution, uri: str) -> Path:
        """Like `open`, for an expression of `execution`.

        It may read the execution's own files, those of executions that it comes from (its
        parent, the one whose end triggered it, the one it repeats) and namespace files.

        Raises:
            NotFound: there is no such file, or it is another execution's.
        """
        if not _is_near(execution, uri):
            raise _foreign(uri)
        return self.open(uri, execution.namespace)

    def open_for_task(self, execution: Execution, uri: str) -> Path:
        """Like `open_for`, for a task: it may read all files of its flow's namespace too."""
        if not (_is_near(execution, uri) or _is_within(execution.namespace, uri)):
            raise _foreign(uri)
        return self.open(uri, execution.namespace)

    def delete_for_task(self, execution: Execution, uri: str) -> bool:
        """Delete a file that a task of `execution` may read; False if there was none."""
        if not (_is_near(execution, uri) or _is_within(execution.namespace, uri)):
            raise _foreign(uri)
        return self.delete(uri)

    def exists(self, uri: str, namespace: str | None = None) -> bool:
        """Whether there is a file at `uri`."""
        path = self._locate(uri, namespace)
        return path is not None and path.is_file()

    def size(self, uri: str, namespace: str | None = None) -> int:
        """The file's length in bytes; raises `NotFound`."""
        return self.open(uri, namespace).stat().st_size

    def delete(self, uri: str) -> bool:
        """Delete the file; False if there was none."""
        path = self._locate(uri, None)
        if path is None or not path.is_file():
            return False
        path.unlink()
        return True

    def namespace_files(self, namespace: str) -> NamespaceFiles:
        """The files that flows of `namespace` share."""
        return NamespaceFiles(self, namespace)

    def task_cache(
        self, namespace: str, flow_id: str, task_id: str, value: str | None = None
    ) -> Path:
        """Where the cache of a WorkingDirectory is kept between executions, whether there or not.

        `value` is the loop value of its run.
        """
        path = f"{_namespace_path(namespace)}/{slug(flow_id)}/{slug(task_id)}/cache"
        within = f"/{_safe_name(value)}" if value is not None else ""
        return self.root / f"{path}{within}/cache.zip"

    def execution_files(self, execution: Execution) -> list[str]:
        """URIs of all files of the execution, sorted."""
        home = self.root / _home(execution)
        return [f"{SCHEME}/{_home(execution)}/{path}" for path in _walk(home)]

    def delete_execution(self, execution: Execution) -> list[str]:
        """Delete all files of the execution; the URIs of them and of their folders, sorted."""
        home = self.root / _home(execution)
        folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
        paths = [path.relative_to(self.root).as_posix() for path in folders if path.is_dir()]
        uris = [*self.execution_files(execution), *(f"{SCHEME}/{path}" for path in paths)]
        _remove(home)
        return sorted(uris)

    def home_uri(self, execution: Execution) -> str:
        """What the URIs of all files of the execution begin with."""
        return f"{SCHEME}/{_home(execution)}"

    def share_run(self, source: Execution, target: Execution, run: TaskRun) -> None:
        """Have the files of a task run of `source` in `target` too, under the same names."""
        self._share(source, target, f"tasks/{slug(run.task_id)}/{run.id}")

    def share_inputs(self, source: Execution, target: Execution) -> None:
        """Have the files given as inputs of `source` in `target` too, under the same names."""
        self._share(source, target, "inputs")

    def _share(self, source: Execution, target: Execution, folder: str) -> None:
        """Files of the storage are never written again: another name for one is a copy of it."""
        old, new = self.root / _home(source) / folder, self.root / _home(target) / folder
        for path in _walk(old):
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            try:
                (new / path).hardlink_to(old / path)
            except FileExistsError:
                continue
            except OSError:  # a file system without links
                publish(new / path, old / path, self.root / _TEMPS)

    def readdressed(self, value: Any, source: Execution, target: Execution) -> Any:
        """The value with URIs of files of `source` as those of the same files of `target`."""
        if isinstance(value, str):
            return value.replace(f"{self.home_uri(source)}/", f"{self.home_uri(target)}/")
        if isinstance(value, Mapping):
            entries = cast("Mapping[Any, Any]", value)
            return {key: self.readdressed(item, source, target) for key, item in entries.items()}
        if isinstance(value, list):
            items = cast("list[Any]", value)
            return [self.readdressed(item, source, target) for item in items]
        return value

    def sweep(self, now_s: float | None = None) -> None:
        """Delete unfinished files that a crash left a day or more before `now_s` (epoch)."""
        oldest = (time.time() if now_s is None else now_s) - _TEMP_LIFE_S
        temps = self.root / _TEMPS
        for path in temps.iterdir() if temps.is_dir() else ():
            if path.lstat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _locate(self, uri: str, namespace: str | None) -> Path | None:
        if uri.startswith(_NAMESPACE_SCHEME):
            owner, _, path = uri.removeprefix(_NAMESPACE_SCHEME).partition("/")
            owner = owner or namespace or ""
            return self.namespace_files(owner).locate(path) if owner else None
        if not uri.startswith(f"{SCHEME}/"):
            return None
        return inside(self.root, uri.removeprefix(f"{SCHEME}/"))


class NamespaceFiles:
    """The files of one namespace. Paths are relative; one leading `/` is ignored."""

    def __init__(self, storage: Storage, namespace: str) -> None:
        self._storage = storage
        self.namespace = namespace
        self.root = storage.root / _namespace_path(namespace) / "_files"

    def list(self) -> list[str]:
        """Paths of all files (`d/one.txt`), sorted."""
        return list(_walk(self.root))

    def folders(self) -> list[str]:
        """Paths of all folders, sorted."""
        found = (path for path in self.root.rglob("*") if path.is_dir())
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def uri(self, path: str) -> str:
        """The URI of the file at `path`, whether it exists or not."""
        located = self.locate(path)
        if located is None:
            raise NotFound(f"'{path}' is no path of a namespace file")
        return f"{SCHEME}/{located.relative_to(self._storage.root).as_posix()}"

    def exists(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        located = self.locate(path)
        return located is not None and located.is_file()

    def path(self, path: str) -> Path:
        """Where the file at `path` is, to be read only.

        Raises:
            NotFound: there is none.
        """
        located = self.locate(path)
        if located is None or not located.is_file():
            name = path if path.startswith("/") else f"/{path}"
            raise NotFound(f"File '{name}' was not found in namespace '{self.namespace}'.")
        return located

    def write(self, path: str, content: bytes | Path) -> None:
        """Make `content` the file at `path`; folders above it come into being."""
        located = self.locate(path)
        if located is None or located.is_dir():
            raise NotFound(f"'{path}' is no path of a namespace file")
        publish(located, content, self._storage.root / _TEMPS)

    def make_folder(self, path: str) -> None:
        """Make an empty folder."""
        located = self.locate(path)
        if located is None:
            raise NotFound(f"'{path}' is no path of a namespace folder")
        located.mkdir(parents=True, exist_ok=True)

    def move(self, path: str, target: str) -> None:
        """Give the file or folder at `path` another path."""
        source, destination = self.locate(path), self.locate(target)
        if source is None or destination is None or not source.exists():
            raise NotFound(f"File '/{path.lstrip('/')}' was not found in '{self.namespace}'.")
        destination.parent.mkdir(parents=True, exist_ok=True)
        source.replace(destination)

    def delete(self, path: str) -> bool:
        """Delete the file or folder at `path`, with all below it; False if there was none."""
        located = self.locate(path)
        if located is None or not located.exists():
            return False
        if located.is_dir():
            _remove(located)
        else:
            located.unlink()
        return True

    def delete_empty_parents(self, path: str) -> None:
        """Delete the folders that `path` is in as far as nothing else is in them."""
        located = self.locate(path)
        folder = located.parent if located is not None else self.root
        while folder != self.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def locate(self, path: str) -> Path | None:
        """Where `path` is or would be; None if it leads out of the namespace's files."""
        return inside(self.root, path.removeprefix("/"))


def inside(root: Path, path: str) -> Path | None:
    """`root / path`, or None unless `path` is a plain relative path: no `..`, `.`, `//`, NUL."""
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        return None
    return root.joinpath(*parts)


def _remove(folder: Path) -> None:
    """Delete a folder with all in it, as far as that is possible."""
    import shutil  # with all its archive formats: 6 ms that no run needs to begin

    shutil.rmtree(folder, ignore_errors=True)


def _walk(folder: Path) -> Iterator[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return iter(sorted(path.relative_to(folder).as_posix() for path in found))


def _home(execution: Execution) -> str:
    return _home_of(execution.namespace, execution.flow_id, execution.id)


def _home_of(namespace: str, flow_id: str, execution_id: str) -> str:
    return f"{_namespace_path(namespace)}/{slug(flow_id)}/executions/{execution_id}"


def _homes(execution: Execution) -> Iterator[str]:
    yield _home(execution)
    for other in (execution.parent_id, execution.original_id):
        if other:
            yield _home_of(execution.namespace, execution.flow_id, other)
    cause: Mapping[str, Any] = execution.trigger.variables if execution.trigger else {}
    names = [cause.get(key) for key in ("namespace", "flowId", "executionId")]
    if all(isinstance(name, str) and name for name in names):
        yield _home_of(*map(str, names))


def _is_near(execution: Execution, uri: str) -> bool:
    """Whether it is a namespace file, or a file of `execution` or of one that it comes from."""
    if uri.startswith(_NAMESPACE_SCHEME) or _is_namespace_file(uri):
        return True
    return any(uri.startswith(f"{SCHEME}/{home}/") for home in _homes(execution))


def _is_within(namespace: str, uri: str) -> bool:
    return uri.startswith(f"{SCHEME}/{_namespace_path(namespace)}/")


def _foreign(uri: str) -> NotFound:
    return NotFound(f"Unable to read the file '{uri}' as it is not an execution file")


def _is_namespace_file(uri: str) -> bool:
    return uri.startswith(f"{SCHEME}/") and "/_files/" in uri


def _namespace_path(namespace: str) -> str:
    return namespace.replace(".", "/")


def _safe_name(name: str) -> str:
    safe = _UNSAFE.sub("_", name)
    if len(safe) > _LONGEST_NAME:
        safe = safe[:100] + safe[-100:]
    return "_" if safe in ("", ".", "..") else safe


@lru_cache(maxsize=1024)
def slug(text: str) -> str:
    """`text` as Kestra writes it into a URI (the filter `slugify`, for ids: ASCII)."""
    text = re.sub(r"[^A-Za-z0-9_-]", "", re.sub(r"\s", "-", text)).replace("_", "-")
    text = re.sub(r"-+", "-", text)
    return text.removeprefix("-").removesuffix("-").lower()

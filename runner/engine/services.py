"""What expressions of a running flow reach: secrets, keys, files, error logs, HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import NotFound, RenderFailed
from runner.expr import Services
from runner.model.execution import Level
from runner.settings import from_base64, secret_variable

if TYPE_CHECKING:
    from runner.engine.engine import Engine
    from runner.engine.journal import Journal

_URIS = ("kestra://", "nsfile://")

MAX_READ_BYTES = 64 * 1024 * 1024
"""Largest file that `read()` puts into an expression."""


class EngineServices(Services):
    """The services of one execution."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal

    def secret(self, key: str, namespace: str | None) -> str:
        """The secret from the variable `SECRET_<KEY>`, which holds it in base64."""
        text = secret_variable(self._engine.settings.environ, key)
        if text is None:
            raise RenderFailed(f"Cannot find secret for key '{key}'.")
        decoded = from_base64(text)
        return text if decoded is None else decoded

    def on_secret(self, value: str) -> None:
        """Have the log mask the secret from now on."""
        self._journal.masker.add(value)

    def kv(self, key: str, namespace: str | None) -> object:
        """The value stored under `key`."""
        found = self._engine.kv.find(namespace, self._journal.flow.namespace, key)
        if found is None:
            raise LookupError(key)
        return found.value

    def _path(self, path: str, namespace: str | None) -> Path:
        storage, live = self._engine.storage, self._journal
        try:
            if path.startswith(_URIS):
                return storage.open_for(live.execution, path)
            return storage.namespace_files(namespace or live.flow.namespace).path(path)
        except NotFound as error:
            raise RenderFailed(str(error)) from error

    def read(self, path: str, namespace: str | None) -> str:
        """The text of a stored file or namespace file."""
        file = self._path(path, namespace)
        try:
            if file.stat().st_size > MAX_READ_BYTES:
                raise RenderFailed(f"The file '{path}' is too large to be read in an expression")
            return file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise RenderFailed(f"Unable to read the file '{path}': {error.strerror}") from error

    def file_size(self, path: str, namespace: str | None) -> int:
        """The size of a file in bytes."""
        try:
            return self._path(path, namespace).stat().st_size
        except OSError as error:
            raise RenderFailed(f"Unable to read the file '{path}': {error.strerror}") from error

    def file_exists(self, path: str, namespace: str | None) -> bool:
        """Whether there is such a file."""
        try:
            return self._path(path, namespace).is_file()
        except RenderFailed:
            return False

    def error_logs(self) -> Sequence[Mapping[str, object]]:
        """The ERROR lines of the execution so far."""
        return [{"taskId": task, "message": text} for task, text in self._journal.errors]

    def env(self, name: str) -> str | None:
        """A process variable that flows may read: one with the prefix of `envs`."""
        settings = self._engine.settings
        if settings.env_prefix and name.startswith(settings.env_prefix):
            return settings.environ.get(name)
        return None

    def warn(self, message: str) -> None:
        """Say it in the execution's log."""
        self._journal.log(Level.WARN, message)

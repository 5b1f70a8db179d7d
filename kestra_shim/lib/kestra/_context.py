# ruff: noqa: PTH110, PTH123
# (pathlib would be loaded for this alone)
"""The execution context: what expressions see, as a read-only mapping for scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    _Base = Mapping[str, Any]
else:
    _Base = Mapping

CONTEXT_FILE = ".kestra-execution-context.json"
"""Its name in the working directory of a task with `executionContext: true`."""


class ExecutionContext(_Base):
    """A read-only mapping whose keys are attributes too, at every depth.

    A key that is no Python name, or the name of a method, is reached as `context["items"]`.
    """

    __slots__ = ("_data",)

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def __getitem__(self, key: str) -> Any:
        return _wrapped(self._data[key])

    def __getattr__(self, name: str) -> Any:
        # copy and pickle ask for such names before there is any data.
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._data:
            known = ", ".join(sorted(self._data)) or "nothing"
            raise AttributeError(f"no {name!r} in the execution context, which has: {known}")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return repr(self._data)

    def to_dict(self) -> dict[str, Any]:
        """The plain data."""
        return self._data


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return ExecutionContext(value)  # pyright: ignore[reportUnknownArgumentType] - JSON
    if isinstance(value, list):
        return [_wrapped(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - JSON
    return value


def load_execution_context(path: str | None = None) -> ExecutionContext:
    """The context in the file `path`, else in the usual places.

    These are the file named by KESTRA_EXECUTION_CONTEXT_FILE, `CONTEXT_FILE` in the current
    folder, and KESTRA_CONTEXT, which holds it as base64.

    Raises:
        FileNotFoundError: there is no context; the task needs `executionContext: true`.
    """
    path = path or os.environ.get("KESTRA_EXECUTION_CONTEXT_FILE") or CONTEXT_FILE
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return ExecutionContext(json.load(file))
    encoded = os.environ.get("KESTRA_CONTEXT")
    if encoded:
        from base64 import b64decode

        return ExecutionContext(json.loads(b64decode(encoded)))
    raise FileNotFoundError(
        f"No execution context: there is no file {path!r} and KESTRA_CONTEXT is not set. "
        "Set `executionContext: true` on the task."
    )

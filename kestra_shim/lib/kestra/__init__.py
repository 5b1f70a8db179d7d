# ruff: noqa: TID252 - the parts of this package, whatever else on sys.path is called `kestra`.
"""What a script imports as `kestra` when the PyPI package of that name is not installed.

Outputs, metrics, assets and logs are marker lines, `::{...}::`, on stdout or stderr. Python 3.8
and the standard library are all that is needed; whatever is not always used is imported late.
"""

from __future__ import annotations

from . import _side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any, Callable, Mapping

    from ._context import CONTEXT_FILE, ExecutionContext, load_execution_context
    from ._flow import FailedExponentialBackoff, Flow, FlowExecution, HTTPError

    context: ExecutionContext

__all__ = [
    "CONTEXT_FILE",
    "ExecutionContext",
    "FailedExponentialBackoff",
    "Flow",
    "FlowExecution",
    "HTTPError",
    "Kestra",
    "load_execution_context",
]


class Kestra:
    """Sends outputs, metrics, assets and logs to the task's run, and reads stored files."""

    _logger: Logger | None = None

    @staticmethod
    def format(map_: Mapping[str, Any]) -> str:
        """The marker line of `map_`. Raises TypeError for what JSON cannot hold."""
        import json

        return "::" + json.dumps(map_) + "::"

    @staticmethod
    def _send(map_: Mapping[str, Any]) -> None:
        """Print the marker line of `map_`, and put it into the side file."""
        line = Kestra.format(map_)
        _side.append(line)
        # One write: `print` writes the newline apart, where another thread's text may slip in.
        print(line + "\n", end="")

    @staticmethod
    def _metrics(name: str, type_: str, value: Any, tags: Mapping[str, Any] | None = None) -> None:
        Kestra._send(
            {"metrics": [{"name": name, "type": type_, "value": value, "tags": dict(tags or {})}]}
        )

    @staticmethod
    def outputs(map_: Mapping[str, Any]) -> None:
        """Set outputs of the task: later tasks read `{{ outputs.<task id>.vars.<name> }}`."""
        Kestra._send({"outputs": map_})

    @staticmethod
    def assets(map_: Mapping[str, Any]) -> None:
        """Declare an asset that this task made or used."""
        Kestra._send({"assets": map_})

    @staticmethod
    def counter(name: str, value: float, tags: Mapping[str, Any] | None = None) -> None:
        """Add `value` to a counter; counters of the same name and tags are added up."""
        Kestra._metrics(name, "counter", value, tags)

    @staticmethod
    def gauge(name: str, value: float, tags: Mapping[str, Any] | None = None) -> None:
        """Set a gauge to `value`; of the same name and tags the last one is kept."""
        Kestra._metrics(name, "gauge", value, tags)

    @staticmethod
    def timer(
        name: str,
        duration: float | Callable[[], object],
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a duration in seconds to a timer; a callable is called and its time is taken."""
        if callable(duration):
            from time import monotonic

            start = monotonic()
            duration()
            duration = monotonic() - start
        Kestra._metrics(name, "timer", duration, tags)

    @staticmethod
    def logger() -> Logger:
        """The logger `Kestra`: its records are log entries of the task, at their own level."""
        if Kestra._logger is None:
            from ._logs import make_logger

            Kestra._logger = make_logger(Kestra.format)
        return Kestra._logger

    @staticmethod
    def read(path_: str) -> list[dict[str, Any]]:
        """The records of an Ion file, as Kestra stores rows (JSON lines are Ion too)."""
        from ._ion import read

        return read(path_)


_LATE = {
    "CONTEXT_FILE": "_context",
    "ExecutionContext": "_context",
    "load_execution_context": "_context",
    "FailedExponentialBackoff": "_flow",
    "Flow": "_flow",
    "FlowExecution": "_flow",
    "HTTPError": "_flow",
    "JsonFormatter": "_logs",
    "LogFormatter": "_logs",
}


def __getattr__(name: str) -> Any:
    """Load what is seldom used at first use; `context` is read from the task's context file."""
    if name == "context":
        from ._context import load_execution_context

        value = load_execution_context()
    elif name in _LATE:
        from importlib import import_module

        value = getattr(import_module("." + _LATE[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value

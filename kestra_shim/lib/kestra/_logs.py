# ruff: noqa: TID252 - see __init__.py
"""The logger whose records become log entries of the task."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone

from . import _side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

_NAMES = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "ERROR",
}


class LogFormatter(logging.Formatter):
    """Formats times as `2026-01-20T09:15:02.001Z`."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The record's time in UTC."""
        time = datetime.fromtimestamp(record.created, timezone.utc)
        return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """Formats a record as a marker line with one log entry; levels of your own are TRACE."""

    def __init__(self, line_of: Callable[[Mapping[str, Any]], str] | None = None) -> None:
        super().__init__()
        if line_of is None:
            from . import Kestra

            line_of = Kestra.format
        self._line_of = line_of
        self._text = LogFormatter("%(asctime)s - %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The marker line of `record`, with its traceback if it has one."""
        level = _NAMES.get(record.levelno, "TRACE")
        entry = {"level": level, "message": self._text.format(record)}
        return self._line_of({"logs": [entry]})


class _MarkerHandler(logging.Handler):
    """Prints marker lines: warnings and worse to stderr, the rest to stdout."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            _side.append(line)
            stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
            stream.write(line + "\n")
            stream.flush()
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - logging's own rule: a log call never raises
            self.handleError(record)


def make_logger(line_of: Callable[[Mapping[str, Any]], str]) -> logging.Logger:
    """The logger `Kestra`, at level DEBUG, with its handler in place."""
    logger = logging.getLogger("Kestra")
    logger.setLevel(logging.DEBUG)
    handler = _MarkerHandler()
    handler.setFormatter(JsonFormatter(line_of))
    logger.addHandler(handler)
    return logger

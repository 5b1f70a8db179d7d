"""Every error that Eyas raises on purpose.

RunnerError
├── FlowInvalid          the flow's text is wrong; carries every problem found
├── InputInvalid         a value given for an input is missing or wrong
├── RenderFailed         an expression could not be parsed or evaluated
├── TaskFailed           a task ended without success
│   ├── ExitStatus       its command ended with a status other than 0
│   └── TaskTimedOut     it ran longer than its `timeout`
├── RunnerUnavailable    nothing can run the task: no engine, no image, no such program
├── NotFound             a flow, execution, file or key does not exist
├── Conflict             the thing exists already, or is in a state that forbids this
└── SettingInvalid       a setting, option or environment variable has a wrong value

An error fills its message from typed fields; whoever shows it needs nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from runner.records import record


@record(kw_only=True)
class Problem:
    """One thing that is wrong with a flow, and where.

    `line` and `column` count from 1; 0 means that the place is not known. `path` is the property's
    path as Kestra prints it (`tasks[0].id`), `source_line` the offending line of the file, `hint`
    what to do about it. `kind` is `unsupported` for a type that Kestra has and Eyas has not: the
    flow loads and is shown, but it is not started. `warning` does not make a flow invalid.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""
    source_line: str = ""
    kind: Literal["invalid", "unsupported", "warning"] = "invalid"

    def __str__(self) -> str:
        place = f"{self.file}: " if self.file else ""
        if self.line:
            place = f"{self.file or '<flow>'}:{self.line}:{self.column}: "
        path = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{path}{self.message}{hint}"


class RunnerError(Exception):
    """Something went wrong in a way that Eyas knows."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else (type(self).__doc__ or ""))


class FlowInvalid(RunnerError):
    """The flow is not valid."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputInvalid(RunnerError):
    """A value given for an input is missing or wrong."""


class RenderFailed(RunnerError):
    """An expression could not be parsed or evaluated.

    `reason` is Kestra's message; `kind` says which of its three kinds this is (`missing`: an
    undefined variable, attribute or index). `line` and `column` count from 1 within `template`, 0
    means that the place is not known. `hint` says what to do, `where` is the path of the property
    that holds the template (`tasks[0].script`), `first_line` the line of the flow's file on which
    the template starts (0: not known).
    """

    def __init__(
        self,
        reason: str = "The expression can not be rendered.",
        *,
        kind: Literal["missing", "parse", "eval"] = "eval",
        template: str = "",
        line: int = 0,
        column: int = 0,
        hint: str = "",
        where: str = "",
        first_line: int = 0,
    ) -> None:
        self.reason = reason
        self.kind: Literal["missing", "parse", "eval"] = kind
        self.template = template
        self.line = line
        self.column = column
        self.hint = hint
        self.where = where
        self.first_line = first_line
        super().__init__("\n".join(part for part in (self._headline(), hint) if part))

    def _headline(self) -> str:
        """Kestra's message, and the place where the message itself does not say it."""
        in_file = f"line {self.first_line + self.line - 1} of the flow" if self.first_line else ""
        if self.kind == "missing" or not self.line:
            place = ", ".join(part for part in (self.where, in_file) if part)
        else:
            place = f"line {self.line}, column {self.column}"
            place += f" of {self.where}" if self.where else ""
            place += f"; {in_file}" if in_file else ""
        return f"{self.reason} ({place})" if place else self.reason

    def placed(self, where: str, first_line: int = 0) -> RenderFailed:
        """Give the same error, naming the property and the line of the flow's file it starts on."""
        return RenderFailed(
            self.reason,
            kind=self.kind,
            template=self.template,
            line=self.line,
            column=self.column,
            hint=self.hint,
            where=where,
            first_line=first_line,
        )

    def excerpt(self) -> str:
        """Give the line of the template that is meant and a caret under the place, or ''."""
        lines = self.template.splitlines()
        if not 0 < self.line <= len(lines):
            return ""
        text, column = lines[self.line - 1].replace("\t", " "), max(self.column, 1)
        start = max(0, min(column - 60, len(text) - 110))
        return f"{text[start : start + 110]}\n{' ' * (column - 1 - start)}^"


class TaskFailed(RunnerError):
    """The task failed."""


class NotDecided(TaskFailed):
    """Whether a task in a WorkingDirectory is to run cannot be told; its log says why."""


class ExitStatus(TaskFailed):
    """The command of a task ended with a status other than 0."""

    def __init__(self, code: int, hint: str = "") -> None:
        self.code = code
        super().__init__(f"Command failed with exit code {code}" + (f" ({hint})" if hint else ""))


class TaskTimedOut(TaskFailed):
    """The task ran longer than its `timeout`."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit
        seconds = limit.total_seconds()
        hours, rest = divmod(seconds, 3600)
        minutes, seconds = divmod(rest, 60)
        super().__init__(f"Timeout after {int(hours):02}:{int(minutes):02}:{seconds:06.3f}")


class RunnerUnavailable(RunnerError):
    """Nothing here can run the task."""


class NotFound(RunnerError):
    """There is no such thing."""


class Conflict(RunnerError):
    """The thing exists already, or its state forbids this."""


class SettingInvalid(RunnerError):
    """A setting has a wrong value."""

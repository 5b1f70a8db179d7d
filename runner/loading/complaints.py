"""Problems as they are found, each with its place, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from runner.errors import Problem
from runner.loading.source import Mark
from runner.model.catalog import TypeInfo
from runner.model.flow import Flow, Task

_NOT_HERE = "not here"
"""The hint of a foreign task's problem until all other tasks are known."""


class Complaints:
    """Gathers the problems of one file."""

    def __init__(self, file: str, text: str, unknown: Literal["refuse", "warn"]) -> None:
        self.found: list[Problem] = []
        self._file = file
        self._foreign: set[str] = set()
        self._rows = text.split("\n")
        self._unknown: Literal["invalid", "warning"] = (
            "invalid" if unknown == "refuse" else "warning"
        )

    def add(
        self,
        message: str,
        mark: Mark,
        path: str = "",
        *,
        hint: str = "",
        kind: Literal["invalid", "unsupported", "warning"] = "invalid",
        at_key: bool = False,
    ) -> None:
        """Note a problem with the value at `mark`, or with its key."""
        line, column = (mark.key_line, mark.key_column) if at_key else (mark.line, mark.column)
        self.found.append(
            Problem(
                message=message,
                file=self._file,
                line=line,
                column=column,
                path=path,
                hint=hint,
                source_line=self._row(line),
                kind=kind,
            )
        )

    def unknown_property(self, name: str, mark: Mark, path: str, info: TypeInfo) -> None:
        """Note a property that the type `info` does not have."""
        known = sorted({"type", *info.properties} if info.kind != "model" else info.properties)
        listed = ", ".join(f'"{word}"' for word in known)
        self.add(
            f'Unrecognized field "{name}" (class {info.name}), not marked as ignorable '
            f"({len(known)} known properties: {listed})",
            mark,
            path,
            hint=did_you_mean(name, known) or f"remove it, or see what {info.name} has",
            kind=self._unknown,
            at_key=True,
        )

    def foreign_type(
        self, name: str, mark: Mark, path: str, kind: Literal["unsupported", "warning"]
    ) -> None:
        """Note a type that Kestra has, or may have, and Eyas has not."""
        self._foreign.add(name)
        self.add(
            f"{name} is known to Kestra, not supported here",
            mark,
            f"{path}.type",
            hint=_NOT_HERE if kind == "unsupported" else "",
            kind=kind,
        )

    def with_rows(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems of the text itself, each with the line that it is about."""
        for problem in problems:
            self.found.append(replace(problem, source_line=self._row(problem.line)))
        return self.sorted()

    def say_what_runs(self, flow: Flow) -> None:
        """Tell with each task that cannot run here which others can."""
        if not any(problem.hint == _NOT_HERE for problem in self.found):
            return
        able = [task.id for task in flow.walk() if not self._is_stuck(task)]
        words = f"these tasks would run: {', '.join(able)}" if able else "no other task would run"
        self.found = [
            replace(problem, hint=words) if problem.hint == _NOT_HERE else problem
            for problem in self.found
        ]

    def _is_stuck(self, task: Task) -> bool:
        """Whether a task, or one inside of it, is of a foreign type or has a foreign runner."""
        return any(self._is_foreign(inner) for inner in task.walk())

    def _is_foreign(self, task: Task) -> bool:
        runner = task.properties.get("taskRunner")
        of_runner = cast("dict[str, Any]", runner).get("type") if isinstance(runner, dict) else ""
        return task.type in self._foreign or of_runner in self._foreign

    def _row(self, line: int) -> str:
        return self._rows[line - 1].rstrip("\r") if 0 < line <= len(self._rows) else ""

    @property
    def is_invalid(self) -> bool:
        """Whether any of them makes the flow invalid."""
        return any(problem.kind == "invalid" for problem in self.found)

    def sorted(self) -> list[Problem]:
        """All problems, in the order of the file."""
        return sorted(self.found, key=lambda problem: (problem.line, problem.column))


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.7) -> str:
    """A question naming the one or two words of `known` that look most like `word`, or nothing."""
    words = list(known)
    folded = {name.lower(): name for name in words}
    if word.lower() in folded:
        return f"did you mean {folded[word.lower()]}?"
    from difflib import get_close_matches

    close = get_close_matches(word, words, n=2, cutoff=cutoff)
    return f"did you mean {' or '.join(close)}?" if close else ""


def type_hint(type_name: str, names: Sequence[str]) -> str:
    """A question naming types of `names` that look like `type_name`; a last part alone will do."""
    short = type_name.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2].lower() == short.lower()]
    if same and (len(same) == 1 or "." not in type_name):
        return f"did you mean {' or '.join(same[:3])}?"
    return did_you_mean(type_name, names)

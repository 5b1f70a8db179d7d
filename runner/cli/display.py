"""What `eyas run` shows: the log as it comes, and what came of the execution."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import anyio

from runner.model.execution import Execution, Level, LogBatch, Metric, TaskRun
from runner.model.flow import Flow
from runner.model.state import State
from runner.model.triggers import Consequences
from runner.store.base import NO_CONSEQUENCES
from runner.store.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from runner.runners.base import PullProgress
    from runner.store.past import Recorder

_quoted: Callable[[str], str] = json.JSONEncoder(ensure_ascii=False).encode

Format = Literal["pretty", "json", "jsonl", "quiet"]

_COLOURS = (36, 33, 35, 34, 32, 96, 93, 95, 94, 92)
_LEVEL_COLOURS = {Level.ERROR: 31, Level.WARN: 33, Level.DEBUG: 2, Level.TRACE: 2}
_STATE_COLOURS = {
    State.SUCCESS: 32,
    State.WARNING: 33,
    State.FAILED: 31,
    State.KILLED: 31,
    State.CANCELLED: 33,
}


class Display(Protocol):
    """One way of showing an execution."""

    def note(self, text: str) -> None:
        """Say something about the run itself, such as which runner was chosen."""
        ...

    def progress(self, progress: PullProgress) -> None:
        """Say how the pull of an image gets on."""
        ...

    def lines(self, batch: LogBatch) -> None:
        """Show log lines."""
        ...

    def changed(self, execution: Execution | None, runs: Sequence[TaskRun]) -> None:
        """Take note of new states."""
        ...

    def ended(
        self, execution: Execution, runs: Sequence[TaskRun], metrics: Sequence[Metric]
    ) -> None:
        """Show what came of the execution."""
        ...


class DisplayedStore(MemoryStore):
    """The store of one run: log lines are shown and not kept, so a flood of them costs nothing.

    What executions have done that nothing else started is written down below `state_dir`.
    """

    def __init__(self, display: Display, state_dir: Path) -> None:
        super().__init__()
        self._display = display
        self._state_dir = state_dir
        self._recorders: dict[str, Recorder] = {}
        self._unwritable = False
        self.lost: OSError | None = None
        """Why the output went nowhere, if it did."""
        self.stop = anyio.Event()
        """Set when the output went nowhere (`eyas run | head`): the run is for nothing then."""

    async def save(
        self,
        execution: Execution | None,
        runs: Sequence[TaskRun] = (),
        batches: Sequence[LogBatch] = (),
        metrics: Sequence[Metric] = (),
        consequences: Consequences = NO_CONSEQUENCES,
    ) -> None:
        """Show the lines, keep the facts, and show what changed."""
        await super().save(execution, runs, batches, metrics, consequences)
        self._record(execution, runs)
        with self._showing():
            self._display.changed(execution, runs)

    async def discard_runs(self, execution_id: str, run_ids: Sequence[str]) -> None:
        """Forget task runs."""
        await super().discard_runs(execution_id, run_ids)
        if execution_id in self._recorders:
            self._recorders[execution_id].forget(run_ids)

    def _record(self, execution: Execution | None, runs: Sequence[TaskRun]) -> None:
        """Write down what has ended; a disk that is full does not fail the run."""
        if self._unwritable or (execution is None and not runs):
            return
        owner = execution or self._executions[runs[0].execution_id]
        if owner.trigger is not None:
            return
        from runner.store.past import Recorder

        if owner.id not in self._recorders:
            self._recorders[owner.id] = Recorder(self._state_dir)
        try:
            self._recorders[owner.id].write(owner, runs)
        except OSError as error:
            self._unwritable = True
            self._display.note(
                f"What this run does cannot be kept for a later one: {error.strerror}"
            )

    async def append(self, batches: Sequence[LogBatch], metrics: Sequence[Metric] = ()) -> None:
        """Show the lines, keep the metrics."""
        with self._showing():
            for batch in batches:
                self._display.lines(batch)
            sys.stdout.flush()
        await super().append((), metrics)

    @contextmanager
    def _showing(self) -> Generator[None]:
        """Take note when what is shown goes nowhere."""
        try:
            yield
        except OSError as error:
            self.lost = self.lost or error
            drop_output()
            self.stop.set()


def drop_output() -> None:
    """Let what is still to be written go nowhere: it could not be written where it belongs."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def display_of(format_: Format, flow: Flow) -> Display:
    """The display for the option `--output`."""
    if format_ == "json":
        return JsonDisplay(flow)
    if format_ == "jsonl":
        return JsonlDisplay(flow)
    if format_ == "quiet":
        return QuietDisplay()
    return PrettyDisplay(flow, colour=sys.stdout.isatty())


def _printable(text: str) -> str:
    """Text without what a terminal would obey: a script's output must not move the cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else _CONTROLS.get(c, "�") for c in text)


_CONTROLS = {"\n": "\n", "\r": "", "\x1b": "␛"}


class PrettyDisplay:
    """Lines for people: a column with the task's name, then the text."""

    def __init__(self, flow: Flow, *, colour: bool) -> None:
        names = [task.id for task in flow.walk()]
        self._width = min(max(map(len, names), default=0), 24)
        self._colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
        self._colour = colour
        self._pulling: set[str] = set()
        self._bar: Any = None

    def note(self, text: str) -> None:
        """One line on stderr."""
        print(f"eyas: {text}", file=sys.stderr)  # noqa: T201 # this is the output

    def progress(self, progress: PullProgress) -> None:
        """A bar on a terminal (with the extra `tty`), else a line; one for each failure too."""
        if self._colour and self._bar is None and progress.image not in self._pulling:
            self._bar = _bars()
        if self._bar:
            self._bar.show(progress)
        elif progress.image not in self._pulling:
            self.note(f"Pulling image {progress.image}")
        self._pulling.add(progress.image)
        if progress.waits:
            self.note(f"Pulling image {progress.image}: {progress.status}")
        if progress.ended:
            self._pulling.discard(progress.image)
            if self._bar and not self._pulling:
                self._bar.stop()
                self._bar = None

    def lines(self, batch: LogBatch) -> None:
        """One line each; a text of several lines goes on below itself."""
        if batch.level.rank < Level.INFO.rank:
            return
        out = sys.stdout
        head = self._head(batch)
        start, end = "", ""
        if self._colour and batch.level in _LEVEL_COLOURS:
            start, end = f"\x1b[{_LEVEL_COLOURS[batch.level]}m", "\x1b[0m"
        messages: Iterable[str] = batch.messages
        if self._colour:
            messages = map(_printable, messages)
        out.write(
            "".join(
                f"{head}{start}{message}{end}\n"
                if "\n" not in message
                else "".join(f"{head}{start}{part}{end}\n" for part in message.split("\n"))
                for message in messages
            )
        )

    def _head(self, batch: LogBatch) -> str:
        name = (batch.task_id or "").ljust(self._width)
        if self._colour:
            colour = self._colours.get(batch.task_id or "", 37)
            return f"\x1b[{colour}m{name} │\x1b[0m "
        return f"{batch.level:<5} {name} | "

    def changed(self, execution: Execution | None, runs: Sequence[TaskRun]) -> None:
        """States of tasks are not shown as they change; the log tells the story."""

    def ended(
        self, execution: Execution, runs: Sequence[TaskRun], metrics: Sequence[Metric]
    ) -> None:
        """Outputs and metrics by task, the flow's outputs, and the final state."""
        shown = [
            (f"  {_named(run)}.{key}", value)
            for run in runs
            for key, value in (run.outputs or {}).items()
            if value not in (None, {}, []) and key not in ("exitCode", "taskRunner")
        ]
        if shown:
            print("\nOutputs")  # noqa: T201 # this is the output
        for name, value in shown:
            self._print_value(name, value)
        if execution.outputs:
            print("\nFlow outputs")  # noqa: T201 # this is the output
            for key, value in execution.outputs.items():
                self._print_value(f"  {key}", value)
        if metrics:
            print("\nMetrics")  # noqa: T201 # this is the output
        for metric in metrics:
            tags = "".join(f" {k}={v}" for k, v in (metric.tags or {}).items())
            value = f"{metric.value / 1000:g} s" if metric.type == "timer" else f"{metric.value:g}"
            print(f"  {metric.task_id}.{metric.name} = {value} ({metric.type}){tags}")  # noqa: T201 # this is the output
        self._print_end(execution, runs)

    def _print_value(self, name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():  # pyright: ignore[reportUnknownVariableType] # JSON
                self._print_value(f"{name}.{key}", item)
            return
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        print(f"{name} = {_printable(text) if self._colour else text}")  # noqa: T201 # this is the output

    def _print_end(self, execution: Execution, runs: Sequence[TaskRun]) -> None:
        state = str(execution.state)
        if self._colour:
            state = f"\x1b[{_STATE_COLOURS.get(execution.state, 37)}m{state}\x1b[0m"
        changes = execution.history.changes
        begun = [each.date for each in changes if each.state in (State.CREATED, State.RESTARTED)]
        took = (changes[-1].date - begun[-1]).total_seconds()
        failed = [run.task_id for run in runs if run.state is State.FAILED]
        where = f", failed: {', '.join(dict.fromkeys(failed))}" if failed else ""
        print(f"\n{execution.namespace}.{execution.flow_id} {state} in {took:.2f} s{where}")  # noqa: T201 # this is the output


def _named(run: TaskRun) -> str:
    """The task's id, with the value that its loop gave it."""
    return run.task_id if run.value is None else f"{run.task_id}[{run.value}]"


class QuietDisplay:
    """Nothing but what went wrong, on stderr."""

    def note(self, text: str) -> None:
        """Not shown."""

    def progress(self, progress: PullProgress) -> None:
        """A note when a pull is tried again, where notes are shown: that takes a while."""
        if progress.waits:
            self.note(f"Pulling image {progress.image}: {progress.status}")

    def lines(self, batch: LogBatch) -> None:
        """Not shown."""

    def changed(self, execution: Execution | None, runs: Sequence[TaskRun]) -> None:
        """Not shown."""

    def ended(
        self, execution: Execution, runs: Sequence[TaskRun], metrics: Sequence[Metric]
    ) -> None:
        """One line if it did not succeed."""
        if execution.state not in (State.SUCCESS, State.WARNING):
            failed = dict.fromkeys(run.task_id for run in runs if run.state is State.FAILED)
            where = f" (tasks: {', '.join(failed)})" if failed else ""
            name = f"{execution.namespace}.{execution.flow_id}"
            print(f"eyas: {name} ended {execution.state}{where}", file=sys.stderr)  # noqa: T201 # this is the output


class JsonDisplay(QuietDisplay):
    """The execution as one document on stdout, as the HTTP API shows it; the log on stderr."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def note(self, text: str) -> None:
        """One line on stderr."""
        print(f"eyas: {text}", file=sys.stderr)  # noqa: T201 # this is the output

    def lines(self, batch: LogBatch) -> None:
        """Lines on stderr."""
        if batch.level.rank >= Level.INFO.rank:
            head = f"{batch.level:<5} {batch.task_id or '-'} | "
            sys.stderr.write("".join(f"{head}{message}\n" for message in batch.messages))

    def ended(
        self, execution: Execution, runs: Sequence[TaskRun], metrics: Sequence[Metric]
    ) -> None:
        """The document."""
        from runner.api.shapes import execution_json

        document = execution_json(execution, runs, self._flow)
        print(json.dumps(document, ensure_ascii=False, indent=2))  # noqa: T201 # this is the output


class JsonlDisplay(QuietDisplay):
    """A JSON object a line: log lines, states of tasks and of the execution, metrics."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._states: dict[str, State] = {}

    def _print(self, event: str, **what: Any) -> None:
        sys.stdout.write(
            json.dumps({"event": event, **what}, ensure_ascii=False, separators=(",", ":")) + "\n"
        )

    def note(self, text: str) -> None:
        """An event of its own."""
        self._print("note", message=text)

    def lines(self, batch: LogBatch) -> None:
        """An event a line."""
        what = {
            "event": "log",
            "time": batch.date.isoformat(),
            "level": batch.level,
            "taskId": batch.task_id,
            "taskRunId": batch.task_run_id,
            "attempt": batch.attempt,
        }
        # All but the text is the same for the whole batch: encoded once.
        head = json.dumps(what, ensure_ascii=False, separators=(",", ":"))[:-1] + ',"message":'
        sys.stdout.write("".join(f"{head}{_quoted(text)}}}\n" for text in batch.messages))

    def changed(self, execution: Execution | None, runs: Sequence[TaskRun]) -> None:
        """An event for every state that is new."""
        for run in runs:
            if self._states.get(run.id) is not run.state:
                self._states[run.id] = run.state
                time = run.history.changes[-1].date.isoformat()
                names = {"taskId": run.task_id, "taskRunId": run.id, "value": run.value}
                self._print("taskrun", time=time, **names, state=run.state)
        if execution is not None and self._states.get(execution.id) is not execution.state:
            self._states[execution.id] = execution.state
            time = execution.history.changes[-1].date.isoformat()
            names = {"executionId": execution.id, "flowId": execution.flow_id}
            self._print("execution", time=time, **names, state=execution.state)
        sys.stdout.flush()

    def ended(
        self, execution: Execution, runs: Sequence[TaskRun], metrics: Sequence[Metric]
    ) -> None:
        """The metrics, then the whole execution as the HTTP API shows it."""
        from runner.api.shapes import execution_json, metric_json

        for metric in metrics:
            self._print("metric", **metric_json(metric))
        self._print("end", execution=execution_json(execution, runs, self._flow))


def _bars() -> Any:
    """Progress bars of `rich`, or False if the extra `tty` is not installed."""
    try:
        from runner.cli.bars import Bars
    except ImportError:
        return False
    return Bars()

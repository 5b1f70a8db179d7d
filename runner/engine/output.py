"""From a command's raw output to log lines, outputs and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import anyio.to_thread

from runner.engine.adoption import Known
from runner.engine.journal import Journal
from runner.engine.lines import LineSplitter, cut_entries
from runner.engine.metrics import MetricTotals
from runner.engine.protocol import parse_lines, parse_marker
from runner.model.execution import Level, Metric, TaskRun
from runner.model.flow import Task
from runner.model.marker import Marker
from runner.runners.base import Stream

_LONG = 1 << 20
"""So many characters at once hold a marker that takes long to read."""
_LEVELS = {Stream.STDOUT: Level.INFO, Stream.STDERR: Level.ERROR}


class Reader:
    """Reads one command's two streams; what it finds goes to the journal as it comes.

    `vars` are the outputs sent so far. Metrics are merged and go out with `publish`. `known` is
    what an earlier Eyas has stored of the same output.
    """

    def __init__(
        self,
        journal: Journal,
        task: Task,
        run: TaskRun,
        *,
        docker: bool,
        known: Known | None = None,
    ) -> None:
        self.vars: dict[str, Any] = {}
        self._journal = journal
        self._task = task
        self._run = run
        self._known = known
        self._told = False
        self._totals = MetricTotals()
        self._seen: Counter[int] = Counter()
        masker = journal.masker
        self._splitters = {s: LineSplitter(docker=docker, masker=masker) for s in Stream}

    async def emit(self, stream: Stream, chunk: bytes) -> None:
        """Take a chunk of output; comes back when its lines are on their way."""
        lines = self._splitters[stream].feed(chunk)
        if lines:
            self._take(_LEVELS[stream], lines, await _parsed(lines))
            await self._journal.took_output()

    def close(self) -> None:
        """Take what the streams ended with."""
        for stream, splitter in self._splitters.items():
            lines = splitter.flush()
            if lines:
                self._take(_LEVELS[stream], lines, parse_lines(lines))

    def recover(self, markers: Sequence[str]) -> None:
        """Take the markers of the side file that were lost on a stream (decision 7).

        Only for a stream that may have lost something: a script that sent its output elsewhere
        meant it so.
        """
        unread = Counter(map(hash, markers)) - self._seen
        if not unread:
            return
        behind = False
        for line in markers if unread else ():
            lost = unread[hash(line)] > 0
            marker = parse_marker(line) if lost or behind else None
            if marker is None:
                continue
            if lost:
                unread[hash(line)] -= 1
                behind = True
                self._apply(marker)
            else:
                # It was read already, but what was lost before it must not win over it.
                self.vars.update(marker.outputs)

    def publish(self) -> None:
        """Add the command's metrics to the journal, merged."""
        run = self._run
        for entry in self._totals.entries():
            metric = Metric(
                execution_id=run.execution_id,
                namespace=run.namespace,
                flow_id=run.flow_id,
                task_id=run.task_id,
                task_run_id=run.id,
                name=entry.name,
                type=entry.type,
                value=entry.value,
                date=entry.timestamp or self._journal.now(),
                tags=entry.tags,
            )
            if self._known is None or self._known.is_new(metric):
                self._journal.add_metric(metric)

    def _take(
        self, level: Level, lines: Sequence[str], parts: Iterable[Sequence[str] | Marker]
    ) -> None:
        for part in parts:
            if isinstance(part, Marker):
                self._apply(part)
            else:
                self._log(level, part)
        self._seen.update(hash(line.rstrip("\r\n")) for line in lines if line.startswith("::{"))

    def _apply(self, marker: Marker) -> None:
        for problem in marker.problems:
            self._log(Level.WARN, [problem])
        for entry in marker.logs:
            self._log(entry.level, cut_entries(entry.message, self._journal.masker))
        self.vars.update(marker.outputs)
        for value in _texts(marker.encrypted_outputs.values()):
            self._journal.masker.add(value)
        self.vars.update(marker.encrypted_outputs)
        for metric in marker.metrics:
            self._totals.add(metric)

    def _log(self, level: Level, lines: Sequence[str]) -> None:
        wanted = self._task.log_level
        if wanted is not None and level.rank < wanted.rank:
            return
        if self._known is not None:
            lines = self._known.new_lines(level, self._journal.masker.mask_lines(lines))
        lines = self._journal.within_limit(lines)
        if lines:
            self._journal.log(level, lines, self._run)
        self._tell_if_full()

    def _tell_if_full(self) -> None:
        if self._journal.output_is_full and not self._told:
            self._told = True
            limit = self._journal.output_limit
            text = f"More output than {limit} characters: what comes now is not logged"
            self._journal.log(Level.WARN, f"{text} (setting log_max_bytes)", self._run)


async def _parsed(lines: Sequence[str]) -> Iterable[Sequence[str] | Marker]:
    """What the lines are; of a marker of megabytes others do not have to wait for the end."""
    if sum(map(len, lines)) < _LONG:
        return parse_lines(lines)
    return await anyio.to_thread.run_sync(list, parse_lines(lines))


def _texts(values: Iterable[Any]) -> Iterable[str]:
    return (value for value in values if isinstance(value, str))

"""Where in a running flow a task stands: the flow itself, or a flowable's task run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from runner.model.execution import TaskRun
from runner.model.flow import Retry, Task
from runner.records import record


def digest(*texts: str) -> str:
    """What stands for texts in their order."""
    whole = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        whole.update(f"{len(data)}:".encode())
        whole.update(data)
    return whole.hexdigest()[:32]


@record(eq=False, frozen=False)
class Trail:
    """What came before a place in the running flow, as far as it may have left something behind.

    `fingerprint` stands for those tasks, in their order. `anew`: one of them has run now, and was
    not taken over from an earlier execution. Tasks beside each other have trails of their own.
    """

    fingerprint: str = ""
    anew: bool = False

    def fork(self, *after: Trail) -> Trail:
        """The trail of tasks that come `after` the ends of others as well."""
        fingerprint = self.fingerprint
        for each in after:
            if each.fingerprint != self.fingerprint:
                fingerprint = digest(fingerprint, each.fingerprint)
        return Trail(fingerprint=fingerprint, anew=self.anew or any(each.anew for each in after))

    def grow(self, fingerprint: str, *, anew: bool) -> None:
        """Let one more task be on it."""
        self.fingerprint = digest(self.fingerprint, fingerprint)
        self.anew = self.anew or anew


@record(eq=False, frozen=False)
class Frame:
    """One level of the running flow, under which task runs are created.

    A flowable's tasks, its `errors` and its `finally` are three frames of the same task run.
    `counts`: the task numbers the rounds in which it repeats its tasks. `keeps_going`: a failed
    task does not stop those after it. `closed`: nothing more may start here nor below. `after`: the
    level of `afterExecution`, which nothing closes. `trail` grows with the tasks that run here.
    """

    parent: Frame | None = None
    task: Task | None = None
    run: TaskRun | None = None
    shared_dir: Path | None = None
    counts: bool = False
    keeps_going: bool = False
    closed: bool = False
    after: bool = False
    trail: Trail = field(default_factory=Trail)

    @property
    def run_id(self) -> str | None:
        """Id of the flowable's task run, None at the level of the flow."""
        return self.run.id if self.run else None

    def outward(self) -> Iterator[Frame]:
        """This frame and those around it, innermost first."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent

    @property
    def is_open(self) -> bool:
        """Tasks may still start here."""
        return not any(frame.closed for frame in self.outward())

    @property
    def is_after(self) -> bool:
        """Tasks here run after the execution has ended."""
        return any(frame.after for frame in self.outward())

    def inherited_retry(self) -> Retry | None:
        """The retry of the nearest flowable around a task here that has one."""
        return next((f.task.retry for f in self.outward() if f.task and f.task.retry), None)

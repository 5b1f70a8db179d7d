"""The variables that expressions of a running task see (flow-model 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from runner.engine.frame import Frame
from runner.engine.inputs import inputs_for_rendering
from runner.engine.journal import Journal
from runner.model.execution import Label, TaskRun
from runner.model.flow import Flow, Task
from runner.model.hash_order import EMPTY_TABLE, hash_ordered
from runner.model.state import State
from runner.tasks.hidden import ITERATION

_SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"


class Variables(Mapping[str, Any]):
    """Root variables that are made when an expression asks for them, and then kept.

    A maker that returns None has no such variable: the name is undefined.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        value = self._made[name]
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._makers if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def instant_text(moment: datetime) -> str:
    """A point in time as Java prints an instant: UTC, with as many thirds of digits as needed."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    micros = moment.microsecond
    if not micros:
        return f"{text}Z"
    return f"{text}.{micros // 1000:03}Z" if micros % 1000 == 0 else f"{text}.{micros:06}Z"


def nested_labels(labels: tuple[Label, ...]) -> dict[str, Any]:
    """Labels as a map in which dots nest; of a repeated key the last counts."""
    tree: dict[str, Any] = {}
    for label in labels:
        *path, last = label.key.split(".")
        _below(tree, path)[last] = label.value
    return tree


def _below(tree: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The map at `path`; maps are made on the way, in place of anything else."""
    for part in path:
        if not isinstance(tree.get(part), dict):
            tree[part] = {}
        tree = tree[part]
    return tree


def of_flow(flow: Flow) -> dict[str, Any]:
    """The variable `flow`."""
    return {
        "id": flow.id,
        "namespace": flow.namespace,
        "revision": flow.revision,
        "tenantId": "main",
    }


def environment(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The variable `envs`: process variables that begin with `prefix`, without it, lower case."""
    return {
        name[len(prefix) :].lower(): value
        for name, value in environ.items()
        if prefix and name.startswith(prefix)
    }


def root(
    journal: Journal, environ: Mapping[str, str], env_prefix: str, *, ended: bool = False
) -> dict[str, Callable[[], Any]]:
    """Makers of the variables that do not depend on a task; `ended` for afterExecution."""
    flow = journal.flow

    def execution() -> dict[str, Any]:
        live = journal.execution
        known: dict[str, Any] = {
            "id": live.id,
            "startDate": instant_text(live.history.start),
            "originalId": live.original_id or live.id,
            "state": str(live.state),
        }
        if ended and live.outputs is not None:
            known["outputs"] = live.outputs
        return known

    def trigger() -> Mapping[str, Any] | None:
        cause = journal.execution.trigger
        return dict(cause.variables) if cause else None

    def schedule() -> Mapping[str, Any] | None:
        cause = journal.execution.trigger
        return trigger() if cause and cause.type == _SCHEDULE else None

    def variables() -> Mapping[str, Any] | None:
        live = journal.execution.variables
        given = live if live is not None else flow.variables
        return None if given is None else hash_ordered(given)

    return {
        "flow": lambda: of_flow(flow),
        "execution": execution,
        "inputs": lambda: inputs_for_rendering(flow, journal.execution.inputs),
        "outputs": lambda: journal.trees.outputs,
        "tasks": lambda: journal.trees.states,
        "vars": variables,
        "trigger": trigger,
        "schedule": schedule,
        "labels": lambda: nested_labels(journal.execution.labels),
        "envs": lambda: environment(environ, env_prefix),
        "globals": dict[str, Any],
        "kestra": lambda: {"environment": {}, "url": ""},
    }


def of_task(
    journal: Journal, frame: Frame, task: Task, run: TaskRun
) -> dict[str, Callable[[], Any]]:
    """Makers of the variables that a task sees beside those of `root`."""

    def taskrun() -> dict[str, Any]:
        known = _of_run(journal.runs.get(run.id, run))
        if frame.shared_dir is not None and frame.run is not None:
            # Children of a WorkingDirectory are one job with it (flow-model 4.7).
            known.pop("iteration", None)
            if frame.run.value is not None:
                known["value"] = frame.run.value
        return known

    def worker_taskrun() -> dict[str, Any] | None:
        if frame.shared_dir is None or frame.run is None:
            return None
        return _of_run(frame.run)

    def ancestors() -> list[dict[str, Any]]:
        # Children of a WorkingDirectory stand where it stands, they do not see it above them.
        inside = frame.shared_dir is not None and frame.parent is not None
        return parents_of(journal, frame.parent if inside and frame.parent else frame)

    def states() -> Mapping[str, Any]:
        if frame.shared_dir is not None and frame.run is not None:
            return _before_the_job(journal, frame.run)
        return _with_own_state(journal.trees.states, journal.runs.get(run.id, run))

    makers: dict[str, Callable[[], Any]] = {
        "task": lambda: {"id": task.id, "type": task.type_as_written},
        "taskrun": taskrun,
        "parent": lambda: next(iter(ancestors()), None),
        "parents": ancestors,
        "workerTaskrun": worker_taskrun,
        "tasks": states,
    }
    iterations = [around for around in frame.outward() if around.task and _is_iteration(around)]
    if iterations:
        makers["item"] = lambda: _item(journal, iterations)
        makers["outputs"] = lambda: _unindexed(journal.trees.outputs, iterations)
        makers["tasks"] = lambda: _unindexed(journal.trees.placed_states, iterations)
    return makers


def _of_run(run: TaskRun) -> dict[str, Any]:
    """What the variable `taskrun` says of a run."""
    known: dict[str, Any] = {
        "id": run.id,
        "startDate": instant_text(run.history.start),
        "attemptsCount": max(len(run.attempts) - 1, 0),
    }
    if run.parent_id is not None:
        known["parentId"] = run.parent_id
    if run.value is not None:
        known["value"] = run.value
    if run.iteration is not None:
        known["iteration"] = run.iteration
    return known


def _with_own_state(states: Mapping[str, Any], run: TaskRun) -> Mapping[str, Any]:
    """`tasks` as a task sees it that a worker runs: its own state is that in which it was sent."""
    changes = [change.state for change in run.history.changes]
    if changes[-1] is not State.RUNNING or State.SUBMITTED not in changes:
        return states
    sent = len(changes) - 1 - changes[::-1].index(State.SUBMITTED)
    own = {"state": str(changes[sent - 1])}
    if run.value is None:
        return {**states, run.task_id: own}
    return {**states, run.task_id: {**states[run.task_id], run.value: own}}


def _before_the_job(journal: Journal, directory: TaskRun) -> Mapping[str, Any]:
    """`tasks` as the children of a WorkingDirectory see it: as it was when that was sent."""
    states = dict(journal.trees.states)
    names = {child.task_id for child in journal.children(directory.id)}
    for name in names:
        del states[name]
    for run in journal.runs.values() if names else ():
        if run.task_id in names and run.parent_id != directory.id:
            states[run.task_id] = {"state": str(run.state)}
    own = {"state": str(State.CREATED)}
    if directory.value is not None:
        own = {**states.get(directory.task_id, {}), directory.value: own}
    return hash_ordered({**states, directory.task_id: own}, EMPTY_TABLE)


def _is_iteration(frame: Frame) -> bool:
    return frame.task is not None and frame.task.type == ITERATION


def _item(journal: Journal, iterations: Sequence[Frame]) -> dict[str, Any] | None:
    """The variable `item` in iterations of Loops, innermost first."""
    items: list[dict[str, Any]] = []
    for around in iterations:
        live = around.run and journal.runs.get(around.run.id)
        items.append(dict((live.outputs or {}).get("item") or {}) if live else {})
    item, *outer = items
    return {**item, "parent": outer[0], "parents": outer} if outer else item


def _unindexed(tree: Mapping[str, Any], iterations: Sequence[Frame]) -> Mapping[str, Any]:
    """`outputs` or `tasks` in iterations of Loops: of the tasks in them, those of this iteration.

    They are addressed without the values of the loops.
    """
    found = dict(tree)
    for around in reversed(iterations):
        assert around.task is not None
        values = [each.run.value for each in around.outward() if each.run and each.run.value]
        for inner in around.task.walk():
            node: Any = tree.get(inner.id)
            for value in reversed(values):
                node = node.get(value) if isinstance(node, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # JSON
            if node is None:
                found.pop(inner.id, None)
            else:
                found[inner.id] = node
    return found


def parents_of(journal: Journal, frame: Frame) -> list[dict[str, Any]]:
    """The variable `parents`: the runs around, nearest first, that have a value or outputs."""
    found: list[dict[str, Any]] = []
    for around in frame.outward():
        if around.run is None:
            continue
        live = journal.runs.get(around.run.id, around.run)
        entry: dict[str, Any] = {}
        if live.outputs:
            entry["outputs"] = live.outputs
        if live.value is not None:
            entry["taskrun"] = {"value": live.value}
        if entry:
            found.append(entry)
    return found

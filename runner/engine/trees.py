"""The variables `outputs` and `tasks`, kept up to date while task runs change (flow-model 6.2).

Built anew for every task they would make a loop over thousands of values quadratic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from runner.model.execution import Outputs, TaskRun
from runner.model.hash_order import EMPTY_TABLE, HashMap, hash_ordered

Tree = dict[str, Any]
"""Maps by task id and then by loop values: for outputs those around the run and its own, outermost
first, for states its own."""


class Trees:
    """What expressions see of the task runs `runs`, which the owner changes and reports."""

    def __init__(self, runs: Mapping[str, TaskRun]) -> None:
        self._runs = runs
        self._outputs: Tree = HashMap(EMPTY_TABLE)
        self._states: Tree = HashMap(EMPTY_TABLE)
        self._placed: Tree = {}
        self._owner: dict[tuple[str, ...], str] = {}
        self._path: dict[str, tuple[str, ...]] = {}
        self._last: dict[tuple[str, ...], str] = {}
        self._shown: dict[str, Outputs] = {}
        for run in runs.values():
            self.put(run)

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The variable `outputs`: what every run gave.

        A task whose runs gave nothing has an empty map, whatever loops are around it.
        """
        return self._outputs

    @property
    def states(self) -> Mapping[str, Any]:
        """The variable `tasks`: the state of the last run of every task, or of each value of it."""
        return self._states

    @property
    def placed_states(self) -> Mapping[str, Any]:
        """The states by all loop values around, as outputs are."""
        return self._placed

    def put(self, run: TaskRun) -> None:
        """Take note of a run that is new or has changed."""
        path = self._path.get(run.id)
        place = _place_of_state(run)
        if path is None:
            path = self._path[run.id] = self._path_of(run)
            self._owner[path] = run.id
            self._last[place] = run.id
        if self._last.get(place) == run.id:
            _node(self._states, place, EMPTY_TABLE)["state"] = str(run.state)
        if self._owner[path] != run.id:
            return  # a later run of the same place hides this one
        outputs = run.outputs
        if outputs is not None and self._shown.get(run.id) is not outputs:
            self._shown[run.id] = outputs
            if outputs:
                _put(self._outputs, path, _as_printed(outputs))
            else:
                _node(self._outputs, path[:1])
        _node(self._placed, path)["state"] = str(run.state)

    def drop(self, run: TaskRun) -> None:
        """Forget a run."""
        path = self._path.pop(run.id)
        self._shown.pop(run.id, None)
        if self._owner[path] == run.id:
            del self._owner[path]
            _remove(self._outputs, path)
            _remove(self._placed, path)
        place = _place_of_state(run)
        if self._last.get(place) == run.id:
            del self._last[place]
            _remove(self._states, place)

    def _path_of(self, run: TaskRun) -> tuple[str, ...]:
        """The task's id and the loop values of the run and those around it, outermost first."""
        values: list[str] = []
        around: TaskRun | None = run
        while around is not None:
            if around.value is not None:
                values.append(around.value)
            around = self._runs.get(around.parent_id) if around.parent_id else None
        return (run.task_id, *reversed(values))


def _place_of_state(run: TaskRun) -> tuple[str, ...]:
    """Where its state is: loops further out do not count (flow-model 6.1)."""
    return (run.task_id,) if run.value is None else (run.task_id, run.value)


def _as_printed(value: Mapping[str, Any]) -> Tree:
    """A copy of a map, and of the maps directly in it, with their keys in Kestra's order."""
    return {key: _inner(item) for key, item in hash_ordered(value).items()}


def _inner(value: Any) -> Any:
    return _as_printed(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value


def _node(tree: Tree, path: Sequence[str], size: int = 1) -> Tree:
    """The map at `path`; maps are made on the way, in place of anything else."""
    for part in path:
        if not isinstance(tree.get(part), dict):
            tree[part] = HashMap(size)
        tree = tree[part]
    return tree


def _put(tree: Tree, path: Sequence[str], value: Tree) -> None:
    _node(tree, path[:-1])[path[-1]] = value


def _remove(tree: Tree, path: Sequence[str]) -> None:
    """Take away what is at `path`, and the maps around it that are empty then."""
    node = _node(tree, path[:-1])
    node.pop(path[-1], None)
    if not node and len(path) > 1:
        _remove(tree, path[:-1])

"""What the windows of preconditions have gathered so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

import anyio

from runner.model.triggers import TriggerName, Window
from runner.store.triggers import TriggerStore
from runner.triggers.windows import Preconditions, span


class Gathering:
    """All windows: in memory, which is right, and in the store, which follows.

    What `add` changes is stored together with what it leads to: `turn` is held until that is so.
    """

    def __init__(self, store: TriggerStore) -> None:
        self.turn = anyio.Lock()
        self._store = store
        self._windows: dict[TriggerName, Window] = {}
        self._changed: set[TriggerName] = set()

    async def load(self, now: datetime) -> None:
        """Take over what the store has, and delete what is over."""
        self._windows = {}
        for window in await self._store.windows():
            if window.end < now:
                await self._store.delete_window(window.name)
            else:
                self._windows[window.name] = window

    def add(
        self,
        met: Mapping[TriggerName, tuple[Preconditions, Sequence[str]]],
        execution_id: str,
        now: datetime,
        place: tzinfo,
    ) -> list[str] | None:
        """Note which conditions an execution met, for all preconditions of one trigger.

        Returns the executions that met all of them, in the order in which that was, as soon as
        all are met within their windows. None: not all are, or this execution added nothing.

        Raises:
            ConditionFailed: the times of a window cannot be read.
        """
        if not any(names for _, names in met.values()):
            return None
        windows = {
            name: self._with(name, preconditions, names, execution_id, now, place)
            for name, (preconditions, names) in met.items()
        }
        complete = all(
            len(preconditions.tests.keys() & windows[name].met.keys()) >= preconditions.needed
            for name, (preconditions, _) in met.items()
        )
        self._changed |= windows.keys()
        for name, window in windows.items():
            if complete and met[name][0].reset_on_success:
                self._windows.pop(name, None)
            elif window.met:
                self._windows[name] = window
        if not complete:
            return None
        return list(dict.fromkeys(each for w in windows.values() for each in w.met.values()))

    def changed(self) -> tuple[list[Window], list[TriggerName]]:
        """The windows that became other ones since the last call, and those that are used up."""
        names, self._changed = self._changed, set()
        kept = [self._windows[name] for name in names if name in self._windows]
        return kept, [name for name in names if name not in self._windows]

    def _with(
        self,
        name: TriggerName,
        preconditions: Preconditions,
        met: Sequence[str],
        execution_id: str,
        now: datetime,
        place: tzinfo,
    ) -> Window:
        """The window that `now` is in, with these conditions met; outside of one none is."""
        window = self._windows.get(name)
        if window is None or not window.start <= now <= window.end:
            start, end = span(preconditions.window, now, place)
            window = Window(name=name, start=start, end=end)
        if not window.start <= now <= window.end:
            return window
        kept = {key: value for key, value in window.met.items() if key not in met}
        return replace(window, met=kept | dict.fromkeys(met, execution_id))

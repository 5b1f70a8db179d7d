"""State of triggers that is kept in memory, without the module that a database needs."""

from __future__ import annotations

from runner.model.triggers import Consequences, TriggerName, TriggerState, Window


class MemoryTriggers:
    """A `TriggerStore` that is gone when the process ends."""

    def __init__(self) -> None:
        self._states: dict[TriggerName, TriggerState] = {}
        self._windows: dict[TriggerName, Window] = {}

    def take(self, consequences: Consequences) -> None:
        """Take over what follows from an execution's change of state."""
        self._states |= {state.name: state for state in consequences.states}
        self._windows |= {window.name: window for window in consequences.windows}
        for name in consequences.over:
            self._windows.pop(name, None)

    async def states(self) -> list[TriggerState]:
        """Every state, in the order of their names."""
        return [self._states[name] for name in sorted(self._states)]

    async def save_state(self, state: TriggerState) -> None:
        """Insert or replace the state of a trigger."""
        self._states[state.name] = state

    async def delete_state(self, name: TriggerName) -> None:
        """Forget a trigger."""
        self._states.pop(name, None)

    async def windows(self) -> list[Window]:
        """Every window, in the order of their names."""
        return [self._windows[name] for name in sorted(self._windows)]

    async def delete_window(self, name: TriggerName) -> None:
        """Forget a window."""
        self._windows.pop(name, None)

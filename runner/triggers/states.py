"""Where all triggers stand: in memory, which is right, and in the store, which follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from runner.model.triggers import TriggerName, TriggerState
from runner.store.triggers import TriggerStore


class States:
    """The state of every trigger; one that was never changed has the default."""

    def __init__(self, store: TriggerStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._states: dict[TriggerName, TriggerState] = {}

    async def load(self) -> None:
        """Take over what the store has."""
        self._states = {state.name: state for state in await self._store.states()}

    def names(self) -> list[TriggerName]:
        """The triggers that have a state."""
        return list(self._states)

    def of(self, name: TriggerName) -> TriggerState:
        """The state of a trigger."""
        return self._states.get(name) or TriggerState(name=name)

    def set(self, name: TriggerName, **changes: Any) -> TriggerState:
        """Change fields of a state in memory; who calls it stores what it gives."""
        state = replace(self.of(name), updated=self._clock(), **changes)
        self._states[name] = state
        return state

    def hold(self, name: TriggerName, execution_id: str | None) -> None:
        """Have the trigger wait for an execution, not yet stored: `change` follows."""
        self._states[name] = replace(self.of(name), execution_id=execution_id)

    async def change(self, name: TriggerName, **changes: Any) -> TriggerState:
        """Change fields of a state, durably."""
        state = self.set(name, **changes)
        await self._store.save_state(state)
        return state

    async def forget(self, name: TriggerName) -> None:
        """Drop the state of a trigger."""
        self._states.pop(name, None)
        await self._store.delete_state(name)

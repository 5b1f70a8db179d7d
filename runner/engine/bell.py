"""Waking whoever waits for the next change."""

from __future__ import annotations

import anyio


class Bell:
    """Wakes all who wait, each time it rings; as long as nobody does, that costs nothing."""

    def __init__(self) -> None:
        self._next: anyio.Event | None = None

    @property
    def next(self) -> anyio.Event:
        """Is set when it rings the next time."""
        if self._next is None:
            self._next = anyio.Event()
        return self._next

    def ring(self) -> None:
        """Wake all who wait now."""
        rung, self._next = self._next, None
        if rung is not None:
            rung.set()

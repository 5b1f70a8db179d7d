"""Cleaning up after attempts, beside what goes on."""

from __future__ import annotations

import anyio
import structlog
from anyio.abc import TaskGroup

from runner.engine.journal import Journal
from runner.errors import RunnerError
from runner.runners.base import Leavings

log = structlog.get_logger()

_AT_A_TIME = 32
"""So many attempts are cleaned up after at the same time; the next one to end waits for that."""

_LIMIT_S = 300
"""No clean-up takes longer; each step of it has a limit of its own, too."""


class Leaving:
    """Closes what attempts leave behind when their ends are stored, in `group`."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._places = anyio.Semaphore(_AT_A_TIME)

    async def close(self, stack: Leavings, journal: Journal) -> None:
        """Close `stack`, or have it closed soon; what it says goes into the journal."""
        if not stack.takes_time:
            await stack.aclose()
            return
        with anyio.CancelScope(shield=True):
            # Others have a limit, so this comes to an end.
            await self._places.acquire()
        self._group.start_soon(self._close, stack, journal, name="clean up after an attempt")

    async def _close(self, stack: Leavings, journal: Journal) -> None:
        try:
            with anyio.move_on_after(_LIMIT_S, shield=True):
                await stack.aclose()
                await journal.flush()
        except (OSError, RunnerError) as error:
            log.warning("attempt.not_cleaned_up", execution=journal.execution.id, reason=str(error))
        finally:
            self._places.release()

"""Cleaning up after attempts, beside what goes on."""

from __future__ import annotations

import anyio
from anyio.abc import TaskGroup

from runner.engine.journal import Journal
from runner.errors import RunnerError
from runner.runners.base import Leavings

_AT_A_TIME = 64
"""So many attempts wait for that or are cleaned up after; the next one to end waits for one."""

_CLEANING = 8
"""So many are cleaned up after at the same time."""

_QUIET_S = 0.25
"""While attempts end one after the other, those that begin have the processor..."""

_PATIENCE_S = 1
"""...but no longer than this."""

_LIMIT_S = 300
"""No clean-up takes longer; each step of it has a limit of its own, too."""


class Leaving:
    """Closes what attempts leave behind when their ends are stored, in `group`."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._places = anyio.Semaphore(_AT_A_TIME)
        self._cleaning = anyio.Semaphore(_CLEANING)
        self._last_s = 0.0

    async def close(self, stack: Leavings, journal: Journal) -> None:
        """Close `stack`, or have it closed soon; what it says goes into the journal."""
        if not stack.takes_time:
            await stack.aclose()
            return
        with anyio.CancelScope(shield=True):
            # Others have a limit, so this comes to an end.
            await self._places.acquire()
        self._last_s = anyio.current_time()
        self._group.start_soon(self._close, stack, journal, name="clean up after an attempt")

    async def _close(self, stack: Leavings, journal: Journal) -> None:
        try:
            await self._quiet()
        finally:
            with anyio.move_on_after(_LIMIT_S, shield=True):
                async with self._cleaning:
                    await self._clean(stack, journal)
            self._places.release()

    async def _quiet(self) -> None:
        """Wait until no attempt has ended for a moment."""
        with anyio.move_on_after(_PATIENCE_S):
            while (left_s := self._last_s + _QUIET_S - anyio.current_time()) > 0:  # noqa: ASYNC110
                await anyio.sleep(left_s)  # nobody can tell that nothing will come

    async def _clean(self, stack: Leavings, journal: Journal) -> None:
        try:
            # Nothing is removed before its end is stored (reliability D2).
            await journal.recorded()
        except Exception as error:  # noqa: BLE001 # the store is broken: the next start goes on
            self._warn(journal, error)
            return
        try:
            await stack.aclose()
            await journal.flush()
        except (OSError, RunnerError) as error:
            self._warn(journal, error)

    def _warn(self, journal: Journal, error: Exception) -> None:
        import structlog  # a run that goes well should not wait for it

        log = structlog.get_logger()
        log.warning("attempt.not_cleaned_up", execution=journal.execution.id, reason=str(error))

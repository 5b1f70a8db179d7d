"""Groups of tasks that run beside each other: Parallel, Dag, and loops with a limit above 1."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

from runner.engine.frame import Frame, Trail
from runner.tasks.context import Group

if TYPE_CHECKING:
    from runner.engine.driver import Driver


_STARTED_AT_ONCE = 32
"""So many groups begin before everything else in the process has its turn."""


class Groups:
    """Groups of one flowable that run beside each other, as tasks of the execution's group.

    They are not children of this call: after a failure it comes back while they run on.
    """

    def __init__(self, driver: Driver, frame: Frame, groups: Sequence[Group], limit: int) -> None:
        self._driver = driver
        self._frame = frame
        self._groups = groups
        self._limit = limit
        self._active = 0
        self._failed = False
        self._woken = anyio.Event()
        self._ready = deque(n for n, group in enumerate(groups) if not group.after)
        self._waits_for = {n: set(group.after) for n, group in enumerate(groups) if group.after}
        self._before = frame.trail.fork()
        self._trails: dict[int, Trail] = {}

    async def run(self) -> bool:
        """Start every group in its turn; False as soon as one failed or nothing more may start."""
        while self._driver.goes_on(self._frame) and not self._failed:
            while self._ready and (not self._limit or self._active < self._limit):
                number = self._ready.popleft()
                self._active += 1
                self._driver.group.start_soon(self._run_one, number, name=f"group {number}")
                if self._active % _STARTED_AT_ONCE == 0:
                    await cancel_shielded_checkpoint()
            if not self._active:
                self._join()
                return True
            await self._next_end()
        self._driver.close(self._frame)
        while self._active and self._driver.stopping and not self._frame.is_after:
            await self._next_end()
        return False

    def _join(self) -> None:
        """What comes after the flowable comes after all its groups."""
        ends = [self._trails[number] for number in sorted(self._trails)]
        joined = self._before.fork(*ends)
        self._frame.trail.fingerprint = joined.fingerprint
        self._frame.trail.anew = joined.anew

    async def _next_end(self) -> None:
        await self._woken.wait()
        self._woken = anyio.Event()

    async def _run_one(self, number: int) -> None:
        group = self._groups[number]
        trail = self._before.fork(*(self._trails[each] for each in sorted(group.after)))
        self._trails[number] = trail
        fine = await self._driver.in_order(
            self._frame, group.tasks, value=group.value, iteration=group.iteration, trail=trail
        )
        self._active -= 1
        self._failed = self._failed or not fine
        for waiting, needed in self._waits_for.items():
            if number in needed:
                needed.remove(number)
                if not needed:
                    self._ready.append(waiting)
        self._woken.set()

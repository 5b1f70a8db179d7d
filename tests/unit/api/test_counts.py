"""Figures for monitoring: new where counting is quick, a little old where it is not."""

from __future__ import annotations

from pathlib import Path

import anyio

from runner.api.monitoring import Counts
from runner.store.figures import Figures
from runner.store.sqlite import SqliteStore


class SlowStore(SqliteStore):
    """A store in which counting takes a while."""

    counted = 0
    takes_s = 0.0

    async def figures(self) -> Figures:
        self.counted += 1
        await anyio.sleep(self.takes_s)
        return await super().figures()


async def test_counting_that_takes_long_is_not_done_each_time(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path) as opened:
        store = SlowStore(opened.state, opened._logs, 1)  # pyright: ignore[reportPrivateUsage] # its files
        counts = Counts()
        await counts.figures(store)
        await counts.figures(store)
        assert store.counted == 2

        store.takes_s = 0.05
        first = await counts.figures(store)
        assert await counts.figures(store) is first
        assert store.counted == 3

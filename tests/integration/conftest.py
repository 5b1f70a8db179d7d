"""Daemons for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from live_daemon import Daemon, Start, running


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncGenerator[Daemon]:
    """A daemon with nothing in it."""
    async with running(tmp_path) as started:
        yield started


@pytest.fixture
def start() -> Start:
    """Starts daemons, for tests that stop them or want settings of their own."""
    return running

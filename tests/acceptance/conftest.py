"""The command `eyas`, and a daemon for its verbs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command import Eyas

if TYPE_CHECKING:
    from daemons import Daemon


@pytest.fixture
def eyas(tmp_path: Path) -> Iterator[Eyas]:
    """The command `eyas`."""
    command = Eyas(tmp_path)
    yield command
    command.close()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running daemon, which the tests of a module share."""
    from daemons import Daemon

    running = Daemon(tmp_path_factory.mktemp("daemon"))
    yield running
    running.stop()
    running.eyas.close()

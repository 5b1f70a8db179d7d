"""Scripts under the interpreters that this machine has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from shim_script import OTHERS, TOO_OLD, Script, script_for


@pytest.fixture(params=[sys.executable, *OTHERS])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Script:
    """A script under each interpreter in turn."""
    return script_for(request.param, tmp_path)


@pytest.fixture
def one_script(tmp_path: Path) -> Script:
    """A script under the interpreter that runs the tests."""
    return script_for(sys.executable, tmp_path)


@pytest.fixture(params=TOO_OLD)
def old_script(request: pytest.FixtureRequest, tmp_path: Path) -> Script:
    """A script under each interpreter that is too old for the shim."""
    return script_for(request.param, tmp_path)

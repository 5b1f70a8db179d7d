"""Points at which a test has Eyas die, as if it were killed just there.

A point is a call in the code, `failpoint("container.created")`, between two things of which a crash
must not leave one without the other. It does nothing, unless a test has armed it.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace

from runner.errors import SettingInvalid
from runner.records import record

VARIABLE = "EYAS_FAILPOINTS"
"""Environment variable of the daemon: `POINT=kill@3 POINT=stop`, for tests only."""

_TERM = r"(?P<point>[a-z.]+)=(?P<action>kill|stop)(@(?P<nth>[1-9]\d*))?"
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@record
class _Armed:
    """What happens at a point, when it is reached for the `left`th time from now."""

    number: signal.Signals
    left: int


_points: dict[str, _Armed] = {}
# The one thing in Eyas that is the process's and not somebody's: as a crash is.


def arm(text: str) -> None:
    """Have the process killed, or stopped, at the points that `text` names.

    Raises:
        SettingInvalid: it cannot be read.
    """
    for term in text.split():
        found = re.fullmatch(_TERM, term)
        if found is None:
            text = f"{VARIABLE}: '{term}' is not POINT=kill, POINT=stop or POINT=kill@3"
            raise SettingInvalid(text)
        _points[found["point"]] = _Armed(_SIGNALS[found["action"]], int(found["nth"] or 1))


def failpoint(point: str) -> None:
    """Say that the process is at a point. Threads may call it."""
    if _points:
        _act(point)


def _act(point: str) -> None:
    armed = _points.get(point)
    if armed is None:
        return
    _points[point] = replace(armed, left=armed.left - 1)
    if armed.left == 1:
        os.kill(os.getpid(), armed.number)

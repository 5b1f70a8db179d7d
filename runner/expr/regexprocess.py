"""A regular expression in a process of its own, which can be stopped."""

from __future__ import annotations

import json
from typing import cast

from runner.expr.faults import Fault
from runner.expr.javaregex import Match

_PROGRAM = """
import json, re, sys
pattern, text, most = json.load(sys.stdin)
found = []
for match in re.compile(pattern).finditer(text):
    groups = [match.group(), *match.groups()]
    starts = [match.start(number) for number in range(len(groups))]
    found.append((match.start(), groups, match.end(), starts))
    if len(found) == most:
        break
json.dump(found, sys.stdout)
"""


def matches_elsewhere(pattern: str, text: str, most: int, seconds: float) -> list[Match] | None:
    """Give the matches of a Python pattern, or None when that takes longer than `seconds`.

    Raises:
        Fault: no process could be started, or it did not give an answer.
    """
    import subprocess
    import sys

    command = [sys.executable, "-I", "-S", "-c", _PROGRAM]
    try:
        answer = subprocess.run(
            command,
            input=json.dumps([pattern, text, most]).encode(),
            capture_output=True,
            timeout=seconds,
            start_new_session=True,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return None
    except (OSError, subprocess.SubprocessError) as error:
        raise Fault("The regular expression could not be evaluated") from error
    found = cast("list[Match]", json.loads(answer.stdout))
    return [(start, groups, end, starts) for start, groups, end, starts in found]

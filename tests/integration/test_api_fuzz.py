"""The API against its own description: whatever is sent, it answers, and never with a crash."""

# Schemathesis' types say less than strict checking wants to know.
# pyright: basic

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from live_daemon import Daemon
from schemathesis import GenerationMode
from schemathesis import openapi as schemas

FLOW = """
id: hello
namespace: t
inputs: [{id: count, type: INT, defaults: 1}]
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: hi}
triggers:
  - {id: daily, type: io.kestra.plugin.core.trigger.Schedule, cron: "15 9 * * *"}
"""

EXAMPLES = 3
"""So many requests an operation as it is described, and as many as it is not."""

SECONDS = 5
"""Longest that an answer may take."""

STARTING = ("/executions/{namespace}/{id}", "/executions/trigger/", "/actions/{action}")
"""Operations that take values of inputs.

Kestra 1.2 answers 500 to a wrong one (recorded), and so do we: what it says then is the input's
name, never that something crashed.
"""

ENDLESS = "/logs/{execution}/follow"
"""It goes on for ten seconds after an execution has ended; tested by itself."""


def check(case: schemathesis.Case, answer: schemathesis.Response) -> None:
    """Hold an answer against what every answer is."""
    text = answer.content.decode(errors="replace")
    where = f"{case.method} {answer.request.url}: {answer.status_code} {text[:500]}"
    if answer.status_code >= 400 and case.method != "HEAD":
        message = answer.json()["message"]
        assert isinstance(message, str), where
        assert message, where
        assert "Internal error" not in message, where
    if answer.status_code == 500:
        assert any(part in case.operation.path for part in STARTING), where
        assert "input" in answer.json()["message"], where
    else:
        assert answer.status_code < 500, where
    assert "Traceback" not in text, where


class Explorer:
    """Sends requests to a daemon; `sent` is how many."""

    def __init__(self, daemon: Daemon) -> None:
        self.sent = 0
        self._daemon = daemon
        self._session = requests.Session()
        token = (daemon.state / "token").read_text().strip()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def explore(self, document: dict[str, Any]) -> None:
        """Send requests to each operation of the document, as described and not as described."""
        with self._session:
            for result in schemas.from_dict(document).get_all_operations():
                operation = result.ok()  # pyright: ignore[reportAttributeAccessIssue] # or it raises
                names = self._names(operation.path)
                for mode in GenerationMode:
                    with suppress(Unsatisfiable):  # nothing contradicts what takes everything
                        self._send(operation, mode, names)

    def _names(self, path: str) -> dict[str, str]:
        """Values of parameters for which there is something; it is made anew."""
        if path.endswith(ENDLESS):
            return {}
        daemon = self._daemon
        self._session.post(f"{daemon.api}/flows", data=FLOW, timeout=SECONDS)
        create = f"{daemon.api}/executions/t/hello?wait=true"
        execution = self._session.post(create, timeout=SECONDS).json()["id"]
        return {"namespace": "t", "id": "hello", "trigger": "daily", "execution": execution}

    def _send(self, operation: Any, mode: GenerationMode, names: dict[str, str]) -> None:
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        @given(case=operation.as_strategy(mode), known=st.booleans())
        def send(case: schemathesis.Case, known: bool) -> None:
            if known:
                case.path_parameters.update(
                    {name: value for name, value in names.items() if name in case.path_parameters}
                )
            base = self._daemon.base
            answer = case.call(base_url=base, session=self._session, timeout=SECONDS)
            self.sent += 1
            check(case, answer)

        send()


@pytest.mark.timeout(120)
async def test_no_request_crashes_the_api(daemon: Daemon) -> None:
    document = (await daemon("GET", "openapi.json")).json

    with anyio.fail_after(100):
        explorer = Explorer(daemon)
        await anyio.to_thread.run_sync(explorer.explore, document)

    assert explorer.sent > len(document["paths"]) * EXAMPLES / 2
    assert (await daemon("GET", "ping")).text == "pong"

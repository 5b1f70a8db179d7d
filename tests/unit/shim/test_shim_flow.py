"""`kestra.Flow`: starting flows on a server from a script."""

from __future__ import annotations

import email.parser
import email.policy
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import pytest
from shim_script import Script


@dataclass
class Server:
    """A server that answers like Kestra, and what it was asked."""

    url: str = ""
    asked: list[str] = field(default_factory=list[str])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    bodies: list[bytes] = field(default_factory=list[bytes])
    states: list[str] = field(default_factory=lambda: ["CREATED", "RUNNING", "SUCCESS"])
    refusals: list[int] = field(default_factory=list[int])

    def answer(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body for a request."""
        if self.refusals:
            return self.refusals.pop(0), b'{"message":"no"}'
        if method == "POST":
            return 200, b'{"id":"4Xy"}'
        if path.endswith("/download"):
            return 200, "2026 INFO done é".encode()
        return 200, json.dumps({"id": "4Xy", "state": {"current": self.states.pop(0)}}).encode()

    def parts(self) -> dict[str, tuple[str | None, str, bytes]]:
        """The form of the first request: file name, content type and content by name."""
        head = f"Content-Type: {self.headers[0]['content-type']}\r\n\r\n".encode()
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        form = parser.parsebytes(head + self.bodies[0])
        found: dict[str, tuple[str | None, str, bytes]] = {}
        for part in cast("Iterator[EmailMessage]", form.iter_parts()):
            name = part.get_param("name", header="content-disposition")
            content = cast("bytes", part.get_payload(decode=True))
            found[str(name)] = (part.get_filename(), part.get_content_type(), content)
        return found


@pytest.fixture
def server() -> Iterator[Server]:
    """A running `Server`."""
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            served.asked.append(f"{self.command} {self.path}")
            served.headers.append({k.lower(): v for k, v in self.headers.items()})
            served.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            status, body = served.answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


NO_WAIT = "import time\ntime.sleep = lambda s: print('slept', s)\nfrom kestra import Flow\n"


def test_a_flow_is_started_and_waited_for(script: Script, server: Server) -> None:
    lines = script.lines(
        NO_WAIT + "print(Flow(poll_interval=3).execute('company.team', 'f'))\n",
        env={"KESTRA_HOSTNAME": server.url},
    )

    assert lines == [
        *["slept 3"] * 3,
        "FlowExecution(execution_id='4Xy', status='SUCCESS', log='2026 INFO done é', error=None)",
    ]
    assert server.asked == [
        "POST /api/v1/executions/company.team/f",
        *["GET /api/v1/executions/4Xy"] * 3,
        "GET /api/v1/logs/4Xy/download",
    ]
    assert "authorization" not in server.headers[0]


@pytest.mark.parametrize("state", ["WARNING", "FAILED", "KILLED", "CANCELLED"])
def test_every_ending_ends_the_wait(one_script: Script, server: Server, state: str) -> None:
    server.states = [state]

    done = one_script.run(
        NO_WAIT + "print(Flow().execute('n', 'f').status)\n", env={"KESTRA_HOSTNAME": server.url}
    )

    assert done.stdout.splitlines() == ["slept 1", state]


def test_inputs_files_and_labels_are_sent_as_a_form(one_script: Script, server: Server) -> None:
    (one_script.folder / "in.txt").write_text("from a file")

    lines = one_script.lines(
        NO_WAIT
        + """\
inputs = {"n": 3, "text": "é & ü", "flag": True, "doc": ("a b.txt", open("in.txt", "rb"))}
inputs["files"] = ("old", b"bytes", "text/plain")
flow = Flow(wait_for_completion=False, labels_from_inputs=True, tenant="main")
print(flow.execute("n", "f", inputs).status)
inputs["doc"][1].close()
""",
        env={"KESTRA_HOSTNAME": server.url},
    )

    assert lines == ["STARTED"]
    labels = "labels=n%3A3&labels=text%3A%C3%A9+%26+%C3%BC&labels=flag%3ATrue"
    files = "labels=doc%3Aa+b.txt&labels=files%3Aold"
    assert server.asked == [f"POST /api/v1/main/executions/n/f?{labels}&{files}"]
    assert server.parts() == {
        "n": (None, "text/plain", b"3"),
        "text": (None, "text/plain", "é & ü".encode()),
        "flag": (None, "text/plain", b"True"),
        "doc": ("a b.txt", "application/octet-stream", b"from a file"),
        "files": ("old", "text/plain", b"bytes"),
    }


@pytest.mark.parametrize(
    ("env", "header"),
    [
        ({"KESTRA_API_TOKEN": "t0k"}, "Bearer t0k"),
        ({"KESTRA_USER": "me", "KESTRA_PASSWORD": "pä"}, "Basic bWU6cMOk"),
        ({"KESTRA_USER": "me", "KESTRA_PASSWORD": "p", "KESTRA_API_TOKEN": "t0k"}, "Bearer t0k"),
    ],
)
def test_credentials_come_from_the_environment(
    one_script: Script, server: Server, env: dict[str, str], header: str
) -> None:
    one_script.lines(
        "from kestra import Flow\nFlow(wait_for_completion=False).execute('n', 'f')\n",
        env={"KESTRA_HOSTNAME": server.url, **env},
    )

    assert server.headers[0]["authorization"] == header


def test_a_refusal_is_an_error_with_the_servers_words(one_script: Script, server: Server) -> None:
    server.refusals = [422, 401]

    lines = one_script.lines(
        NO_WAIT
        + """\
for _ in range(2):
    try:
        Flow().execute("n", "f")
    except OSError as error:
        print(error.response.status_code, error.response.json(), str(error)[:23])
""",
        env={"KESTRA_HOSTNAME": server.url},
    )

    assert lines == [
        "422 {'message': 'no'} 422 for " + server.url[:15],
        "401 {'message': 'no'} Authentication required",
    ]


def test_a_busy_server_is_asked_five_times(one_script: Script, server: Server) -> None:
    server.refusals = [503, 429, 500, 502, 504]

    lines = one_script.lines(
        NO_WAIT
        + """\
from kestra import FailedExponentialBackoff
try:
    Flow().execute("n", "f")
except FailedExponentialBackoff as error:
    print("gave up")
print(Flow(wait_for_completion=False).execute("n", "f").execution_id)
""",
        env={"KESTRA_HOSTNAME": server.url},
    )

    assert lines == ["slept 1", "slept 2", "slept 4", "slept 8", "gave up", "4Xy"]
    assert len(server.asked) == 6

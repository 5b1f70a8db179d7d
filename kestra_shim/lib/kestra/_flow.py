"""A small client of Kestra's HTTP API: start another flow, wait for its end, fetch its log."""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_ENDED = ("SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED")
_TRY_AGAIN = (408, 429, 500, 502, 503, 504)
_TRIES = 5
_LOG_LEVELS = {"SUCCESS": logging.INFO, "FAILED": logging.ERROR}


class FailedExponentialBackoff(Exception):
    """The server answered that it cannot answer now, five times."""


class HTTPError(OSError):
    """The server refused a request; `response` is its answer."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response


class Response:
    """An HTTP answer, with the attributes of a `requests` one that scripts use."""

    def __init__(self, status_code: int, url: str, headers: Mapping[str, str], body: bytes) -> None:
        self.status_code = status_code
        self.url = url
        self.headers = headers
        self.content = body

    @property
    def ok(self) -> bool:
        """True below status 400."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is none."""
        return json.loads(self.content.decode("utf-8"))

    def raise_for_status(self) -> None:
        """Raise HTTPError from status 400 on."""
        if not self.ok:
            text = f"{self.status_code} for {self.url}: {self.text[:2000]}"
            raise HTTPError(text, self)


class FlowExecution:
    """An execution that was started: its id, and once it has ended its status and log."""

    __slots__ = ("error", "execution_id", "log", "status")

    def __init__(
        self, execution_id: str, status: str | None, log: str | None, error: str | None
    ) -> None:
        self.execution_id = execution_id
        self.status = status
        self.log = log
        self.error = error

    def __repr__(self) -> str:
        names = ("execution_id", "status", "log", "error")
        return f"FlowExecution({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


class Flow:
    """Starts a flow on a server and waits for it.

    The server is KESTRA_HOSTNAME (http://localhost:8080 if not set). Authentication is
    KESTRA_API_TOKEN, else KESTRA_USER and KESTRA_PASSWORD; the attributes `hostname`, `api_token`,
    `user` and `password` may be set instead.
    """

    def __init__(
        self,
        wait_for_completion: bool = True,
        poll_interval: float = 1,
        labels_from_inputs: bool = False,
        tenant: str | None = None,
    ) -> None:
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.labels_from_inputs = labels_from_inputs
        self.user = os.environ.get("KESTRA_USER")
        self.password = os.environ.get("KESTRA_PASSWORD")
        self.hostname = os.environ.get("KESTRA_HOSTNAME", "http://localhost:8080")
        self.api_token = os.environ.get("KESTRA_API_TOKEN")
        api = "/api/v1" if tenant is None else f"/api/v1/{tenant}"
        self.API_ENDPOINT_EXECUTION_CREATE = api + "/executions/{namespace}/{flow_id}"
        self.API_ENDPOINT_EXECUTION_STATUS = api + "/executions/{execution_id}"
        self.API_ENDPOINT_EXECUTION_LOG = api + "/logs/{execution_id}/download"

    def execute(
        self, namespace: str, flow: str, inputs: Mapping[str, Any] | None = None
    ) -> FlowExecution:
        """Start a flow; unless `wait_for_completion` is off, return when it has ended.

        A value is sent as its text; a tuple `(file name, open file or bytes, content type)` as a
        file. Without waiting the status is "STARTED" and there is no log.

        Raises:
            HTTPError: the server refused it, for one because an input is missing or wrong.
            FailedExponentialBackoff: the server kept answering that it cannot answer now.
        """
        given = dict(inputs or {})
        path = self.API_ENDPOINT_EXECUTION_CREATE.format(namespace=namespace, flow_id=flow)
        if self.labels_from_inputs and given:
            path += "?" + urlencode([("labels", f"{k}:{_label(v)}") for k, v in given.items()])
        body, content_type = _multipart(given) if given else (b"", None)
        answer = self._make_request("POST", self.hostname + path, body, content_type).json()
        if "id" not in answer:
            raise RuntimeError(f"Starting execution failed: {answer}")
        execution = FlowExecution(answer["id"], None, None, None)
        page = f"{self.hostname}/ui/executions/{namespace}/{flow}/{execution.execution_id}"
        logging.info("Started execution %s", page)
        if not self.wait_for_completion:
            execution.status = "STARTED"
            return execution
        return self._wait(execution, f"{namespace}.{flow}")

    def _wait(self, execution: FlowExecution, name: str) -> FlowExecution:
        while True:
            time.sleep(self.poll_interval)
            state = self.check_status(execution.execution_id).json()["state"]["current"]
            if state in _ENDED:
                break
        execution.status = state
        execution.log = self.get_logs(execution.execution_id).text
        level = _LOG_LEVELS.get(state, logging.WARNING)
        logging.log(level, "Execution of %s ended: %s\n%s", name, state, execution.log)
        return execution

    def check_status(self, execution_id: str) -> Response:
        """The answer that holds the execution as JSON."""
        path = self.API_ENDPOINT_EXECUTION_STATUS.format(execution_id=execution_id)
        return self._make_request("GET", self.hostname + path)

    def get_logs(self, execution_id: str) -> Response:
        """The answer that holds the execution's log as text."""
        path = self.API_ENDPOINT_EXECUTION_LOG.format(execution_id=execution_id)
        return self._make_request("GET", self.hostname + path)

    def _make_request(
        self, method: str, url: str, body: bytes | None = None, content_type: str | None = None
    ) -> Response:
        headers: dict[str, str] = {}
        if content_type is not None:
            headers["Content-Type"] = content_type
        if self.api_token is not None:
            headers["Authorization"] = f"Bearer {self.api_token}"
        elif self.user is not None and self.password is not None:
            from base64 import b64encode

            pair = f"{self.user}:{self.password}".encode()
            headers["Authorization"] = "Basic " + b64encode(pair).decode()
        for attempt in range(_TRIES):
            request = urllib.request.Request(url, data=body, headers=headers, method=method)
            response = _answer(request)
            if response.status_code == 401:
                raise HTTPError(
                    "Authentication required: set KESTRA_API_TOKEN, or KESTRA_USER and "
                    "KESTRA_PASSWORD",
                    response,
                )
            if response.status_code not in _TRY_AGAIN:
                response.raise_for_status()
                return response
            if attempt + 1 < _TRIES:
                time.sleep(2**attempt)
        raise FailedExponentialBackoff(f"{method} {url} failed after {_TRIES} tries")


def _answer(request: urllib.request.Request) -> Response:
    """Send a request; every HTTP status is an answer, not an error."""
    try:
        with urllib.request.urlopen(request) as reply:
            return Response(reply.status, request.full_url, dict(reply.headers), reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, request.full_url, dict(error.headers), error.read())


def _label(value: Any) -> str:
    return str(value[0] if isinstance(value, tuple) else value)  # pyright: ignore[reportUnknownArgumentType] - any tuple


def _multipart(inputs: Mapping[str, Any]) -> tuple[bytes, str]:
    """The body of a form with one part per input, and its content type."""
    boundary = "eyas-" + os.urandom(16).hex()
    parts: list[bytes] = []
    for name, value in inputs.items():
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(value, tuple):
            file_name, content, content_type = _file_of(value)
            head += f'; filename="{_quoted(file_name)}"\r\nContent-Type: {content_type}'
        else:
            content = str(value).encode("utf-8")
        parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _file_of(value: Any) -> tuple[str, bytes, str]:
    """File name, content and content type of a tuple, whose last member may be missing."""
    content = value[1].read() if hasattr(value[1], "read") else value[1]
    data = content.encode("utf-8") if isinstance(content, str) else bytes(content)
    return str(value[0]), data, value[2] if len(value) > 2 else "application/octet-stream"


def _quoted(name: str) -> str:
    return quote(name, safe=" !#$&'()*+,/:;<=>?@[]^`{|}~") if '"' in name or "\n" in name else name

"""What the daemon costs: start, idling, lists, starting executions, memory for what ran.

    python tests/bench/bench_daemon.py [--idle SECONDS] [--stored N] [--run N] [--json]

- ready with 200 flows: from exec to the first answer of /ping
- idle: proportional memory (PSS), and processor time over a minute
- a page of 100,000 stored executions, and /metrics with them
- an edited flow: from saving its file to the next date of its trigger
- POST to RUNNING at 50 requests a second: from sending to the date at which it began
- 10,000 executions: how far memory grows, each
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

LIMITS = {
    "ready with 200 flows, s": 0.5,
    "idle memory, MB": 64,
    "idle processor, %": 0.2,
    "page of stored executions, ms": 100,
    "edited flow to its next date, s": 0.5,
    "POST to RUNNING p50, ms": 5,
    "POST to RUNNING p99, ms": 20,
    "memory for each execution, KB": 1,
}
"""Most that a figure may be."""

FLOW = """id: flow{0}
namespace: bench.part{1}
inputs: [{{id: n, type: INT, defaults: 1}}]
tasks:
  - {{id: first, type: io.kestra.plugin.core.debug.Return, format: "{{{{ inputs.n }}}}"}}
  - id: second
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
    script: print("{{{{ outputs.first.value }}}}")
"""
QUICK = """id: quick
namespace: bench
tasks: [{id: one, type: io.kestra.plugin.core.debug.Return, format: "{{ flow.id }}"}]
"""
TIMED = """id: timed
namespace: bench
triggers: [{{id: yearly, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 0 {0} 1 *"}}]
tasks: [{{id: one, type: io.kestra.plugin.core.debug.Return, format: "{{{{ flow.id }}}}"}}]
"""
API = "/api/v1/main"


class Served:
    """A running daemon with what it was asked over one connection."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, ready_s: float) -> None:
        self.process = process
        self.port = port
        self.ready_s = ready_s
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self, method: str, path: str, body: str | None = None) -> Any:
        """The answer's JSON, or its text where it is none."""
        self._connection.request(method, path, body)
        text = self._connection.getresponse().read()
        return json.loads(text) if text[:1] in (b"{", b"[") else text

    def pss_mb(self) -> float:
        """Megabytes of memory, shared ones in proportion."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        found = re.search(r"(?m)^Pss:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) / 1024

    def processor_s(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(root: Path, port: int) -> Generator[Served]:
    """A daemon with the folders `flows` and `state` below `root`, once it answers."""
    command = [sys.executable, "-m", "runner", "serve", str(root / "flows")]
    command += ["--port", str(port), "--state-dir", str(root / "state")]
    begin = time.perf_counter()
    # As installed: modules are compiled once, not at every start.
    environ = os.environ | {"PYTHONPYCACHEPREFIX": str(root / "cache")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with (
        (root / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log, env=environ) as process,
    ):
        while not _answers(port):
            assert process.poll() is None, (root / "log").read_text()
        try:
            yield Served(process, port, time.perf_counter() - begin)
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        time.sleep(0.002)
        return False
    finally:
        connection.close()


def store_executions(state: Path, count: int) -> None:
    """Put ended executions into the store, as if they had run over the last days."""
    import anyio

    from runner.model.execution import Execution, TaskRun, new_id
    from runner.model.state import History, State
    from runner.store.rows import execution_row, task_run_row
    from runner.store.sqlite import SqliteStore

    first = datetime.now(UTC) - timedelta(days=3)

    def rows() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        for number in range(count):
            now = first + timedelta(seconds=number)
            history = History.begin(State.CREATED, now).moved(State.RUNNING, now)
            end = State.FAILED if number % 10 == 0 else State.SUCCESS
            history = history.moved(end, now + timedelta(seconds=1))
            execution = Execution(
                id=new_id(),
                namespace=f"bench.part{number % 10}",
                flow_id=f"flow{number % 200}",
                flow_revision=1,
                history=history,
            )
            run = TaskRun(
                id=new_id(),
                execution_id=execution.id,
                namespace=execution.namespace,
                flow_id=execution.flow_id,
                task_id="first",
                history=history,
            )
            yield execution_row(execution), task_run_row(run)

    def insert(db: Any) -> None:
        for execution, run in rows():
            for table, row in (("executions", execution), ("task_runs", run)):
                marks = ", ".join(f":{name}" for name in row)
                db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)

    async def work() -> None:
        async with await SqliteStore.open(state) as store:
            await store.state.write(insert)

    anyio.run(work)


def millis(daemon: Served, path: str, rounds: int = 15) -> float:
    """Median time of an answer."""
    taken: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        daemon("GET", path)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1000


def edit_to_date_s(daemon: Served, file: Path, rounds: int = 7) -> float:
    """Median seconds from saving a flow to the new date at which its trigger fires next."""
    taken: list[float] = []
    for day in range(2, 2 + rounds):
        half = file.with_name(f".{file.name}")
        half.write_text(TIMED.format(day))
        begin = time.perf_counter()
        half.rename(file)
        while f"-01-{day:02}T" not in _next_date(daemon):
            assert time.perf_counter() - begin < 30
            time.sleep(0.005)
        taken.append(time.perf_counter() - begin)
        time.sleep(1)
    return statistics.median(taken)


def _next_date(daemon: Served) -> str:
    found = daemon("GET", f"{API}/triggers/bench/timed")["results"]
    return found[0].get("nextExecutionDate") or "" if found else ""


def post_to_running(daemon: Served, seconds: int, rate: int = 50) -> list[float]:
    """Milliseconds from sending each request to the moment at which its execution began."""
    sent: list[tuple[float, str]] = []
    lock = threading.Lock()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        begin = time.time()
        connection.request("POST", f"{API}/executions/bench/quick")
        document = json.loads(connection.getresponse().read())
        connection.close()
        with lock:
            sent.append((begin, document["id"]))

    threads: list[threading.Thread] = []
    start = time.perf_counter()
    for number in range(rate * seconds):
        time.sleep(max(0.0, start + number / rate - time.perf_counter()))
        threads.append(threading.Thread(target=send))
        threads[-1].start()
    for thread in threads:
        thread.join()
    time.sleep(0.5)
    taken: list[float] = []
    for begin, execution in sent:
        histories = daemon("GET", f"{API}/executions/{execution}")["state"]["histories"]
        running = next(each["date"] for each in histories if each["state"] == "RUNNING")
        taken.append((datetime.fromisoformat(running).timestamp() - begin) * 1000)
    return sorted(taken)


def growth_kb(daemon: Served, count: int) -> float:
    """Kilobytes that memory grows with each execution, from the second fifth of them on."""

    def run(times: int) -> None:
        for _ in range(times):
            daemon("POST", f"{API}/executions/bench/quick?wait=true")

    run(count // 5)
    before = daemon.pss_mb()
    run(count - count // 5)
    return (daemon.pss_mb() - before) * 1024 / (count - count // 5)


def figures(options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Each figure as soon as it is known."""
    with tempfile.TemporaryDirectory(prefix="eyas-bench-") as folder:
        root = Path(folder)
        (root / "flows").mkdir()
        for number in range(200):
            text = FLOW.format(number, number % 10)
            (root / "flows" / f"flow{number}.yaml").write_text(text)
        (root / "flows" / "quick.yaml").write_text(QUICK)
        with served(root, options.port):
            pass  # the first start compiles and records every flow
        starts: list[float] = []
        for _ in range(5):
            with served(root, options.port) as daemon:
                starts.append(daemon.ready_s)
        yield "ready with 200 flows, s", statistics.median(starts)
        with served(root, options.port) as daemon:
            time.sleep(2)
            before = daemon.processor_s()
            time.sleep(options.idle)
            used = daemon.processor_s() - before
            yield "idle memory, MB", daemon.pss_mb()
            yield "idle processor, %", used / options.idle * 100
            file = root / "flows" / "timed.yaml"
            yield "edited flow to its next date, s", edit_to_date_s(daemon, file)
            taken = post_to_running(daemon, options.seconds)
            yield "POST to RUNNING p50, ms", taken[len(taken) // 2]
            yield "POST to RUNNING p99, ms", taken[int(len(taken) * 0.99)]
            if options.run:
                yield "memory for each execution, KB", growth_kb(daemon, options.run)
        store_executions(root / "state", options.stored)
        with served(root, options.port) as daemon:
            search = f"{API}/executions/search?size=25"
            pages = [
                search,
                f"{search}&page=2000",
                f"{search}&state=FAILED",
                f"{search}&namespace=bench.part1&flowId=flow1",
                f"{search}&sort=state.startDate:desc",
            ]
            yield "page of stored executions, ms", max(millis(daemon, page) for page in pages)
            yield "metrics of stored executions, ms", millis(daemon, "/metrics")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; 1 if one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--idle", type=float, default=60, help="seconds of idling")
    parser.add_argument("--seconds", type=int, default=20, help="seconds of requests")
    parser.add_argument("--stored", type=int, default=100_000, help="executions in the store")
    parser.add_argument(
        "--run", type=int, default=10_000, help="executions for the memory; 0: none"
    )
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found: dict[str, float] = {}
    for name, value in figures(options):
        found[name] = value
        limit = LIMITS.get(name)
        verdict = (
            "" if limit is None else f"  (at most {limit}){'' if value <= limit else '  OVER'}"
        )
        if not options.json:
            print(f"{name:36} {value:10.3f}{verdict}", flush=True)
    if options.json:
        print(json.dumps(found))
    return int(any(value > LIMITS.get(name, value) for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())

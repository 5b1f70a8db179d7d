"""Tasks in containers that stood by, beside bare processes and the engine's own ceiling.

    python tests/bench/bench_standby.py [--rounds N] [--json]

In one run, with a real daemon (`eyas serve`) and its durable store:

- one Docker task whose container stood by, from its creation to its end as its history tells them
  (at most 1.5 times the same script as a bare process): a script that prints, and one that sends
  outputs. Beside it, until the answer to the request that waits for its end: with HTTP, and the
  end on the disk
- one that had to be started (at most 1.10 times the bare engine calls)
- ten in sequence in one flow (at most 3 times ten bare processes, one after the other)
- forty in one ForEach (at most 2 times forty bare processes, two at a time)
- executions per second without a pause (at least 95 % of what the engine alone gives)
- memory of a waiting container (at most 15 MB), processor time of an idle pool (0)

Medians, with the lowest and highest beside them. The sides of a figure take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import requests

INSTANCE_LABEL = "eyas.instance"
IMAGE = "python:3.11-slim"
SCRIPT = "print(1)"
BARE = ["/bin/sh", "-c", f"set -e\n/usr/bin/python3 -c '{SCRIPT}'"]
SENDS = 'from kestra import Kestra; Kestra.outputs({"n": 1})'
BARE_SENDS = ["/bin/sh", "-c", f"set -e\n/usr/bin/python3 -c '{SENDS}'"]
SITE = Path(__file__).parents[2] / "kestra_shim" / "site"
DOCKER = "{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: IF_NOT_PRESENT}"
TASK = f"""\
- id: NAME
  type: io.kestra.plugin.scripts.python.Script
  containerImage: {IMAGE}
  taskRunner: {DOCKER}
  script: {SCRIPT}
"""
SUSTAINED_S = 15.0


def task(name: str, indent: int, script: str = SCRIPT) -> str:
    """A task of that id."""
    lines = (
        TASK.replace("NAME", name).replace(f"script: {SCRIPT}", f"script: {script}").splitlines()
    )
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


FLOWS = {
    "one": task("t", 2),
    "sends": task("t", 2, f"'{SENDS}'"),
    "ten": "".join(task(f"t{n}", 2) for n in range(10)),
    "forty": "  - id: each\n    type: io.kestra.plugin.core.flow.ForEach\n    concurrencyLimit: 0\n"
    f"    values: {list(range(40))}\n    tasks:\n" + task("t", 6),
}


class Daemon:
    """A running `eyas serve`; times are in milliseconds."""

    def __init__(self, process: subprocess.Popen[bytes], api: str) -> None:
        self.process = process
        self.api = api
        self.answered: list[float] = []
        """What the request of each run took, until its answer."""
        self._session = requests.Session()
        self._client: Any = docker.APIClient()

    def run(self, flow: str) -> float:
        """From an execution's creation to its end, as its history has them."""
        begin = time.perf_counter()
        answer = self._session.post(f"{self.api}/executions/bench/{flow}", params={"wait": "true"})
        execution = answer.json()
        self.answered.append((time.perf_counter() - begin) * 1000)
        assert execution["state"]["current"] == "SUCCESS", execution
        first, *_, last = (
            datetime.fromisoformat(each["date"]) for each in execution["state"]["histories"]
        )
        return (last - first).total_seconds() * 1000

    def ready(self, count: int) -> None:
        """Wait until so many containers stand by, none is being started and none is left over."""
        end = time.monotonic() + 120
        while not self._is_quiet(count):
            assert time.monotonic() < end, f"no {count} containers stand by"
            time.sleep(0.1)
        # What was removed last is still being tidied up.
        time.sleep(1)

    def standing(self) -> int:
        """How many containers stand by."""
        return self._standing()[0]

    def _standing(self) -> tuple[int, int]:
        """How many containers stand by, and how many are being started."""
        kinds = self._session.get(f"{self.api}/standbys").json()["kinds"]
        return sum(kind["ready"] for kind in kinds), sum(kind["starting"] for kind in kinds)

    def _is_quiet(self, count: int) -> bool:
        ready, starting = self._standing()
        if ready < count or starting:
            return False
        return ready == len(self._client.containers(all=True, filters={"label": INSTANCE_LABEL}))


@contextmanager
def daemon(folder: Path, standbys: int) -> Generator[Daemon]:
    """A daemon with the flows of this benchmark, stopped at the end."""
    (folder / "flows").mkdir(parents=True)
    for name, tasks in FLOWS.items():
        text = f"id: {name}\nnamespace: bench\ntasks:\n{tasks}"
        (folder / "flows" / f"{name}.yaml").write_text(text)
    environ = {**os.environ, "EYAS_TMP_DIR": str(folder), "EYAS_STANDBYS": str(standbys)}
    state = folder / "state"
    argv = ["serve", str(folder / "flows"), "--state-dir", str(state), "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "runner", *argv], env=environ, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while not (state / "address").exists():
                time.sleep(0.01)
            yield Daemon(process, (state / "address").read_text().strip() + "/api/v1/main")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def bare(count: int = 1, at_a_time: int = 1, argv: Sequence[str] = BARE) -> float:
    """Milliseconds that so many bare processes take."""
    environ = {**os.environ, "PYTHONPATH": str(SITE)} if argv is BARE_SENDS else None

    def spawn(_: int) -> None:
        subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environ, check=True
        )

    begin = time.perf_counter()
    if at_a_time == 1:
        for number in range(count):
            spawn(number)
    else:
        with ThreadPoolExecutor(at_a_time) as threads:
            list(threads.map(spawn, range(count)))
    return (time.perf_counter() - begin) * 1000


def engine_calls(client: Any) -> float:
    """Milliseconds of the calls that no container can do without."""
    begin = time.perf_counter()
    container = client.create_container(IMAGE, BARE)["Id"]
    output = client.attach(container, stream=True)
    client.start(container)
    for _ in output:
        pass
    client.wait(container)
    client.remove_container(container, v=True)
    return (time.perf_counter() - begin) * 1000


def ceiling(at_a_time: int) -> float:
    """Containers per second of the engine alone, so many at a time."""
    end = time.perf_counter() + SUSTAINED_S / 2

    def work(_: int) -> int:
        client = docker.APIClient()
        done = 0
        while time.perf_counter() < end:
            engine_calls(client)
            done += 1
        return done

    begin = time.perf_counter()
    with ThreadPoolExecutor(at_a_time) as threads:
        done = sum(threads.map(work, range(at_a_time)))
    return done / (time.perf_counter() - begin)


def sustained(server: Daemon, at_a_time: int) -> float:
    """Executions of one Docker task per second, so many asked for at a time."""
    end = time.perf_counter() + SUSTAINED_S

    def work(_: int) -> int:
        mine = Daemon(server.process, server.api)
        done = 0
        while time.perf_counter() < end:
            mine.run("one")
            done += 1
        return done

    begin = time.perf_counter()
    with ThreadPoolExecutor(at_a_time) as threads:
        done = sum(threads.map(work, range(at_a_time)))
    return done / (time.perf_counter() - begin)


def turns(
    rounds: int, first: Callable[[], float], second: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """What two works took, done in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, taken in zip((first, second), times, strict=True):
            taken.append(work())
    return times


def pss_mb(pid: int) -> float:
    """Memory of a process without what others share, in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024


def container_mb(client: Any) -> float:
    """Median memory of the containers that stand by, with the engine's process for each."""
    sizes: list[float] = []
    for each in client.containers(filters={"name": "eyas-standby-"}):
        pid = client.inspect_container(each["Id"])["State"]["Pid"]
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        sizes.append(pss_mb(pid) + pss_mb(parent))
    return statistics.median(sizes)


def processor_s(pid: int) -> float:
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Figure = dict[str, Any]


def compared(name: str, taken: list[float], floor: list[float], limit: float) -> Figure:
    """A figure in milliseconds beside its floor."""
    ours, theirs = statistics.median(taken), statistics.median(floor)
    return {
        "name": name,
        "ms": round(ours, 1),
        "spread_ms": [round(min(taken), 1), round(max(taken), 1)],
        "floor_ms": round(theirs, 1),
        "floor_spread_ms": [round(min(floor), 1), round(max(floor), 1)],
        "ratio": round(ours / theirs, 2),
        "at_most": limit,
        "met": ours <= limit * theirs,
    }


def measure(rounds: int) -> list[Figure]:
    """Every figure."""
    found: list[Figure] = []
    client: Any = docker.APIClient()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with daemon(Path(folder) / "warm", 50) as server:
            server.run("one")

            def pairs(
                flow: str, count: int, many: int, floor: Callable[[], float]
            ) -> tuple[list[float], list[float]]:
                """What a flow takes whose `count` containers stand by, and its floor."""

                def quiet(work: Callable[[], float]) -> float:
                    # Neither side has to share with what is done before or after the other.
                    server.ready(count)
                    return work()

                for _ in range(3):  # so that as many stand by as it uses
                    server.run(flow)
                for _ in range(5):  # on a slow machine they were not used at the same time
                    server.ready(0)
                    if server.standing() >= count:
                        break
                    server.run(flow)
                return turns(many, lambda: quiet(lambda: server.run(flow)), lambda: quiet(floor))

            few = max(rounds // 3, 3)
            ready = compared("standby ready", *pairs("one", 1, rounds, bare), 1.5)
            answered = statistics.median(server.answered[-rounds:])
            found.append({**ready, "answered_ms": round(answered, 1)})
            sends = pairs("sends", 1, rounds, lambda: bare(argv=BARE_SENDS))
            found.append(compared("standby ready, sends outputs", *sends, 1.5))
            found.append(compared("ten in sequence", *pairs("ten", 10, few, lambda: bare(10)), 3))
            forty = pairs("forty", 40, few, lambda: bare(40, 2))
            found.append(compared("forty in a ForEach", *forty, 2))
            server.ready(40)
            size = container_mb(client)
            found.append({"name": "memory of one", "mb": round(size, 1), "met": size <= 15})
            before = processor_s(server.process.pid)
            time.sleep(10)
            idle = (processor_s(server.process.pid) - before) / 10
            found.append({"name": "idle", "cpu": idle, "met": idle <= 0.002})
        with daemon(Path(folder) / "cold", 0) as server:
            server.run("one")
            cold = turns(rounds, lambda: server.run("one"), lambda: engine_calls(client))
            found.append(compared("cold", *cold, 1.1))
        with daemon(Path(folder) / "sustained", 50) as server:
            for _ in range(4):
                server.run("one")
            best, rate = 0.0, 0.0
            for at_a_time in (2, 4, 8):
                best = max(best, ceiling(at_a_time))
                rate = max(rate, sustained(server, at_a_time))
            found.append(
                {
                    "name": "sustained",
                    "per_s": round(rate, 2),
                    "ceiling_per_s": round(best, 2),
                    "ratio": round(rate / best, 2),
                    "at_least": 0.95,
                    "met": rate >= 0.95 * best,
                }
            )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = measure(given.rounds)
    if given.json:
        print(json.dumps(figures, indent=1))
    else:
        for figure in figures:
            print("  ".join(f"{name} {value}" for name, value in figure.items()))
    sys.exit(0 if all(figure["met"] for figure in figures) else 1)


if __name__ == "__main__":
    main()

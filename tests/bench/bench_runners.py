"""Figures of the task runners, beside their floors in the same run.

    python tests/bench/bench_runners.py [--rounds N] [--gigabyte]

Process: overhead over a bare spawn (target: at most 3 ms). Docker, cold: over the bare engine calls
create, attach, start, wait, remove (target: at most 1.10 times). 1 GB of lines through each
runner (target: at least 30 MB/s, resident memory grows by at most 20 MB). Exit status 1 if one
of them is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import aiodocker
import anyio

from runner.runners.base import Command, Owner, Stream, TaskRunner
from runner.runners.docker_options import DockerOptions
from runner.runners.registry import TaskRunners
from runner.settings import Settings

IMAGE = "python:3.11-slim"
ARGV = ["/bin/sh", "-c", "set -e\npython3 -c 'print(1)'"]
SHORT = ["/bin/sh", "-c", "exit 0"]
FLOOD = ["/bin/sh", "-c", "yes 'a line of some forty characters, or so' | head -c 1000000000"]

Timed = Callable[[], Awaitable[None]]


async def ignore(stream: Stream, chunk: bytes) -> None:
    """An emit that keeps nothing."""


def command(workdir: Path, argv: list[str]) -> Command:
    """A command of nobody's."""
    return Command(
        argv=argv,
        workdir=workdir,
        owner=Owner(
            namespace="bench",
            flow_id="bench",
            execution_id="e",
            task_id="t",
            task_run_id=token_hex(8),
            attempt=0,
        ),
    )


async def bare_spawn(argv: list[str]) -> None:
    """The floor of a process: spawned, read, reaped, with nothing in between."""
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)  # noqa: ASYNC221


async def bare_container(engine: aiodocker.Docker) -> None:
    """The floor of a container: the five calls that no runner can do without."""
    container: Any = await engine.containers.create({"Image": IMAGE, "Cmd": ARGV})
    async with container.attach(stdout=True, stderr=True) as stream:
        await container.start()
        while await stream.read_out() is not None:
            pass
        await container.wait()
    await container.delete(v=True)


async def medians(rounds: int, first: Timed, second: Timed) -> tuple[float, float]:
    """Median seconds of two works, done in turns so that both see the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            await work()
            taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def flood(name: str, runner: TaskRunner, workdir: Path) -> bool:
    """Push 1 GB of lines through a runner; says whether it was fast and small enough."""
    lines = size = 0
    before = peak = resident_mb()

    async def count(stream: Stream, chunk: bytes) -> None:
        nonlocal lines, size, peak
        size += len(chunk)
        before_lines = lines
        lines += chunk.count(b"\n")
        if before_lines // 500_000 != lines // 500_000:
            peak = max(peak, resident_mb())

    start = time.perf_counter()
    outcome = await runner.run(command(workdir, FLOOD), count)
    rate = size / (time.perf_counter() - start) / 1e6
    assert (outcome.exit_code, size) == (0, 1_000_000_000)
    grown = peak - before
    print(f"{name}: 1 GB, {lines} lines: {rate:.0f} MB/s, memory +{grown:.1f} MB")
    return rate >= 30 and grown <= 20


async def bench(rounds: int, gigabyte: bool) -> bool:
    """Measure and print everything; says whether all targets were met."""
    met: list[bool] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        workdir = Path(folder) / "work"
        workdir.mkdir()
        settings = Settings(state_dir=Path(folder) / "state", tmp_dir=Path(folder))
        async with TaskRunners(settings) as runners:
            process = runners.process()

            async def ours() -> None:
                await process.run(command(workdir, SHORT), ignore)

            floor, taken = await medians(rounds * 10, lambda: bare_spawn(SHORT), ours)
            print(f"process: {taken * 1e3:.2f} ms, bare spawn {floor * 1e3:.2f} ms")
            met.append(taken - floor <= 0.003)

            docker = runners.docker(DockerOptions(image=IMAGE))
            # The first run looks at the engine and is slower.
            await docker.run(command(workdir, ARGV), ignore)
            async with aiodocker.Docker() as engine:

                async def contained() -> None:
                    await docker.run(command(workdir, ARGV), ignore)

                floor, taken = await medians(rounds, lambda: bare_container(engine), contained)
            print(
                f"docker, cold: {taken * 1e3:.0f} ms, bare calls {floor * 1e3:.0f} ms,"
                f" ratio {taken / floor:.3f}"
            )
            met.append(taken / floor <= 1.10)
            if gigabyte:
                met.append(await flood("process", process, workdir))
                met.append(await flood("docker", docker, workdir))
    return all(met)


def main() -> None:
    """Run the benchmark; exit status 1 if a target was missed."""
    parser = argparse.ArgumentParser(description="Figures of the task runners")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--gigabyte", action="store_true")
    options = parser.parse_args()
    sys.exit(0 if anyio.run(bench, options.rounds, options.gigabyte) else 1)


if __name__ == "__main__":
    main()

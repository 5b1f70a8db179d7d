"""What `eyas run` costs over the bare thing, each beside its floor in the same run.

    python tests/bench/bench_run.py [--rounds N] [--json]

- `eyas run` of a one-line Process script, from exec to the script's first line, over `python -c`
- `eyas --help` over `python -c`
- a Process task inside a running engine over a bare spawn of the same command
- log lines through the whole of `eyas run`, in MB/s, and how far its memory grows

Medians; the two sides of a figure take turns, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROCESS = "{type: io.kestra.plugin.core.runner.Process}"
ONE = f"""
id: one
namespace: bench
tasks:
  - id: s
    type: io.kestra.plugin.scripts.python.Script
    taskRunner: {PROCESS}
    script: print("hi")
"""
LINE = "a log line of eighty characters, more or less, which is what scripts print often"
FLOOD = f"""
id: flood
namespace: bench
tasks:
  - id: s
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {PROCESS}
    commands: ["yes '{LINE}' | head -c BYTES"]
"""
TASKS = 100
SPAWN = ["/bin/sh", "-c", "set -e\nexec true"]


def first_line_ms(command: list[str], environ: dict[str, str]) -> float:
    """Milliseconds from starting a command to its first line of output."""
    begin = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        took = time.perf_counter() - begin
        process.stdout.read()
    return took * 1000


def whole_ms(command: list[str], environ: dict[str, str]) -> float:
    """Milliseconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environ, check=True)
    return (time.perf_counter() - begin) * 1000


def chain(count: int) -> str:
    """A flow of so many Process tasks that do nothing."""
    task = "type: io.kestra.plugin.scripts.shell.Commands, commands: [exec true]"
    rows = [f"  - {{id: t{n}, {task}, taskRunner: {PROCESS}}}" for n in range(count)]
    return "id: chain\nnamespace: bench\ntasks:\n" + "\n".join(rows)


def task_ms(events: str) -> float:
    """Milliseconds a task, from the states that `--output jsonl` gave."""
    from datetime import datetime

    times = [
        datetime.fromisoformat(event["time"])
        for event in map(json.loads, events.splitlines())
        if event["event"] == "taskrun" and event["state"] in ("RUNNING", "SUCCESS")
    ]
    return (times[-1] - times[0]).total_seconds() * 1000 / TASKS


def flood(command: list[str], environ: dict[str, str], size: int) -> tuple[float, float]:
    """MB/s of a run that prints `size` bytes, and its peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    took = whole_ms(command, environ) / 1000
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return size / 1e6 / took, max(peak, before) / 1024


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Every figure with its floor."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        environ = {**os.environ, "EYAS_STATE_DIR": str(folder / "state")}
        # As installed: modules are compiled once, not at every start.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        environ["PYTHONPYCACHEPREFIX"] = str(folder / "cache")
        # The script runs with the interpreter that is its floor, not with a wrapper found first.
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        for file, text in (
            ("one", ONE),
            ("chain", chain(TASKS)),
            ("tiny", FLOOD.replace("BYTES", "1000000")),
            ("flood", FLOOD.replace("BYTES", "1000000000")),
        ):
            (folder / f"{file}.yaml").write_text(text)
        eyas = [sys.executable, "-m", "runner"]
        bare = [sys.executable, "-c", "print(1)"]
        run = [*eyas, "run", str(folder / "one.yaml")]
        whole_ms(run, environ)
        starts = [
            (first_line_ms(run, environ), first_line_ms(bare, environ)) for _ in range(rounds)
        ]
        helps = [
            (whole_ms([*eyas, "--help"], environ), whole_ms(bare, environ)) for _ in range(rounds)
        ]
        chained = [*eyas, "run", str(folder / "chain.yaml"), "--output", "jsonl"]
        tasks: list[tuple[float, float]] = []
        for _ in range(max(rounds // 4, 3)):
            done = subprocess.run(chained, env=environ, capture_output=True, text=True, check=True)
            spawns = [whole_ms(SPAWN, environ) for _ in range(TASKS)]
            tasks.append((task_ms(done.stdout), statistics.median(spawns)))
        _, small = flood([*eyas, "run", str(folder / "tiny.yaml")], environ, 1_000_000)
        rate, large = flood([*eyas, "run", str(folder / "flood.yaml")], environ, 1_000_000_000)
    return {
        "eyas run, to the first line (ms)": sides(starts),
        "eyas --help (ms)": sides(helps),
        "Process task in a running engine (ms)": sides(tasks),
        "1 GB of log lines (MB/s)": {"ours": rate},
        "memory with 1 GB of log lines over 1 MB (MB)": {
            "ours": large,
            "floor": small,
            "over": large - small,
        },
    }


def sides(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Medians of both sides, and of their difference."""
    ours, floor = zip(*pairs, strict=True)
    return {
        "ours": statistics.median(ours),
        "floor": statistics.median(floor),
        "over": statistics.median(a - b for a, b in pairs),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, values in figures.items():
        print(f"{name:<48}" + "".join(f"{key} {value:9.2f}   " for key, value in values.items()))


if __name__ == "__main__":
    main()

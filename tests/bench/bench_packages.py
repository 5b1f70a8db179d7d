"""What packages cost from the second run on, beside the same task without them in the same run.

    python tests/bench/bench_packages.py [--rounds N] [--package pandas] [--process] [--json]

`dependencies: [pandas]` and `beforeCommands: [pip install pandas]`, in containers and as processes:
RUNNING to SUCCESS of a task, in one execution of `eyas run` whose tasks take turns, after a first
run that installs. Medians, with the middle half; what packages cost is the median of differences
to the task without them in the same round, as other work on the machine slows both (target: at most
10 ms). Then the first run, the size of the cache, and the first tasks of a fresh `eyas run`, which
also load code. Exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

IMAGE = "python:3.11-slim"
LIMIT_MS = 10.0
RUNNERS = {
    "docker": "{type: io.kestra.plugin.scripts.runner.docker.Docker, networkMode: none}",
    "process": "{type: io.kestra.plugin.core.runner.Process}",
}
WAYS = ("without", "dependencies", "pip install")


def flow(runner: str, package: str, rounds: int) -> str:
    """A flow whose tasks take turns: without packages, `dependencies`, a line of pip."""
    more = {
        "without": "",
        "dependencies": f"dependencies: [{package}]",
        "pip install": f"beforeCommands: [pip install {package}]",
    }
    rows = [
        f"  - id: {way.replace(' ', '_')}_{number}\n"
        "    type: io.kestra.plugin.scripts.python.Script\n"
        f"    containerImage: {IMAGE}\n    taskRunner: {RUNNERS[runner]}\n"
        f"    script: print(1)\n    {more[way]}\n"
        for number in range(rounds)
        for way in WAYS
    ]
    return f"id: packages_{runner}\nnamespace: bench\ntasks:\n" + "".join(rows)


def tasks_ms(file: Path, state: Path) -> dict[str, float]:
    """Milliseconds from RUNNING to SUCCESS of each task of one run, by its id."""
    command = [sys.executable, "-m", "runner", "run", str(file), "--output", "jsonl"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*command, "--state-dir", str(state)],
        capture_output=True,
        text=True,
        check=True,
        # Each starts its own container: which task finds one that waits is not the question.
        env=os.environ | {"PATH": path, "EYAS_STANDBYS": "0"},
    )
    times: dict[str, dict[str, datetime]] = {}
    for event in map(json.loads, done.stdout.splitlines()):
        if event["event"] == "taskrun":
            of = times.setdefault(event["taskId"], {})
            of.setdefault(event["state"], datetime.fromisoformat(event["time"]))
    return {
        name: (of["SUCCESS"] - of["RUNNING"]).total_seconds() * 1000 for name, of in times.items()
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and the quarters around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 1), "low": round(low, 1), "high": round(high, 1)}


def size_mb(folder: Path) -> float:
    """Megabytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def bench(runner: str, package: str, rounds: int, folder: Path) -> dict[str, object]:
    """The figures of one runner, in ms."""
    file, state = folder / f"{runner}.yaml", folder / runner
    file.write_text(flow(runner, package, 1))
    begin = time.perf_counter()
    first = tasks_ms(file, state)
    took = time.perf_counter() - begin
    fresh = tasks_ms(file, state)
    file.write_text(flow(runner, package, rounds + 1))
    # The first of each way loads code and looks at the engine.
    found = {name: ms for name, ms in tasks_ms(file, state).items() if not name.endswith("_0")}
    taken = {
        way: [found[f"{way.replace(' ', '_')}_{number}"] for number in range(1, rounds + 1)]
        for way in WAYS
    }
    figures = {
        way: spread(ms)
        | {"more": round(statistics.median(map(float.__sub__, ms, taken["without"])), 1)}
        for way, ms in taken.items()
    }
    return {
        "figures": figures,
        "first run": {"seconds": round(took, 1), **{k: round(v, 1) for k, v in first.items()}},
        "first tasks of a fresh eyas run": {name: round(ms, 1) for name, ms in fresh.items()},
        "cache MB": round(size_mb(state / "cache"), 1),
    }


def main() -> None:
    """Run the benchmark; exit status 1 if a target was missed."""
    parser = argparse.ArgumentParser(description="What packages cost from the second run on")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--package", default="pandas")
    parser.add_argument("--process", action="store_true", help="without containers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runners = ["process"] if options.process else list(RUNNERS)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        results = {
            runner: bench(runner, options.package, options.rounds, Path(folder))
            for runner in runners
        }
    missed = False
    for runner, result in results.items():
        figures: dict[str, dict[str, float]] = result["figures"]  # pyright: ignore[reportAssignmentType] # it is ours
        for way, ms in figures.items():
            missed = missed or ms["more"] > LIMIT_MS
            if not options.json:
                print(
                    f"{runner:8} {way:13} {ms['median']:7.1f} ms"
                    f" ({ms['low']:.1f} to {ms['high']:.1f}), {ms['more']:+.1f} ms"
                )
        if not options.json:
            others = {name: value for name, value in result.items() if name != "figures"}
            print(f"{runner:8} {json.dumps(others)}")
    if options.json:
        print(json.dumps(results, indent=2))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

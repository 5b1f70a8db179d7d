"""Figures of loading and validating, beside their floors in the same run.

    python tests/bench/bench_validate.py [--files N] [--rounds N]

`eyas validate` of N flows of some 40 lines (300 of them: at most a second), over bare PyYAML
composing the same files; loading a flow of 50 script tasks (at most 10 ms), and the import of what
loads flows. Exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_TASK = """
  - id: task_{number}
    type: io.kestra.plugin.scripts.python.Script
    containerImage: python:3.11-slim
    taskRunner:
      type: io.kestra.plugin.scripts.runner.docker.Docker
      pullPolicy: NEVER
    env:
      NAME: "{{{{ inputs.name }}}}"
    retry: {{type: constant, interval: PT5S, maxAttempts: 3}}
    script: |
      import os
      print("hello", os.environ["NAME"])
"""
_COMPOSE = """
import sys, yaml
from pathlib import Path
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    yaml.compose(path.read_text(), yaml.CSafeLoader)
"""
_LOAD = """
import sys, time
from pathlib import Path
from runner.loading.flow import load
text = Path(sys.argv[1]).read_text()
begin = time.perf_counter()
load(text)
print(time.perf_counter() - begin)
"""


def flow(name: str, tasks: int) -> str:
    """A flow of so many script tasks."""
    head = f"id: {name}\nnamespace: bench\ninputs:\n  - {{id: name, type: STRING, defaults: x}}\n"
    return head + "tasks:" + "".join(_TASK.format(number=number) for number in range(tasks))


def python(*args: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, *args], check=True, capture_output=True, text=True)
    return done.stdout


def median(rounds: int, work: Callable[[], object]) -> float:
    """The median of the seconds that `work` takes."""
    times: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> int:
    """Measure, print a line each, and say whether all targets were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eyas-bench-") as folder:
        for number in range(options.files):
            text = flow(f"flow_{number}", 3)
            (Path(folder) / f"flow_{number}.yaml").write_text(text, encoding="utf-8")
        bare = median(options.rounds, lambda: python("-c", "pass"))
        floor = median(options.rounds, lambda: python("-c", _COMPOSE, folder))
        whole = median(options.rounds, lambda: python("-m", "runner", "validate", folder))
        imports = median(options.rounds, lambda: python("-c", "import runner.loading.flow"))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(flow("big", 50))
        file.flush()
        load = statistics.median(
            float(python("-c", _LOAD, file.name)) for _ in range(options.rounds)
        )
    print(f"validate {options.files} files: {whole:.3f} s (PyYAML alone {floor:.3f} s)")
    print(f"load 50 tasks, first time: {load * 1000:.1f} ms")
    print(f"import of the loader: {(imports - bare) * 1000:.1f} ms over bare python")
    missed = whole > options.files / 300 or load > 0.010
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

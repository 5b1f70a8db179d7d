"""What large data costs: files of a gigabyte, an output of 50 MB, a loop over 10,000 values.

    python tests/bench/bench_large.py [--megabytes N]

- memory of a run that works on a file of a gigabyte, over that of one with a thousandth of it (at
  most 30 MB more): Concat, Split, Reverse, Size, FilterItems (a tenth: it renders for each item),
  DeduplicateItems (a tenth), ForEachItem
- the longest time that everything else waits while a script gives an output of 50 MB, of 1 MB, and
  of nothing; in processor time of the event loop, which others on this machine do not change
- ForEach over 10,000 values against 1,000, per value (at most 1.5 times)

Exit status 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from runner.engine.engine import Engine
from runner.engine.flows import FixedFlows
from runner.loading.flow import load
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.sqlite import SqliteStore

CORE = "io.kestra.plugin.core"
PROCESS = f"{{type: {CORE}.runner.Process}}"
ROW = json.dumps({"k": 1, "text": "x" * 980}) + "\n"
MOST_MB = 30
INPUT = "id: f\nnamespace: bench\ninputs: [{id: file, type: FILE}]\ntasks:\n"
FILE, KEY = '"{{ inputs.file }}"', "'{{ k }}'"
TASKS = {
    "Concat": f"type: {CORE}.storage.Concat, files: [{FILE}]",
    "Split": f"type: {CORE}.storage.Split, from: {FILE}, bytes: 100MB",
    "Reverse": f"type: {CORE}.storage.Reverse, from: {FILE}",
    "Size": f"type: {CORE}.storage.Size, uri: {FILE}",
    "FilterItems": f"type: {CORE}.storage.FilterItems, from: {FILE}, filterCondition: {KEY}",
    "DeduplicateItems": f"type: {CORE}.storage.DeduplicateItems, from: {FILE}, expr: {KEY}",
    "ForEachItem": (
        f"type: {CORE}.flow.ForEachItem, items: {FILE}, namespace: bench, flowId: child, "
        "batch: {bytes: 100MB}, inputs: {file: '{{ taskrun.items }}'}"
    ),
}
CHILD = (
    "id: child\nnamespace: bench\ninputs: [{id: file, type: FILE}]\n"
    f"tasks: [{{id: size, type: {CORE}.storage.Size, uri: {FILE}}}]\n"
    "outputs: [{id: size, type: INT, value: '{{ outputs.size.size }}'}]\n"
)


def peak_mb(folder: Path, name: str, megabytes: float) -> float:
    """The most memory of `eyas run` of a task on a file of that size."""
    data, flow = folder / "data.jsonl", folder / "flow.yaml"
    with data.open("w") as writing:
        for _ in range(int(megabytes * 1000)):
            writing.write(ROW)
    (folder / "child.yaml").write_text(CHILD)
    flow.write_text(f"{INPUT}  - {{id: t, {TASKS[name]}}}\n")
    environ = {**os.environ, "EYAS_STATE_DIR": str(folder / "state")}
    command = [sys.executable, "-m", "runner", "run", str(flow), "-i", f"file={data}"]
    process = subprocess.Popen([*command, "--output", "quiet"], env=environ)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed")
    subprocess.run(["rm", "-rf", str(folder / "state")], check=True)
    return usage.ru_maxrss / 1024


async def longest_wait_ms(megabytes: int) -> float:
    """The longest turn of the event loop while a script gives an output of that size."""
    flow = (
        "id: f\nnamespace: bench\ntasks:\n  - id: s\n"
        "    type: io.kestra.plugin.scripts.python.Script\n"
        f"    taskRunner: {PROCESS}\n    script: |\n"
        "      from kestra import Kestra\n"
        f"      Kestra.outputs({{'x': 'y' * {megabytes * 1_000_000}}})\n"
        f"  - {{id: use, type: {CORE}.debug.Return, format: '{{{{ outputs.s.vars.x }}}}'}}\n"
    )
    turns = [0.0]

    async def others() -> None:
        before = time.thread_time()
        while True:
            await anyio.sleep(0.001)
            now = time.thread_time()
            turns.append((now - before) * 1000)
            before = now

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        async with opened(Path(name), flow) as engine, anyio.create_task_group() as group:
            group.start_soon(others)
            execution = await engine.start(engine.flows.find("bench", "f"))
            await engine.wait_until_done(execution.id)
            group.cancel_scope.cancel()
    return max(turns)


async def per_value_us(count: int) -> float:
    """Processor time that each value of a ForEach takes, with a durable store."""
    flow = (
        f"id: f\nnamespace: bench\ntasks:\n  - id: each\n    type: {CORE}.flow.ForEach\n"
        f"    values: '{json.dumps(list(range(count)))}'\n    concurrencyLimit: 0\n"
        f"    tasks: [{{id: t, type: {CORE}.debug.Return, format: '{{{{ taskrun.value }}}}'}}]\n"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        async with opened(Path(name), flow) as engine:
            before = time.process_time()
            execution = await engine.start(engine.flows.find("bench", "f"))
            await engine.wait_until_done(execution.id)
            return (time.process_time() - before) * 1e6 / count


@asynccontextmanager
async def opened(folder: Path, flow: str) -> AsyncGenerator[Engine]:
    """An engine with a durable store that has one flow."""
    settings = Settings(state_dir=folder, task_runner="process")
    storage, keys = Storage(folder / "storage"), KeyValues(folder / "storage")
    flows = FixedFlows([load(flow)])
    async with (
        await SqliteStore.open(folder) as store,
        TaskRunners(settings) as runners,
        Engine(settings, store, flows, storage, keys, runners) as engine,
    ):
        yield engine


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=1000)
    whole = parser.parse_args().megabytes
    kept = True
    for name in TASKS:
        size = whole / 10 if name.endswith("Items") else whole
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            small = peak_mb(Path(folder), name, size / 1000)
            large = peak_mb(Path(folder), name, size)
        kept = kept and large - small <= MOST_MB
        print(f"{name}, {size:.0f} MB: {large:.0f} MB of memory, {large - small:+.1f}")
    for megabytes in (0, 1, 50):
        print(f"output of {megabytes} MB: {anyio.run(longest_wait_ms, megabytes):.0f} ms at most")
    few, many = anyio.run(per_value_us, 1000), anyio.run(per_value_us, 10_000)
    kept = kept and many <= 1.5 * few
    print(f"ForEach, a value: {few:.0f} us of 1,000, {many:.0f} us of 10,000")
    sys.exit(not kept)


if __name__ == "__main__":
    main()

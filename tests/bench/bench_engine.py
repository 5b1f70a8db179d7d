"""What the engine costs with the daemon's store, each figure beside a floor of the same run.

    python tests/bench/bench_engine.py [--rounds N] [--items N] [--json]

- a ForEach of 2,000 `Return` tasks, all at a time, in tasks a second; floor: the same rows of task
  runs written to the same kind of database by hand, each on the disk before the next
- 50 `Return` tasks one after the other, in ms; floor: 100 commits by hand
- 200 executions of one `Return`, started at once, in executions a second; floor: as above
- 40 light Python Process tasks in an unlimited ForEach; floor: the same script as 40 bare
  processes, two at a time
- the longest that anything else has to wait while a task sends 50 MB of outputs; floor: these as
  JSON text
- time for each item of a ForEach over 10,000 values, against that over 1,000

Best of the rounds, as other work on the machine can only add. Exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

from runner.engine.engine import Engine
from runner.engine.flows import FixedFlows
from runner.loading.flow import load
from runner.model.execution import Execution, TaskRun
from runner.model.flow import Flow
from runner.model.state import State
from runner.model.triggers import Consequences
from runner.runners.registry import TaskRunners
from runner.settings import Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.base import NO_CONSEQUENCES
from runner.store.sqlite import SqliteStore

RETURN = 'type: io.kestra.plugin.core.debug.Return, format: "{{ taskrun.value ?? flow.id }}"'
SCRIPT = "print('hello')\n"
LARGE = """from kestra import Kestra
for number in range(5):
    Kestra.outputs({f"x{number}": "a b " * 2_500_000})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, its floor in the same unit, and the target: at least, or at most, so much."""

    name: str
    unit: str
    value: float
    floor: float
    least: float | None = None
    most: float | None = None

    @property
    def missed(self) -> bool:
        """The target is not met."""
        below = self.least is not None and self.value < self.least
        return below or (self.most is not None and self.value > self.most)

    def __str__(self) -> str:
        target = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        verdict = "  MISSED" if self.missed else ""
        return (
            f"{self.name:44} {self.value:9.2f} {self.unit:4} (floor {self.floor:9.2f},"
            f" {target}){verdict}"
        )


def for_each(count: int, tasks: str = f"{{id: one, {RETURN}}}") -> Flow:
    """A flow that runs `tasks` for so many values, all at a time."""
    return load(
        f"id: loop{count}\nnamespace: bench\ntasks:\n"
        "  - id: each\n    type: io.kestra.plugin.core.flow.ForEach\n    concurrencyLimit: 0\n"
        f"    values: {json.dumps(json.dumps(list(range(count))))}\n    tasks: [{tasks}]\n"
    )


def chain(count: int) -> Flow:
    """A flow of so many `Return` tasks, one after the other."""
    rows = "".join(f"  - {{id: t{number}, {RETURN}}}\n" for number in range(count))
    return load(f"id: chain{count}\nnamespace: bench\ntasks:\n{rows}")


def scripts(count: int, script: str = SCRIPT) -> Flow:
    """A flow that runs a script as so many processes, all at a time."""
    return for_each(
        count,
        "{id: one, type: io.kestra.plugin.scripts.python.Script, taskRunner: "
        f"{{type: io.kestra.plugin.core.runner.Process}}, script: {json.dumps(script)}}}",
    )


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Engine]:
    """An engine with the daemon's store, in a new folder."""
    # The scripts run with the interpreter that is their floor, not with a wrapper found first.
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    settings = Settings(
        state_dir=folder / "state",
        tmp_dir=folder,
        task_runner="process",
        environ=os.environ | {"PATH": path},
    )
    storage = Storage(settings.state_dir / "storage")
    keys = KeyValues(storage.root)
    async with await SqliteStore.open(settings.state_dir) as store:
        ways = TaskRunners(settings)
        async with ways, Engine(settings, store, FixedFlows([]), storage, keys, ways) as engine:
            yield engine


async def seconds(engine: Engine, flow: Flow, times: int = 1) -> float:
    """From starting a flow so many times at once until all of them have ended."""
    ended = anyio.Event()
    states: list[State] = []

    @asynccontextmanager
    async def count(
        execution: Execution, runs: Collection[TaskRun]
    ) -> AsyncGenerator[Consequences]:
        yield NO_CONSEQUENCES  # it is stored then, with its `runs`
        if execution.state.is_terminal:
            states.append(execution.state)
            if len(states) == times:
                ended.set()

    engine.on_state = count
    begin = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(engine.start, flow)
        await ended.wait()
    took = time.perf_counter() - begin
    assert states == [State.SUCCESS] * times
    return took


async def longest_wait(engine: Engine, flow: Flow) -> float:
    """The most seconds for which nothing else got its turn while a flow ran."""
    waits: list[float] = []
    async with anyio.create_task_group() as group:

        async def look() -> None:
            while True:
                begin = time.perf_counter()
                await anyio.sleep(0.001)
                waits.append(time.perf_counter() - begin - 0.001)

        group.start_soon(look)
        await seconds(engine, flow)
        group.cancel_scope.cancel()
    return max(waits)


async def json_s() -> float:
    """Seconds that it takes to write the large outputs as JSON."""
    values = {f"x{number}": "a b " * 2_500_000 for number in range(5)}
    begin = time.perf_counter()
    json.dumps(values)
    return time.perf_counter() - begin


def commits_s(folder: Path, count: int) -> float:
    """Seconds that so many durable commits of one row take."""
    folder.mkdir()
    db = sqlite3.connect(folder / "floor.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, id TEXT UNIQUE, body TEXT)")
    begin = time.perf_counter()
    for number in range(count):
        db.execute("INSERT INTO rows VALUES (NULL, ?, ?)", (f"{number:022}", "x" * 500))
    took = time.perf_counter() - begin
    db.close()
    shutil.rmtree(folder)
    return took


def bare_s(folder: Path, count: int) -> float:
    """Seconds that the script takes as so many bare processes, two at a time."""
    file = folder / "bare.py"
    file.write_text(SCRIPT)
    command = ["/bin/sh", "-c", f"set -e\n{sys.executable} {file}"]

    def run(_: int) -> None:
        subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=True)

    begin = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(count)))
    return time.perf_counter() - begin


async def best(rounds: int, *works: Callable[[], Awaitable[float]]) -> list[float]:
    """The shortest time of each of the works, which take turns."""
    return [min(each) for each in zip(*[[await w() for w in works] for _ in range(rounds)])]  # noqa: B905


async def measure(options: argparse.Namespace) -> list[Figure]:
    """Every figure."""
    found: list[Figure] = []

    def tell(figure: Figure) -> None:
        found.append(figure)
        if not options.json:
            print(figure, flush=True)

    rounds: int = options.rounds
    with tempfile.TemporaryDirectory(prefix="eyas-bench-") as name:
        folder = Path(name)

        async def floor(count: int) -> float:
            return commits_s(folder / "floor", count)

        async def bare() -> float:
            return bare_s(folder, 40)

        async with opened(folder) as engine:
            await seconds(engine, chain(1))  # loads the code
            loop, row, one = for_each(2000), chain(50), chain(1)
            took, base = await best(rounds, lambda: seconds(engine, loop), lambda: floor(4000))
            tell(
                Figure(
                    name="ForEach of 2,000 Return",
                    unit="/s",
                    value=2000 / took,
                    floor=2000 / base,
                    least=1000,
                )
            )
            took, base = await best(rounds * 3, lambda: seconds(engine, row), lambda: floor(100))
            tell(
                Figure(
                    name="50 Return in sequence",
                    unit="ms",
                    value=took * 1000,
                    floor=base * 1000,
                    most=60,
                )
            )
            took, base = await best(rounds, lambda: seconds(engine, one, 200), lambda: floor(1000))
            tell(
                Figure(
                    name="200 executions of one Return",
                    unit="/s",
                    value=200 / took,
                    floor=200 / base,
                    least=1000,
                )
            )
            light = scripts(40)
            await seconds(engine, scripts(2))
            took, base = await best(rounds, lambda: seconds(engine, light), bare)
            tell(
                Figure(
                    name="40 Python Process tasks, over bare processes",
                    unit="x",
                    value=took / base,
                    floor=base,
                    most=1.6,
                )
            )
            large = scripts(1, LARGE)
            took, base = await best(rounds, lambda: longest_wait(engine, large), json_s)
            tell(
                Figure(
                    name="wait of others beside 50 MB of outputs",
                    unit="ms",
                    value=took * 1000,
                    floor=base * 1000,
                    most=500,
                )
            )
            many, few = for_each(options.items), for_each(options.items // 10)
            took, base = await best(
                rounds, lambda: seconds(engine, many), lambda: seconds(engine, few)
            )
            tell(
                Figure(
                    name="ForEach of 10,000, an item over one of 1,000",
                    unit="x",
                    value=took / base / 10,
                    floor=base * 1e6 / (options.items // 10),
                    most=1.3,
                )
            )
    return found


def main() -> None:
    """Measure and print; exit status 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=10_000, help="values of the long loop")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = anyio.run(measure, options)
    if options.json:
        print(json.dumps([asdict(each) | {"missed": each.missed} for each in figures], indent=2))
    sys.exit(any(each.missed for each in figures))


if __name__ == "__main__":
    main()

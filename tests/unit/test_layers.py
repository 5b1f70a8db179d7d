"""Who may import whom: a module imports from its own layer and from those left of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS: list[str] = [
    *(
        "records",
        "patterns",
        "errors",
        "failpoints",
        "settings",
        "model",
        "storage",
        "expr",
        "runners",
        "tasks",
        "loading",
    ),
    *("loading", "store", "engine", "triggers", "api", "notify", "daemon", "cli"),
]


def layer(module: str) -> str | None:
    """The layer that a module of `runner` belongs to; None for `runner` itself."""
    name = module.split(".")[1] if "." in module else None
    # `python -m runner` is another door to the command line.
    return "cli" if name == "__main__" else name


def imported(code: str) -> Iterator[tuple[int, str]]:
    """Line and module of each import, wherever it stands: in a function, for types only.

    Of a relative import only the last part is known; ruff refuses those in `runner`.
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from runner import engine` names the layer after the `import`.
            names = [alias.name for alias in node.names]
            base = node.module or ""
            dotted = [f"{base}.{name}" for name in names] if base == "runner" else [base]
            yield from ((node.lineno, module) for module in dotted)


def allowed(importer: str) -> set[str]:
    """The layers that a module of this layer may import."""
    if importer == "testing":
        return {*LAYERS, "testing"} - {"cli"}
    return set(LAYERS[: LAYERS.index(importer) + 1])


def wrong_imports(code: str, place: str, importer: str) -> list[str]:
    """A line for each import in `code`, a module of layer `importer`, that points right."""
    return [
        f"{place}:{line}: {importer} must not import {target}"
        for line, module in imported(code)
        if module.split(".")[0] == "runner"
        and (target := layer(module)) not in (None, "__version__")
        and target not in allowed(importer)
    ]


def problems(source: Path) -> list[str]:
    """The imports of a file of `runner` that point right."""
    place = source.relative_to(ROOT)
    module = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
    code = source.read_text()
    if (importer := layer(module)) is None:
        return [f"{place}:{line}: runner must import nothing" for line, _ in imported(code)]
    return wrong_imports(code, str(place), importer)


def test_no_import_points_right() -> None:
    sources = sorted((ROOT / "runner").rglob("*.py"))

    assert [problem for source in sources for problem in problems(source)] == []


@pytest.mark.parametrize("folder", ["kestra_shim", "runner/tasks/foreign"])
def test_what_other_interpreters_run_imports_nothing_of_the_runner(folder: str) -> None:
    sources = sorted((ROOT / folder).rglob("*.py"))
    found = {name.split(".")[0] for path in sources for _, name in imported(path.read_text())}

    assert "runner" not in found


@pytest.mark.parametrize(
    "code",
    [
        "import runner.engine.engine",
        "from runner import engine",
        "from runner.engine import Engine",
        "def late():\n    from runner.engine.engine import Engine",
        "if TYPE_CHECKING:\n    from runner.engine.engine import Engine",
    ],
)
def test_every_kind_of_import_to_the_right_is_seen(code: str) -> None:
    line = len(code.splitlines())

    assert wrong_imports(code, "runner/model/flow.py", "model") == [
        f"runner/model/flow.py:{line}: model must not import engine"
    ]


def test_testing_may_import_all_but_the_command_line() -> None:
    code = "from runner.daemon import serve\nfrom runner.cli.main import main"

    assert wrong_imports(code, "t.py", "testing") == ["t.py:2: testing must not import cli"]


_OF_A_RUN = (
    *("runner.cli.run", "runner.cli.display", "runner.loading.flow", "runner.engine.engine"),
    *("runner.store.memory", "runner.store.past", "runner.engine.reuse", "runner.tasks.script"),
)
"""Modules that a run of a script waits for, with all that they import."""


@pytest.mark.parametrize(
    "unwanted",
    [
        pytest.param(
            ("structlog", "sqlite3", "aiohttp", "aiodocker", "watchfiles"), id="of a daemon"
        ),
        pytest.param(
            ("shutil", "decimal", "random", "secrets", "tempfile", "importlib.metadata"),
            id="of the library, slow and seldom used",
        ),
        pytest.param(
            (
                *("runner.expr.lexer", "runner.expr.parser", "runner.expr.javaregex"),
                *("runner.engine.input_values", "runner.tasks.working_directory_files"),
                *("runner.engine.recovery", "runner.engine.restart", "runner.engine.flow_outputs"),
                *("runner.store.rows", "runner.runners.docker"),
            ),
            id="for what not every flow has",
        ),
    ],
)
def test_a_run_waits_for_no_module_that_it_may_not_need(unwanted: tuple[str, ...]) -> None:
    program = f"import sys, {', '.join(_OF_A_RUN)}\nprint(*{set(unwanted)} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == ("", "")

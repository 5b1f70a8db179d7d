"""How the shim gets into an interpreter, and that it stays out of the script's way."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from shim_script import Script

from kestra_shim import files, lib_path, site_path


def test_the_files_for_a_container_are_all_there() -> None:
    found = files()

    assert found["site/sitecustomize.py"] == (site_path / "sitecustomize.py").read_bytes()
    assert found["lib/kestra/__init__.py"] == (lib_path / "kestra/__init__.py").read_bytes()
    assert {Path(name).suffix for name in found} == {".py"}
    assert [name for name in found if name.startswith("site/")] == ["site/sitecustomize.py"]


@pytest.mark.parametrize("name", sorted(files()))
def test_each_file_is_python_3_8_and_imports_the_standard_library_only(name: str) -> None:
    tree = ast.parse(files()[name], feature_version=(3, 8))

    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        assert not [name for name in names if name.split(".")[0] in ("runner", "kestra_shim")]


def test_json_names_are_python_values(script: Script) -> None:
    assert script.lines("x = true; y = null; print(x, y, false)") == ["True None False"]


def test_a_script_may_use_the_json_names_for_itself(one_script: Script) -> None:
    assert one_script.lines("true = 5\ndef null(): return 6\nprint(true, null())") == ["5 6"]


def test_an_installed_package_wins_over_the_shim(script: Script) -> None:
    lib = script.folder / "deps"
    lib.mkdir()
    (lib / "kestra.py").write_text("class Kestra: real = True\n")

    lines = script.lines(
        "from kestra import Kestra\nprint(Kestra.real)",
        env={"PYTHONPATH": f"{site_path}{os.pathsep}{lib}"},
    )

    assert lines == ["True"]


def test_a_package_in_a_virtual_environment_wins_over_the_shim(one_script: Script) -> None:
    import subprocess
    import venv

    venv.create(one_script.folder / "env", with_pip=False, symlinks=True)
    python = one_script.folder / "env/bin/python"
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(where) / "kestra.py").write_text("class Kestra: real = True\n")
    one_script.python = str(python)

    assert one_script.lines("from kestra import Kestra\nprint(Kestra.real)") == ["True"]


def test_a_file_of_the_script_wins_over_the_shim(one_script: Script) -> None:
    (one_script.folder / "kestra.py").write_text("Kestra = 'my own'\n")
    (one_script.folder / "exceptions.py").write_text("mine = 1\n")

    lines = one_script.lines("import exceptions, kestra\nprint(kestra.Kestra, exceptions.mine)")

    assert lines == ["my own 1"]


def test_another_sitecustomize_runs_as_if_there_were_no_shim(script: Script) -> None:
    other = script.folder / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("print('other', __name__, true)\nvalue = 7\n")

    lines = script.lines(
        "import sitecustomize\nprint(sitecustomize.value, sitecustomize.__file__)",
        env={"PYTHONPATH": f"{site_path}{os.pathsep}{other}"},
    )

    assert lines == ["other sitecustomize True", f"7 {other / 'sitecustomize.py'}"]


def test_an_error_in_another_sitecustomize_is_shown_as_python_shows_it(script: Script) -> None:
    other = script.folder / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n")

    alone = script.run("print('ran')", env={"PYTHONPATH": str(other)})
    behind = script.run("print('ran')", env={"PYTHONPATH": f"{site_path}{os.pathsep}{other}"})

    assert "theirs" in behind.stderr
    assert (behind.stdout, behind.stderr) == (alone.stdout, alone.stderr)


def test_the_shim_twice_on_the_path_is_the_shim_once(one_script: Script) -> None:
    lines = one_script.lines(
        "import sys\nprint([p.endswith('/lib') and 'kestra_shim' in p for p in sys.path].count(1))",
        env={"PYTHONPATH": f"{site_path}{os.pathsep}{site_path}"},
    )

    assert lines == ["1"]


@pytest.mark.parametrize("theirs", ["", "/opt/lib"])
def test_a_script_sees_the_python_path_that_is_its_own(script: Script, theirs: str) -> None:
    path = os.pathsep.join(filter(None, (str(site_path), theirs)))

    shown = script.lines(
        "import os\nprint(os.environ.get('PYTHONPATH', ''))", env={"PYTHONPATH": path}
    )

    assert shown == [theirs]


def test_a_python_that_a_script_starts_can_import_kestra_too(script: Script) -> None:
    lines = script.lines(
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import kestra; print(kestra.Kestra.__name__)'])",
    )

    assert lines == ["Kestra"]


def test_a_missing_library_beside_it_breaks_nothing(one_script: Script) -> None:
    alone = one_script.folder / "alone"
    alone.mkdir()
    (alone / "sitecustomize.py").write_bytes(files()["site/sitecustomize.py"])

    assert one_script.lines("print('ran')", env={"PYTHONPATH": str(alone)}) == ["ran"]


def test_an_isolated_interpreter_runs_without_the_shim(one_script: Script) -> None:
    done = one_script.run("print('ran')\nimport kestra\n", "-I")

    assert done.stdout == "ran\n"
    assert "No module named 'kestra'" in done.stderr


def test_an_interpreter_that_is_too_old_runs_as_if_there_were_no_shim(old_script: Script) -> None:
    assert old_script.lines("print('ran')") == ["ran"]


def test_nothing_that_takes_time_is_imported_before_the_script(one_script: Script) -> None:
    show = "import sys\nprint('\\n'.join(sorted(sys.modules)))"
    bare = set(one_script.lines(show, env={"PYTHONPATH": ""}))

    assert set(one_script.lines(show)) - bare == {"sitecustomize"}


def test_importing_kestra_imports_little_more(one_script: Script) -> None:
    show = "import sys\nbefore = set(sys.modules)\nimport kestra\nprint(set(sys.modules) - before)"

    (line,) = one_script.lines(show)

    assert ast.literal_eval(line) == {"kestra", "kestra._side", "__future__"}

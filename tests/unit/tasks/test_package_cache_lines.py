"""Which lines of `beforeCommands` are installations that can be made in advance."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.tasks.pip_lines import leading_installs, parsed

UNDERSTOOD = [
    "pip install pandas",
    "  pip3 install pandas  ",
    "pip3.11 install 'pandas>=2,<3' requests",
    "python -m pip install -q pandas==2.2.3",
    "python3 -m pip install --upgrade pip",
    "pip install -U --no-cache-dir --break-system-packages --pre pandas",
    'pip install "requests[socks]>=2.31"',
    "pip install requests[socks,use_chardet_on_py3]",
    "pip install 'six ; python_version > \"3\"'",
    "pip install -i https://index.example/simple --extra-index-url=https://two.example/s six",
    "pip install --trusted-host index.example six~=1.16",
    "pip install https://files.example/six-1.16.0-py2.py3-none-any.whl",
    "pip install -r requirements.txt",
    "pip install --requirement=requirements.txt six",
    "pip install -rrequirements.txt",
    "uv pip install --system pandas",
    "uv pip install -r requirements.txt --no-cache",
]
AS_WRITTEN = [
    "pip install",
    "pip list",
    "pip uninstall -y pandas",
    "pip install pandas && echo done",
    "pip install pandas; true",
    "pip install pandas || true",
    "pip install pandas > log",
    "pip install pandas>=2",
    "pip install pandas | cat",
    "pip install pandas &",
    "pip install $PACKAGES",
    "pip install `cat list`",
    "pip install pandas # why",
    "pip install pan*",
    "pip install {a,b}",
    "pip install ~/wheel",
    "pip install 'pandas",
    "PIP_NO_INDEX=1 pip install pandas",
    "sudo pip install pandas",
    "/usr/bin/pip install pandas",
    "venv/bin/pip install pandas",
    "pip install --target x pandas",
    "pip install --user pandas",
    "pip install -e .",
    "pip install .",
    "pip install ./package",
    "pip install package.whl",
    "pip install folder",
    "pip install git+https://host.example/repository",
    "pip install --some-new-option pandas",
    "pip install -c constraints.txt pandas",
    "pip install -r absent.txt",
    "pip install -r ../requirements.txt",
    "pip install -r nested.txt",
    "pip install -r variables.txt",
    "pip install -r",
    "pip install -i",
    "pip --quiet install pandas",
    "uv install pandas",
    "uv pip install --target x pandas",
    "echo pip install pandas",
    "pip install pandas\necho",
    "",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with files of requirements, and a folder."""
    (tmp_path / "requirements.txt").write_text(
        "# ours\n--index-url https://index.example/simple\nsix==1.16.0  # pinned\n\n"
        "requests[socks] >= 2.31 ; python_version > '3.8'\n"
        "idna==3.7 \\\n    --hash=sha256:0123456789abcdef\n"
    )
    (tmp_path / "nested.txt").write_text("-r requirements.txt\n")
    (tmp_path / "variables.txt").write_text("six==${VERSION}\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("line", UNDERSTOOD)
def test_a_line_that_only_installs_is_understood(folder: Path, line: str) -> None:
    assert parsed(line, folder) is not None


@pytest.mark.parametrize("line", AS_WRITTEN)
def test_any_other_line_is_run_as_it_is_written(folder: Path, line: str) -> None:
    assert parsed(line, folder) is None


@pytest.mark.parametrize(
    ("line", "exact"),
    [
        ("pip install six==1.16.0", True),
        ("pip install 'six==1.16.0; python_version > \"3\"' idna===3.7", True),
        ("pip install six==1.*", False),
        ("pip install six", False),
        ("pip install six==1.16.0 idna", False),
        ("pip install -r requirements.txt", False),
    ],
)
def test_it_is_known_whether_one_version_is_meant(folder: Path, line: str, exact: bool) -> None:
    install = parsed(line, folder)

    assert install is not None
    assert install.exact is exact


@pytest.mark.parametrize(
    ("before", "rest", "count"),
    [
        (["pip install six"], ["python main.py"], 1),
        (["pip install six", "pip install idna"], ["python main.py"], 2),
        (["pip install six", "export A=1"], ["python main.py"], 1),
        (["pip install six"], ["pip list", "pip freeze", "pip show six", "pip check"], 1),
        (["export A=1", "pip install six"], ["python main.py"], 0),
        (["pip install six", "pip install -e ."], ["python main.py"], 0),
        (["pip install six"], ["pip install idna"], 0),
        (["pip install six"], ["uv run x"], 0),
        (["pip install six"], ["PYTHONPATH=x python main.py"], 0),
        (["pip install six"], ["python -I main.py"], 0),
        (["pip install six"], ['subprocess.run([sys.executable, "-m", "pip", "install"])'], 0),
    ],
)
def test_only_the_first_lines_count_and_only_if_nothing_later_looks_behind_them(
    folder: Path, before: list[str], rest: list[str], count: int
) -> None:
    assert len(leading_installs(before, rest, folder)) == count

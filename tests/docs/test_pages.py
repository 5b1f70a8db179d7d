"""The pages that people read point at things that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    """A page by its path in the repository."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_named_in_code_exists(page: Path) -> None:
    folders = r"(?:flows|docs|deploy|tests)"
    named = re.findall(rf"`({folders}/[^`\s*]*)`|^\S.*? ({folders}/\S+)", page.read_text(), re.M)
    paths = {(quoted or plain).rstrip(".,;:)`|") for quoted, plain in named}

    assert [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


def test_every_shell_script_in_the_pages_is_called_as_it_is() -> None:
    scripts = {
        words[1]
        for page in PAGES
        for line in re.findall(r"^sh .*$", page.read_text(), re.M)
        if (words := shlex.split(line, comments=True))
    }

    assert scripts == {"deploy/quickstart.sh", "tests/run.sh"}
    assert [script for script in scripts if not (ROOT / script).is_file()] == []

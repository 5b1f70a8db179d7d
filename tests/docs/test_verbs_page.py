"""docs/cli.md says of every verb what its help says, and names every exit status."""

from __future__ import annotations

from verbs_page import BEGIN, PAGE, reference

from runner.cli.main import CANCELLED, ENVIRONMENT, FAILED, INVALID, SUCCESS


def test_the_page_holds_the_help_of_every_verb() -> None:
    _, marker, made = PAGE.read_text().partition(BEGIN)

    assert marker
    assert made.strip() == reference().strip(), "python tests/docs/verbs_page.py renews the page"


def test_the_page_names_every_exit_status() -> None:
    page = PAGE.read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]

    named = {int(row) for row in rows if row.isdigit()}
    assert named == {SUCCESS, FAILED, INVALID, ENVIRONMENT, CANCELLED, 65, 69, 73, 78}

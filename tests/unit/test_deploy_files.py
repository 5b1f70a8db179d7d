"""The compose file and the systemd unit of `deploy/`, as far as they can be judged on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.cli.serve import EXIT_CONFIG, EXIT_DATA
from runner.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "eyas.service"
SETTINGS = {f"EYAS_{each.name.upper()}" for each in fields(Settings)}

USAGE = 2
"""What click ends with when an option is wrong."""


def unit() -> RawConfigParser:
    """The unit's sections."""
    parser = RawConfigParser(delimiters="=", strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign] - the way configparser has it
    parser.read(UNIT)
    return parser


def span(text: str) -> timedelta:
    """A time span of systemd: a number of seconds, or one with a unit."""
    found = re.fullmatch(r"(\d+)(s|min|h)?", text)
    assert found, text
    return int(found[1]) * timedelta(seconds={"min": 60, "h": 3600}.get(found[2], 1))


def service(name: str) -> Mapping[str, Any]:
    """A service of the compose file."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][name]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # It looks whether the program is there.
    text = UNIT.read_text().replace("/opt/eyas/bin/eyas", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_waits_for_readiness_and_ends_in_order() -> None:
    section = unit()["Service"]

    assert (section["Type"], section["KillMode"]) == ("notify", "mixed")
    assert span(section["WatchdogSec"]) > timedelta()
    assert span(section["TimeoutStopSec"]) > Settings().drain


def test_the_unit_gives_up_after_a_number_of_starts() -> None:
    sections = unit()
    burst = int(sections["Unit"]["StartLimitBurst"])
    interval = span(sections["Unit"]["StartLimitIntervalSec"])

    # Otherwise the pauses alone keep it from ever being reached.
    assert burst * span(sections["Service"]["RestartSec"]) < interval
    given_up = sections["Service"]["RestartPreventExitStatus"].split()
    assert sorted(map(int, given_up)) == sorted([USAGE, EXIT_DATA, EXIT_CONFIG])


def test_the_unit_and_the_compose_file_name_settings_that_exist() -> None:
    named = set(re.findall(r"^Environment=(.*)$", UNIT.read_text(), re.M)[0].split())
    compose = set(service("eyas")["environment"])
    image = set(re.findall(r"\b(EYAS_\w+)=", (DEPLOY / "Dockerfile").read_text()))

    assert {each.partition("=")[0] for each in named} | compose | image <= SETTINGS


def test_compose_wants_a_token_and_publishes_to_this_machine_only() -> None:
    eyas = service("eyas")

    assert eyas["environment"]["EYAS_API_TOKEN"].startswith("${EYAS_API_TOKEN:?")
    assert all(port.startswith("127.0.0.1:") for port in eyas["ports"])


def test_compose_gives_the_working_folder_the_same_path_and_an_owner() -> None:
    eyas, work = service("eyas"), service("work")
    path = eyas["environment"]["EYAS_TMP_DIR"]
    user = re.search(r"useradd --uid (\d+)", (DEPLOY / "Dockerfile").read_text())

    assert f"{path}:{path}" in eyas["volumes"]
    assert work["volumes"] == [f"{path}:{path}"]
    assert work["entrypoint"][-1] == path
    assert user
    assert work["entrypoint"].count(user[1]) == 2


def test_compose_waits_longer_than_the_daemon_drains() -> None:
    assert span(service("eyas")["stop_grace_period"]) > Settings().drain


def test_every_variable_of_compose_and_argument_of_the_build_is_described() -> None:
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    variables = re.findall(r"\$\{(\w+):", (DEPLOY / "compose.yaml").read_text())
    arguments = re.findall(r"^ARG (\w+)", (DEPLOY / "Dockerfile").read_text(), re.M)

    assert {"EYAS_FLOWS", "DOCKER_GID"} <= set(variables)
    assert [name for name in {*variables, *arguments} if f"`{name}`" not in page] == []

"""The side file: what a script sent comes home even if its output was lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shim_script import Script

from kestra_shim.side_file import SideFile, read_side_file

SEND = "from kestra import Kestra\nKestra.outputs({'n': 1})\nKestra.outputs({'n': 2})\n"


def test_the_side_file_holds_every_marker_that_was_printed(script: Script) -> None:
    done = script.run(SEND + "Kestra.logger().info('i')\nKestra.logger().error('e')\n")

    found = read_side_file(script.side_file.read_bytes())
    assert found.complete
    assert list(found.markers) == [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_markers_come_home_when_the_output_goes_nowhere(one_script: Script) -> None:
    done = one_script.run("import os\nos.close(1)\nos.open('/dev/full', os.O_WRONLY)\n" + SEND)

    assert done.stdout == ""
    markers = read_side_file(one_script.side_file.read_bytes()).markers
    assert markers == ('::{"outputs": {"n": 1}}::', '::{"outputs": {"n": 2}}::')


def test_a_script_that_was_killed_has_not_said_that_it_was_done(one_script: Script) -> None:
    done = one_script.run(SEND + f"import os\nos.kill(os.getpid(), {signal.SIGKILL:d})\n")

    found = read_side_file(one_script.side_file.read_bytes())
    assert done.returncode == -signal.SIGKILL
    assert (len(found.markers), found.complete) == (2, False)


def test_a_script_that_raises_has_said_all_it_wanted_to(one_script: Script) -> None:
    one_script.run(SEND + "raise ValueError\n")

    assert read_side_file(one_script.side_file.read_bytes()).complete


def test_processes_of_one_script_keep_their_own_numbers(script: Script) -> None:
    script.lines(
        SEND
        + """\
import os, sys
child = os.fork()
if child:
    os.waitpid(child, 0)
Kestra.outputs({"child": child == 0})
sys.stdout.flush()
"""
    )

    found = read_side_file(script.side_file.read_bytes())
    assert found.complete
    assert found.markers[2:] == (
        '::{"outputs": {"child": true}}::',
        '::{"outputs": {"child": false}}::',
    )


@pytest.mark.parametrize("path", ["/nowhere/side", "/dev/full", "", "/"])
def test_a_side_file_that_cannot_be_written_is_given_up(one_script: Script, path: str) -> None:
    assert len(one_script.lines(SEND, env={"EYAS_SIDE_FILE": path})) == 2


def test_a_script_that_sends_nothing_leaves_no_side_file(one_script: Script) -> None:
    one_script.lines("import kestra")

    assert not one_script.side_file.exists()


def test_a_link_in_place_of_the_side_file_is_not_followed(one_script: Script) -> None:
    target = one_script.folder / "target"
    target.write_text("mine")
    one_script.side_file.symlink_to(target)

    assert len(one_script.lines(SEND)) == 2
    assert target.read_text() == "mine"


def test_the_script_may_close_every_file(one_script: Script) -> None:
    kept = one_script.folder / "kept"
    lines = one_script.lines(
        SEND + "import os\nos.closerange(3, 100)\n"
        f"own = open({str(kept)!r}, 'w')\nKestra.outputs({{'n': 3}})\n"
    )

    assert len(lines) == len(read_side_file(one_script.side_file.read_bytes()).markers) == 3
    assert kept.read_text() == ""


def test_a_flood_stops_in_the_side_file_but_not_in_the_output(one_script: Script) -> None:
    lines = one_script.lines(
        "import kestra._side\nkestra._side.LIMIT_BYTES = 1000\n"
        "from kestra import Kestra\nfor n in range(100): Kestra.outputs({'n': n})\n"
    )

    found = read_side_file(one_script.side_file.read_bytes())
    assert len(lines) == 100
    assert 0 < len(found.markers) < 50
    assert not found.complete


def test_the_format_is_the_one_that_is_documented() -> None:
    from binascii import crc32

    markers = ['::{"outputs": {"n": 1}}::', '::{"outputs": {"n": 2}}::']
    data = b"".join(
        b"m a-1 %d %08x %s\n" % (number, crc32(text.encode()), text.encode())
        for number, text in enumerate(markers, 1)
    )

    assert read_side_file(data + b"e a-1 2\n") == SideFile(tuple(markers), complete=True)
    assert read_side_file(data) == SideFile(tuple(markers), complete=False)
    assert read_side_file(data + data + b"e a-1 2\n") == SideFile(tuple(markers), complete=True)
    assert read_side_file(data[:-3] + b"\ne a-1 2\n") == SideFile((markers[0],), complete=False)
    assert read_side_file(b"") == SideFile((), complete=True)


@given(st.binary(max_size=200) | st.text(alphabet="me a1\n0f: {}\u0661").map(str.encode))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    read_side_file(b"m a-1 1 00000000 ::{}::\n" + data)


def test_a_folder_of_another_user_changes_nothing_for_the_script(
    one_script: Script, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    source = SEND
    if os.getuid() == 0:
        closed.chmod(0o700)
        tmp_path.chmod(0o755)
        # Loaded before, as the other user may not be allowed to read the interpreter's files.
        loaded = "import atexit, binascii, itertools, json, kestra, os\n"
        source = loaded + "os.setgid(65534); os.setuid(65534)\n" + SEND

    lines = one_script.lines(source, env={"EYAS_SIDE_FILE": str(closed / "side")})

    assert len(lines) == 2
    assert not list(closed.iterdir())

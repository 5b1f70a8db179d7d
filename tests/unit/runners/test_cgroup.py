"""Containment of local processes by cgroups, where there are some."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.runners.cgroup import place_of

MOUNTS = """\
29 1 8:1 / / rw - ext4 /dev/root rw
30 29 0:26 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw
"""

_APART = ("unshare", "--mount", "--pid", "--fork", "--mount-proc")

ESCAPE = """
import os, subprocess, time
while "eyas-" not in open("/proc/self/cgroup").read():
    time.sleep(0.01)
if os.fork() == 0:
    os.setsid()
    subprocess.Popen(["sleep", "61.5"], env={}, stdin=0, stdout=subprocess.DEVNULL, stderr=0)
    os._exit(0)
os.wait()
print("escaped", flush=True)
time.sleep(AFTER)
"""
"""A script that has a cgroup when it starts a process to which nothing leads, and goes on then."""

PROGRAM = """
import os, signal, sys
from pathlib import Path
import anyio
from runner.runners.base import Command, Owner
from runner.runners.process import ProcessRunner
from runner.settings import Settings

folder, mounted, script, kill = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
settings = Settings(state_dir=folder, tmp_dir=folder)
owner = Owner(namespace="n", flow_id="f", execution_id="e", task_id="t", task_run_id="r", attempt=0)
command = Command(argv=[sys.executable, "-c", script], workdir=folder, owner=owner)

def line_of(path):
    try:
        return (path / "cmdline").read_bytes()
    except OSError:
        return b""  # it has ended meanwhile

def escaped():
    paths = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [int(path.name) for path in paths if b"sleep\\0" + b"61.5" in line_of(path)]

async def main():
    with anyio.CancelScope() as scope:
        async def emit(stream, chunk):
            if chunk.strip():
                print(chunk.decode().strip(), len(list(mounted.glob("eyas-*"))), len(escaped()))
            if kill:
                scope.cancel()
        await ProcessRunner(settings).run(command, emit)
    if kill:
        with anyio.fail_after(10):
            while escaped():
                await anyio.sleep(0.01)
    print("ended", len(list(mounted.glob("eyas-*"))), len(escaped()))
    for pid in escaped():
        os.kill(pid, signal.SIGKILL)

anyio.run(main)
"""
"""Runs the script, and tells how many cgroups and escaped processes there are, then and after."""


def contained(tmp_path: Path, *, kill: bool) -> list[str]:
    """What the program says in a place of its own where there are cgroups."""
    mounted = tmp_path / "cgroup"
    mounted.mkdir()
    mount = 'mount -t cgroup2 none "$0" || exit 9; exec "$@"'
    script = ESCAPE.replace("AFTER", "60" if kill else "0")
    program = [sys.executable, "-c", PROGRAM, str(tmp_path), str(mounted), script, "x" * kill]
    done = subprocess.run(
        [*_APART, "sh", "-c", mount, str(mounted), *program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if not done.stdout and done.returncode in (1, 9):
        pytest.skip(f"there are no cgroups to be had here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_left_everything_else_is_killed_with_its_cgroup(tmp_path: Path) -> None:
    assert contained(tmp_path, kill=True) == ["escaped 1 1", "ended 0 0"]


def test_what_a_script_leaves_behind_goes_on_after_a_normal_end(tmp_path: Path) -> None:
    assert contained(tmp_path, kill=False) == ["escaped 1 1", "ended 0 1"]


@pytest.mark.parametrize(
    ("memberships", "root", "place"),
    [
        ("0::/system.slice/eyas.service\n", "/", "/sys/fs/cgroup/system.slice/eyas.service"),
        ("4:memory:/x\n0::/a/b\n", "/a", "/sys/fs/cgroup/b"),
        ("0::/\n", "/", "/sys/fs/cgroup"),
        ("0::/elsewhere\n", "/a", None),
        ("4:memory:/x\n", "/", None),
    ],
)
def test_our_own_cgroup_is_found_below_where_it_is_mounted(
    memberships: str, root: str, place: str | None
) -> None:
    found = place_of(memberships, MOUNTS.format(root=root))

    assert found == (Path(place) if place else None)

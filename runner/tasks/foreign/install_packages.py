"""Install what a plan's lines would install, into the folder `lib` beside it, and nowhere else.

usage: python install_packages.py PLAN RESULT

PLAN is a JSON list of `{"program": [...], "arguments": [...]}`, RESULT a JSON file that says what
came of it: `prefix` and `names`, or `why_not`: an installation here would do something that a
folder of packages cannot stand for. Packages that this Python has already are left alone, as an
installer would. Exit status: that of the installer that failed.

It runs under the Python of an image, 3.8 or newer.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Iterator, List  # noqa: UP035 # for Python 3.8

_VALUED = frozenset(
    {
        *("-i", "--index-url", "--extra-index-url", "--trusted-host", "--default-index"),
        *("--index", "--timeout", "--default-timeout", "--retries"),
    }
)
_PLAIN = frozenset({"--pre", "--prefer-binary", "--no-cache-dir", "--no-cache", "-n"})
_FINE_OUTSIDE = re.compile(r"(\.\./)+(bin|share/man|share/doc)/")


def main(plan_file: str, result_file: str) -> int:
    """Run the plan; the exit status."""
    library = Path(plan_file).resolve().parent / "lib"
    plan: List[Any] = json.loads(Path(plan_file).read_text())  # noqa: UP006
    why_not, status = obstacle(plan), 0
    if not why_not:
        for step in plan:
            uses_uv = Path(step["program"][0]).name == "uv"
            status = with_uv(step, library) if uses_uv else with_pip(step["arguments"], library)
            if status:
                return status
        why_not = beyond_a_folder(library)
    result = {"prefix": sys.prefix, "names": names(library), "why_not": why_not}
    Path(result_file).write_text(json.dumps(result))
    return status


def obstacle(plan: list[Any]) -> str:
    """Why a real installation would go elsewhere or fail; empty if it would not."""
    site = sysconfig.get_paths()["purelib"]
    if not os.access(site, os.W_OK):
        return f"this user may not write to {site}"
    allowed = "PIP_BREAK_SYSTEM_PACKAGES" in os.environ or "UV_BREAK_SYSTEM_PACKAGES" in os.environ
    managed = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if sys.prefix == sys.base_prefix and managed.exists() and not allowed:
        for step in plan:
            if "--break-system-packages" not in step["arguments"]:
                return "the environment is externally managed"
    return ""


def environment(library: Path) -> dict[str, str]:
    """The variables that let an installer see what earlier lines installed."""
    path = [str(library), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in path if part)}


def with_pip(arguments: list[str], library: Path) -> int:
    """Have pip say what it would install, then install exactly that into the folder."""
    pip = [sys.executable, "-m", "pip", "install"]
    report = library.with_name("report.json")
    asked = [*pip, "--dry-run", "--report", str(report), *arguments]
    status = subprocess.call(asked, env=environment(library))
    if status:
        return status
    wanted = [pinned(item) for item in json.loads(report.read_text())["install"]]
    if not wanted:
        return 0
    listed = library.with_name("resolved.txt")
    listed.write_text("\n".join(wanted) + "\n")
    into = ["--no-deps", "--upgrade", "--target", str(library), "--requirement", str(listed)]
    options = ["--no-input", "--no-warn-script-location", *where(arguments)]
    return subprocess.call([*pip, *options, *into])


def pinned(item: Any) -> str:
    """A requirement that is exactly what an item of pip's report is about."""
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    if item.get("is_direct"):
        return f"{name} @ {item['download_info']['url']}"
    return f"{name}=={version}"


def with_uv(step: Any, library: Path) -> int:
    """The same with uv, which says it on lines that begin with a plus."""
    asked = [*step["program"], "install", "--dry-run", *step["arguments"]]
    done = subprocess.run(
        [word for word in asked if word not in ("-q", "-qq", "--quiet")],
        env=environment(library),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    sys.stdout.write(done.stdout)
    if done.returncode:
        return done.returncode
    found = re.findall(r"^ [+~] (\S+==\S+)(?: \(from (\S+)\))?", done.stdout, re.M)
    wanted = [url or requirement for requirement, url in found]
    if not wanted:
        return 0
    options = [*where(step["arguments"]), "--python", sys.executable, "--link-mode", "copy"]
    into = ["--no-deps", "--compile-bytecode", "--target", str(library)]
    return subprocess.call([*step["program"], "install", *options, *into, *wanted])


def where(arguments: list[str]) -> Iterator[str]:
    """The options that say where packages come from."""
    rest = iter(arguments)
    for word in rest:
        if word in _PLAIN or ("=" in word and word.partition("=")[0] in _VALUED):
            yield word
        elif word in _VALUED:
            yield word
            yield next(rest, "")


def names(library: Path) -> list[str]:
    """What is installed in the folder, as `name==version`."""
    matches = [re.match(r"(.+)-([^-]+)\.dist-info$", path.name) for path in library.glob("*")]
    return sorted(f"{match[1]}=={match[2]}" for match in matches if match)


def beyond_a_folder(library: Path) -> str:
    """Why the folder is not the same as an installation; empty if it is."""
    for record in sorted(library.glob("*.dist-info/RECORD")):
        for line in record.read_text().splitlines():
            path = line.partition(",")[0].strip('"')
            if path.startswith(("../", "/")) and not _FINE_OUTSIDE.match(path):
                return f"{record.parent.name} has files outside of the packages' folder: {path}"
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""What scripts import as `kestra`: where it is, its files, and how its side file is read.

`site/` goes on a script's PYTHONPATH, `lib/` beside it is found from there. Both are code for other
people's interpreters (Python 3.8 and newer, standard library only) and are never imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

site_path = Path(__file__).resolve().parent / "site"
"""The folder for PYTHONPATH; it holds `sitecustomize.py` and nothing else."""

lib_path = site_path.parent / "lib"
"""The folder that `sitecustomize` appends to sys.path; it must stay beside `site`."""

SIDE_FILE_VARIABLE = "EYAS_SIDE_FILE"
"""The environment variable that names the side file for a script."""


@cache
def files() -> Mapping[str, bytes]:
    """The files of the shim by their path relative to this folder (`site/sitecustomize.py`)."""
    found = [*site_path.rglob("*.py"), *lib_path.rglob("*.py")]
    root = site_path.parent
    return MappingProxyType(
        {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(found)}
    )
